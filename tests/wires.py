"""What the tests of wires share: wires that are open, two of them connected, messages to send."""

from itertools import pairwise

from hypothesis import strategies as st

from peerwire.errors import RemoteProtocolError
from peerwire.framing import Framing
from peerwire.handshake import Handshake, Reserved
from peerwire.hashes import HashRange
from peerwire.messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Extended,
    Hashes,
    HashReject,
    HashRequest,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    NotInterested,
    Piece,
    Port,
    Reject,
    Request,
    Suggest,
    Unchoke,
    Unknown,
)
from peerwire.wire import Wire

INFO_HASH = bytes(range(20))
OUR_ID = b"-PW0000-ourselvesxyz"
PEER_ID = b"-TR4060-somebodyelse"
NO_BITS = Reserved(0)
BOTH = Reserved.FAST | Reserved.EXTENSION

#: Two hashes, and an uncle for each of three proof layers.
RANGE = HashRange(bytes(range(32)), 1, 4, 2, 3)
RANGE_HEX = bytes(range(32)).hex() + "00000001 00000004 00000002 00000003"
HASHES = [bytes([n]) * 32 for n in range(5)]

#: One of each message, with what it is on the wire and in the log.
EXAMPLES = [
    (KeepAlive(), "00000000", "keep-alive"),
    (Choke(), "00000001 00", "choke"),
    (Unchoke(), "00000001 01", "unchoke"),
    (Interested(), "00000001 02", "interested"),
    (NotInterested(), "00000001 03", "not interested"),
    (Have(7), "00000005 04 00000007", "have 7"),
    (Bitfield(b"\xc0\x01"), "00000003 05 c001", "bitfield 3 of at most 16"),
    (Request(1, 0x4000, 0x100), "0000000d 06 00000001 00004000 00000100", "request 1:16384+256"),
    (Piece(1, 2, b"abc"), "0000000c 07 00000001 00000002 616263", "piece 1:2+3"),
    (Cancel(1, 2, 3), "0000000d 08 00000001 00000002 00000003", "cancel 1:2+3"),
    (Port(6881), "00000003 09 1ae1", "port 6881"),
    (Suggest(9), "00000005 0d 00000009", "suggest 9"),
    (HaveAll(), "00000001 0e", "have all"),
    (HaveNone(), "00000001 0f", "have none"),
    (Reject(1, 2, 3), "0000000d 10 00000001 00000002 00000003", "reject 1:2+3"),
    (AllowedFast(2), "00000005 11 00000002", "allowed fast 2"),
    (Extended(3, b"abc"), "00000005 14 03616263", "extended id 3, 3 bytes"),
    (
        HashRequest(RANGE),
        f"00000031 15 {RANGE_HEX}",
        "hash request layer 1 4+2 proof 3 of 00010203",
    ),
    (
        Hashes(RANGE, HASHES),
        f"000000d1 16 {RANGE_HEX} {b''.join(HASHES).hex()}",
        "hashes layer 1 4+2 proof 3 of 00010203, 5 hashes",
    ),
    (
        HashReject(RANGE),
        f"00000031 17 {RANGE_HEX}",
        "hash reject layer 1 4+2 proof 3 of 00010203",
    ),
    (Unknown(99, b"\x00de"), "00000004 63 006465", "unknown id 99, 3 bytes"),
]

u32 = st.integers(0, 2**32 - 1)
blocks = st.binary(max_size=40)

digests = st.binary(min_size=32, max_size=32)
ranges = st.builds(HashRange, digests, u32, u32, u32, u32)

#: The ids that no message of ours has.
unknown_ids = st.sampled_from([10, 11, 12, 18, 19, *range(24, 256)])

#: Any message that can be framed, whether or not it makes sense.
messages = st.one_of(
    st.sampled_from([message for message, _, _ in EXAMPLES]),
    st.builds(Have, u32),
    st.builds(Bitfield, blocks),
    st.builds(Request, u32, u32, u32),
    st.builds(Piece, u32, u32, blocks),
    st.builds(Cancel, u32, u32, u32),
    st.builds(Port, st.integers(0, 2**16 - 1)),
    st.builds(Suggest, u32),
    st.builds(Reject, u32, u32, u32),
    st.builds(AllowedFast, u32),
    st.builds(Extended, st.integers(0, 255), blocks),
    st.builds(HashRequest, ranges),
    st.builds(Hashes, ranges, st.lists(digests, max_size=3)),
    st.builds(HashReject, ranges),
    st.builds(Unknown, unknown_ids, blocks),
)


def small_messages(num_pieces):
    """Messages about a torrent of so few pieces that many of them are valid and meet each other."""
    index = st.integers(0, num_pieces)  # one too many
    begin = st.sampled_from([0, 4, 8])
    length = st.sampled_from([0, 4])
    return st.one_of(
        st.sampled_from([m for m, _, _ in EXAMPLES if len(m.encode()) < 6]),
        st.builds(Have, index),
        st.builds(Bitfield, st.binary(max_size=2)),
        st.builds(Request, index, begin, length),
        st.builds(Piece, index, begin, st.sampled_from([b"", b"four"])),
        st.builds(Cancel, index, begin, length),
        st.builds(Suggest, index),
        st.builds(Reject, index, begin, length),
        st.builds(AllowedFast, index),
        st.builds(Unknown, unknown_ids, blocks),
    )


