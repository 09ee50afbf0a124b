"""Moves a file of random bytes between a seeder and a downloader on this machine.

Both are peerwire, in one process, over TCP on loopback. Every piece is verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ..asyncio.server import serve
from ..encryption import Encryption
from ..limits import BLOCK_LENGTH
from ..pieces import PieceSet
from ..swarm.events import PeerLeft
from ..swarm.swarm import Swarm
from ..torrent.disk import Disk
from ..torrent.storage import Storage
from . import arguments
from .output import human_bytes, human_rate
from .transfer import hash_content, watch

if TYPE_CHECKING:
    import argparse

    from ..swarm.events import SwarmEvent
    from ..torrent.metainfo import Metainfo
    from .output import Output

EXAMPLE = "peerwire demo --size 256MiB"

#: What was encrypted, by what the connection spoke.
_ENCRYPTED = {"off": "nothing", "plaintext": "the handshake", "rc4": "all of it, with RC4"}

LOOPBACK = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "--size",
        type=arguments.size,
        default="64MiB",
        help="how much to move (default: 64MiB)",
    )
    arguments.add_encryption(parser, Encryption.OFF)


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    with tempfile.TemporaryDirectory(prefix="peerwire-demo-") as folder:
        content = Path(folder, "seed", "demo.bin")
        content.parent.mkdir()
        await asyncio.to_thread(_write_random, content, args.size)
        metainfo = await hash_content(content, out)
        return await _move(metainfo, content.parent, Path(folder, "get"), args.encryption, out)


async def _move(
    metainfo: Metainfo, source: Path, target: Path, encryption: str, out: Output
) -> int:
    messages: Counter[str] = Counter()
    spoken = set()

    def count(event: SwarmEvent) -> None:
        if isinstance(event, PeerLeft):
            spoken.add(event.peer.encryption)
            messages.update(event.peer.wire.messages_received)
            messages.update(event.peer.wire.messages_sent)

    everything = PieceSet.full(metainfo.num_pieces)
    async with contextlib.AsyncExitStack() as stack:
        source_disk = await stack.enter_async_context(Disk(Storage(metainfo, source)))
        target_disk = await stack.enter_async_context(Disk(Storage(metainfo, target)))
        seed = await stack.enter_async_context(Swarm(metainfo, source_disk, everything))
        server = await stack.enter_async_context(
            serve(
                seed.welcome,
                LOOPBACK,
                0,
                torrents={metainfo.info_hash: metainfo.num_pieces},
                encryption=encryption,
            )
        )
        have = PieceSet(metainfo.num_pieces)
        started = time.perf_counter()
        async with Swarm(
            metainfo, target_disk, have, encryption=encryption, on_event=count
        ) as leech:
            leech.dial(LOOPBACK, server.port)
            with out.progress("moving") as progress:
                await watch(leech, progress)
        seconds = time.perf_counter() - started
    _summarize(metainfo, seconds, messages, "/".join(sorted(spoken)), out)
    return 0


def _summarize(
    metainfo: Metainfo, seconds: float, messages: Counter[str], encryption: str, out: Output
) -> None:
    length = metainfo.length
    record = {
        "bytes": length,
        "pieces": metainfo.num_pieces,
        "blocks": -(-length // BLOCK_LENGTH),
        "seconds": round(seconds, 3),
        "bytes_per_second": round(length / seconds),
        "encryption": encryption,
        "messages": dict(messages.most_common()),
    }
    counted = ", ".join(f"{count} {name}" for name, count in messages.most_common())
    text = (
        f"moved     {human_bytes(length)} ({length} bytes), every piece verified\n"
        f"pieces    {record['pieces']}, in {record['blocks']} blocks\n"
        f"time      {seconds:.2f} s, {human_rate(length, seconds)}\n"
        f"messages  {counted}\n"
        f"encrypted {_ENCRYPTED[encryption]}"
    )
    out.result(record, text)


def _write_random(path: Path, size: int) -> None:
    chunk = 1024 * 1024
    with path.open("wb") as file:
        for begin in range(0, size, chunk):
            file.write(random.randbytes(min(chunk, size - begin)))
