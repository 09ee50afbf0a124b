"""Serves the content of a torrent to any number of peers, until interrupted.

The content is verified first. What does not verify is not served. A hybrid is served to peers of v1
and of v2, who are given its hashes, too (BEP 52).
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from ..asyncio.server import serve
from ..encryption import Encryption
from ..errors import PeerWireError, StorageError
from ..pieces import PieceSet
from ..swarm.events import system_says, written
from ..swarm.swarm import Swarm
from ..torrent.disk import Disk
from ..torrent.metainfo import Metainfo
from ..torrent.storage import Storage, locate
from . import arguments
from .output import human_bytes
from .transfer import held_bytes, tell, v2_side, verify

if TYPE_CHECKING:
    import argparse

    from ..asyncio.server import Server
    from .output import Output

EXAMPLE = "peerwire seed debian.torrent --content downloads/debian.iso --port 6881"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("torrent", metavar="TORRENT", help="a .torrent file")
    parser.add_argument(
        "--content",
        metavar="PATH",
        type=Path,
        required=True,
        help="the file or folder that it describes, or the folder that has it",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1; 0.0.0.0 for all)",
    )
    parser.add_argument(
        "--port",
        type=arguments.port,
        default=6881,
        help="the TCP port to listen on, 0 for any (default: 6881)",
    )
    parser.add_argument(
        "--super",
        action="store_true",
        help="for the first seed of a torrent: show each peer one piece at a time, so that each"
        " leaves here about once (BEP 16)",
    )
    arguments.add_encryption(parser, Encryption.PREFER)


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    metainfo = Metainfo.from_file(args.torrent)
    v2 = v2_side(metainfo, out)
    content = locate(metainfo, args.content)
    async with Disk(Storage(metainfo, content.parent, content=content)) as disk:
        have = await verify(disk, out)
        if not have:
            raise StorageError(f"{args.content}: no piece of it is what {args.torrent} describes")
        if not have.complete:
            held, whole = human_bytes(held_bytes(metainfo, have)), human_bytes(metainfo.length)
            if args.super:
                raise StorageError(
                    f"only {held} of {whole} verify: who has not all of it can't super-seed;"
                    " leave --super out, or complete it first"
                )
            out.note(f"only {held} of {whole} verify; the rest is not served")
        nothing = PieceSet(metainfo.num_pieces)  # what differs here is somebody's, and stays
        async with (
            Swarm(
                metainfo,
                disk,
                have,
                wanted=nothing,
                super_seed=args.super,
                v2=v2,
                on_event=lambda event: tell(event, out),
            ) as swarm,
            await _listen(swarm, args.host, args.port, args.encryption) as server,
        ):
            record = {
                "event": "seeding",
                "name": metainfo.name,
                "info_hash": metainfo.info_hash.hex(),
                "info_hash_v2": None if v2 is None else v2.info_hash.hex(),
                "host": args.host,
                "port": server.port,
            }
            stop = _stop_on_signals()
            where = written((args.host, server.port))
            named = ", ".join(filter(None, (record["info_hash"], record["info_hash_v2"])))
            out.result(record, f"seeding {metainfo.name} on {where}, {named}")
            await _wait(stop, server, where)
            out.note("stopping")
    return 0


async def _wait(stop: asyncio.Event, server: Server, where: str) -> None:
    """Waits until it is to stop, or can't go on."""
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(server.serve_forever())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if waiting[1].done():
            await waiting[1]
    except OSError as error:
        raise PeerWireError(f"can't listen on {where} any more: {system_says(error)}") from error
    finally:
        for task in waiting:
            task.cancel()


async def _listen(swarm: Swarm, host: str, port: int, encryption: str) -> Server:
    try:
        return await serve(
            swarm.welcome,
            host,
            port,
            torrents=swarm.torrents,
            peer_id=swarm.peer_id,
            encryption=encryption,
            extensions=swarm.extensions,
        )
    except OSError as error:
        raise PeerWireError(
            f"can't listen on {written((host, port))}: {system_says(error)}"
        ) from error


def _stop_on_signals() -> asyncio.Event:
    """Returns what is set by Ctrl-C or a request to terminate: the way this verb ends."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
