"""What `demo`, `get` and `seed` do alike: open a torrent's content, watch it come, tell events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..swarm.events import (
    DialFailed,
    DiskFailed,
    PeerJoined,
    PeerLeft,
    PieceCorrupt,
    PieceVerified,
    written,
)

if TYPE_CHECKING:
    from ..pieces import PieceSet
    from ..swarm.events import SwarmEvent
    from ..swarm.swarm import Swarm
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo
    from .output import Output, Progress

__all__ = ["held_bytes", "tell", "verify", "watch"]

#: Seconds between updates of a progress bar.
REFRESH = 0.1


def held_bytes(metainfo: Metainfo, have: PieceSet) -> int:
    """Returns how many bytes the pieces of `have` are."""
    return sum(map(metainfo.piece_size, have))


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
    complete = asyncio.ensure_future(swarm.wait_complete())
    try:
        while not complete.done():
            peers = len(swarm.peers)
            note = f"{peers} peer" + "s" * (peers != 1)
            progress.update(held_bytes(swarm.metainfo, swarm.have), swarm.metainfo.length, note)
            await asyncio.wait([complete], timeout=REFRESH)
    finally:
        complete.cancel()
    await complete
    progress.update(swarm.metainfo.length, swarm.metainfo.length)


def tell(event: SwarmEvent, out: Output) -> None:
    """Tells an event of a swarm, as a line for people or an object for scripts."""
    match event:
        case PeerJoined(peer, dialled):
            record: dict[str, object] = {
                "event": "peer joined",
                "address": written(peer.address),
                "client": peer.client,
                "dialled": dialled,
            }
        case PeerLeft(peer, closed):
            record = {
                "event": "peer left",
                "address": written(peer.address),
                "client": peer.client,
                "by": closed.by,
                "reason": closed.reason,
                "uploaded": peer.uploaded,
                "downloaded": peer.downloaded,
            }
        case DialFailed(address, error, gives_up):
            record = {
                "event": "dial failed",
                "address": written(address),
                "error": str(error),
                "gives_up": gives_up,
            }
        case PieceCorrupt(index, peers, guilty):
            record = {
                "event": "piece corrupt",
                "index": index,
                "peers": [written(peer.address) for peer in peers],
                "guilty": None if guilty is None else written(guilty.address),
            }
        case DiskFailed(index, error):
            record = {"event": "disk failed", "index": index, "error": str(error)}
        case PieceVerified():
            return  # the progress shows it
    out.event(record, str(event))
