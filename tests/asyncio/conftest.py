"""Peers on loopback, and a clock that moves when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from peerwire import Peer, Reserved, Server, connect, serve

from ..garbage import light  # noqa: F401 - a fixture
from .raw import INFO_HASH, Raw, greeting, small_socket, turns


class Clock:
    """Stands still until it is told to move on."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    async def advance(self, seconds: float) -> None:
        """Moves on; the timers that are due have gone off when this returns."""
        self.now += seconds
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """A wire to be seen as it is: what hides it has tests of its own, which ask for it."""
    for verb in (connect, serve):
        monkeypatch.setitem(verb.__init__.__kwdefaults__, "encryption", "off")


@pytest.fixture(autouse=True)
async def clock(monkeypatch):
    """The clock of the event loop. Nothing in these tests waits for a real one."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop.time())
    monkeypatch.setattr(loop, "time", clock)
    return clock


@pytest.fixture(autouse=True)
async def tidy(clock):
    """Nothing is left at the end: no task, and nothing for the event loop to complain about."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield complaints
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()  # "exception was never retrieved" and ResourceWarning come from finalizers
    assert complaints == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
async def stack(tidy, clock):
    """Closes what the other fixtures opened, if need be by letting every timer go off."""
    stack = contextlib.AsyncExitStack()
    yield stack
    closing = asyncio.create_task(stack.aclose())
    for _ in range(10):
        await turns(1000)
        if closing.done():
            break
        await clock.advance(60)
    await closing


@pytest.fixture
def listen(stack):
    """A socket of a raw peer that others dial: returns its port and a queue of who came."""

    async def listen(**options: Any) -> tuple[int, asyncio.Queue[Raw]]:
        came: asyncio.Queue[Raw] = asyncio.Queue()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.put_nowait(Raw(reader, writer))
            stack.callback(writer.close)

        if options.pop("small", False):
            options["sock"] = small_socket()
            options["sock"].bind(("127.0.0.1", 0))
        else:
            options |= {"host": "127.0.0.1", "port": 0}
        server = await asyncio.start_server(accept, **options)
        stack.callback(server.close)
        return server.sockets[0].getsockname()[1], came

    return listen


@pytest.fixture
def meet(stack, listen):
    """Connects us to a raw peer; returns both."""

    async def meet(
        *first: Any, fast: bool = True, small: bool = False, **options: Any
    ) -> tuple[Peer, Raw]:
        port, came = await listen(small=small)
        dialling = asyncio.create_task(
            stack.enter_async_context(connect("127.0.0.1", port, INFO_HASH, **options))
        )
        raw = await came.get()
        await raw.hear_handshake()
        raw.say(greeting(fast=fast), *first)
        peer = await dialling
        stack.callback(raw.close)  # before ours, whose end waits for this one
        return peer, raw

    return meet


@pytest.fixture
def dial(stack):
    """Connects a raw peer to our server."""

    async def dial(server: Server, *first: Any, small: bool = False) -> Raw:
        if small:
            sock = small_socket()
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
            raw = Raw(*await asyncio.open_connection(sock=sock))
        else:
            raw = Raw(*await asyncio.open_connection("127.0.0.1", server.port))
        stack.callback(raw.close)
        raw.say(*first)
        return raw

    return dial


@pytest.fixture
def serving(stack):
    """Starts a server with a handler that leaves its peers alone; returns it and who came."""

    async def serving(**options: Any) -> tuple[Server, asyncio.Queue[Peer]]:
        came: asyncio.Queue[Peer] = asyncio.Queue()

        async def handler(peer: Peer) -> None:
            came.put_nowait(peer)
            await peer.wait_closed()

        options.setdefault("torrents", {INFO_HASH: 1000})
        options.setdefault("reserved", Reserved.FAST)  # so that no extension has a word in it
        server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0, **options))
        return server, came

    return serving


@pytest.fixture
def link(stack, serving):
    """Connects two peers, both ours; returns the one that dialled and the one that was dialled."""

    async def link(
        *, left: dict[str, Any] | None = None, right: dict[str, Any] | None = None
    ) -> tuple[Peer, Peer]:
        server, came = await serving(**(right or {}))
        dialled = await stack.enter_async_context(
            connect("127.0.0.1", server.port, INFO_HASH, **({"num_pieces": 1000} | (left or {})))
        )
        return dialled, await came.get()

    return link
