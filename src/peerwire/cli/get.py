"""Fetches the content of a torrent from peers.

Every piece is verified before it counts. What is on disk already and verifies is kept, so a
download that was interrupted, however harshly, goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MetainfoError
from ..swarm.swarm import Swarm
from ..torrent.disk import Disk
from ..torrent.metainfo import Metainfo
from ..torrent.storage import Storage
from . import arguments
from .output import human_bytes, human_rate
from .transfer import held_bytes, tell, verify, watch

if TYPE_CHECKING:
    import argparse

    from .output import Output

EXAMPLE = "peerwire get debian.torrent --peer 127.0.0.1:6881 -o downloads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("torrent", metavar="TORRENT", help="a .torrent file")
    parser.add_argument(
        "--peer",
        metavar="HOST:PORT",
        type=arguments.address,
        action="append",
        required=True,
        help="a peer to fetch from; may be given again",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="the folder to put the content into (default: this one)",
    )


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    if args.torrent.startswith("magnet:"):
        raise MetainfoError("magnet links are not supported yet; give a .torrent file")
    metainfo = Metainfo.from_file(args.torrent)
    storage = Storage(metainfo, args.output)
    async with Disk(storage) as disk:
        await asyncio.to_thread(storage.prepare)
        have = await verify(disk, out)
        kept = held_bytes(metainfo, have)
        if kept and not have.complete:
            out.note(f"{human_bytes(kept)} of {human_bytes(metainfo.length)} are here already")
        started = time.perf_counter()
        async with Swarm(metainfo, disk, have, on_event=lambda event: tell(event, out)) as swarm:
            for host, port in dict.fromkeys(args.peer):
                swarm.dial(host, port)
            with out.progress("fetching") as progress:
                await watch(swarm, progress)
        seconds = time.perf_counter() - started
    _summarize(metainfo, kept, seconds, args.output, out)
    return 0


def _summarize(metainfo: Metainfo, kept: int, seconds: float, folder: Path, out: Output) -> None:
    fetched = metainfo.length - kept
    record = {
        "event": "complete",
        "info_hash": metainfo.info_hash.hex(),
        "path": str(folder / metainfo.name),
        "bytes": metainfo.length,
        "fetched": fetched,
        "seconds": round(seconds, 3),
    }
    how = f"{human_bytes(fetched)} in {seconds:.1f} s, {human_rate(fetched, seconds)}"
    out.result(record, f"{record['path']}: verified; {how if fetched else 'it was all here'}")
