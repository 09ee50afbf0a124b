"""How long a burst of handshakes keeps an event loop from everything else.

All connections are open and all keys made before; then every client says its first words at once.
The stall is the longest wait of a task on the server's loop that asks for a turn each millisecond.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import peerwire
from peerwire.cli.measuring.bare import HOST
from peerwire.cli.measuring.child import Child, say
from peerwire.cli.measuring.contest import Contest, Figures, Row
from peerwire.cli.measuring.contests import HANDSHAKES
from peerwire.cli.measuring.ours import INFO_HASH, TORRENTS
from peerwire.encryption import EncryptedWire

if TYPE_CHECKING:
    from peerwire.cli.measuring.contests import Sizes

__all__ = ["bursts"]

#: Seconds between the last connection and the first words: the server has accepted it, too.
SETTLE = 0.2

#: Handshakes that begin at once.
COUNT = 300


def bursts(_sizes: Sizes) -> Contest:
    """What a burst of handshakes does to a loop, encrypted ones beside plain ones."""
    plain, *encrypted = HANDSHAKES
    rows = [
        Row(f"{COUNT} handshakes at once, {kind}: {what}", figure, kind, (plain,))
        for kind in encrypted
        for what, figure in (("until the last", "time"), ("longest stall", "stall"))
    ]
    return Contest(
        "bursts", {kind: partial(_run, policy) for kind, policy in HANDSHAKES.items()}, rows
    )


def _run(policy: str) -> Figures:
    with (
        Child(_program("serve", policy, 0)) as server,
        Child(_program("dial", policy, server.read()["port"])) as client,
    ):
        client.read()
        server.tell()
        server.read()
        client.tell()
        seconds = client.read()["seconds"]
        server.tell()
        return {"time": seconds, "stall": server.read()["stall"]}


def _program(name: str, policy: str, port: int) -> list[str]:
    options = json.dumps({"policy": policy, "port": port})
    return [sys.executable, "-m", "bench.bursts", name, options]


async def _until_told() -> None:
    await asyncio.to_thread(sys.stdin.readline)


async def _serve(policy: str, port: int) -> None:
    async def handle(peer: peerwire.Peer) -> None:
        await peer.wait_closed()

    server = await peerwire.serve(handle, HOST, port, torrents=TORRENTS, encryption=policy)
    async with server:
        say(port=server.port)
        await _until_told()
        stop = asyncio.Event()
        longest = asyncio.create_task(_longest_wait(stop))
        say(watching=True)
        await _until_told()
        stop.set()
        say(stall=await longest)


async def _longest_wait(stop: asyncio.Event) -> float:
    """Returns how much later than asked for its turns came, at worst."""
    longest, loop = 0.0, asyncio.get_running_loop()
    while not stop.is_set():
        asked = loop.time()
        await asyncio.sleep(0.001)
        longest = max(longest, loop.time() - asked - 0.001)
    return longest


async def _dial(policy: str, port: int) -> None:
    layers = [
        EncryptedWire(peerwire.Wire("initiator", INFO_HASH), peerwire.Encryption(policy))
        for _ in range(COUNT)
    ]
    first = [layer.data_to_send() for layer in layers]
    streams = [await asyncio.open_connection(HOST, port) for _ in range(COUNT)]
    await asyncio.sleep(SETTLE)
    say(ready=True)
    await _until_told()
    started = time.perf_counter()
    for data, (_, writer) in zip(first, streams, strict=True):
        writer.write(data)
    async with asyncio.timeout(30):
        await asyncio.gather(*map(_shake, layers, streams))
    say(seconds=time.perf_counter() - started)
    for _, writer in streams:
        writer.close()


async def _shake(
    layer: EncryptedWire, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    reader, writer = stream
    while layer.wire.peer_handshake is None:
        layer.receive_data(await reader.read(4096), 0.0)
        writer.write(layer.data_to_send())


if __name__ == "__main__":
    program = {"serve": _serve, "dial": _dial}[sys.argv[1]]
    asyncio.run(program(**json.loads(sys.argv[2])))
