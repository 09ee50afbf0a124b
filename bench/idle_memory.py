"""What a connected peer costs while it says nothing: memory of a server with thousands of them.

    python bench/idle_memory.py [--peers 5000] [--encryption off|prefer|require] [--plain] [--wait]

The server is in this process, its peers are bare sockets in another. Each says its handshake, an
extended handshake as libtorrent's (not with `--plain`), interest, and nothing more. The server's
handler iterates over its peer; with `--wait` it only waits for the end. Three figures a peer: what
the process has grown by; what Python allocated, line by line (measured anew, as that costs memory
itself); and what is reached from one peer and from no other, object by object. Needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import gc
import os
import resource
import socket
import sys
import tracemalloc
import types
from typing import TYPE_CHECKING

import peerwire
from peerwire.encryption import EncryptedWire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

INFO_HASH = bytes(range(20))
NUM_PIECES = 1000
HOST = "127.0.0.1"

#: Handshakes under way at a time.
UNDER_WAY = 50

#: Lines and kinds that are shown.
SHOWN = 18

#: What belongs to everybody.
SHARED = (type, types.ModuleType, types.CodeType, asyncio.AbstractEventLoop)

#: What libtorrent 2.0 says of itself, more or less.
EXTENDED = peerwire.Extended(
    0,
    peerwire.ExtendedHandshake(
        m={
            "lt_donthave": 7,
            "share_mode": 8,
            "upload_only": 3,
            "ut_holepunch": 4,
            "ut_metadata": 2,
            "ut_pex": 1,
        },
        p=6881,
        v="libtorrent/2.0.11.0",
        yourip="127.0.0.1",
        reqq=500,
        metadata_size=40_000,
        complete_ago=-1,
    ).encode(),
)


# The peers


async def visit(port: int, count: int, *, policy: str, plain: bool) -> None:
    """Connects so many peers, says so, and stays until standard input ends."""
    loop, slots = asyncio.get_running_loop(), asyncio.Semaphore(UNDER_WAY)
    known = peerwire.Reserved
    reserved = known(0) if plain else known.FAST | known.EXTENSION

    async def meet() -> socket.socket:
        async with slots:
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, (HOST, port))
            wire = peerwire.Wire("initiator", INFO_HASH, reserved=reserved)
            wire.extensions.ours.m.clear()
            layer = EncryptedWire(wire, peerwire.Encryption(policy))
            while wire.peer_handshake is None:
                await loop.sock_sendall(sock, layer.data_to_send())
                layer.receive_data(await loop.sock_recv(sock, 4096), 0.0)
            wire.buffers_to_send()  # in place of its own extended handshake, libtorrent's
            if not plain:
                wire._send(EXTENDED)
            wire.send_interested()
            await loop.sock_sendall(sock, layer.data_to_send())
            return sock

    sockets = await asyncio.gather(*(meet() for _ in range(count)))
    print("there", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for sock in sockets:
        sock.close()


# The server


def resident() -> int:
    """Returns the bytes of memory that this process has."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


#: The tasks of the handlers.
handling: dict[peerwire.Peer, asyncio.Task[None] | None] = {}


async def iterate(peer: peerwire.Peer) -> None:
    """Does what most handlers do."""
    handling[peer] = asyncio.current_task()
    peer.announce(peerwire.PieceSet.full(NUM_PIECES))
    async for _ in peer:
        pass


async def wait(peer: peerwire.Peer) -> None:
    """Does as little as a handler can."""
    handling[peer] = asyncio.current_task()
    peer.announce(peerwire.PieceSet.full(NUM_PIECES))
    await peer.wait_closed()


async def measure(
    args: argparse.Namespace, how_much: Callable[[], int], then: Callable[[peerwire.Server], None]
) -> float:
    """Returns how many bytes a peer adds, and looks at the server once all are there."""
    handler: Callable[[peerwire.Peer], Awaitable[None]] = wait if args.wait else iterate
    async with peerwire.serve(handler, HOST, 0, torrents={INFO_HASH: NUM_PIECES}) as server:
        await visited(server, args, 100)  # what is needed once, whoever comes
        gc.collect()
        before, peers = how_much(), int(args.peers)
        gc.disable()
        there = await visited(server, args, peers, how_much, then)
        left = (how_much() - before) / peers
        gc.enable()
        if tracemalloc.is_tracing():
            print(f"{left:8.0f} B  a peer that has left, until garbage is collected")
        return (there - before) / peers


