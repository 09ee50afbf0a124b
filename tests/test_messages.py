import inspect

import pytest

from peerwire import messages
from peerwire.hash_requests import PendingHashRequest
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
    Message,
    NotInterested,
    Piece,
    Port,
    Reject,
    Request,
    Suggest,
    Unchoke,
    Unknown,
)
from peerwire.requests import PendingRequest

from .wires import EXAMPLES, HASHES, RANGE

KINDS = [
    kind
    for name, kind in vars(messages).items()
    if name in messages.__all__ and inspect.isclass(kind) and issubclass(kind, Message)
]


def test_there_is_an_example_of_every_message():
    assert {type(message) for message, _, _ in EXAMPLES} == {*KINDS} - {Message}


@pytest.mark.parametrize(("message", "wire", "_line"), EXAMPLES)
def test_a_message_is_encoded_with_its_length(message, wire, _line):
    assert message.encode() == bytes.fromhex(wire)


@pytest.mark.parametrize(("message", "_wire", "line"), EXAMPLES)
def test_a_message_is_a_line_in_the_log(message, _wire, line):
    assert str(message) == line
    assert line.startswith(message.name)


def test_what_is_long_is_left_out_of_the_line():
    for message in (Piece(0, 0, bytes(2**17)), Bitfield(bytes(2**17)), Unknown(99, bytes(2**17))):
        assert len(str(message)) < 50
    largest = HashRange(bytes(32), *[2**32 - 1] * 4)
    assert len(str(Hashes(largest, [bytes(32)] * 8192))) < 100


@pytest.mark.parametrize(
    ("message", "number"),
    [
        (KeepAlive(), -1),
        (Choke(), 0),
        (Unchoke(), 1),
        (Interested(), 2),
        (NotInterested(), 3),
        (Have(0), 4),
        (Bitfield(b""), 5),
        (Request(0, 0, 0), 6),
        (Piece(0, 0, b""), 7),
        (Cancel(0, 0, 0), 8),
        (Port(1), 9),
        (Suggest(0), 13),
        (HaveAll(), 14),
        (HaveNone(), 15),
        (Reject(0, 0, 0), 16),
        (AllowedFast(0), 17),
        (Extended(0, b""), 20),
        (HashRequest(RANGE), 21),
        (Hashes(RANGE, []), 22),
        (HashReject(RANGE), 23),
        (Unknown(77, b""), 77),
    ],
)
def test_the_ids_are_those_of_the_specifications(message, number):
    assert message.id == number


def fields(message):
    match message:
        case KeepAlive() | Choke() | Unchoke() | Interested() | NotInterested():
            return ()
        case HaveAll() | HaveNone():
            return ()
        case Have(index) | Suggest(index) | AllowedFast(index):
            return (index,)
        case Bitfield(bits):
            return (bits,)
        case Request(index, begin, length) | Reject(index, begin, length):
            return (index, begin, length)
        case Cancel(index, begin, length):
            return (index, begin, length)
        case Piece(index, begin, block):
            return (index, begin, block)
        case Port(port):
            return (port,)
        case Extended(extended_id, payload):
            return (extended_id, payload)
        case HashRequest(range) | HashReject(range):
            return (range,)
        case Hashes(range, hashes):
            return (range, hashes)
        case Unknown(id, payload):
            return (id, payload)


@pytest.mark.parametrize("message", [message for message, _, _ in EXAMPLES])
def test_a_message_can_be_matched_by_position(message):
    assert type(message)(*fields(message)) == message


def test_messages_of_different_kinds_are_not_equal():
    assert Request(1, 2, 3) != Cancel(1, 2, 3)
    assert Choke() != Unchoke()
    assert Have(1) == Have(1) != Have(2)


def test_the_bitfield_counts_its_pieces():
    assert str(Bitfield(b"")) == "bitfield 0 of at most 0"
    assert str(Bitfield(b"\xff\x80")) == "bitfield 9 of at most 16"


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_a_block_may_be_held_in_any_buffer(buffer):
    piece = Piece(1, 2, buffer(b"abc"))
    assert piece.encode() == Piece(1, 2, b"abc").encode()
    assert piece == Piece(1, 2, b"abc")
    assert Piece.header(1, 2, 3) + b"abc" == piece.encode()


def test_the_request_a_piece_answers_is_not_what_it_says():
    piece = Piece(1, 2, b"abc", PendingRequest(1, 2, 3))
    assert piece == Piece(1, 2, b"abc")
    assert "request" not in repr(piece)
    hashes = Hashes(RANGE, HASHES, PendingHashRequest(RANGE))
    assert hashes == Hashes(RANGE, HASHES)
    assert "request" not in repr(hashes)
