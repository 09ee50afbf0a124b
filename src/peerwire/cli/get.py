"""Fetches the content of a torrent from peers.

Of a magnet link the metadata is fetched first, from the peers given and those that the link names,
and then the files that the link selects. Every piece is verified before it counts. What is on disk
already and verifies is kept, so a download that was interrupted, however harshly, goes on where it
was.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..encryption import Encryption
from ..swarm.metadata import fetch_metadata
from ..swarm.swarm import Swarm
from ..torrent.disk import Disk
from ..torrent.magnet import Magnet
from ..torrent.metainfo import Metainfo
from ..torrent.selection import select
from ..torrent.storage import Storage
from . import arguments
from .output import human_bytes, human_rate
from .transfer import held_bytes, tell, v2_side, verify, watch

if TYPE_CHECKING:
    from .output import Output

EXAMPLE = "peerwire get debian.torrent --peer 127.0.0.1:6881 -o downloads"

INTERRUPTED = "interrupted; what has come is kept, and the same command goes on from there"

#: Seconds without a verified piece after which it is given up. Who waits for a slot at a busy peer
#: may be the twentieth in a round of half a minute each; and a piece of 4 MiB takes as long at
#: 7 kB/s. Peers that only make promises would be waited for until somebody looks.
TIMEOUT = 600.0

#: Peers dialled of those that a magnet link names: a stranger may have written it.
MAX_NAMED_PEERS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "torrent", metavar="TORRENT|MAGNET", help="a .torrent file, or a magnet link"
    )
    parser.add_argument(
        "--peer",
        metavar="HOST:PORT",
        type=arguments.address,
        action="append",
        default=[],
        help="a peer to fetch from; may be given again, or left out if a magnet link names some",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="the folder to put the content into (default: this one)",
    )
    parser.add_argument(
        "--no-pex",
        dest="pex",
        action="store_false",
        help="fetch from these peers only, and from none that they tell of (BEP 11)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=TIMEOUT,
        help="give up once no piece has come for so long, whatever the peers promise; 0 for never"
        f" (default: {TIMEOUT:g})",
    )
    arguments.add_encryption(parser, Encryption.PREFER)


def _seconds(text: str) -> float | None:
    """Reads a number of seconds; None for 0, which is for ever."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, 600 or 1.5")
    return seconds or None


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    magnet = Magnet.parse(args.torrent) if args.torrent[:7].lower() == "magnet:" else None
    named = () if magnet is None else magnet.peers[:MAX_NAMED_PEERS]
    peers = list(dict.fromkeys([*args.peer, *named]))
    if not peers:
        out.error("there is no peer to fetch from; name one with --peer HOST:PORT")
        return 2
    if magnet is None:
        selection = select(Metainfo.from_file(args.torrent), lambda _: True)
    else:
        metainfo = await _fetch_metainfo(magnet, peers, args, out)
        selection = select(metainfo, magnet.selects)
    metainfo, wanted = selection.metainfo, selection.pieces
    storage = Storage(metainfo, args.output)
    async with Disk(storage) as disk:
        await asyncio.to_thread(storage.prepare)
        have = await verify(disk, out)
        kept, total = held_bytes(metainfo, have & wanted), held_bytes(metainfo, wanted)
        if 0 < kept < total:
            out.note(f"{human_bytes(kept)} of {human_bytes(total)} are here already")
        started = time.perf_counter()
        async with Swarm(
            metainfo,
            disk,
            have,
            wanted=wanted,
            encryption=args.encryption,
            pex=args.pex,
            timeout=args.timeout,
            v2=v2_side(metainfo, out),
            on_event=lambda event: tell(event, out),
        ) as swarm:
            for host, port in peers:
                swarm.dial(host, port)
            with out.progress("fetching") as progress:
                await watch(swarm, progress)
        seconds = time.perf_counter() - started
    _summarize(metainfo, total, total - kept, seconds, args.output, out)
    return 0


async def _fetch_metainfo(
    magnet: Magnet, peers: list[tuple[str, int]], args: argparse.Namespace, out: Output
) -> Metainfo:
    info_hash = magnet.wire_info_hash
    out.note(f"fetching the metadata of {info_hash.hex()}")
    info = await fetch_metadata(
        info_hash,
        peers,
        info_hash_v2=magnet.info_hash_v2,
        encryption=args.encryption,
        within=args.timeout,
    )
    metainfo = Metainfo.from_info(info, magnet.trackers)
    record = {
        "event": "metadata",
        "info_hash": info_hash.hex(),
        "name": metainfo.name,
        "bytes": len(info),
    }
    out.event(record, f"{metainfo.name}, {human_bytes(metainfo.length)}")
    return metainfo


def _summarize(
    metainfo: Metainfo, total: int, fetched: int, seconds: float, folder: Path, out: Output
) -> None:
    record = {
        "event": "complete",
        "info_hash": metainfo.info_hash.hex(),
        "path": str(folder / metainfo.name),
        "bytes": total,
        "fetched": fetched,
        "seconds": round(seconds, 3),
    }
    how = f"{human_bytes(fetched)} in {seconds:.1f} s, {human_rate(fetched, seconds)}"
    out.result(record, f"{record['path']}: verified; {how if fetched else 'it was all here'}")
