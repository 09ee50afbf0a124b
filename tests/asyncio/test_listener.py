"""Accepting connections where the machine lacks something, and where it is over."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from peerwire.asyncio.listener import (
    ACCEPTS_A_TURN,
    PAUSE,
    Listener,
    accepts_a_turn,
    bind,
    most_connections,
)

from .raw import turns, until

HOST = "127.0.0.1"


class Machine:
    """A listener, what it accepted, and what it is refused."""

    def __init__(self, monkeypatch, sockets):
        self.accepted = []
        self.starved = 0
        self.errors = []
        self._accept = asyncio.get_running_loop().sock_accept
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_accept", self.accept)
        self.listener = Listener(sockets, accepted=self.take, starved=self.starve)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def accept(self, sock):
        """What the event loop does, but for the errors that are due."""
        accepted = await self._accept(sock)
        if self.errors:
            accepted[0].close()
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return accepted

    def take(self, connection):
        self.accepted.append(connection)

    def starve(self):
        self.starved += 1

    async def dial(self):
        _, writer = await asyncio.open_connection(HOST, self.port)
        writer.close()

    async def close(self):
        await self.listener.close()
        for connection in self.accepted:
            connection.close()


@pytest.fixture
async def machine(monkeypatch, stack):
    machine = Machine(monkeypatch, await bind(HOST, 0, 100))
    stack.push_async_callback(machine.close)
    return machine


@pytest.mark.parametrize("error", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
async def test_what_the_machine_lacks_is_waited_for(machine, clock, caplog, error):
    number = getattr(errno, error)
    machine.errors = [number, number]
    for _ in range(3):
        await machine.dial()
    await until(lambda: machine.starved == 1)
    await turns()
    assert not machine.accepted
    await clock.advance(PAUSE)
    await until(lambda: machine.starved == 2)
    await clock.advance(PAUSE)
    await until(lambda: len(machine.accepted) == 1)
    said = f"can't accept a peer: {os.strerror(number)}; trying again every 1 s"
    assert caplog.messages == [said]
    machine.errors = [number]
    await machine.dial()
    await until(lambda: machine.starved == 3)
    assert caplog.messages == [said, said]  # a new shortage is news
    await clock.advance(PAUSE)


@pytest.mark.parametrize("error", ["ECONNABORTED", "EPROTO", "ENETDOWN", "EPERM"])
async def test_what_befell_one_connection_is_no_matter(machine, caplog, error):
    machine.errors = [getattr(errno, error)]
    await machine.dial()
    await machine.dial()
    await until(lambda: len(machine.accepted) == 1)
    assert not machine.starved
    assert not caplog.messages


async def test_a_burst_is_taken_in_turns(machine):
    crowd = [socket.create_connection((HOST, machine.port)) for _ in range(ACCEPTS_A_TURN + 1)]
    await until(lambda: machine.accepted)
    assert len(machine.accepted) <= ACCEPTS_A_TURN
    await until(lambda: len(machine.accepted) == len(crowd))
    for sock in crowd:
        sock.close()


async def test_a_socket_that_is_lost(machine, caplog):
    machine.listener.sockets[0].shutdown(socket.SHUT_RDWR)
    with pytest.raises(OSError, match="Invalid argument"):
        await machine.listener.lost
    assert caplog.messages == ["no peer can connect any more: [Errno 22] Invalid argument"]


async def test_the_first_of_several_sockets_that_is_lost_is_told(monkeypatch, caplog):
    machine = Machine(monkeypatch, [*await bind(HOST, 0, 1), *await bind(HOST, 0, 1)])
    for sock in machine.listener.sockets:
        sock.shutdown(socket.SHUT_RDWR)
    await turns()
    await machine.close()
    assert len(caplog.messages) == 1


async def test_a_socket_that_is_lost_as_it_is_closed(machine, caplog):
    machine.listener.sockets[0].shutdown(socket.SHUT_RDWR)
    await machine.close()
    assert not caplog.messages


async def test_closing_ends_it(machine):
    port = machine.port
    await machine.close()
    assert machine.listener.lost.cancelled()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(HOST, port)


async def test_closing_ends_it_on_a_loop_without_readers_too(machine, monkeypatch):
    def remove_reader(what):
        if isinstance(what, socket.socket):  # what this loop does for itself is its own matter
            raise NotImplementedError
        return remove(what)

    loop = asyncio.get_running_loop()
    remove = loop.remove_reader
    with monkeypatch.context() as patch:
        patch.setattr(loop, "remove_reader", remove_reader)
        await machine.close()
    assert {sock.fileno() for sock in machine.listener.sockets} == {-1}


async def test_a_connection_that_comes_as_it_is_closed_is_closed_too(monkeypatch):
    sockets = await bind(HOST, 0, 100)
    machine = Machine(monkeypatch, sockets)
    await turns()
    with socket.create_connection((HOST, machine.port)) as sock:
        accepted = asyncio.Event()
        accept = machine._accept

        async def slow(listening):
            connection = await accept(listening)
            accepted.set()
            await asyncio.sleep(0)
            return connection

        machine._accept = slow
        await until(lambda: len(machine.accepted) == 1)  # by what was waiting already
        with socket.create_connection((HOST, machine.port)) as late:
            await accepted.wait()
            await machine.close()
            late.settimeout(30)
            assert late.recv(1) == b""
        assert len(machine.accepted) == 1
        assert sock.fileno() > 0


async def test_an_address_that_can_not_be_listened_on(monkeypatch):
    (first,) = await bind(HOST, 0, 1)
    with first, pytest.raises(OSError, match="address already in use"):
        await bind(HOST, first.getsockname()[1], 1)


async def test_a_socket_that_is_bound_and_may_not_listen(monkeypatch):
    closed = []

    class Refusing(socket.socket):
        def listen(self, backlog):
            raise OSError(errno.EADDRINUSE, "Address already in use")

        def close(self):
            closed.append(self)
            super().close()

    loop = asyncio.get_running_loop()
    create_server = loop.create_server

    async def create(*args, **options):
        server = await create_server(*args, **options)

        class Bound:
            def __init__(self, sock):
                self.sock = sock

            def dup(self):
                return Refusing(fileno=os.dup(self.sock.fileno()))

        class Served:
            sockets = tuple(map(Bound, server.sockets))
            close = server.close

        return Served()

    monkeypatch.setattr(loop, "create_server", create)
    with pytest.raises(OSError, match="Address already in use"):
        await bind(HOST, 0, 1)
    assert len(closed) == 1


@pytest.mark.parametrize(
    ("descriptors", "most", "a_turn"),
    [(1024, 716, 19), (256, 179, 4), (20_000, 14_000, 64), (1, 1, 1), (-1, None, 64)],
)
def test_files_are_left_some_descriptors(monkeypatch, descriptors, most, a_turn):
    monkeypatch.setattr(os, "sysconf", {"SC_OPEN_MAX": descriptors}.__getitem__)
    assert most_connections() == most
    assert accepts_a_turn() == a_turn


def test_a_system_without_such_limits(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    assert most_connections() is None
    assert accepts_a_turn() == ACCEPTS_A_TURN
