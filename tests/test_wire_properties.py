"""Whatever the chunks, whatever the bytes: what holds for every stream that a wire is fed."""

import gc
import itertools
import sys
import types
from hashlib import shake_256

from hypothesis import given
from hypothesis import strategies as st

from peerwire.encryption import EncryptedWire, Encryption
from peerwire.errors import LocalProtocolError, PeerChoked, RemoteProtocolError
from peerwire.extensions.base import Extension
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.handshake import HANDSHAKE_LENGTH, PROTOCOL, Handshake, Reserved
from peerwire.hashes import HashRange, expected_hashes
from peerwire.limits import Limits
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Extended,
    HashRequest,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    Piece,
    Request,
    Suggest,
    Unchoke,
    Unknown,
)
from peerwire.mse import KEY_LENGTH, MAX_PAD, SkeyTable
from peerwire.pieces import PieceSet
from peerwire.state import State
from peerwire.wire import Wire

from .wires import (
    EXAMPLES,
    INFO_HASH,
    NO_BITS,
    OUR_ID,
    PEER_ID,
    Pair,
    Trace,
    chunked,
    digests,
    encoded,
    of_size,
    peer_handshake,
    small_messages,
    unknown_ids,
    waiting_wire,
)

BLOCK = 4
PIECES = 3

#: Bounds so low that a short stream comes to each of them.
LOW = Limits(
    max_message=200,
    max_pieces=64,
    max_requests=4,
    max_peer_requests=3,
    max_hash_requests=2,
    max_peer_hash_requests=2,
    max_allowed_fast=2,
    max_extended_handshake=100,
    max_undecided=120,
)


class Chat(Extension):
    """An extension whose messages are text."""

    name = "xx_chat"

    def receive(self, payload):
        return payload.decode("ascii")


# What an honest peer says, said by a wire

indices = st.integers(0, PIECES - 1)
small_ranges = st.builds(
    HashRange,
    st.just(bytes(32)),
    st.just(0),
    st.sampled_from([0, 1, 2]),
    st.just(2),
    st.integers(0, 1),
)
chatter = ["choke", "unchoke", "interested", "not_interested", "keep_alive", "port"]
answers = ["cancel", "answer", "refuse", "answer_hashes", "refuse_hashes"]
deeds = st.one_of(
    st.tuples(st.sampled_from(chatter)),
    st.tuples(st.sampled_from(answers)),
    st.tuples(st.sampled_from(["chat", "extended_handshake"])),
    st.tuples(st.sampled_from(["have", "suggest", "allowed_fast"]), indices),
    st.tuples(st.just("announce"), st.sets(indices)),
    st.tuples(st.just("request"), indices, st.sampled_from([0, BLOCK])),
    st.tuples(st.just("hash_request"), small_ranges),
    st.tuples(st.just("haves"), st.lists(indices, min_size=2, max_size=20)),
    st.tuples(st.just("requests"), st.integers(0, 30), st.integers(2, 20)),
)
settled = st.fixed_dictionaries(
    {
        "fast": st.booleans(),
        "v2": st.booleans(),
        "extended": st.booleans(),
        "strict": st.booleans(),
        "known": st.booleans(),
    }
)


def do(wire, deed):
    """Says one thing, if it may be said."""
    what, *args = deed
    try:
        match what:
            case "announce":
                wire.announce(PieceSet(PIECES, *args))
            case "haves":
                for index in args[0]:
                    wire.send_have(index)
            case "requests":
                for begin in range(args[0], args[0] + args[1]):
                    wire.send_request(0, begin, BLOCK)
            case "request":
                wire.send_request(*args, BLOCK)
            case "port":
                wire.send_port(6881)
            case "chat":
                wire.extensions.get(Chat).send(b"hello")
            case "cancel":
                for request in [*wire.requests][:1]:
                    wire.send_cancel(*request.key)
            case "answer":
                for request in [*wire.peer_requests][:1]:
                    wire.send_piece(request.index, request.begin, b"four"[: request.length])
            case "refuse":
                for request in [*wire.peer_requests][:1]:
                    wire.send_reject(request.index, request.begin, request.length)
            case "answer_hashes":
                for asked in [*wire.peer_hash_requests][:1]:
                    wire.send_hashes(asked, [bytes(32)] * expected_hashes(asked))
            case "refuse_hashes":
                for asked in [*wire.peer_hash_requests][:1]:
                    wire.send_hash_reject(asked)
            case _:
                getattr(wire, f"send_{what}")(*args)
    except (LocalProtocolError, PeerChoked):
        pass


