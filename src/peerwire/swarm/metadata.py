"""Fetching the metadata of a torrent of which only the info-hash is known (BEP 9)."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from ..asyncio.client import connect
from ..encryption import Encryption
from ..errors import DownloadFailed, PeerWireError
from ..extensions.ut_metadata import MetadataPiece, MetadataReject, UtMetadata
from ..handshake import generate_peer_id, parse_hash20
from ..limits import DEFAULT_LIMITS, Limits
from ..metadata import Metadata, Verdict
from ..pieces import PieceSet
from .events import explained, why, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..asyncio.peer import Peer
    from ..state import Trace

__all__ = ["fetch_metadata"]

#: Pieces asked of a peer at once: 64 KiB. libtorrent asks for two, Transmission queues 64.
PIPELINE = 4

#: Reasons told of a fetch that failed; there may be thousands of addresses.
LISTED = 20


class _Useless(PeerWireError):
    """Why a peer does not help."""


async def fetch_metadata(
    info_hash: bytes | str,
    addresses: Iterable[tuple[str, int]],
    *,
    info_hash_v2: bytes | None = None,
    peer_id: bytes | None = None,
    encryption: Encryption | str = Encryption.PREFER,
    limits: Limits = DEFAULT_LIMITS,
    max_peers: int = 10,
    timeout: float = 20.0,
    within: float | None = None,
    trace: Trace | None = None,
    on_failed: Callable[[tuple[str, int], str], None] | None = None,
) -> bytes:
    """Fetches the info dictionary of a torrent from peers, and verifies it (BEP 9).

    Several peers are tried at once and share the work; whoever is of no use makes room for the
    next.

    Args:
        info_hash: The torrent, as 20 bytes or 40 hex digits: `Magnet.wire_info_hash`.
        addresses: Host and port of peers, those to be tried first coming first.
        info_hash_v2: Its v2 info-hash, 32 bytes, where that is known: it is verified, too (BEP 52).
        peer_id: Our peer id; made up when left out.
        encryption: As `connect` has it.
        limits: The bounds to hold each peer to, `Limits.max_metadata` among them.
        max_peers: How many are tried at once; while these get nowhere, one more each `timeout`.
        timeout: Seconds that a peer may take for a connection, and for each answer.
        within: Seconds for all of it; None for as long as peers go on answering, which may be an
            hour if they do so as slowly as they may.
        trace: Called with (mark, what, now) for everything that happens on any of the wires.
        on_failed: Called with the address of each peer that was of no use, and why.

    Returns:
        The info dictionary's bytes, for `Metainfo.from_info`.

    Raises:
        DownloadFailed: No peer has given it; the message tells why not, for each.
        LocalProtocolError: An info-hash is not one.
    """
    info_hash = parse_hash20(info_hash)
    policy = Encryption(encryption)
    dial = functools.partial(
        connect,
        info_hash=info_hash,
        peer_id=generate_peer_id() if peer_id is None else peer_id,
        encryption=policy,
        extensions=[functools.partial(UtMetadata, limits=limits)],
        limits=limits,
        trace=trace,
        timeout=timeout,
    )
    v2 = [] if info_hash_v2 is None else [info_hash_v2]
    fetch = _Fetch(Metadata(info_hash, *v2), dial, policy, timeout, on_failed)
    failed = f"no peer gave the metadata of {info_hash.hex()}"
    try:
        async with asyncio.timeout(within):
            metadata = await fetch.run(list(dict.fromkeys(addresses)), max_peers)
    except TimeoutError:
        raise DownloadFailed(f"{failed} within {within:g} s: {fetch.told()}") from None
    if metadata is None:
        raise DownloadFailed(f"{failed}: {fetch.told() or 'there is none to ask'}")
    return metadata


class _Fetch:
    """One fetch.

    Args:
        metadata: What is fetched.
        dial: Connects to a host and port.
        encryption: How it does.
        timeout: Seconds that a peer may take for each answer.
        on_failed: Told of each peer that is of no use, and why.
    """

    def __init__(
        self,
        metadata: Metadata[Peer],
        dial: Callable[[str, int], connect],
        encryption: Encryption,
        timeout: float,
        on_failed: Callable[[tuple[str, int], str], None] | None,
    ) -> None:
        self._metadata = metadata
        self._dial = dial
        self._encryption = encryption
        self._timeout = timeout
        self._on_failed = on_failed
        self._peers: set[Peer] = set()  # those that take part
        self._reasons: dict[tuple[str, int], str] = {}

    async def run(self, addresses: list[tuple[str, int]], max_peers: int) -> bytes | None:
        """Tries them all, so many at once, until one has given the last piece.

        When none of those has got anywhere for a while, one more is tried: they may be dawdling
        only to keep us from others.
        """
        waiting = iter(addresses)
        first = min(max_peers, len(addresses))
        workers = {asyncio.create_task(self._work(waiting)) for _ in range(first)}
        pending = workers.copy()
        try:
            while pending and self._metadata.verified is None:
                done, pending = await asyncio.wait(
                    pending, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED
                )
                for worker in done:
                    worker.result()  # which raises what is a mistake of ours
                if not done and len(workers) < len(addresses):
                    pending.add(asyncio.create_task(self._work(waiting)))
                    workers |= pending
            return self._metadata.verified
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def told(self) -> str:
        """Returns why each peer was of no use."""
        told = [f"{written(address)}: {reason}" for address, reason in self._reasons.items()]
        more = f"; and {len(told) - LISTED} more" if len(told) > LISTED else ""
        return "; ".join(told[:LISTED]) + more

    async def _work(self, waiting: Iterator[tuple[str, int]]) -> None:
        """Tries one address after the other until the metadata is there."""
        for address in waiting:
            self._reasons[address] = "it has not given all of it yet"
            try:
                await self._try(*address)
                return
            except PeerWireError as error:
                self._reasons[address] = reason = why(error)
                if self._on_failed is not None:
                    self._on_failed(address, reason)

    async def _try(self, host: str, port: int) -> None:
        """Fetches from one peer until the metadata is there.

        Raises:
            PeerWireError: The peer does not help, or not any more.
        """
        try:
            dialled = await self._dial(host, port)
        except PeerWireError as error:
            raise explained(error, self._encryption) from error.__cause__
        async with dialled as peer:
            try:
                async with asyncio.timeout(self._timeout) as deadline:
                    peer.announce(PieceSet())  # BEP 6: it is told first, even if it is nothing
                    await self._take_part(peer, await _agree(peer), deadline)
            except TimeoutError:
                reason = f"no answer within {self._timeout:g} s"
                await peer.close(reason)
                raise _Useless(reason) from None
            except PeerWireError as error:
                await peer.close(str(error))
                raise

    async def _take_part(
        self, peer: Peer, extension: UtMetadata, deadline: asyncio.Timeout
    ) -> None:
        assert extension.size is not None, "it was agreed on"
        self._peers.add(peer)
        self._metadata.add(peer, extension.size)
        try:
            self._ask(peer)
            async for message in peer:
                if isinstance(message, MetadataReject):
                    raise _Useless(f"it rejected the request for metadata piece {message.piece}")
                if isinstance(message, MetadataPiece):
                    deadline.reschedule(asyncio.get_running_loop().time() + self._timeout)
                    if self._is_last(peer, message):
                        return
        finally:
            self._peers.remove(peer)
            self._metadata.remove(peer)
        assert peer.closed is not None, "the iteration has ended"
        raise peer.closed.again()

    def _is_last(self, peer: Peer, message: MetadataPiece) -> bool:
        """Takes a piece in, asks for more, and tells whether it was the last."""
        match self._metadata.received(peer, message.piece, message.data):
            case Verdict.VERIFIED:
                return True
            case Verdict.LIAR:
                raise _Useless("the metadata it sent has the wrong hash")
            case Verdict.CORRUPT:
                for other in self._peers:
                    self._ask(other)
            case _:
                self._ask(peer)
        return False

    def _ask(self, peer: Peer) -> None:
        extension = peer.extension(UtMetadata)
        if peer.closed is not None or not extension.supported:
            return  # its own task learns of it
        for piece in self._metadata.pick(peer, PIPELINE):
            extension.request(piece)


async def _agree(peer: Peer) -> UtMetadata:
    """Returns what to ask a peer with, once it has told that it has the metadata.

    Raises:
        PeerWireError: It has not.
    """
    if not peer.wire.extended:
        raise _Useless("it does not speak the extension protocol (BEP 10)")
    await peer.wait_until(lambda: peer.extended_handshake is not None)
    extension = peer.extension(UtMetadata)
    if not extension.supported:
        raise _Useless("it does not speak ut_metadata (BEP 9)")
    if extension.size is None:
        raise _Useless("it has no metadata: it announces no metadata_size (BEP 9)")
    return extension
