"""A connection that keeps no rules: all can be said, and whatever comes is heard with deadlines."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import struct

import pytest

from peerwire import (
    AllowedFast,
    Bitfield,
    Choke,
    Extended,
    Handshake,
    Have,
    HaveAll,
    Interested,
    KeepAlive,
    Piece,
    Request,
    Reserved,
    Unchoke,
)
from peerwire.bencode import encode
from peerwire.check import Closed, Deviates, Inconclusive, Silent, connection
from peerwire.check.connection import KEPT, Connection
from peerwire.rc4 import rc4

from . import clock

GREETING = Handshake(bytes(20), b"-XX0000-some_peer___", Reserved(0))


def at_once(test):
    """Runs a test without waiting."""

    @functools.wraps(test)
    def run(**fixtures):
        clock.run(test(**fixtures))

    return run


@contextlib.asynccontextmanager
async def connected(behave, num_pieces=11, patience=1.0):
    """A connection to a peer that does this, and a place for what it heard."""
    tasks = []

    async def accept(reader, writer):
        tasks.append(asyncio.current_task())
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await behave(reader, writer)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer, num_pieces, patience)
    finally:
        writer.transport.abort()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait([*tasks, asyncio.create_task(asyncio.sleep(0))])


def saying(*what, then=None):
    """A peer that says this, and does not care."""

    async def behave(reader, writer):
        for each in what:
            writer.write(each if isinstance(each, bytes) else each.encode())
        if then == "end":
            return
        if then == "reset":
            await reader.read(1)
            reset(writer)
            return
        while await reader.read(1 << 16):
            pass
        await asyncio.Event().wait()

    return behave


def reset(writer):
    """Ends a connection as a process does that dies with data unread."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


def hearing(into, count):
    """A peer that keeps so many bytes of what it hears, and then ends the connection."""

    async def behave(reader, writer):
        into.extend(await reader.readexactly(count) if count else await reader.read())

    return behave


# What is said


@at_once
async def test_all_is_said_as_it_is_and_written_down():
    heard = bytearray()
    said = [Interested(), b"\xff" * 30, Request(1, 2, 3)]
    data = b"".join(each if isinstance(each, bytes) else each.encode() for each in said)
    async with connected(hearing(heard, len(data))) as probe:
        probe.say(*said)
        await probe.closes()
    assert heard == data
    lines = [line.split(None, 1)[1] for line in probe.transcript()]
    assert lines == [
        "> interested",
        f"> 30 bytes: {' '.join(['ff'] * 24)}...",
        "> request 1:2+3",
        "= the connection was closed",
    ]


@at_once
async def test_of_many_messages_at_once_few_are_written_down():
    async with connected(saying()) as probe:
        probe.say(*(Have(n) for n in range(20)))
    lines = [line.split(None, 1)[1] for line in probe.transcript()]
    assert lines == [*(f"> have {n}" for n in range(6)), "> ... 13 more ...", "> have 19"]


@at_once
async def test_of_a_long_transcript_the_beginning_and_the_end_are_kept():
    async with connected(saying()) as probe:
        for n in range(3 * KEPT):
            probe.note(f"line {n}")
    lines = probe.transcript()
    assert len(lines) == 2 * KEPT + 1
    assert lines[0].endswith("line 0")
    assert lines[KEPT].strip() == f"... {KEPT} lines ..."
    assert lines[-1].endswith(f"line {3 * KEPT - 1}")


@at_once
async def test_a_byte_a_segment():
    heard = bytearray()
    async with connected(hearing(heard, 73)) as probe:
        await probe.dribble(GREETING)
        await probe.dribble(Interested().encode())
        await probe.closes()
    assert heard == GREETING.encode() + Interested().encode()


@at_once
async def test_bytes_that_are_no_messages():
    heard = bytearray()
    async with connected(hearing(heard, 3)) as probe:
        before = probe.spoke
        probe.write(b"abc")
        assert probe.spoke > before
        await probe.closes()
        after = probe.spoke
        probe.write(b"more")
        assert probe.spoke == after
    assert heard == b"abc"


@at_once
async def test_one_direction_is_closed():
    heard = bytearray()
    async with connected(hearing(heard, 0)) as probe:
        probe.say(Interested())
        probe.shutdown()
        await probe.closes()
    assert heard == Interested().encode()
    assert "we close our direction" in "".join(probe.transcript())


@at_once
async def test_a_direction_that_can_not_be_closed_any_more(monkeypatch):
    def broken():
        raise OSError

    async with connected(saying()) as probe:
        monkeypatch.setattr(probe._writer, "write_eof", broken)
        probe.shutdown()


@at_once
async def test_leaving():
    ended = asyncio.Event()

    async def behave(reader, writer):
        assert await reader.read() == b""
        ended.set()

    async with connected(behave) as probe:
        await probe.leave()
        await ended.wait()