async def visited(
    server: peerwire.Server,
    args: argparse.Namespace,
    count: int,
    how_much: Callable[[], int] = lambda: 0,
    then: Callable[[peerwire.Server], None] = lambda server: None,
) -> int:
    """Lets peers come and go; returns how much there was while they were there."""
    peers = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--visit", str(server.port), str(count)),
        *("--encryption", args.encryption, *(["--plain"] if args.plain else [])),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert peers.stdin is not None
    assert peers.stdout is not None
    async with asyncio.timeout(120):
        if not await peers.stdout.readline():
            raise SystemExit("the peers' process has failed")
        await until(lambda: sum(peer.peer_interested for peer in server.peers) == count)
        gc.collect()
        there = how_much()
        then(server)
        peers.stdin.close()
        await peers.wait()
        handling.clear()
        await until(lambda: not server.peers)
    return there


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something to be true, for ten seconds or so."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise SystemExit("the peers did not come, or did not go")


# Whose memory it is


def owned(server: peerwire.Server) -> tuple[int, list[tuple[int, int, str]]]:
    """Returns the bytes that one peer alone is the way to, and all of it by owner and type."""
    one, other = sorted(server.peers, key=id)[:2]
    mine, others = reached(one, server), reached(other, server)
    found: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    for number, (thing, owner) in mine.items():
        if number not in others:
            name = f"{owner}: {type(thing).__name__}"
            found[name] += size(thing)
            counts[name] += 1
    return sum(found.values()), [(n, counts[name], name) for name, n in found.most_common()]


def reached(peer: peerwire.Peer, server: peerwire.Server) -> dict[int, tuple[object, str]]:
    """Returns everything there is a way to from a peer, by its id, with the nearest owner.

    The way does not lead through modules, classes, the server or the event loop.
    """
    connection = peer._connection
    shared = (server, vars(server), *vars(server).values(), handling, *server.peers)
    stop = {id(each) for each in shared} - {id(peer)}
    found: dict[int, tuple[object, str]] = {}
    next_ones: list[tuple[object, str]] = [
        (peer, "Peer"),
        (connection, "Connection"),
        (peer.wire, "Wire"),
        (connection._transport, "transport"),
        (handling[peer], "handler's task"),
    ]
    for thing, owner in next_ones:  # grows as it goes: the nearest owner finds it first
        if id(thing) in found or id(thing) in stop or isinstance(thing, SHARED):
            continue
        found[id(thing)] = thing, owner
        if type(thing).__module__.startswith(("peerwire", "socket")):
            owner = type(thing).__name__
        next_ones += [(each, owner) for each in referents(thing)]
    return found


def size(thing: object) -> int:
    """Returns the bytes of one object; with its attributes, where they are in no dict (3.11)."""
    own = sys.getsizeof(thing)
    inside = gc.get_referents(thing)
    if not type(thing).__dictoffset__ or any(isinstance(each, dict) for each in inside[:2]):
        return own
    return own + 8 * len(inside)


def referents(thing: object) -> list[object]:
    """Returns what something refers to; of a function, what it has taken along."""
    if isinstance(thing, types.FunctionType):
        return list(thing.__closure__ or ())
    return gc.get_referents(thing)


def show_owned(server: peerwire.Server) -> None:
    """Prints whose memory a peer is."""
    total, found = owned(server)
    print(f"{total:8} B  reached from one peer alone, of it")
    for size, count, name in found[:SHOWN]:
        print(f"{size:8} B  {count:3} x {name}")


def show_allocated(peers: int) -> None:
    """Prints which files, and which of their lines, have allocated what there is."""
    snapshot = tracemalloc.take_snapshot()
    for kind in "filename", "lineno":
        found = [each for each in snapshot.statistics(kind) if each.count >= peers / 2]
        for each in found[:SHOWN]:
            where = each.traceback[0]
            name = "/".join(where.filename.split("/")[-2:])
            line = f":{where.lineno}" if kind == "lineno" else ""
            print(f"{each.size / peers:8.0f} B  {each.count / peers:5.1f} x {name}{line}")
        print()


def main() -> None:
    """Reads the command line: a measurement, or the peers of one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=int, default=5000)
    parser.add_argument("--encryption", choices=["off", "prefer", "require"], default="off")
    parser.add_argument("--plain", action="store_true", help="peers without any extension")
    parser.add_argument("--wait", action="store_true", help="a handler that reads no messages")
    parser.add_argument("--visit", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if args.visit is not None:
        port, count = args.visit
        asyncio.run(visit(port, count, policy=args.encryption, plain=args.plain))
        return
    grown = asyncio.run(measure(args, resident, show_owned))
    print(f"{grown:8.0f} B  a peer, as the process has grown with {args.peers} of them\n")
    tracemalloc.start()
    allocated = asyncio.run(
        measure(
            args, lambda: tracemalloc.get_traced_memory()[0], lambda _: show_allocated(args.peers)
        )
    )
    print(f"{allocated:8.0f} B  a peer, as Python has allocated")


if __name__ == "__main__":
    main()
