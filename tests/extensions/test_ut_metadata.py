import functools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import encode
from peerwire.errors import ConnectionClosed, LocalProtocolError, RemoteProtocolError
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.ut_metadata import MetadataPiece, MetadataReject, UtMetadata
from peerwire.handshake import Handshake, Reserved
from peerwire.limits import Limits
from peerwire.messages import Extended
from peerwire.wire import Wire

from ..wires import run

INFO_HASH = bytes(range(20))
OUR_ID = b"-PW0000-ourselvesxyz"
PEER_ID = b"-LT2110-somebodyelse"
THEIR_NUMBER = 3  # what the peer wants ut_metadata sent with; ours is 1, the first extension

LENGTH = 16 * 1024
METADATA = random.Random(9).randbytes(2 * LENGTH + 100)
PIECES = [METADATA[:LENGTH], METADATA[LENGTH : 2 * LENGTH], METADATA[2 * LENGTH :]]
SIZE = len(METADATA)


def message(*rest, **header):
    return Extended(1, encode(header) + b"".join(rest)).encode()


def request(piece):
    return message(msg_type=0, piece=piece)


def data(piece, block=None, total_size=SIZE):
    return message(
        PIECES[piece] if block is None else block, msg_type=1, piece=piece, total_size=total_size
    )


def reject(piece):
    return message(msg_type=2, piece=piece)


def handshake(size=None, number=THEIR_NUMBER):
    return Extended(0, ExtendedHandshake(m={"ut_metadata": number}, metadata_size=size).encode())


class Meeting:
    """A wire of ours that speaks ut_metadata, and a peer that says what a test wants."""

    def __init__(self, metadata=None, *, limits=None, first=None, **options):
        if limits is not None:
            options["limits"] = limits
        make = functools.partial(UtMetadata, metadata, **options)
        self.seen = []
        self.wire = Wire("responder", INFO_HASH, OUR_ID, extensions=[make], trace=self.trace)
        self.ours = self.wire.extensions.get(UtMetadata)
        self.hear(Handshake(INFO_HASH, PEER_ID, Reserved.EXTENSION).encode())
        self.opening = self.sent()
        self.hear(handshake().encode() if first is None else first.encode())

    def trace(self, mark, what, now):
        self.seen.append((mark, what))

    def hear(self, data):
        """The peer says this; returns the events."""
        self.wire.receive_data(data, 0.0)
        return self.wire.events_received()

    def sent(self):
        """The extended messages that were sent since the last look, as (id, payload)."""
        sent = [(w.extended_id, w.payload) for m, w in self.seen if (m, type(w)) == (">", Extended)]
        self.seen.clear()
        self.wire.data_to_send()
        return sent

    def violate(self, data, why):
        """The peer says this, which ends the wire; returns the error."""
        with pytest.raises(RemoteProtocolError, match=why) as raised:
            self.wire.receive_data(data, 0.0)
        assert raised.value.rule == "extension ut_metadata"
        assert self.wire.closed is not None
        events = self.wire.events_received()
        assert not [e for e in events if isinstance(e, MetadataPiece | MetadataReject)]
        return raised.value


def asking(*pieces, size=SIZE, **options):
    """A meeting with a peer that has metadata, of which we have asked for these pieces."""
    meeting = Meeting(first=handshake(size), **options)
    for piece in pieces:
        meeting.ours.request(piece)
    return meeting


# Serving


def test_metadata_is_announced_by_its_size():
    (opening,) = Meeting(METADATA).opening
    told = ExtendedHandshake.decode(opening[1])
    assert told.m == {"ut_metadata": 1}
    assert told.metadata_size == SIZE


def test_nothing_is_announced_while_there_is_nothing():
    (opening,) = Meeting().opening
    told = ExtendedHandshake.decode(opening[1])
    assert told.m == {"ut_metadata": 1}
    assert told.metadata_size is None


@pytest.mark.parametrize("piece", range(3))
def test_a_request_is_answered_with_its_piece(piece):
    meeting = Meeting(METADATA)
    assert not [e for e in meeting.hear(request(piece)) if not isinstance(e, ExtendedHandshake)]
    header = b"d8:msg_typei1e5:piecei%de10:total_sizei%dee" % (piece, SIZE)
    assert meeting.sent() == [(THEIR_NUMBER, header + PIECES[piece])]


@pytest.mark.parametrize(
    ("metadata", "piece"),
    [(METADATA, 3), (METADATA, 2**63), (METADATA[:LENGTH], 1), (None, 0), (b"", 0)],
)
def test_what_is_not_there_is_rejected(metadata, piece):
    meeting = Meeting(metadata)
    meeting.hear(request(piece))
    assert meeting.sent() == [(THEIR_NUMBER, b"d8:msg_typei2e5:piecei%dee" % piece)]


def test_metadata_that_becomes_known_is_announced_and_served():
    meeting = Meeting()
    meeting.ours.metadata = METADATA
    meeting.wire.send_extended_handshake()
    meeting.hear(request(0))
    (_, told), (_, answer) = meeting.sent()
    assert ExtendedHandshake.decode(told).metadata_size == SIZE
    assert answer.endswith(PIECES[0])