@at_once
async def test_ending_at_once():
    ended = asyncio.Event()

    async def behave(reader, writer):
        with contextlib.suppress(OSError):
            await reader.read()
        ended.set()

    async with connected(behave) as probe:
        probe.abort()
        await ended.wait()
    assert "we end the connection" in "".join(probe.transcript())


@at_once
async def test_a_peer_that_takes_nothing_is_left_all_the_same():
    async def behave(reader, writer):
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with connected(behave) as probe:
        for _ in range(64):
            probe.write(bytes(1 << 18))
        before = asyncio.get_running_loop().time()
        await probe.flush(2)
        assert asyncio.get_running_loop().time() - before >= 2
        await probe.leave()
        assert probe._writer.transport.is_closing()


@at_once
async def test_a_peer_that_takes_all():
    heard = bytearray()
    async with connected(hearing(heard, 1 << 22)) as probe:
        probe.write(bytes(1 << 22))
        await probe.flush()
        await probe.closes()
    assert len(heard) == 1 << 22


@at_once
async def test_where_it_comes_from_and_how_long_it_lasts():
    async with connected(saying()) as probe:
        assert probe.address == "127.0.0.1"
        await asyncio.sleep(3)
        assert 3 <= probe.seconds < 4


def test_an_address_that_is_not_known():
    class Nowhere:
        def get_extra_info(self, name):
            return None

    async def ask():
        return Connection(asyncio.StreamReader(), Nowhere(), 1).address

    assert clock.run(ask()) == "0.0.0.0"


@at_once
async def test_both_directions_are_encrypted_once_that_is_agreed_on():
    heard = bytearray()
    cipher = rc4(b"the key of them!")
    said = bytearray(GREETING.encode() + Have(1).encode())
    cipher.apply(said)

    async def behave(reader, writer):
        heard.extend(await reader.readexactly(5))
        writer.write(said)

    async with connected(behave) as probe:
        probe._encrypt, probe._decrypt = rc4(b"the key of us!!!"), rc4(b"the key of them!")
        probe.say(Interested())
        assert await probe.hear() == Have(1)
    rc4(b"the key of us!!!").apply(heard)
    assert heard == Interested().encode()


@at_once
async def test_leaving_while_something_is_waited_for():
    async with connected(saying()) as probe:
        assert await probe.quiet(1) == []
        await probe.leave()


# What is heard


@at_once
async def test_what_is_heard_is_remembered():
    m = {"m": {"ut_pex": 3}, "v": "x"}
    more = {"m": {"ut_metadata": 4}, "metadata_size": 9}
    said = [
        *(Bitfield(b"\xa0\x40"), Have(10), Unchoke(), AllowedFast(2), AllowedFast(3), KeepAlive()),
        *(Extended(0, encode(m)), Extended(0, b"x"), Extended(0, encode(more)), Extended(7, b"x")),
        *(Piece(0, 0, b"abc"), Choke()),
    ]
    async with connected(saying(GREETING, *said, then="end")) as probe:
        assert (await probe.handshake()).peer_id == GREETING.peer_id
        probe._names[7] = "mine"
        assert await probe.quiet(5) == probe.heard
        assert await probe.handshake() is probe.theirs
    assert [type(each) for each in probe.heard] == [type(each) for each in said]
    assert probe.pieces == {0, 2, 9, 10}
    assert probe.choked
    assert probe.allowed == [2, 3]
    assert (probe.introduced.v, probe.introduced.metadata_size) == ("x", 9)
    assert probe.introduced.m == {"ut_pex": 3, "ut_metadata": 4}
    assert isinstance(probe.heard[10].block, bytes)
    assert probe.ended == "the connection was closed"
    assert probe.received == 68 + sum(len(each.encode()) for each in said)


@at_once
async def test_extended_messages_are_named_as_the_other_side_wants_them():
    told = Extended(0, encode({"m": {"ut_pex": 3}}))
    async with connected(saying(GREETING, told)) as probe:
        probe.say(Extended(3, b"unknown"), Extended(0, b"de"))
        await probe.handshake()
        await probe.hear()
        probe.say(Extended(3, b"de"))
    first, second, *_, last = probe.transcript()
    assert "ut_pex" not in first
    assert "handshake" in second
    assert "ut_pex" in last


@at_once
async def test_have_all():
    async with connected(saying(GREETING, HaveAll(), Unchoke()), num_pieces=3) as probe:
        await probe.wait_for(Unchoke)
        assert probe.pieces == {0, 1, 2}
        assert not probe.choked


@pytest.mark.parametrize(
    ("behave", "error", "words"),
    [
        (saying(then="end"), Closed, "the connection was closed without a handshake"),
        (saying(b"x" * 67, then="end"), Closed, "closed without a handshake"),
        (saying(b"x" * 68), Deviates, "can't be read"),
        (saying(), Silent, "no handshake within 12 s"),
    ],
)
@at_once
async def test_no_handshake(behave, error, words):
    async with connected(behave) as probe:
        with pytest.raises(error, match=words):
            await probe.handshake()


