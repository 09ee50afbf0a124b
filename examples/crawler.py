"""A crawler: shakes hands with a list of peers, a bounded number at a time, and says who they are.

    python examples/crawler.py INFOHASH HOST:PORT...

Without arguments it makes up twenty peers on this machine, and one address where nobody is.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterable

import peerwire

AT_ONCE = 8

Address = tuple[str, int]


async def meet(address: Address, info_hash: bytes) -> str:
    """Shakes hands with a peer, and returns what it tells of itself."""
    async with peerwire.connect(*address, info_hash, timeout=10) as peer:
        with contextlib.suppress(TimeoutError):  # who has nothing need not say so
            await peer.wait_until(lambda: peer.peer_pieces != set(), timeout=2)
        return f"{peer.client}, {peer.encryption}, {peer.peer_pieces!r}"


async def crawl(addresses: Iterable[Address], info_hash: bytes) -> dict[Address, str]:
    """Meets all of them, and returns what was found at each address."""
    found: dict[Address, str] = {}
    waiting = iter(addresses)

    async def work() -> None:
        for address in waiting:  # shared by all workers: each takes the next that is left
            try:
                found[address] = await meet(address, info_hash)
            except peerwire.PeerWireError as error:
                found[address] = f"nobody: {error}"
            print(f"{address[0]}:{address[1]}: {found[address]}")

    async with asyncio.TaskGroup() as workers:
        for _ in range(AT_ONCE):
            workers.create_task(work())
    return found


async def a_peer(peer: peerwire.Peer) -> None:
    """One that was made up, to be met: says what it has, and stays until the other goes."""
    peer.announce(peerwire.PieceSet(4, [0, 2]))
    await peer.wait_closed()


async def made_up() -> None:
    info_hash = bytes(20)
    async with contextlib.AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(peerwire.serve(a_peer, "127.0.0.1", 0))
            for _ in range(21)
        ]
        addresses = [("127.0.0.1", server.port) for server in servers]
        await servers[-1].close()
        found = await crawl(addresses, info_hash)
    met = [said for said in found.values() if not said.startswith("nobody")]
    print(f"met {len(met)} of {len(addresses)} peers")


def address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(crawl(map(address, sys.argv[2:]), bytes.fromhex(sys.argv[1])))
    else:
        asyncio.run(made_up())
