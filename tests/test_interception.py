"""Who is in the middle: both sides get what they would without, and all of it is read."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwire import Handshake, Interested, Limits, Role, State, Unchoke, Wire
from peerwire.encryption import EncryptedWire, Encryption
from peerwire.errors import EncryptionError, PeerWireError
from peerwire.interception import MAX_HELD, Interception, UnknownTorrent, other
from peerwire.mse import CryptoMethod, Initiator, Responder, SkeyTable, random_bits

INFO_HASH = bytes(range(20))
OTHER = bytes(20)
TORRENTS = (OTHER, INFO_HASH)
OFF, PREFER, REQUIRE = Encryption
PLAINTEXT, RC4 = CryptoMethod.PLAINTEXT, CryptoMethod.RC4
INITIATOR, RESPONDER = Role
GREETING = Handshake(INFO_HASH, bytes(20)).encode()
BLOCK = bytes(range(256)) * 64


def middle(*torrents):
    return Interception(SkeyTable(torrents or TORRENTS))


class Talk:
    """Two sides and who is between them; keeps what each said in clear and on the wire."""

    def __init__(self, a, b, between, size=None):
        self.sides = {INITIATOR: a, RESPONDER: b}
        self.between = between
        self.size = size
        self.heard = dict.fromkeys(Role, b"")
        self.said = dict.fromkeys(Role, b"")

    def go_on(self):
        """Lets both talk until neither has anything to say."""
        while True:
            quiet = True
            for role, side in self.sides.items():
                data = bytes(side.data_to_send())
                self.said[role] += data
                quiet = quiet and not data
                step = self.size or max(1, len(data))
                for begin in range(0, len(data), step):
                    self.pass_on(role, data[begin : begin + step])
            if quiet:
                return

    def pass_on(self, role, data):
        for speaker, heard in self.between.receive_data(role, data):
            self.heard[speaker] += heard
        for receiver, side in self.sides.items():
            for part in self.between.data_to_send(receiver):
                side.receive_data(part, *self.clock)
                if self.clock and side.wire.state is State.DECIDING:
                    side.wire.accept()

    @property
    def clock(self):
        """Wires are told the time, handshakes are not."""
        return (0.0,) if isinstance(self.sides[INITIATOR], EncryptedWire) else ()


def wires(ours, theirs, between, size=None):
    a = EncryptedWire(Told(INITIATOR, INFO_HASH, num_pieces=4), ours)
    b = EncryptedWire(Told(RESPONDER, num_pieces=4), theirs, torrents=SkeyTable(TORRENTS))
    return a, b, Talk(a, b, between, size)


def handshakes(offered, accepted, between, payload=GREETING):
    a = Initiator(INFO_HASH, offered, payload)
    b = Responder(SkeyTable(TORRENTS), accepted)
    return a, b, Talk(a, b, between)


def transfer(a, b, talk):
    """A block from one to the other, through all that comes before it."""
    b.wire.send_unchoke()
    a.wire.send_interested()
    talk.go_on()
    a.wire.send_request(1, 0, len(BLOCK))
    talk.go_on()
    b.wire.send_piece(1, 0, BLOCK)
    talk.go_on()


class Told(Wire):
    """A wire that keeps what it hands out, before anything encrypts it."""

    def __init__(self, *args, **options):
        self.spoken = b""
        super().__init__(*args, **options)

    def buffers_to_send(self):
        buffers = super().buffers_to_send()
        self.spoken += b"".join(buffers)
        return buffers


@pytest.mark.parametrize("size", [None, 1, 100])
@pytest.mark.parametrize(("ours", "theirs"), [*itertools.product(Encryption, Encryption)])
def test_both_sides_speak_as_without_it(ours, theirs, size):
    direct, ends = [], []
    for between, results in ((Interception(), direct), (middle(), ends)):
        a, b, talk = wires(ours, theirs, between, size)
        try:
            talk.go_on()
            transfer(a, b, talk)
        except PeerWireError as error:
            results.append(type(error))
        results.append((a.method, b.method, a.wire.state, b.wire.state))
        if b.wire.state is State.OPEN:
            assert a.wire.downloaded == len(BLOCK)
            if between.method is not None:
                assert talk.heard == {INITIATOR: a.wire.spoken, RESPONDER: b.wire.spoken}
    assert ends == direct
    assert between.broken_by is None


@pytest.mark.parametrize("method", [PLAINTEXT, RC4])
def test_what_is_inside_is_unchanged_and_read(method):
    ours, theirs = {PLAINTEXT: (PREFER, PREFER), RC4: (REQUIRE, REQUIRE)}[method]
    between = middle()
    a, b, talk = wires(ours, theirs, between)
    talk.go_on()
    transfer(a, b, talk)
    assert talk.heard == {INITIATOR: a.wire.spoken, RESPONDER: b.wire.spoken}
    assert (between.method, between.info_hash) == (method, INFO_HASH)
    assert between.offered == (RC4 if method is RC4 else RC4 | PLAINTEXT)
    assert not between.shaking
    assert BLOCK in talk.heard[RESPONDER]
    assert (BLOCK in talk.said[RESPONDER]) is (method is PLAINTEXT)


def test_the_initiator_is_offered_no_more_than_the_responder():
    """Each of the nine ways to offer and accept ends as it does without us."""
    for offered, accepted in itertools.product((PLAINTEXT, RC4, PLAINTEXT | RC4), repeat=2):
        a, b, talk = handshakes(offered, accepted, middle())
        if offered & accepted:
            talk.go_on()
            assert a.method is b.method is not None
        else:
            with pytest.raises(EncryptionError, match="the peer offers"):
                talk.go_on()


def test_without_torrents_all_passes():
    a, b, talk = wires(REQUIRE, REQUIRE, Interception())
    transfer_begun = a.data_to_send()
    talk.pass_on(INITIATOR, transfer_begun)
    talk.go_on()
    assert a.method is b.method is RC4
    assert talk.heard[INITIATOR].startswith(transfer_begun)
    assert talk.heard[RESPONDER] == talk.said[RESPONDER]


def test_plain_bytes_are_not_copied():
    between = Interception()
    block = bytes(100)
    ((who, heard),) = between.receive_data(RESPONDER, block)
    assert who is RESPONDER
    assert heard is block
    (sent,) = between.data_to_send(INITIATOR)
    assert sent is block
    assert between.data_to_send(INITIATOR) == between.data_to_send(RESPONDER) == []
    assert between.receive_data(RESPONDER, b"") == []


@given(data=st.data(), said=st.binary(max_size=60))
@settings(max_examples=50)
def test_a_plain_handshake_passes_in_any_chunks(data, said):
    between = middle()
    stream, sent = GREETING + said, b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    for begin, end in itertools.pairwise([0, *cuts, len(stream)]):
        between.receive_data(INITIATOR, stream[begin:end])
        sent += b"".join(between.data_to_send(RESPONDER))
    assert sent == stream
    assert between.data_to_send(INITIATOR) == []


def test_what_is_not_yet_a_handshake_is_held_until_more_or_the_end():
    between = middle()
    assert between.receive_data(INITIATOR, GREETING[:5]) == []
    assert between.data_to_send(RESPONDER) == []
    assert between.receive_eof(INITIATOR) == [(INITIATOR, GREETING[:5])]
    assert between.data_to_send(RESPONDER) == [GREETING[:5]]
    assert between.receive_eof(RESPONDER) == []


def test_or_until_the_responder_speaks():
    """As it does in protocols that are none of ours."""
    between = middle()
    between.receive_data(INITIATOR, GREETING[:5])
    heard = between.receive_data(RESPONDER, b"220 ready")
    assert heard == [(INITIATOR, GREETING[:5]), (RESPONDER, b"220 ready")]
    assert between.data_to_send(RESPONDER) == [GREETING[:5]]
    assert between.data_to_send(INITIATOR) == [b"220 ready"]
    assert between.receive_eof(INITIATOR) == []


def test_the_initiator_is_answered_when_the_responder_has():
    """One that does not speak encryption closes, and the initiator dials again, plainly."""
    a, b, _ = handshakes(RC4, RC4, None)
    between = middle()
    between.receive_data(INITIATOR, a.data_to_send())
    assert between.data_to_send(INITIATOR) == []
    b.receive_data(b"".join(between.data_to_send(RESPONDER)))
    answer = b.data_to_send()
    between.receive_data(RESPONDER, answer[:95])
    assert between.data_to_send(INITIATOR) == []
    between.receive_data(RESPONDER, answer[95:])
    assert len(b"".join(between.data_to_send(INITIATOR))) >= 96
    assert between.shaking
    assert between.receive_eof(INITIATOR) == []


@pytest.mark.parametrize("payload", [b"", GREETING, bytes(65535)], ids=len)
def test_an_initial_payload_of_any_length(payload):
    """The responder is to judge it: ours takes no more than a handshake."""
    _, b, talk = handshakes(PLAINTEXT, PLAINTEXT, middle(), payload)
    if len(payload) > len(GREETING):
        with pytest.raises(EncryptionError, match="an initial payload of 65535 bytes"):
            talk.go_on()
    else:
        talk.go_on()
        assert b.rest == payload
    assert talk.heard[INITIATOR] == payload


@pytest.mark.parametrize("method", [PLAINTEXT, RC4])
def test_what_is_said_before_the_selection(method):
    """Who offers one method only can know what will be selected."""
    a, b, talk = handshakes(method, method, middle())
    talk.pass_on(INITIATOR, a.data_to_send())
    talk.pass_on(RESPONDER, b.data_to_send())
    early = Interested().encode()
    said = bytearray(early)
    if method is RC4:
        asking = a.data_to_send()
        a._encrypt.apply(said)
        asking += said
    else:
        asking = a.data_to_send() + said
    talk.pass_on(INITIATOR, asking)
    talk.go_on()
    assert talk.heard[INITIATOR] == GREETING + early
    assert payload(b, b.rest.removeprefix(GREETING)) == early


def test_what_the_responder_says_with_its_selection():
    a, b, talk = handshakes(RC4, RC4, middle())
    talk.pass_on(INITIATOR, a.data_to_send())
    talk.pass_on(RESPONDER, b.data_to_send())
    b_sends, talk.sides[RESPONDER] = b, Silent()
    talk.pass_on(INITIATOR, a.data_to_send())
    b_sends.receive_data(talk.sides[RESPONDER].got)
    said = bytearray(Unchoke().encode())
    answer = b_sends.data_to_send()
    b_sends.encryptor().apply(said)
    talk.pass_on(RESPONDER, answer + said)
    assert payload(a, a.rest) == Unchoke().encode()
    assert talk.heard[RESPONDER] == Unchoke().encode()


def payload(side, rest):
    """What came after the handshake, decrypted."""
    cipher = side.decryptor()
    if cipher is not None:
        cipher.apply(rest)
    return rest


class Silent:
    """Keeps what it is sent."""

    def __init__(self):
        self.got = b""

    def receive_data(self, data):
        self.got += data

    def data_to_send(self):
        return b""


def test_a_torrent_that_is_not_known():
    *_, talk = handshakes(RC4, RC4, middle(OTHER))
    with pytest.raises(UnknownTorrent, match=r"name its info-hash, too, or none"):
        talk.go_on()
    assert talk.between.broken_by is None
    assert talk.between.info_hash is None
    assert talk.heard == {INITIATOR: b"", RESPONDER: b""}


def asking(between, *, provide=bytes([0, 0, 0, 2]), verification=bytes(8)):
    """What an initiator says that may be crooked, once it has its answer."""
    a = Initiator(INFO_HASH, RC4, GREETING)
    b = Responder(SkeyTable(TORRENTS), RC4)
    between.receive_data(INITIATOR, a.data_to_send())
    b.receive_data(b"".join(between.data_to_send(RESPONDER)))
    between.receive_data(RESPONDER, b.data_to_send())
    a.receive_data(b"".join(between.data_to_send(INITIATOR)))
    asked = bytearray(a.data_to_send())
    right, wrong = bytes(8) + RC4.to_bytes(4), verification + provide
    for at, (one, two) in enumerate(zip(right, wrong, strict=True), start=40):
        asked[at] ^= one ^ two
    return asked


@pytest.mark.parametrize(
    ("crooked", "text"),
    [
        ({"verification": b"\1" + bytes(7)}, "the verification is not eight zero bytes"),
        ({"provide": bytes.fromhex("00000100")}, "crypto_provide 0x100 offers nothing known"),
    ],
)
def test_an_initiator_that_breaks_a_rule(crooked, text):
    between = middle()
    asked = asking(between, **crooked)
    with pytest.raises(EncryptionError, match=text):
        between.receive_data(INITIATOR, asked)
    assert between.broken_by is INITIATOR


def test_an_offer_of_more_than_is_known():
    between = middle()
    assert between.receive_data(INITIATOR, asking(between, provide=bytes.fromhex("0000010a")))
    assert between.offered is RC4


def test_an_initiator_that_does_not_wait():
    between = middle()
    between.receive_data(INITIATOR, asking(between))
    with pytest.raises(EncryptionError, match="before it was told how to go on"):
        between.receive_data(INITIATOR, bytes(MAX_HELD + 1))
    assert between.broken_by is INITIATOR


@pytest.mark.parametrize("sender", Role)
def test_noise_without_end(sender):
    between = middle()
    between.receive_data(INITIATOR, random_bits(96))
    said = (between.receive_data(sender, random_bits(100)) for _ in range(100))
    with pytest.raises(EncryptionError):
        assert not any(said)
    assert between.broken_by is sender


def test_a_responder_with_a_key_that_makes_every_secret_known():
    between = middle()
    a = Initiator(INFO_HASH, RC4)
    between.receive_data(INITIATOR, a.data_to_send())
    between.receive_data(RESPONDER, bytes(96))
    a.receive_data(b"".join(between.data_to_send(INITIATOR)))
    with pytest.raises(EncryptionError, match="public key"):
        between.receive_data(INITIATOR, a.data_to_send())
    assert between.broken_by is RESPONDER


@given(st.lists(st.tuples(st.sampled_from(Role), st.binary(max_size=700)), max_size=30))
@settings(max_examples=100)
def test_nothing_that_is_said_raises_anything_else(said):
    between = middle()
    try:
        for sender, data in said:
            for _, heard in between.receive_data(sender, data):
                assert heard
            between.data_to_send(other(sender))
        for role in Role:
            between.receive_eof(role)
    except EncryptionError:
        assert between.broken_by is not None


def test_limits_are_the_wires_own():
    """None of them is judged here: a message that is too long is for whoever gets it."""
    between = middle()
    long = (Limits().max_message + 1).to_bytes(4) + bytes(10)
    between.receive_data(INITIATOR, GREETING)
    assert between.receive_data(INITIATOR, long) == [(INITIATOR, long)]