@at_once
async def test_how_long_is_waited_depends_on_patience():
    async with connected(saying(), patience=3) as probe:
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(Silent, match="within 4 s"):
            await probe.handshake(4)
        assert 12 <= loop.time() - before < 13


@at_once
async def test_messages_one_by_one():
    async with connected(saying(GREETING, Have(1), Unchoke(), Have(2), then="end")) as probe:
        assert await probe.hear() == Have(1)
        assert await probe.wait_for((Choke, Have)) == Have(2)
        with pytest.raises(Closed, match="the connection was closed"):
            await probe.hear()
        assert await probe.quiet(1) == []


@at_once
async def test_messages_that_do_not_come():
    async with connected(saying(GREETING, Have(1))) as probe:
        with pytest.raises(Silent, match="no choke or unchoke within 2 s"):
            await probe.wait_for((Choke, Unchoke), within=2)
        with pytest.raises(Silent, match="no have within 2 s"):
            await probe.wait_for(Have, within=2, where=lambda have: have.index == 2)
        with pytest.raises(Silent, match="nothing within 2 s"):
            await probe.hear(2)
        assert await probe.quiet(2) == []


@at_once
async def test_what_is_no_message():
    long = (1 << 30).to_bytes(4, "big")
    async with connected(saying(GREETING, Have(1), long, Have(2))) as probe:
        assert await probe.hear() == Have(1)
        with pytest.raises(Deviates, match="it says what can't be read"):
            await probe.hear()
        with pytest.raises(Deviates, match="it says what can't be read"):
            await probe.quiet(1)
    assert " ! " in probe.transcript()[-1]


@at_once
async def test_nothing_is_read_after_what_is_no_message():
    later = asyncio.Event()

    async def behave(reader, writer):
        writer.write(GREETING.encode() + b"\0\0\0\2\0\0")
        await later.wait()
        writer.write(Have(1).encode())

    async with connected(behave) as probe:
        with pytest.raises(Deviates):
            await probe.hear()
        later.set()
        await probe.closes()
    assert probe.heard == []


@at_once
async def test_bytes_before_a_handshake():
    async with connected(saying(b"abcde")) as probe:
        assert (await probe.bytes_heard(3))[:3] == b"abc"
        assert await probe.bytes_heard(6, 2) == b"abcde"
        await probe.more(4)
        with pytest.raises(Silent, match="nothing within 2 s"):
            await probe.more(5, 2)
    assert "5 bytes: 61 62 63 64 65" in probe.transcript()[0]


@at_once
async def test_more_bytes():
    async def behave(reader, writer):
        for _ in range(3):
            writer.write(b"ab")
            await asyncio.sleep(1)

    async with connected(behave) as probe:
        await probe.more(4)
        assert probe.received == 6


@at_once
async def test_bytes_that_end():
    async with connected(saying(b"abc", then="end")) as probe:
        assert await probe.bytes_heard(6) == b"abc"
        with pytest.raises(Closed, match="the connection was closed"):
            await probe.more(3)


@at_once
async def test_a_handshake_that_began_as_bytes():
    async with connected(saying(GREETING, Have(1))) as probe:
        await probe.bytes_heard(1)
        assert (await probe.handshake()).peer_id == GREETING.peer_id
        assert await probe.hear() == Have(1)


@at_once
async def test_a_reset_is_an_end():
    async with connected(saying(GREETING, then="reset")) as probe:
        await probe.handshake()
        probe.say(Interested())
        await probe.closes()
        assert probe.ended == "the connection was reset"
        await probe.flush()
        probe.shutdown()
        await probe.leave()


@at_once
async def test_who_has_to_close_and_does_not():
    async def behave(reader, writer):
        while True:
            writer.write(Have(1).encode())
            await asyncio.sleep(0.5)

    for kind in (behave, saying(GREETING)):
        async with connected(kind) as probe:
            before = asyncio.get_running_loop().time()
            with pytest.raises(Deviates, match="the connection goes on"):
                await probe.closes()
            assert 4 <= asyncio.get_running_loop().time() - before < 5


@at_once
async def test_what_is_not_to_be_read_as_a_handshake():
    async with connected(saying(b"x" * 100, then="end")) as probe:
        probe.opaque = True
        await probe.closes()
    assert "can't be read" not in "".join(probe.transcript())


@pytest.mark.parametrize(
    ("name", "value", "message", "words"),
    [
        ("MAX_HEARD", 1 << 20, Piece(0, 0, bytes(1 << 17)), "it sends more than 1 MiB"),
        ("MAX_MESSAGES", 100, Have(1), "it says more than 100 messages"),
    ],
)
@at_once
async def test_there_is_an_end_to_what_is_heard(monkeypatch, name, value, message, words):
    async def behave(reader, writer):
        writer.write(GREETING.encode())
        while True:
            writer.write(message.encode())
            await writer.drain()
            await asyncio.sleep(0)

    monkeypatch.setattr(connection, name, value)
    async with connected(behave) as probe:
        with pytest.raises(Inconclusive, match=words):
            await probe.wait_for(Unchoke)
