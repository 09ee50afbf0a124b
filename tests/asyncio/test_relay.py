"""Who is between two sockets: bytes, ends and resets pass, and a slow side slows the other."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket

import pytest

from peerwire import Encryption, Role, connect
from peerwire.asyncio import relay as module
from peerwire.asyncio.relay import WRITE_BUFFER, Relay
from peerwire.errors import EncryptionError
from peerwire.interception import Interception
from peerwire.mse import CryptoMethod, Initiator, Responder, SkeyTable, random_bits

from .raw import INFO_HASH, Raw, greeting, small_socket, turns, until

INITIATOR, RESPONDER = Role
HOST = "127.0.0.1"


class Ear:
    """Keeps what it is told."""

    def __init__(self):
        self.opened_by = None
        self.heard = dict.fromkeys(Role, b"")
        self.ends = []
        self.errors = []

    def opened(self, initiator, responder):
        assert self.opened_by is None
        self.opened_by = (initiator, responder)

    def said(self, sender, data):
        self.heard[sender] += data

    def ended(self, side, how):
        self.ends.append((side, how))

    def broken(self, error):
        self.errors.append(error)


class Between:
    """A relay that waits for one connection, and its two sides."""

    def __init__(self, stack, torrents):
        self.ear = Ear()
        self.table = None if torrents is None else SkeyTable(torrents)
        self.relay = Relay(Interception(self.table), self.ear)
        self.listener = socket.create_server((HOST, 0))
        stack.callback(self.listener.close)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]

    async def run(self, target, **options):
        connection, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        await self.relay.run(connection, HOST, target, **options)


@pytest.fixture
def between(stack):
    """Starts a relay to a port; returns it and its task."""

    def between(target, *, torrents=None, **options):
        it = Between(stack, torrents)
        task = asyncio.create_task(it.run(target, **options))
        stack.callback(task.cancel)
        return it, task

    return between


@pytest.fixture
def relaying(stack, listen, between):
    """Two raw sides with a relay between them."""

    async def relaying(*, torrents=None, small=False):
        target, came = await listen(small=small)
        it, task = between(target, torrents=torrents)
        near = await dial(stack, it.port, small=small)
        return near, await came.get(), it, task

    return relaying


async def dial(stack, port, *, small=False):
    if small:
        sock = small_socket()
        await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
        raw = Raw(*await asyncio.open_connection(sock=sock))
    else:
        raw = Raw(*await asyncio.open_connection(HOST, port))
    stack.callback(raw.close)
    return raw


async def test_bytes_pass_both_ways(relaying):
    near, far, it, task = await relaying()
    near.say(b"one ")
    assert await far.reader.readexactly(4) == b"one "
    far.say(b"two ")
    assert await near.reader.readexactly(4) == b"two "
    near.say(b"three")
    assert await far.reader.readexactly(5) == b"three"
    names = [raw.writer.get_extra_info("sockname") for raw in (near, far)]
    assert it.ear.opened_by == tuple(names)
    near.close()
    assert await far.hear_end() == b""
    far.close()
    await task
    assert it.ear.heard == {INITIATOR: b"one three", RESPONDER: b"two "}
    assert it.ear.ends == [(INITIATOR, "closed"), (RESPONDER, "closed")]


@pytest.mark.parametrize("first", Role)
async def test_a_side_that_is_done_is_still_spoken_to(relaying, first):
    near, far, it, task = await relaying()
    done, other = (near, far) if first is INITIATOR else (far, near)
    done.say(b"all")
    done.writer.write_eof()
    assert await other.hear_end() == b"all"
    for _ in range(3):
        other.say(bytes(100_000))
        await turns()
    assert not task.done()
    other.close()
    assert await done.hear_end() == bytes(300_000)
    await task
    assert [side for side, _ in it.ear.ends] == [first, *(set(Role) - {first})]


@pytest.mark.parametrize("by", Role)
async def test_a_reset_is_passed_on(relaying, by):
    near, far, it, task = await relaying()
    near.say(b"hello")
    await far.reader.readexactly(5)
    one, two = (near, far) if by is INITIATOR else (far, near)
    one.reset()
    with pytest.raises(ConnectionResetError):
        await two.hear_end()
    await task
    (other,) = set(Role) - {by}
    assert it.ear.ends == [(by, "reset the connection"), (other, "was reset")]


async def test_a_reset_after_one_side_was_done(relaying):
    near, far, it, task = await relaying()
    near.writer.write_eof()
    await far.hear_end()
    far.reset()
    with pytest.raises(ConnectionResetError):
        await near.hear_end()
    await task
    assert it.ear.ends == [(INITIATOR, "closed"), (RESPONDER, "reset the connection")]


@pytest.mark.parametrize("sender", Role)
async def test_a_slow_side_slows_the_other(relaying, sender):
    near, far, it, task = await relaying(small=True)
    one, two = (near, far) if sender is INITIATOR else (far, near)
    two.reader._transport.pause_reading()
    said = random.Random(1).randbytes(20_000_000)
    one.say(said)
    held = -1
    while held != len(it.ear.heard[sender]):  # until nothing moves any more
        held = len(it.ear.heard[sender])
        await turns(2000)
    end = it.relay._ends[RESPONDER if sender is INITIATOR else INITIATOR]
    assert end._transport.get_write_buffer_size() <= WRITE_BUFFER + 256 * 1024
    assert held < len(said) / 2
    two.reader._transport.resume_reading()
    assert await two.reader.readexactly(len(said)) == said
    near.close()
    far.close()
    await task


async def test_nobody_is_there(stack, between, listen):
    with socket.socket() as held:
        held.bind((HOST, 0))  # and does not listen
        it, task = between(held.getsockname()[1])
        near = await dial(stack, it.port)
        near.say(b"hello")
        with pytest.raises(ConnectionResetError):
            await near.hear_end()
        with pytest.raises(ConnectionRefusedError):
            await task
    assert it.ear.opened_by is None
    assert it.ear.ends == []


async def test_nobody_answers(stack, between, clock, monkeypatch):
    dialled = asyncio.Event()

    async def never(*_):
        dialled.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    it, task = between(1, timeout=7)
    with socket.create_connection((HOST, it.port)):
        await dialled.wait()
        await clock.advance(6.9)
        assert not task.done()
        await clock.advance(0.2)
        with pytest.raises(TimeoutError):
            await task


async def test_who_leaves_while_the_other_is_dialled(stack, between, listen, monkeypatch):
    """Is read of when there is somebody to be told."""
    target, came = await listen()
    loop = asyncio.get_running_loop()
    dial_on, gate = loop.create_connection, asyncio.Event()

    async def late(*args):
        await gate.wait()
        return await dial_on(*args)

    it, task = between(target)
    near = await dial(stack, it.port)
    monkeypatch.setattr(loop, "create_connection", late)
    near.say(b"farewell")
    near.close()
    await turns(200)
    gate.set()
    far = await came.get()
    assert await far.hear_end() == b"farewell"
    far.close()
    await task


async def test_a_connection_that_can_not_be_taken_in(between, monkeypatch):
    async def refuse(*_):
        raise OSError("no more")

    it, task = between(1)
    monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", refuse)
    with socket.create_connection((HOST, it.port)) as near:
        with pytest.raises(OSError, match="no more"):
            await task
        near.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(near, 1) == b""


async def test_to_be_cancelled_ends_both(relaying):
    near, far, it, task = await relaying()
    near.say(b"hello")
    await far.reader.readexactly(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await near.hear_end() == await far.hear_end() == b""
    assert it.ear.ends == [(INITIATOR, "was cut off here"), (RESPONDER, "was cut off here")]


async def test_a_rule_of_encryption_that_is_broken_ends_both(relaying):
    near, far, it, task = await relaying(torrents=[INFO_HASH])
    near.say(random_bits(800))
    for side in near, far:
        with pytest.raises(ConnectionResetError):
            await side.hear_end()
    await task
    (error,) = it.ear.errors
    assert isinstance(error, EncryptionError)
    assert {side for side, _ in it.ear.ends} == set(Role)


async def test_what_ends_before_it_was_told_apart(relaying):
    near, far, _, task = await relaying(torrents=[INFO_HASH])
    near.say(b"\x13Bit")
    near.close()
    assert await far.hear_end() == b"\x13Bit"
    far.close()
    await task


async def test_who_leaves_in_the_encrypted_handshake_is_not_spoken_to(relaying):
    near, far, it, task = await relaying(torrents=[INFO_HASH])
    a, b = (
        Initiator(INFO_HASH, CryptoMethod.RC4),
        Responder(SkeyTable([INFO_HASH]), CryptoMethod.RC4),
    )
    near.say(a.data_to_send())
    b.receive_data(await far.reader.readexactly(96))
    near.writer.write_eof()
    far.say(b.data_to_send())
    assert await far.hear_end() is not None
    far.close()
    await near.hear_end()
    await task
    assert it.ear.ends == [(INITIATOR, "closed"), (RESPONDER, "closed")]


async def opened(it):
    await until(lambda: it.ear.opened_by)


async def test_a_side_that_left_when_its_end_is_told(relaying, monkeypatch):
    """A reset that the event loop has not seen yet."""
    near, far, it, task = await relaying()
    await opened(it)

    def gone():
        raise OSError("not connected")

    monkeypatch.setattr(it.relay._ends[RESPONDER]._transport, "write_eof", gone)
    near.writer.write_eof()
    with pytest.raises(ConnectionResetError):
        await near.hear_end()
    await far.hear_end()
    await task
    assert it.ear.ends == [(INITIATOR, "closed"), (RESPONDER, "reset the connection")]


async def test_what_event_loops_tell_late_is_of_no_use(relaying):
    near, far, it, task = await relaying()
    near.close()
    far.close()
    await task
    for end in it.relay._ends.values():
        end.data_received(b"late")
        end.pause_writing()
        end.resume_writing()
        assert end.eof_received()
    assert it.ear.ends == [(INITIATOR, "closed"), (RESPONDER, "closed")]


async def test_a_side_that_ends_when_the_other_was_cut_off(relaying):
    near, far, it, task = await relaying()
    await opened(it)
    it.relay._ends[RESPONDER].cut()
    await it.relay._ends[RESPONDER].lost
    near.close()
    assert await far.hear_end() == b""
    await task
    assert it.ear.ends == [(RESPONDER, "was cut off here"), (INITIATOR, "closed")]


async def test_who_is_lost_while_the_other_is_dialled(stack, between, listen, monkeypatch):
    target, came = await listen()
    loop = asyncio.get_running_loop()
    dial_on, gate = loop.create_connection, asyncio.Event()

    async def late(*args):
        await gate.wait()
        return await dial_on(*args)

    it, task = between(target)
    near = await dial(stack, it.port)
    monkeypatch.setattr(loop, "create_connection", late)
    end = it.relay._ends[INITIATOR]
    await until(lambda: end.was_made)
    end._transport._fatal_error(ConnectionResetError())
    await end.lost
    gate.set()
    far = await came.get()
    with pytest.raises(ConnectionResetError):
        await far.hear_end()
    await task
    near.close()
    assert it.ear.opened_by is None
    assert it.ear.ends == []


async def test_a_side_that_is_lost(relaying):
    near, far, it, task = await relaying()
    near.say(b"hello")
    await far.reader.readexactly(5)
    end = it.relay._ends[INITIATOR]
    end._transport._fatal_error(OSError(113, "No route to host"))
    with pytest.raises(ConnectionResetError):
        await far.hear_end()
    await task
    assert it.ear.ends[0] == (INITIATOR, "was lost: [Errno 113] No route to host")


async def test_a_socket_that_is_gone_can_not_be_reset_any_more(relaying, monkeypatch):
    near, far, it, task = await relaying()
    await opened(it)

    class Gone:
        def setsockopt(self, *_):
            raise OSError("bad file descriptor")

    end = it.relay._ends[RESPONDER]
    monkeypatch.setattr(end._transport, "get_extra_info", lambda _: Gone())
    near.reset()
    await task
    with contextlib.suppress(ConnectionResetError):
        await far.hear_end()


@pytest.fixture
def passing(stack):
    """A port from which all connections are passed on to another."""

    async def passing(target, torrents):
        it, running = Between(stack, torrents), []

        async def accept():
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(it.listener)
                relay = Relay(Interception(it.table), Ear())
                running.append(asyncio.create_task(relay.run(connection, HOST, target)))

        running.append(asyncio.create_task(accept()))
        stack.callback(lambda: [task.cancel() for task in running])
        return it.port

    return passing


@pytest.mark.parametrize("ours", Encryption)
@pytest.mark.parametrize("theirs", Encryption)
@pytest.mark.parametrize("torrents", [None, [INFO_HASH]])
async def test_peers_get_on_as_without_it(stack, serving, passing, ours, theirs, torrents):
    """Who prefers encryption may dial again, without."""
    server, came = await serving(encryption=theirs)
    passed = await passing(server.port, torrents)
    direct, through = [
        await outcome(stack, connect(HOST, port, INFO_HASH, encryption=ours), came)
        for port in (server.port, passed)
    ]
    assert through == direct


async def outcome(stack, dialling, came):
    try:
        peer = await stack.enter_async_context(dialling)
    except Exception as error:
        return type(error)
    theirs = await came.get()
    peer.interested()
    await theirs.wait_until(lambda: theirs.peer_interested)
    return peer.encryption, theirs.encryption


def test_what_is_public():
    assert module.__all__ == ["Ear", "Relay"]


async def test_greetings_pass(relaying):
    near, far, it, _ = await relaying(torrents=[INFO_HASH])
    near.say(greeting())
    assert (await far.hear_handshake()).info_hash == INFO_HASH
    await until(lambda: it.ear.heard[INITIATOR] == greeting().encode())
