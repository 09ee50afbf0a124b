"""Handshakes a second, and how long a burst of them keeps the event loop from everything else.

    python bench/handshakes.py [--burst 300] [--total 1000] [--runs 5]

A server in this process, its clients in another, TCP on loopback. `rate` has 20 handshakes under
way at a time. In the `burst`, all connections are open and all keys made before; then every client
says its first words at once. The stall is the longest wait of a task that asks for a turn each
millisecond. Medians of all runs; the kinds take turns, so that a busy machine is so for all.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

import peerwire
from peerwire.encryption import EncryptedWire

INFO_HASH = bytes(range(20))
HOST = "127.0.0.1"
UNDER_WAY = 20

#: What is spoken to the policy that makes two peers speak it.
KINDS = {"plain": "off", "MSE plaintext": "prefer", "MSE RC4": "require"}


async def rate(port: int, policy: str, total: int) -> float:
    """Returns handshakes a second, on a busy client."""
    slots = asyncio.Semaphore(UNDER_WAY)

    async def one() -> None:
        async with slots, peerwire.connect(HOST, port, INFO_HASH, encryption=policy):
            pass

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(total)))
    return total / (time.perf_counter() - started)


async def burst(port: int, policy: str, count: int) -> float:
    """Returns the seconds that so many handshakes take which begin at once."""

    async def answered(
        layer: EncryptedWire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while layer.wire.peer_handshake is None:
            layer.receive_data(await reader.read(4096), 0.0)
            writer.write(layer.data_to_send())

    wires = [
        EncryptedWire(peerwire.Wire("initiator", INFO_HASH), peerwire.Encryption(policy))
        for _ in range(count)
    ]
    first = [layer.data_to_send() for layer in wires]
    streams = [await asyncio.open_connection(HOST, port) for _ in range(count)]
    await asyncio.sleep(0.2)  # the server has accepted the last of them, too
    print("begin", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    started = time.perf_counter()
    for data, (_, writer) in zip(first, streams, strict=True):
        writer.write(data)
    async with asyncio.timeout(30):
        await asyncio.gather(
            *(answered(layer, *stream) for layer, stream in zip(wires, streams, strict=True))
        )
    seconds = time.perf_counter() - started
    for _, writer in streams:
        writer.close()
    return seconds


async def longest_wait(stop: asyncio.Event) -> float:
    """Returns how much later than asked for its turns came, at worst."""
    longest, loop = 0.0, asyncio.get_running_loop()
    while not stop.is_set():
        asked = loop.time()
        await asyncio.sleep(0.001)
        longest = max(longest, loop.time() - asked - 0.001)
    return longest


async def measure(what: str, policy: str, count: int) -> tuple[float, float]:
    """Runs one client against a server here; returns its figure, and the stall of this loop."""

    async def handle(peer: peerwire.Peer) -> None:
        await peer.wait_closed()

    async with peerwire.serve(
        handle, HOST, 0, torrents={INFO_HASH: 1000}, encryption=policy
    ) as server:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--client", what),
            *(str(server.port), policy, str(count)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        if what == "burst":
            await client.stdout.readline()
        stop = asyncio.Event()
        ticker = asyncio.create_task(longest_wait(stop))
        client.stdin.write(b"begin\n")
        figure = float(await client.stdout.readline())
        stop.set()
        stall = await ticker
        client.stdin.close()
        await client.wait()
        return figure, stall


async def table(count: int, total: int, runs: int) -> None:
    """Measures everything and prints it."""
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    bursts: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(runs):
        for kind, policy in KINDS.items():
            rates[kind].append((await measure("rate", policy, total))[0])
            bursts[kind].append(await measure("burst", policy, count))
    print(f"{'':14}  handshakes/s  {f'{count} at once':>12}  longest stall  (worst of {runs})")
    for kind in KINDS:
        seconds, stalls = zip(*bursts[kind], strict=True)
        print(
            f"{kind:14}  {statistics.median(rates[kind]):12.0f}"
            f"  {statistics.median(seconds) * 1000:9.0f} ms"
            f"  {statistics.median(stalls) * 1000:10.1f} ms"
            f"  {max(stalls) * 1000:9.1f} ms"
        )


def main() -> None:
    """Reads the command line: a whole table, or one client for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--burst", type=int, default=300, help="handshakes that come in at once")
    parser.add_argument("--total", type=int, default=1000, help="handshakes to count a second in")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--client", nargs=4, metavar=("WHAT", "PORT", "POLICY", "COUNT"), help=argparse.SUPPRESS
    )
    args = parser.parse_args()
    if args.client is None:
        asyncio.run(table(args.burst, args.total, args.runs))
        return
    what, port, policy, count = args.client
    client = {"rate": rate, "burst": burst}[what]
    print(asyncio.run(client(int(port), policy, int(count))), flush=True)


if __name__ == "__main__":
    main()
