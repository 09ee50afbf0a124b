import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerwire import Interested, Limits, Piece, Request, Role, State, Unchoke, Wire
from peerwire.encryption import EncryptedWire, Encryption
from peerwire.errors import (
    EncryptionError,
    InvalidHandshake,
    PeerTimeout,
)
from peerwire.mse import CryptoMethod, SkeyTable, skey_hash

INFO_HASH = bytes(range(20))
OTHER = bytes(20)
OFF, PREFER, REQUIRE = Encryption
BLOCK = bytes(range(256)) * 64

#: Policies of initiator and responder to what they speak; None where they don't meet at once.
MEETING = {
    (OFF, OFF): "plain",
    (OFF, PREFER): "plain",
    (OFF, REQUIRE): None,
    (PREFER, OFF): None,  # the initiator is to dial again, plainly
    (PREFER, PREFER): CryptoMethod.PLAINTEXT,
    (PREFER, REQUIRE): CryptoMethod.RC4,
    (REQUIRE, OFF): None,
    (REQUIRE, PREFER): CryptoMethod.RC4,
    (REQUIRE, REQUIRE): CryptoMethod.RC4,
}


def pair(ours=PREFER, theirs=PREFER, *, trace=None, torrents=(OTHER, INFO_HASH), responder=None):
    a = EncryptedWire(Wire(Role.INITIATOR, INFO_HASH, num_pieces=4, trace=trace), ours)
    b = EncryptedWire(
        Wire(Role.RESPONDER, responder, num_pieces=4),
        theirs,
        torrents=None if torrents is None else SkeyTable(torrents),
    )
    return a, b


def deliver(a, b, size=None):
    """Lets both talk until neither has anything to say; accepts what asks to be accepted."""
    while True:
        quiet = True
        for speaker, listener in ((a, b), (b, a)):
            data = speaker.data_to_send()
            quiet = quiet and not data
            step = size or max(1, len(data))
            for begin in range(0, len(data), step):
                listener.receive_data(data[begin : begin + step], 0.0)
                if listener.wire.state is State.DECIDING:
                    listener.wire.accept()
        if quiet:
            return


def exchange(a, b, size=None):
    """Moves a block from b to a, and returns what a got."""
    a.wire.send_interested()
    b.wire.send_unchoke()
    deliver(a, b, size)
    into = bytearray(len(BLOCK))
    a.wire.send_request(3, 0, len(BLOCK), into=into)
    deliver(a, b, size)
    b.wire.send_piece(3, 0, BLOCK)
    deliver(a, b, size)
    assert [type(e) for e in b.wire.events_received()[-2:]] == [Interested, Request]
    assert [type(e) for e in a.wire.events_received()[-2:]] == [Unchoke, Piece]
    return bytes(into)


@pytest.mark.parametrize("policies", [p for p, met in MEETING.items() if met is not None])
@pytest.mark.parametrize("size", [None, 1, 61])
def test_policies_that_meet_move_a_block(policies, size):
    a, b = pair(*policies)
    deliver(a, b, size)
    method = MEETING[policies]
    assert a.method == b.method == (None if method == "plain" else method)
    assert exchange(a, b, size) == BLOCK


@pytest.mark.parametrize("policies", [p for p, met in MEETING.items() if met is None])
def test_policies_that_do_not_meet_are_an_error(policies):
    a, b = pair(*policies)
    with pytest.raises((EncryptionError, InvalidHandshake)):
        deliver(a, b)
    assert b.wire.state is State.CLOSED
    assert b.wire.closed.__cause__ is not None
    b.receive_data(b"more", 0.0)
    assert b.wire.peer_handshake is None


def test_a_plain_handshake_where_encryption_is_required_names_the_rule():
    a, b = pair(OFF, REQUIRE)
    with pytest.raises(EncryptionError, match="a plain handshake, where encryption is required"):
        deliver(a, b, size=1)


def test_encryption_without_known_torrents_is_refused():
    a, b = pair(REQUIRE, PREFER, torrents=None)
    with pytest.raises(EncryptionError, match="without knowing torrents"):
        deliver(a, b)


def test_a_required_encryption_never_downgrades():
    """What a responder selects against our will ends the wire, be it what we would fall back to."""
    a, _ = pair(REQUIRE)
    b = EncryptedWire(Wire(Role.RESPONDER, None), PREFER, torrents=SkeyTable([INFO_HASH]))
    b.receive_data(a.data_to_send(), 0.0)
    a.receive_data(b.data_to_send(), 0.0)
    b._shaking.methods = b._shaking._prefer = CryptoMethod.PLAINTEXT
    with pytest.raises(EncryptionError):
        deliver(a, b)


