import contextlib
import itertools
import json
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire import mse
from peerwire.errors import EncryptionError
from peerwire.mse import (
    MAX_PAD,
    PRIME,
    CryptoMethod,
    Initiator,
    Responder,
    SkeyTable,
    random_bits,
    random_pad,
    skey_hash,
)
from peerwire.rc4 import rc4

INFO_HASH = bytes(range(20))
OTHER = bytes(20)
PLAINTEXT, RC4 = CryptoMethod.PLAINTEXT, CryptoMethod.RC4
BOTH = PLAINTEXT | RC4
PAYLOAD = b"\x13BitTorrent protocol" + bytes(48)


def counting(seed):
    """Bytes that look random and are always the same, as a source of randomness."""
    counter = itertools.count()

    def random(count):
        out = b""
        while len(out) < count:
            out += sha1(b"%d %d" % (seed, next(counter))).digest()
        return out[:count]

    return random


def pair(offered=BOTH, accepted=BOTH, payload=PAYLOAD, torrents=(OTHER, INFO_HASH)):
    a = Initiator(INFO_HASH, offered, payload, counting(1))
    b = Responder(SkeyTable(torrents), accepted, counting(2))
    return a, b


def run(a, b, split=None):
    """Lets the two talk until neither has anything to say; returns what each said."""
    said = [b"", b""]
    while True:
        quiet = True
        for who, (speaker, listener) in enumerate(((a, b), (b, a))):
            data = speaker.data_to_send()
            said[who] += data
            quiet = quiet and not data
            size = split or max(1, len(data))
            for begin in range(0, len(data), size):
                listener.receive_data(data[begin : begin + size])
        if quiet:
            return said


# Known answers: the same keys and pads give the same bytes, whatever changes in the code.

KNOWN = {
    PLAINTEXT: (
        "fb256cee51db0c4847f9ae28fe5aac8996a3344f",
        "f1e48fcb681442d0250ea75e952dd3f41cef882f",
    ),
    RC4: ("57987400b9b9c5012460af692701f0a16913f609", "487917cb2f7811ab05e18f03a8e13e6b5f7a84ce"),
}


@pytest.mark.parametrize("method", [PLAINTEXT, RC4])
def test_known_answer(method):
    a, b = pair(offered=method)
    said = run(a, b)
    assert tuple(sha1(stream).hexdigest() for stream in said) == KNOWN[method]
    assert said[0][:96] == pow(2, int.from_bytes(counting(1)(20)), PRIME).to_bytes(96)
    assert a.method is b.method is method
    assert b.info_hash == INFO_HASH
    assert b.rest == PAYLOAD


@pytest.mark.parametrize("method", [PLAINTEXT, RC4])
@pytest.mark.parametrize("split", [1, 2, 7, 96, 97])
def test_any_split_gives_the_same(method, split):
    a, b = pair(offered=method)
    whole = run(*pair(offered=method))
    assert run(a, b, split) == whole
    assert a.method is b.method is method
    assert b.rest == PAYLOAD


@pytest.mark.parametrize("method", [PLAINTEXT, RC4])
def test_every_prefix_waits_and_every_cut_in_two_succeeds(method):
    """The stream of A, ended or cut at each byte: B waits, or is done; it never fails."""
    a, b = pair(offered=method)
    stream, answer = run(a, b)
    for cut in range(len(stream)):
        _, b = pair(offered=method)
        b.receive_data(stream[:cut])
        assert b.method is None
        assert b.held <= 96 + MAX_PAD + 20
        b.receive_data(stream[cut:])
        assert b.method is method
        assert b.data_to_send() == answer
    for cut in range(len(answer)):
        a, _ = pair(offered=method)
        a.data_to_send()
        a.receive_data(answer[:cut])
        assert a.method is None
        a.receive_data(answer[cut:])
        assert a.method is method


@pytest.mark.parametrize(
    ("offered", "accepted", "selected"),
    [
        (BOTH, BOTH, RC4),
        (BOTH, PLAINTEXT, PLAINTEXT),
        (RC4, BOTH, RC4),
        (PLAINTEXT, BOTH, PLAINTEXT),
    ],
)
def test_rc4_is_selected_before_plaintext(offered, accepted, selected):
    a, b = pair(offered, accepted)
    run(a, b)
    assert a.method is b.method is selected