def told(*, fast, v2, extended, strict, known):
    """The arguments of a wire for what two sides settle on."""
    bits = (Reserved.FAST if fast else NO_BITS) | (Reserved.EXTENSION if extended else NO_BITS)
    return {
        "reserved": bits,
        "extensions": [Chat] if extended else [],
        "num_pieces": PIECES if known else None,
        "strict": strict,
        "info_hash_v2": INFO_HASH if v2 else None,
    }


def acquainted(settled, **options):
    """Two wires of which each serves the other, waits for two blocks, and took a third back."""
    pair = Pair(**told(**settled), **options)
    for wire in (pair.a, pair.b):
        wire.send_unchoke()
    pair.deliver()
    for wire in (pair.a, pair.b):
        for index in range(3):
            wire.send_request(index, 0, BLOCK)
        wire.send_cancel(2, 0, BLOCK)
        do(wire, ("hash_request", HashRange(bytes(32), 0, 0, 2, 0)))
    pair.deliver()
    pair.take(pair.a)
    return pair


def talk_of(settled, deeds):
    """What the second of two acquainted wires has to say when it does all that."""
    peer = acquainted(settled).b
    for deed in deeds:
        do(peer, deed)
    return peer.data_to_send()


def connection_of(settled, deeds):
    """All that an initiator has to say, from its handshake on."""
    peer = Wire("initiator", INFO_HASH, PEER_ID, **told(**settled))
    first = peer.data_to_send()
    answer = Wire("responder", INFO_HASH, OUR_ID, **told(**settled))
    answer.receive_data(first, 0.0)
    peer.receive_data(answer.data_to_send(), 0.0)
    for deed in deeds:
        do(peer, deed)
    return first + peer.data_to_send()


# Whatever the chunks


def seen(event):
    """All that an event says, its block included."""
    block = bytes(event.block) if isinstance(event, Piece) else b""
    return type(event), str(event), block, repr(getattr(event, "request", None))


def outcome(wire, chunks, glances=("",), *, traced=True):
    """Everything that can be seen of a wire, or an encrypted one, that was fed these chunks.

    They come as on a socket: in a buffer that is used again, with the loop turning to other things
    between them.
    """
    inner = getattr(wire, "wire", wire)
    trace = Trace()
    inner.trace = trace if traced else None
    buffer = bytearray(max(map(len, chunks), default=0))
    events, sent, error = [], b"", None
    for chunk, glance in zip(chunks, itertools.cycle(glances), strict=False):
        buffer[: len(chunk)] = chunk
        try:
            wire.receive_data(memoryview(buffer)[: len(chunk)], 0.0)
        except RemoteProtocolError as violation:
            error = type(violation), str(violation)
        buffer[:] = b"\xa5" * len(buffer)
        if glance == "events":
            events += inner.events_received()
        elif glance == "data":
            sent += wire.data_to_send()
        elif glance == "timer" and wire.next_timer() is not None:
            wire.handle_timer(0.0)
        if error is not None:
            break
    return {
        "events": [seen(event) for event in events + inner.events_received()],
        "error": error,
        "sent": sent + wire.data_to_send(),
        "trace": trace.lines if traced else None,
        "pieces": (repr(inner.peer_pieces), [index in inner.peer_pieces for index in range(20)]),
        "requests": [str(request) for request in inner.peer_requests],
        "hash requests": [*inner.peer_hash_requests],
        "advice": (inner.peer_suggested, inner.peer_allowed_fast),
        "extensions": None if inner.extensions.peer is None else str(inner.extensions.peer),
        "counts": (inner.messages_received, inner.messages_sent, inner.downloaded, inner.wasted),
        "closed": str(inner.closed),
    }


cuts = st.lists(st.integers(0, 10**6), max_size=12)
glances = st.lists(st.sampled_from(["", "events", "data", "timer"]), min_size=1, max_size=5)
says = st.lists(deeds, min_size=3, max_size=20)