def encoded(*messages):
    return b"".join(message.encode() for message in messages)


def chunked(data, cuts):
    """`data` in pieces, cut at these positions."""
    positions = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(positions)]


def of_size(size, data):
    return [data[n : n + size] for n in range(0, len(data), size)]


class Trace:
    """A trace that keeps what it saw, as the lines of a log."""

    def __init__(self):
        self.lines = []
        self.times = []

    def __call__(self, mark, what, now):
        self.lines.append(f"{mark} {what}")
        self.times.append(now)

    def marked(self, mark):
        return [line[2:] for line in self.lines if line[0] == mark]


def peer_handshake(*, fast=True, peer_id=PEER_ID, info_hash=INFO_HASH, bits=NO_BITS):
    return Handshake(info_hash, peer_id, bits | (Reserved.FAST if fast else NO_BITS)).encode()


def waiting_wire(role="responder", info_hash=INFO_HASH, **options):
    """A wire whose peer has said nothing yet."""
    wire = Wire(role, info_hash, OUR_ID, **{"reserved": Reserved.FAST, **options})
    wire.data_to_send()
    return wire


def open_wire(*, fast=True, now=0.0, **options):
    """A wire after both handshakes, with nothing to hand out."""
    wire = waiting_wire(now=now, **options)
    wire.receive_data(peer_handshake(fast=fast), now)
    wire.events_received()
    wire.data_to_send()
    return wire


def extended_wire(*extensions, **options):
    """An open wire that has said what extensions it speaks, to a peer that speaks some."""
    wire = waiting_wire(reserved=BOTH, extensions=extensions, **options)
    wire.receive_data(peer_handshake(bits=BOTH), wire.now)
    wire.events_received()
    wire.data_to_send()
    return wire


def v2_wire(**options):
    """An open wire about a v2 torrent."""
    return open_wire(info_hash_v2=INFO_HASH, **options)


def requesting_wire(**options):
    """An open wire that the peer has unchoked and told that it has every piece."""
    wire = open_wire(**options)
    receive(wire, Unchoke())
    return wire


def serving_wire(**options):
    """An open wire that has unchoked its peer."""
    wire = open_wire(**options)
    wire.send_unchoke()
    wire.data_to_send()
    return wire


def receive(wire, *messages, now=None):
    """Lets the peer say these messages; returns the events."""
    wire.receive_data(encoded(*messages), wire.now if now is None else now)
    return wire.events_received()


def decode(data):
    """The messages in these bytes."""
    found = []
    framing = Framing(1 << 24)
    for message in framing.receive(data):
        if isinstance(message, Piece):
            message.block = bytes(message.block)
        found.append(message)
    assert framing.held == 0
    return found


def sent(wire):
    """The messages that the wire has to send."""
    return decode(wire.data_to_send())


def run(wire, chunks):
    """Feeds chunks until one breaks a rule; returns the events and the error."""
    for chunk in chunks:
        try:
            wire.receive_data(chunk, wire.now)
        except RemoteProtocolError as error:
            return wire.events_received(), error
    return wire.events_received(), None


def violation(make, data, kind, rule):
    """Asserts that these bytes end the wire with this error, however they arrive.

    What comes after them is not parsed. Returns the error.
    """
    after = encoded(Interested())
    reason = None
    for size in (1 << 20, 1, 3):
        wire = make()
        events, error = run(wire, of_size(size, data + after))
        assert type(error) is kind
        assert rule in error.rule
        assert wire.closed.by == "us"
        assert wire.closed.__cause__ is error
        assert reason in (None, str(error)), "what it says depends on the chunks"
        reason = str(error)
        wire.receive_data(after, wire.now)
        assert Interested.name not in wire.messages_received
        assert Interested() not in [*events, *wire.events_received()]
    return error


def broken(make, message, rule, match):
    """Asserts that this message ends the wire with an error of this rule that says so."""
    error = violation(make, encoded(message), RemoteProtocolError, rule)
    assert match in str(error)


class Pair:
    """An initiator `a` and a responder `b`; what they send travels when the test says so."""

    def __init__(self, *, fast=True, now=0.0, **options):
        reserved = Reserved.FAST if fast else NO_BITS
        options = {"reserved": reserved, "now": now, **options}
        self.a = Wire("initiator", INFO_HASH, OUR_ID, **options)
        self.b = Wire("responder", INFO_HASH, PEER_ID, **options)
        self.now = now
        self.events = {self.a: [], self.b: []}
        self.underway = {self.a: bytearray(), self.b: bytearray()}
        self.deliver()

    def other(self, wire):
        return self.b if wire is self.a else self.a

    def carry(self, wire, size=None):
        """Brings what is on its way to `wire`, or the first `size` bytes of it."""
        way = self.underway[wire]
        way += self.other(wire).data_to_send()
        data = bytes(way[:size])
        del way[:size]
        wire.receive_data(data, self.now)
        self.events[wire] += wire.events_received()
        return len(data)

    def deliver(self):
        """Brings everything both ways until both have nothing more to say."""
        for _ in range(1000):
            if self.carry(self.a) + self.carry(self.b) == 0:
                return
        raise AssertionError("they never stop talking")

    def take(self, wire):
        """The events of `wire` since the last look."""
        events, self.events[wire] = self.events[wire], []
        return events
