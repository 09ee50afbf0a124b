"""Fetching the piece layers of a v2 torrent of which a peer has sent the metadata (BEP 52).

They are in a .torrent, but not in its info dictionary: whoever comes by a magnet link has to ask
for them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..asyncio.client import connect
from ..encryption import Encryption
from ..errors import DownloadFailed, PeerWireError
from ..limits import DEFAULT_LIMITS, Limits
from ..pieces import PieceSet
from .events import NoHandshake, explained, why, written
from .hashes import fetch_piece_layer
from .metadata import LISTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..state import Trace
    from ..torrent.metainfo_v2 import MetainfoV2

__all__ = ["fetch_piece_layers"]


async def fetch_piece_layers(
    meta: MetainfoV2,
    addresses: Iterable[tuple[str, int]],
    *,
    encryption: Encryption | str = Encryption.PREFER,
    limits: Limits = DEFAULT_LIMITS,
    max_peers: int = 10,
    timeout: float = 20.0,
    within: float | None = None,
    trace: Trace | None = None,
    on_failed: Callable[[tuple[str, int], str], None] | None = None,
) -> dict[bytes, bytes]:
    """Fetches the hashes of all pieces, each file's verified against its root (BEP 52).

    Several peers are asked at once, beginning with different files.

    Args:
        meta: The torrent. Of a hybrid, too, only peers that know its v2 info-hash are of use.
        addresses: Host and port of peers, those to be tried first coming first.
        encryption: As `connect` has it.
        limits: The bounds to hold each peer to.
        max_peers: How many are tried at once.
        timeout: Seconds that a peer may take for a connection, and for each answer.
        within: Seconds for all of it; None for as long as peers go on answering.
        trace: Called with (mark, what, now) for everything that happens on any of the wires.
        on_failed: Called with the address of each peer that was of no use, and why.

    Returns:
        The ``piece layers`` of a .torrent: for the root of each file that is longer than a piece,
        32 bytes for each of its pieces.

    Raises:
        DownloadFailed: Some are missing; the message tells why, for each peer.
    """
    fetch = _Fetch(meta, Encryption(encryption), limits, timeout, trace, on_failed)
    try:
        async with asyncio.timeout(within):
            await fetch.run(list(dict.fromkeys(addresses)), max_peers)
    except TimeoutError:
        pass
    if not fetch.complete:
        raise DownloadFailed(
            f"no peer gave the piece layers of {meta.info_hash.hex()}: {fetch.told()}"
        )
    return fetch.layers


class _Fetch:
    """One fetch; its arguments are those of `fetch_piece_layers`."""

    def __init__(
        self,
        meta: MetainfoV2,
        encryption: Encryption,
        limits: Limits,
        timeout: float,
        trace: Trace | None,
        on_failed: Callable[[tuple[str, int], str], None] | None,
    ) -> None:
        self.layers: dict[bytes, bytes] = {}
        self._meta = meta
        self._wanted = {
            file.pieces_root: file.length for file in meta.files if file.length > meta.piece_length
        }
        self._encryption = encryption
        self._limits = limits
        self._timeout = timeout
        self._trace = trace
        self._on_failed = on_failed
        self._reasons: dict[tuple[str, int], str] = {}

    @property
    def complete(self) -> bool:
        """Whether all layers are there."""
        return len(self.layers) == len(self._wanted)

    async def run(self, addresses: list[tuple[str, int]], max_peers: int) -> None:
        """Tries them, so many at once, until all layers are there or no peer is left."""
        waiting = iter(enumerate(addresses))
        count = 0 if self.complete else min(max_peers, len(addresses))
        workers = [asyncio.create_task(self._work(waiting)) for _ in range(count)]
        pending = set(workers)
        try:
            while pending and not self.complete:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for worker in done:
                    worker.result()  # which raises what is a mistake of ours
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def told(self) -> str:
        """Returns why each peer was of no use."""
        told = [f"{written(address)}: {reason}" for address, reason in self._reasons.items()]
        more = f"; and {len(told) - LISTED} more" if len(told) > LISTED else ""
        return "; ".join(told[:LISTED]) + more or "there is none to ask"

    async def _work(self, waiting: Iterator[tuple[int, tuple[str, int]]]) -> None:
        """Asks one peer after the other until all layers are there."""
        for number, address in waiting:
            self._reasons[address] = "it has not given all of them yet"
            try:
                await self._ask(address, number)
                return
            except PeerWireError as error:
                self._reasons[address] = reason = why(error)
                if self._on_failed is not None:
                    self._on_failed(address, reason)

    async def _ask(self, address: tuple[str, int], number: int) -> None:
        """Has a peer give all that is missing.

        Raises:
            PeerWireError: It does not.
        """
        meta = self._meta
        try:
            dialled = await connect(
                *address,
                meta.info_hash,  # no mere offer: libtorrent heeds none behind encryption
                encryption=self._encryption,
                limits=self._limits,
                trace=self._trace,
                timeout=self._timeout,
            )
        except PeerWireError as error:
            told = explained(error, self._encryption)
            if isinstance(told, NoHandshake) and meta.v1 is not None:
                told.means = "perhaps it knows no more than the v1 side of this hybrid"
            raise told from error.__cause__
        async with dialled as peer:
            peer.announce(PieceSet())
            roots = [*self._wanted]
            begin = number % len(roots)
            for root in roots[begin:] + roots[:begin]:
                if root not in self.layers:
                    self.layers[root] = await fetch_piece_layer(
                        peer, root, self._wanted[root], meta.piece_length, timeout=self._timeout
                    )