def comes_to_the_same(make, data, cuts, glances, size=1):
    """Feeds the same bytes in many ways; returns what comes of them at once.

    A wire that nobody traces takes short cuts, which are to be none to whoever looks.
    """
    at_once = outcome(make(), [data])
    untraced = at_once | {"trace": None}
    assert outcome(make(), chunked(data, cuts), glances) == at_once
    assert outcome(make(), of_size(size, data), glances) == at_once
    assert outcome(make(), [data], traced=False) == untraced
    assert outcome(make(), chunked(data, cuts), glances, traced=False) == untraced
    return at_once


@given(settled, says, cuts, glances)
def test_any_chunks_of_what_an_honest_peer_says_come_to_the_same(settled, says, cuts, glances):
    data = talk_of(settled, says)
    at_once = comes_to_the_same(lambda: acquainted(settled).a, data, cuts, glances)
    assert at_once["error"] is None


@given(settled, says, cuts, glances)
def test_any_chunks_of_a_whole_connection_come_to_the_same(settled, says, cuts, glances):
    def wire():
        return Wire("responder", INFO_HASH, OUR_ID, **told(**settled))

    data = connection_of(settled, says)
    at_once = comes_to_the_same(wire, data, cuts, glances)
    assert at_once["error"] is None


def seeded(seed):
    """Bytes that look random and are always the same, as a source of randomness."""
    counter = itertools.count()
    return lambda count: shake_256(b"%d %d" % (seed, next(counter))).digest(count)


def encrypted(policies, settled):
    """An initiator and a responder that speak encryption as these policies have it."""
    policy, other = policies
    torrents = SkeyTable([INFO_HASH])
    a = Wire("initiator", INFO_HASH, PEER_ID, **told(**settled))
    b = Wire("responder", INFO_HASH, OUR_ID, **told(**settled))
    return (
        EncryptedWire(a, policy, random=seeded(1)),
        EncryptedWire(b, other, torrents=torrents, random=seeded(2)),
    )


def encrypted_stream(policies, settled, deeds, speaker):
    """All that one side has to say, the encrypted handshake included."""
    sides = encrypted(policies, settled)
    said = [b"", b""]
    for turn in range(3 + 3 + 1):
        if turn == 6:
            for deed in deeds:
                do(sides[speaker].wire, deed)
        for who, side in enumerate(sides):
            data = bytes(side.data_to_send())
            said[who] += data
            sides[1 - who].receive_data(data, 0.0)
    return said[speaker]


OFF, PREFER, REQUIRE = Encryption
MEETING = [(OFF, PREFER), (PREFER, PREFER), (PREFER, REQUIRE), (REQUIRE, PREFER)]


@given(st.sampled_from(MEETING), st.integers(0, 1), settled, says, cuts, glances)
def test_any_chunks_of_an_encrypted_connection_come_to_the_same(
    policies, speaker, settled, says, cuts, glances
):
    data = encrypted_stream(policies, settled, says, speaker)

    def listener():
        return encrypted(policies, settled)[1 - speaker]

    at_once = comes_to_the_same(listener, data, cuts, glances, size=7)
    assert at_once["error"] is None
    assert any(event[0] is Handshake for event in at_once["events"])


floods = st.one_of(
    st.lists(st.builds(Have, st.integers(0, 40)), min_size=3, max_size=20),
    st.lists(st.builds(Have, indices), min_size=3, max_size=20),
    st.lists(
        st.builds(Request, st.integers(0, PIECES), st.integers(0, 30), st.integers(0, 5)),
        min_size=3,
        max_size=20,
    ),
    st.lists(st.builds(Request, indices, st.integers(0, 30), st.just(4)), min_size=3, max_size=20),
)
noisy = st.lists(small_messages(PIECES).map(lambda one: [one]) | floods, max_size=8).map(
    lambda said: encoded(*itertools.chain(*said))
)
noise = st.one_of(noisy, st.tuples(noisy, st.binary(max_size=30)).map(b"".join))


@given(noise, cuts, settled, glances, st.booleans())
def test_any_chunks_of_what_breaks_rules_come_to_the_same(data, cuts, settled, glances, low):
    limits = LOW if low else Limits()
    comes_to_the_same(lambda: acquainted(settled, limits=limits).a, data, cuts, glances)