@pytest.mark.parametrize("method", [PLAINTEXT, RC4])
def test_payload_in_the_same_segment_is_not_lost(method):
    a, b = pair(offered=method)
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    b.receive_data(a.data_to_send())
    answer = bytearray(b.data_to_send())
    block = bytearray(b"what B says at once")
    if (cipher := b.encryptor()) is not None:
        cipher.apply(block)
    a.receive_data(answer + block)
    assert a.rest == b"what B says at once"

    more = bytearray(b"what A says then")
    if (cipher := a.encryptor()) is not None:
        cipher.apply(more)
    if (cipher := b.decryptor()) is not None:
        cipher.apply(more)
    assert more == b"what A says then"
    assert (a.decryptor() is None) == (method is PLAINTEXT)


def test_without_an_initial_payload():
    _, b = pair()
    run(Initiator(INFO_HASH, BOTH, random=counting(1)), b)
    assert b.rest == b""


@pytest.mark.parametrize(("method", "warned"), [(PLAINTEXT, []), (RC4, [True, True])])
def test_a_slow_cipher_is_told_of_where_the_payload_goes_through_it(method, warned, monkeypatch):
    told = []
    monkeypatch.setattr(mse, "warn_if_slow", lambda: told.append(True))
    run(*pair(offered=method))
    assert told == warned


# What breaks the rules


@pytest.mark.parametrize("key", [0, 1, PRIME - 1, PRIME, 2**768 - 1])
@pytest.mark.parametrize("role", [0, 1])
def test_a_public_key_that_gives_the_secret_away(key, role):
    side = pair()[role]
    with pytest.raises(EncryptionError) as raised:
        side.receive_data(key.to_bytes(96, "big"))
    assert str(raised.value) == (
        "the peer's public key is one of those that make every secret known (MSE)"
    )


@pytest.mark.parametrize("key", [2, PRIME - 2])
@pytest.mark.parametrize("role", [0, 1])
def test_the_first_and_the_last_public_key(key, role):
    side = pair()[role]
    side.data_to_send()
    side.receive_data(key.to_bytes(96, "big"))
    assert side.data_to_send() != b""


def test_methods_that_do_not_meet():
    with pytest.raises(
        EncryptionError, match=r"^the peer offers .*RC4.* where .*PLAINTEXT"
    ) as raised:
        run(*pair(RC4, PLAINTEXT))
    assert raised.value.rule == "MSE"


def test_a_torrent_that_is_not_served():
    with pytest.raises(EncryptionError) as raised:
        run(*pair(torrents=[OTHER]))
    assert str(raised.value) == "the torrent that it asks for is not served here (MSE)"


def no_sync(what):
    return (
        f"no {what} within 512 bytes of padding: "
        "it does not know the torrent, or does not speak encryption (MSE)"
    )


def test_no_synchronization_within_the_bound():
    _, b = pair()
    b.receive_data(bytes(95) + b"\5" + bytes(MAX_PAD + 19))
    assert b.held == MAX_PAD + 19
    with pytest.raises(EncryptionError) as raised:
        b.receive_data(b"\0")
    assert str(raised.value) == no_sync("HASH(req1 S)")
    a, _ = pair()
    with pytest.raises(EncryptionError) as raised:
        a.receive_data(bytes(95) + b"\5" + bytes(MAX_PAD + 8))
    assert str(raised.value) == no_sync("verification")


@pytest.mark.parametrize("role", [0, 1])
def test_what_comes_after_a_failure_is_dropped(role):
    side = pair()[role]
    with pytest.raises(EncryptionError):
        side.receive_data(bytes(1000))
    assert side.held == 0
    side.receive_data(bytes(100_000))
    assert side.held == 0
    assert side.method is None
    assert side.rest == b""


def test_a_pad_one_byte_too_long_in_one_segment():
    a, b = pair()
    b.receive_data(a.data_to_send())
    answer = b.data_to_send()
    a.receive_data(answer)
    rest = a.data_to_send()
    _, fresh = pair()
    first = run(*pair())[0][:96]
    with pytest.raises(EncryptionError) as raised:
        fresh.receive_data(first + bytes(MAX_PAD + 1) + rest)
    assert str(raised.value) == "a pad of 513 bytes; 512 is the most (MSE)"


def padding(length, seed):
    """Randomness that makes every pad as long as that."""
    other = counting(seed)
    return lambda count: length.to_bytes(4) if count == 4 else other(count)


