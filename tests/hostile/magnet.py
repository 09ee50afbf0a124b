"""A case on loopback whose peer is asked for metadata first, and one that behaves after it."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from peerwire import Peer, serve
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.swarm.metadata import fetch_metadata

from .case import Case, Seen
from .neighbour import NEIGHBOUR_ID
from .stranger import Stranger, listen
from .torrent import INFO_HASH, NUM_PIECES, OUR_ID, TORRENT
from .watch import HOST, Record

if TYPE_CHECKING:
    import contextlib

    from ..swarm.conftest import Clock

__all__ = ["Magnet"]


class Magnet:
    """Our side as who has but an info-hash, and two addresses: the hostile one, then a good one."""

    def __init__(self, case: Case, stack: contextlib.AsyncExitStack, clock: Clock) -> None:
        self.case = case
        self.record = Record()
        self._stack = stack
        self._clock = clock

    async def play(self) -> tuple[Seen, bytes]:
        """Plays the case; returns what came of it, and the metadata that was fetched."""
        stranger = Stranger()
        listener = await listen(stranger)
        port = int(listener.sockets[0].getsockname()[1])
        good = await self._stack.enter_async_context(
            serve(
                Peer.wait_closed,
                HOST,
                0,
                torrents={INFO_HASH: NUM_PIECES},
                peer_id=NEIGHBOUR_ID,
                extensions=[functools.partial(UtMetadata, TORRENT.meta.info)],
            )
        )
        fetching = asyncio.create_task(
            fetch_metadata(
                INFO_HASH,
                [(HOST, port), (HOST, good.port)],
                peer_id=OUR_ID,
                encryption=self.case.scene.encryption,
                limits=self.case.scene.limits,
                max_peers=1,  # one after the other: the hostile one is what is waited for
                trace=self.record.trace,
            )
        )
        await stranger.connected
        listener.close()
        self._stack.callback(stranger.close)
        await stranger.play(self.case.script, advance=self._clock.advance, meanwhile=_nothing)
        metadata = await fetching
        return Seen(bytes(stranger.heard), self.record.notes, self.record.ends[0], None), metadata


async def _nothing() -> None:
    """Nobody is beside it."""