@pytest.mark.parametrize("policy", [PREFER, REQUIRE])
@given(cuts=st.lists(st.integers(1, 300), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_any_chunking_gives_the_same(policy, cuts):
    a, b = pair(policy, policy)
    sizes = itertools.cycle(cuts)
    for _ in range(4):
        for speaker, listener in ((a, b), (b, a)):
            data = speaker.data_to_send()
            while data:
                size = next(sizes)
                listener.receive_data(memoryview(data[:size]).tobytes(), 0.0)
                data = data[size:]
                if listener.wire.state is State.DECIDING:
                    listener.wire.accept()
    assert a.wire.state is b.wire.state is State.OPEN
    assert exchange(a, b) == BLOCK


def test_writable_memory_is_decrypted_where_it_is_and_read_only_is_left_alone():
    a, b = pair(REQUIRE)
    deliver(a, b)
    a.wire.send_interested()
    encrypted = a.data_to_send()
    kept = bytes(encrypted)
    b.receive_data(encrypted if isinstance(encrypted, bytes) else bytes(encrypted), 0.0)
    assert encrypted == kept
    a.wire.send_not_interested()
    shared = bytearray(a.data_to_send())
    before = bytes(shared)
    b.receive_data(memoryview(shared), 0.0)
    assert shared != before
    assert b.wire.peer_interested is False


def test_another_torrent_inside_than_outside():
    a, b = pair(REQUIRE)
    inner = Wire(Role.INITIATOR, OTHER)
    a._shaking._initial_payload = inner.data_to_send()
    with pytest.raises(EncryptionError, match="inside names another torrent"):
        deliver(a, b)
    assert b.wire.state is State.CLOSED


def test_a_responder_with_one_torrent_opens_by_itself():
    a, b = pair(REQUIRE, responder=INFO_HASH)
    deliver(a, b)
    assert a.wire.state is b.wire.state is State.OPEN


@pytest.mark.parametrize("role", [0, 1])
def test_an_encrypted_handshake_has_the_deadline_of_a_plain_one(role):
    limits = Limits(handshake_timeout=7.0)
    a = EncryptedWire(Wire(Role.INITIATOR, INFO_HASH, limits=limits), PREFER)
    b = EncryptedWire(
        Wire(Role.RESPONDER, None, limits=limits), PREFER, torrents=SkeyTable([INFO_HASH])
    )
    b.receive_data(a.data_to_send()[:50], 0.0)
    side = (a, b)[role]
    assert side.next_timer() == 7.0
    side.handle_timer(6.9)
    side.receive_data(b"\x05", 6.95)
    with pytest.raises(PeerTimeout, match="did not end within 7 s"):
        side.handle_timer(7.0)
    assert side.next_timer() is None


def test_a_plain_responder_that_waits_has_it_too():
    _, b = pair()
    b.receive_data(b"\x13BitTorrent", 0.0)
    with pytest.raises(PeerTimeout, match="no whole handshake"):
        b.handle_timer(10.0)


@pytest.mark.parametrize("policies", [(OFF, PREFER), (PREFER, PREFER), (REQUIRE, REQUIRE)])
def test_it_is_opening_until_it_is_known_what_is_spoken(policies):
    a, b = pair(*policies)
    assert a.is_opening is (policies[0] is not OFF)
    assert b.is_opening
    deliver(a, b)
    assert not a.is_opening
    assert not b.is_opening


def test_what_may_cost_a_key_exchange():
    a, b = pair(REQUIRE)
    first = a.data_to_send()
    assert b.is_costly(first)
    b.receive_data(first[:50], 0.0)
    assert b.is_costly(first[50:])
    b.receive_data(first[50:], 0.0)
    answer = b.data_to_send()
    assert a.is_costly(answer)
    a.receive_data(answer, 0.0)
    deliver(a, b)
    assert not a.is_costly(b"\0\0\0\0")
    assert not b.is_costly(b"\0\0\0\0")


def test_a_plain_handshake_costs_none():
    handshake = Wire(Role.INITIATOR, INFO_HASH).data_to_send()
    _, b = pair(PREFER)
    assert not b.is_costly(memoryview(handshake))
    assert not b.is_costly(b"\x13Bit")
    b.receive_data(b"\x13Bit", 0.0)
    assert not b.is_costly(handshake[4:])
    assert b.is_costly(b"\x13Bit")


def test_timers_of_the_wire_go_on_behind_encryption():
    a, b = pair(REQUIRE)
    deliver(a, b)
    a.handle_timer(30.0)
    a.handle_timer(60.0)
    assert b.wire.messages_received.get("keep-alive") is None
    deliver(a, b)
    assert b.wire.messages_received["keep-alive"] == 1


def test_the_trace_tells_what_is_spoken():
    seen = []
    a, b = pair(REQUIRE, trace=lambda mark, what, now: seen.append((mark, str(what))))
    deliver(a, b)
    assert ("=", "encrypted handshake done, RC4 from here on") in seen


def test_torrents_are_found_by_their_hash():
    assert SkeyTable([INFO_HASH])(skey_hash(INFO_HASH)) == INFO_HASH