@pytest.mark.parametrize("length", [0, MAX_PAD])
@pytest.mark.parametrize("split", [None, 1])
def test_all_pads_empty_and_all_as_long_as_may_be(length, split):
    a = Initiator(INFO_HASH, BOTH, PAYLOAD, padding(length, 1))
    b = Responder(SkeyTable([INFO_HASH]), BOTH, padding(length, 2))
    said = run(a, b, split)
    assert [len(stream) for stream in said] == [
        96 + length + 20 + 20 + 8 + 4 + 2 + length + 2 + len(PAYLOAD),
        96 + length + 8 + 4 + 2 + length,
    ]
    assert a.method is b.method is RC4
    assert b.rest == PAYLOAD


def test_the_first_mark_ends_the_pad():
    """What follows it may look the same, and is not pad."""
    first, _ = run(*pair())
    secret = pow(
        pow(2, int.from_bytes(counting(2)(20)), PRIME), int.from_bytes(counting(1)(20)), PRIME
    )
    mark = sha1(b"req1" + secret.to_bytes(96)).digest()
    _, b = pair()
    with pytest.raises(EncryptionError, match="not served"):
        b.receive_data(first[:96] + mark + mark)


class Crooked(Initiator):
    """An initiator whose encrypted part says what it is told to."""

    def __init__(self, say):
        self.say = say
        super().__init__(INFO_HASH, BOTH, b"", counting(1))

    def _send_encrypted(self, data):
        super()._send_encrypted(self.say)


@pytest.mark.parametrize(
    ("say", "error"),
    [
        (
            b"\1" + bytes(7) + b"\0\0\0\3" + bytes(4),
            "the verification is not eight zero bytes",
        ),
        (bytes(8) + b"\0\0\0\0" + bytes(4), "the peer offers"),
        (bytes(8) + b"\0\0\0\4" + bytes(4), "the peer offers"),
        (bytes(8) + b"\0\0\0\3" + b"\2\1" + bytes(515), "a pad of 513 bytes; 512 is the most"),
        (bytes(8) + b"\0\0\0\3" + b"\xff\xff", "a pad of 65535 bytes; 512 is the most"),
        (
            bytes(8) + b"\0\0\0\3" + b"\0\0" + b"\0\x45",
            "an initial payload of 69 bytes; 68 is the most",
        ),
    ],
)
def test_what_an_initiator_may_not_say(say, error):
    _, b = pair()
    with pytest.raises(EncryptionError) as raised:
        run(Crooked(say), b)
    assert str(raised.value).startswith(error)
    assert raised.value.rule == "MSE"


class CrookedResponder(Responder):
    def __init__(self, say):
        self.say = say
        super().__init__(SkeyTable([INFO_HASH]), BOTH, counting(2))

    def _send_encrypted(self, data):
        super()._send_encrypted(self.say)


@pytest.mark.parametrize(
    ("say", "error"),
    [
        (bytes(8) + b"\0\0\0\0" + bytes(2), "crypto_select 0x0; it is exactly one method"),
        (bytes(8) + b"\0\0\0\3" + bytes(2), "crypto_select 0x3; it is exactly one method"),
        (bytes(8) + b"\0\0\0\4" + bytes(2), "crypto_select 0x4; it is exactly one method"),
        (
            bytes(8) + b"\0\0\0\1" + bytes(2),
            "the peer selected PLAINTEXT, which was not offered",
        ),
        (bytes(8) + b"\0\0\0\2" + b"\2\1" + bytes(513), "a pad of 513 bytes; 512 is the most"),
    ],
)
def test_what_a_responder_may_not_say(say, error):
    a, _ = pair(offered=RC4)
    with pytest.raises(EncryptionError) as raised:
        run(a, CrookedResponder(say))
    assert str(raised.value) == f"{error} (MSE)"


@given(st.binary(max_size=2000))
def test_noise_fails_or_waits_within_bounds(noise):
    for side in pair():
        with contextlib.suppress(EncryptionError):
            side.receive_data(noise)
            assert side.held <= 96 + MAX_PAD + 20
        assert side.method is None


@given(st.data())
def test_any_byte_changed_is_an_error_or_a_wait_and_never_another_torrent(data):
    stream, _ = run(*pair(offered=RC4))
    position = data.draw(st.integers(0, len(stream) - 1))
    changed = bytearray(stream)
    changed[position] ^= data.draw(st.integers(1, 255))
    _, b = pair(offered=RC4)
    try:
        b.receive_data(changed)
    except EncryptionError:
        return
    assert b.info_hash in (None, INFO_HASH)