@given(noise, cuts, st.integers(0, 300))
def test_it_does_not_matter_when_a_torrent_is_accepted(data, cuts, moment):
    data = peer_handshake() + data

    def accepted(chunks, moment):
        """What comes of it when the torrent is accepted once `moment` bytes are there."""
        wire = waiting_wire(info_hash=None)
        error, taken = None, 0
        try:
            for chunk in chunks:
                wire.receive_data(chunk, 0.0)
                taken += len(chunk)
                if wire.state is State.DECIDING and taken >= moment:
                    wire.accept(num_pieces=3)
            if wire.state is State.DECIDING:
                wire.accept(num_pieces=3)
        except RemoteProtocolError as violation:
            error = str(violation)
        events = [str(event) for event in wire.events_received()]
        return events, error, wire.data_to_send(), str(wire.closed)

    at_once = accepted([data], 0)
    assert accepted(chunked(data, cuts), moment) == at_once
    assert accepted(of_size(1, data), moment) == at_once


# Whatever the bytes


def assert_within_limits(wire):
    """Looks at everything that a wire holds because a peer made it.

    Events and bytes to send are whoever drives it to fetch after each chunk.
    """
    limits, known = wire.limits, wire.num_pieces
    bits = limits.max_pieces if known is None else known
    assert wire._framing.held < limits.max_message + 4
    assert len(wire._held) <= max(HANDSHAKE_LENGTH, limits.max_undecided)
    assert len(wire.peer_pieces._bits) <= (bits + 7) // 8
    assert len(wire.peer_requests) <= limits.max_peer_requests
    assert len(wire.peer_hash_requests) <= limits.max_peer_hash_requests
    assert len(wire.peer_suggested) <= limits.max_allowed_fast
    assert len(wire.peer_allowed_fast) <= limits.max_allowed_fast
    assert len(wire.requests) <= limits.max_requests
    assert len(wire._requests._abandoned) <= limits.max_requests
    assert len(wire.hash_requests) <= limits.max_hash_requests
    assert len(wire.hash_requests._abandoned) <= limits.max_hash_requests
    assert wire.messages_received.keys() <= {message.name for message, _, _ in EXAMPLES}


#: What we say by ourselves when a connection begins: handshakes, an encrypted one among them.
OPENING = 2 * MAX_PAD + 1000


def endure(wire, chunks):
    """Feeds chunks as long as that goes, looking after each; returns the violation."""
    inner = getattr(wire, "wire", wire)
    heard = said = 0
    for chunk in chunks:
        error = None
        try:
            wire.receive_data(chunk, 0.0)
        except RemoteProtocolError as violation:
            error = violation
        heard += len(chunk)
        said += len(wire.data_to_send())
        assert said <= heard + OPENING, "who asks in vain gets more than it sends"
        inner.events_received()
        assert_within_limits(inner)
        if error is not None:
            assert inner.state is State.CLOSED
            assert inner.closed.by == "us"
            assert inner.closed.__cause__ is error
            assert error.rule in str(error)
            assert inner._framing.held == len(inner._held) == 0
            wire.receive_data(chunk, 0.0)
            assert inner.events_received() == [], "something was parsed after the violation"
            return error
    return None


harm = st.lists(
    st.tuples(
        st.sampled_from(["change", "drop", "insert", "repeat"]),
        st.integers(0, 10**6),
        st.binary(min_size=1, max_size=8),
    ),
    max_size=4,
)


def damaged(data, harm):
    """The bytes with some of them changed, missing, put in, or there twice."""
    for what, position, noise in harm:
        at = position % (len(data) + 1)
        there = data[at : at + len(noise)]
        new = {"change": noise, "drop": b"", "insert": noise + there, "repeat": there + there}
        data = data[:at] + new[what] + data[at + len(noise) :]
    return data


@given(settled, says, harm, st.integers(1, 50))
def test_nothing_damaged_raises_anything_else_or_makes_it_hold_more(settled, says, harm, size):
    data = damaged(talk_of(settled, says), harm)
    error = endure(acquainted(settled, limits=LOW).a, of_size(size, data))
    assert harm or error is None