def test_a_peer_may_fetch_all_a_few_times():
    meeting = Meeting(METADATA, limits=Limits(max_metadata_copies=2))
    for _ in range(3):
        for piece in range(3):
            meeting.hear(request(piece))
    answers = [payload[:14] for _, payload in meeting.sent()]
    assert answers == [b"d8:msg_typei1e"] * 6 + [b"d8:msg_typei2e"] * 3


def test_what_nobody_would_fetch_is_not_served():
    limits = Limits(max_metadata=SIZE - 1)
    meeting = Meeting(METADATA, limits=limits)
    assert ExtendedHandshake.decode(meeting.opening[0][1]).metadata_size is None
    meeting.hear(request(0))
    assert meeting.sent() == [(THEIR_NUMBER, b"d8:msg_typei2e5:piecei0ee")]


def test_what_an_unknown_key_says_is_ignored():
    meeting = Meeting(METADATA)
    meeting.hear(message(msg_type=0, piece=0, total_size=SIZE, xx_new=[1]))  # as libtorrent
    assert meeting.sent()[0][1].endswith(PIECES[0])


def test_keys_may_be_out_of_order():
    meeting = Meeting(METADATA)
    meeting.hear(Extended(1, b"d5:piecei0e8:msg_typei0ee").encode())
    assert meeting.sent()[0][1].endswith(PIECES[0])


def test_a_request_that_comes_too_early_ends_the_wire():
    meeting = Meeting(METADATA, first=handshake(number=0))
    meeting.violate(request(0), "before the peer announced ut_metadata")
    assert meeting.sent() == []


# Requesting


def test_a_request_goes_out_with_the_number_that_the_peer_gave():
    meeting = asking(1)
    assert meeting.sent() == [(THEIR_NUMBER, b"d8:msg_typei0e5:piecei1ee")]
    assert meeting.ours.pending == {1}


def test_each_answer_is_an_event():
    meeting = asking(0, 1, 2)
    assert meeting.ours.size == SIZE
    assert meeting.hear(data(2)) == [MetadataPiece(2, SIZE, PIECES[2])]
    assert meeting.hear(reject(0)) == [MetadataReject(0)]
    assert meeting.hear(data(1)) == [MetadataPiece(1, SIZE, PIECES[1])]
    assert meeting.ours.pending == set()


def test_a_piece_may_be_asked_for_again_once_it_is_answered():
    meeting = asking(0)
    meeting.hear(reject(0))
    meeting.ours.request(0)
    assert meeting.hear(data(0)) == [MetadataPiece(0, SIZE, PIECES[0])]


def test_the_end_of_the_dictionary_is_found_by_decoding():
    block = b"ee" * 50
    meeting = asking(0, size=100)
    assert meeting.hear(
        Extended(1, b"d8:msg_typei1e5:piecei0e10:total_sizei100e1:xd2:eei0eee" + block).encode()
    ) == [MetadataPiece(0, 100, block)]


def test_events_are_one_line():
    assert str(MetadataPiece(2, SIZE, PIECES[2])) == f"metadata piece 2, 100 of {SIZE} bytes"
    assert str(MetadataReject(1)) == "metadata reject 1"


@pytest.mark.parametrize(
    ("first", "piece", "why"),
    [
        (handshake(), 0, "no metadata_size"),
        (handshake(SIZE, number=0), 0, "no metadata_size"),
        (handshake(SIZE), 3, "piece 3 of 3"),
        (handshake(SIZE), -1, "piece -1 of 3"),
    ],
)
def test_what_the_peer_has_not_is_not_asked_for(first, piece, why):
    meeting = Meeting(first=first)
    with pytest.raises(LocalProtocolError, match=why):
        meeting.ours.request(piece)
    assert meeting.sent() == []
    assert meeting.ours.pending == set()


def test_a_piece_is_asked_for_once():
    meeting = asking(0)
    with pytest.raises(LocalProtocolError, match="piece 0 was asked for"):
        meeting.ours.request(0)


def test_a_peer_that_switches_it_off_is_not_asked():
    meeting = asking()
    meeting.hear(handshake(number=0).encode())
    with pytest.raises(LocalProtocolError, match="has not announced ut_metadata"):
        meeting.ours.request(0)
    assert meeting.ours.pending == set()


def test_a_wire_that_is_over_is_not_asked():
    meeting = asking()
    meeting.wire.close()
    with pytest.raises(ConnectionClosed):
        meeting.ours.request(0)
    assert meeting.ours.pending == set()


