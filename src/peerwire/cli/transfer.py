"""What `demo`, `get` and `seed` do alike: open a torrent's content, watch it come, tell events."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from ..errors import MetainfoError
from ..swarm.events import (
    DialFailed,
    DiskFailed,
    PeerBanned,
    PeerJoined,
    PeerLeft,
    PieceCorrupt,
    why,
    written,
)
from ..torrent.create import create
from .output import human_bytes
from .subject import Subject

if TYPE_CHECKING:
    from pathlib import Path

    from ..asyncio.peer import Peer
    from ..pieces import PieceSet
    from ..swarm.events import SwarmEvent
    from ..swarm.swarm import Swarm
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo
    from ..torrent.metainfo_v2 import MetainfoV2
    from .output import Output, Progress

__all__ = ["hash_content", "held_bytes", "tell", "v2_side", "verify", "watch"]

#: Seconds between updates of a progress bar.
REFRESH = 0.1


def held_bytes(metainfo: Metainfo, have: PieceSet) -> int:
    """Returns how many bytes the pieces of `have` are."""
    last = metainfo.num_pieces - 1
    short = metainfo.piece_length - metainfo.piece_size(last) if last in have else 0
    return len(have) * metainfo.piece_length - short


async def hash_content(path: Path, out: Output, **options: Any) -> Metainfo:
    """Returns a torrent of the content at a path; arguments and errors are those of `create`."""
    given_up = threading.Event()
    with out.progress("hashing") as progress:

        def report(done: int, total: int) -> None:
            if given_up.is_set():  # else Ctrl-C would wait for the thread, which may take an hour
                raise asyncio.CancelledError
            progress.update(done, total)

        try:
            return await asyncio.to_thread(create, path, progress=report, **options)
        finally:
            given_up.set()


def v2_side(metainfo: Metainfo, out: Output) -> MetainfoV2 | None:
    """Returns the v2 side of a hybrid, if it is whole and right: v1 goes without."""
    try:
        return Subject.of_torrent(metainfo.to_bytes()).metainfo_v2
    except MetainfoError as error:
        out.note(f"its v2 side is left out: {error}")
        return None


async def verify(disk: Disk, out: Output) -> PieceSet:
    """Returns the pieces that are on disk and whose hash is right."""
    with out.progress("verifying") as progress:
        return await disk.verify(progress.update)


async def watch(swarm: Swarm, progress: Progress) -> None:
    """Shows the progress of a download until it is complete.

    Raises:
        DownloadFailed: No peer is left to have the rest from.
        StorageError: The disk does not do what it should.
    """
    metainfo, wanted = swarm.metainfo, swarm.wanted
    total = held_bytes(metainfo, wanted)
    complete = asyncio.ensure_future(swarm.wait_complete())
    try:
        while not complete.done():
            progress.update(held_bytes(metainfo, swarm.have & wanted), total, _who(swarm))
            await asyncio.wait([complete], timeout=REFRESH)
    finally:
        complete.cancel()
    await complete
    progress.update(total, total)


def _who(swarm: Swarm) -> str:
    peers = len(swarm.peers)
    if peers and all(peer.peer_choking for peer in swarm.peers):
        return f"{peers} peer{'s' * (peers != 1)}, waiting to be unchoked"
    return f"{peers} peer{'s' * (peers != 1)}"


def tell(event: SwarmEvent, out: Output) -> None:
    """Tells an event of a swarm, as a line for people or an object for scripts."""
    text = str(event)
    match event:
        case PeerJoined(peer, dialled):
            record: dict[str, object] = {
                "event": "peer joined",
                "address": written(peer.address),
                "client": peer.client,
                "dialled": dialled,
                "encryption": peer.encryption,
            }
        case PeerLeft(peer, closed):
            text += _moved(peer)
            record = {
                "event": "peer left",
                "address": written(peer.address),
                "client": peer.client,
                "by": closed.by,
                "reason": closed.reason,
                "uploaded": peer.uploaded,
                "downloaded": peer.downloaded,
            }
        case DialFailed(address, error, failures, gives_up):
            if failures > 1 and not gives_up and not out.json:
                return  # people were told once that it is tried again
            record = {
                "event": "dial failed",
                "address": written(address),
                "error": why(error),
                "failures": failures,
                "gives_up": gives_up,
            }
        case PieceCorrupt(index, peers, guilty):
            record = {
                "event": "piece corrupt",
                "index": index,
                "peers": [written(peer.address) for peer in peers],
                "guilty": None if guilty is None else written(guilty.address),
            }
        case PeerBanned(address, reason):
            record = {"event": "peer banned", "address": written(address), "reason": reason}
        case DiskFailed(index, error):
            record = {"event": "disk failed", "index": index, "error": str(error)}
        case _:
            return  # PieceVerified: the progress shows it
    out.event(record, text)


def _moved(peer: Peer) -> str:
    """What went over a connection, for the end of the line that tells that it is gone."""
    sent = f"; sent {human_bytes(peer.uploaded)}" if peer.uploaded else ""
    return sent + (f"; received {human_bytes(peer.downloaded)}" if peer.downloaded else "")