@given(settled, says, harm, st.integers(1, 50), st.booleans(), st.booleans())
def test_no_damaged_connection_raises_anything_else_or_makes_it_hold_more(
    settled, says, harm, size, knows, encrypts
):
    data = damaged(connection_of(settled, says), harm)
    info_hash = INFO_HASH if knows else None
    wire = Wire("responder", info_hash, OUR_ID, **(told(**settled) | {"limits": LOW}))
    torrents = SkeyTable([INFO_HASH])
    endure(
        EncryptedWire(wire, PREFER, torrents=torrents) if encrypts else wire, of_size(size, data)
    )


@given(st.sampled_from(MEETING[1:]), st.integers(0, 1), settled, says, harm, st.integers(1, 300))
def test_nothing_damaged_under_encryption_raises_anything_else_or_makes_it_hold_more(
    policies, speaker, settled, says, harm, size
):
    data = damaged(encrypted_stream(policies, settled, says, speaker), harm)
    listener = encrypted(policies, settled)[1 - speaker]
    for chunk in of_size(size, data):
        listening = listener._shaking
        try:
            listener.receive_data(chunk, 0.0)
        except RemoteProtocolError:
            assert isinstance(listener.wire.closed.__cause__, RemoteProtocolError)
            break
        if listening is not None and listener._shaking is not None:
            assert listening.held <= KEY_LENGTH + MAX_PAD + 20 + size
    assert len(listener._first) < len(PROTOCOL)


@given(st.lists(noise | st.binary(max_size=40), max_size=10), settled)
def test_no_bytes_raise_anything_else_or_make_it_hold_more(chunks, settled):
    wire = acquainted(settled, limits=LOW).a
    endure(wire, chunks)
    wire.receive_eof()
    assert wire.state is State.CLOSED
    assert_within_limits(wire)


@given(st.binary(max_size=200), st.sampled_from([b"", PROTOCOL, peer_handshake()[:48]]))
def test_no_bytes_where_a_handshake_is_due_raise_anything_else(data, before):
    for role, info_hash in (
        ("responder", INFO_HASH),
        ("responder", None),
        ("initiator", INFO_HASH),
    ):
        endure(Wire(role, info_hash, OUR_ID, limits=LOW), of_size(7, before + data))


def size_of(root):
    """Bytes of memory that can be reached from an object, not counting what is code."""
    code = type | types.ModuleType | types.FunctionType | types.BuiltinFunctionType
    found, waiting = {}, [root]
    while waiting:
        one = waiting.pop()
        if id(one) not in found and not isinstance(one, code):
            found[id(one)] = one
            waiting += gc.get_referents(one)
    return sum(map(sys.getsizeof, found.values()))


#: What all of LOW's bounds together come to, as Python holds it, with room for its dictionaries.
ALL_OF_LOW = 4 * 1024

tellings = st.builds(
    lambda extra: Extended(0, ExtendedHandshake(m={"xx_chat": 7}, **extra).encode()),
    st.fixed_dictionaries({"reqq": st.integers(1, 9), "v": st.text("ab", max_size=9)}),
)
believed = st.integers(0, LOW.max_pieces - 1)
harmless = st.one_of(
    st.sampled_from([Choke(), Unchoke(), Interested(), KeepAlive(), HaveAll(), HaveNone()]),
    st.builds(Bitfield, st.binary(max_size=LOW.max_pieces // 8)),
    st.builds(Request, believed, st.integers(0, 2**32 - 1), st.integers(0, 20000)),
    st.builds(Cancel, believed, st.integers(0, 4), st.just(4)),
    st.builds(HashRequest, st.builds(HashRange, digests, *[st.integers(0, 4)] * 4)),
    st.builds(Extended, st.integers(1, 2), st.text("ab", max_size=9).map(str.encode)),
    st.builds(Unknown, unknown_ids, st.binary(max_size=9)),
    tellings,
    *(st.builds(kind, believed) for kind in (Have, Suggest, AllowedFast)),
)
everything = {"fast": True, "v2": True, "extended": True, "strict": False, "known": False}


@given(st.lists(harmless, min_size=1, max_size=10), st.integers(50, 2000))
def test_however_long_it_goes_on_no_more_is_held(said, size):
    wire = acquainted(everything, limits=LOW).a
    wire.data_to_send()
    once, before = encoded(*said), size_of(wire)
    assert endure(wire, of_size(size, once * (1 + 8 * ALL_OF_LOW // len(once)))) is None
    assert size_of(wire) < before + ALL_OF_LOW