# What ends the wire


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (data(1), "piece 1, which was not asked for"),
        (reject(1), "piece 1, which was not asked for"),
        (data(0, total_size=SIZE + 1), f"total_size of {SIZE + 1}, announced was {SIZE}"),
        (data(0, total_size=-1), "total_size is no number"),
        (data(0, total_size=b"1"), "total_size is no number"),
        (message(PIECES[0], msg_type=1, piece=0), "total_size is no number"),
        (data(0, PIECES[0][:-1]), "piece 0 with 16383 bytes, it has 16384"),
        (data(0, PIECES[0] + b"e"), "piece 0 with 16385 bytes, it has 16384"),
        (data(0, b""), "piece 0 with 0 bytes"),
        (data(2, PIECES[0]), "piece 2 with 16384 bytes, it has 100"),
        (message(msg_type=0, piece=-1), "piece is no number"),
        (message(msg_type=0), "piece is no number"),
        (message(msg_type=1, total_size=SIZE), "piece is no number"),
        (message(msg_type=2, piece=b"0"), "piece is no number"),
        (message(b"x", msg_type=0, piece=0), "1 bytes follow the dictionary of a request"),
        (message(b"x", msg_type=2, piece=0), "1 bytes follow the dictionary of a reject"),
        (message(piece=0), "has a msg_type"),
        (message(msg_type=b"0", piece=0), "has a msg_type"),
        (Extended(1, b"li0ee").encode(), "begins with a dictionary"),
        (Extended(1, b"").encode(), "the data ends"),
        (Extended(1, b"d8:msg_type").encode(), "the data ends"),
        (Extended(1, b"d8:msg_typei99999999999999999999999e").encode(), "digits"),
        (Extended(1, b"l" * 100_000).encode(), "nested|values"),
        (Extended(1, b"d1:xl" + b"i0e" * 100_000).encode(), "more values"),
    ],
)
def test_a_peer_is_held_to_what_it_announced(said, why):
    meeting = asking(0, 2)
    meeting.violate(said, why)


def test_an_answer_comes_once():
    meeting = asking(0)
    assert meeting.hear(data(0))
    meeting.violate(data(0), "piece 0, which was not asked for")


def test_a_size_does_not_change():
    meeting = asking()
    meeting.hear(handshake(SIZE).encode())
    meeting.hear(handshake().encode())
    assert meeting.ours.size == SIZE
    meeting.violate(handshake(SIZE + 1).encode(), f"{SIZE + 1}, which was {SIZE} before")


def test_no_more_is_fetched_than_is_allowed():
    limits = Limits(max_metadata=SIZE)
    assert Meeting(limits=limits, first=handshake(SIZE)).ours.size == SIZE
    meeting = Meeting(limits=limits)
    meeting.violate(handshake(SIZE + 1).encode(), r"no more than 32868 .*Limits.max_metadata")
    assert meeting.ours.size is None


def test_who_has_the_metadata_does_not_care_how_much_a_peer_announces():
    meeting = Meeting(METADATA, first=handshake(2**62))
    assert meeting.wire.closed is None


@pytest.mark.parametrize("size", [-1, 0, 2**63])
def test_a_size_that_is_none_is_not_believed(size):
    meeting = Meeting()
    meeting.hear(Extended(0, encode({"m": {"ut_metadata": 3}, "metadata_size": size})).encode())
    assert meeting.ours.size is None


@pytest.mark.parametrize("kind", [3, -1, 255, 2**63])
def test_an_unrecognized_type_is_ignored(kind):
    meeting = Meeting(METADATA)
    assert meeting.hear(message(b"whatever follows", msg_type=kind)) == []
    assert meeting.sent() == []
    assert meeting.wire.closed is None


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(
                lambda header, rest: encode(header) + rest,
                st.dictionaries(
                    st.sampled_from([b"msg_type", b"piece", b"total_size", b"x"]),
                    st.one_of(st.integers(-1, 4), st.sampled_from([100, 2**63]), st.binary()),
                ),
                st.sampled_from([b"", b"e", bytes(99), bytes(100), bytes(LENGTH)]),
            ),
        ),
        max_size=8,
    ),
    st.sampled_from([None, bytes(100)]),
)
def test_whatever_comes_is_an_answer_or_the_named_end(payloads, metadata):
    meeting = asking(0, size=100, metadata=metadata)
    chunks = [Extended(1, payload).encode() for payload in payloads]
    events, error = run(meeting.wire, chunks)
    assert error is None or error.rule == "extension ut_metadata"
    for event in events:
        assert event == MetadataReject(0) or (event.piece, len(event.data)) == (0, 100)
    assert len(events) <= 1


@given(st.binary(min_size=1, max_size=3 * LENGTH))
def test_what_one_wire_serves_another_puts_together(metadata):
    a = Wire("initiator", INFO_HASH, OUR_ID, extensions=[UtMetadata])
    serving = functools.partial(UtMetadata, metadata)
    b = Wire("responder", INFO_HASH, PEER_ID, extensions=[serving])

    def carry():
        for _ in range(3):
            b.receive_data(a.data_to_send(), 0.0)
            a.receive_data(b.data_to_send(), 0.0)

    carry()
    asking = a.extensions.get(UtMetadata)
    a.events_received()
    for piece in range(-(-len(metadata) // LENGTH)):
        asking.request(piece)
    carry()
    pieces = a.events_received()
    assert [event.piece for event in pieces] == list(range(len(pieces)))
    assert b"".join(event.data for event in pieces) == metadata
    assert {event.total_size for event in pieces} == {len(metadata)}