# The rest


def test_a_side_that_allows_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^no method is allowed; allow RC4, plaintext, or both$"):
        Responder(SkeyTable(), CryptoMethod(0))


def test_a_responder_is_silent_until_it_is_spoken_to():
    _, b = pair()
    assert b.info_hash is None
    assert b.data_to_send() == b""
    b.receive_data(bytes(50))
    assert b.data_to_send() == b""


def test_a_table_finds_torrents_by_hash():
    table = SkeyTable([INFO_HASH, OTHER])
    assert table(skey_hash(OTHER)) == OTHER
    assert table(bytes(20)) is None


def test_a_table_follows_torrents_that_come_and_go():
    torrents = {INFO_HASH: None}
    table = SkeyTable(torrents.keys())
    assert table(skey_hash(INFO_HASH)) == INFO_HASH
    del torrents[INFO_HASH]
    torrents[OTHER] = None
    assert table(skey_hash(INFO_HASH)) is None
    assert table(skey_hash(OTHER)) == OTHER
    torrents[INFO_HASH] = None
    assert table(skey_hash(INFO_HASH)) == INFO_HASH


def test_a_table_hashes_each_torrent_once_however_often_it_is_asked_in_vain(monkeypatch):
    hashed = []
    monkeypatch.setattr(mse, "skey_hash", lambda info_hash: hashed.append(info_hash) or info_hash)
    torrents = [INFO_HASH, OTHER]
    table = SkeyTable(torrents)
    for _ in range(3):
        assert table(b"n" * 20) is None
    torrents.append(b"n" * 20)
    assert table(b"n" * 20) == b"n" * 20
    assert sorted(hashed) == sorted(torrents)


def test_a_torrent_that_was_found_before_costs_no_look_at_the_others(monkeypatch):
    hashed = []
    monkeypatch.setattr(mse, "skey_hash", lambda info_hash: hashed.append(info_hash) or info_hash)
    torrents = [INFO_HASH]
    table = SkeyTable(torrents)
    assert table(INFO_HASH) == INFO_HASH
    torrents.append(OTHER)
    assert table(INFO_HASH) == INFO_HASH
    assert hashed == [INFO_HASH]


def test_pads_are_of_every_length_and_random():
    lengths = {len(random_pad(random_bits)) for _ in range(20_000)}
    assert min(lengths) == 0
    assert max(lengths) == MAX_PAD
    assert random_bits(16) != random_bits(16)


def test_the_payload_cipher_discards_1024_bytes():
    a, b = pair(offered=RC4, payload=b"")
    run(a, b)
    secret = pow(
        pow(2, int.from_bytes(counting(2)(20)), PRIME), int.from_bytes(counting(1)(20)), PRIME
    ).to_bytes(96)
    expected = bytearray(8)
    rc4(sha1(b"keyB" + secret + INFO_HASH).digest(), drop=1024).apply(expected)
    assert bytes(expected) in run(*pair(offered=RC4, payload=b""))[1]


# Sessions between libtorrent and itself, recorded with the secret that it logged

SESSIONS = json.loads((Path(__file__).parent / "data" / "mse_sessions.json").read_text())


class Knowing:
    """Makes a side know the secret of a recorded session, whose private keys nobody kept."""

    secret = b""

    def _receive_secret(self):
        yield from self._take(96)
        return self.secret


class RecordedInitiator(Knowing, Initiator):
    pass


class RecordedResponder(Knowing, Responder):
    pass


@pytest.mark.parametrize("session", SESSIONS, ids=["RC4", "plaintext"])
def test_a_recorded_session_is_understood_in_both_roles(session):
    Knowing.secret = bytes.fromhex(session["S"])
    info_hash = bytes.fromhex(session["skey"])
    selected = CryptoMethod(session["select"])

    b = RecordedResponder(SkeyTable([info_hash]), selected)
    b.receive_data(bytes.fromhex(session["initiator"]))
    assert b.info_hash == info_hash
    assert b.method is selected
    assert b.rest[:28] == b"\x13BitTorrent protocol" + b.rest[20:28]
    assert b.rest[28:48] == info_hash

    a = RecordedInitiator(info_hash, CryptoMethod(session["provide"]))
    a.receive_data(bytes.fromhex(session["responder"]))
    assert a.method is selected
    assert a.rest[:20] == b"\x13BitTorrent protocol"
    assert a.rest[28:48] == info_hash
