"""One peer of a swarm: what it says, and what is done about it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..errors import ConnectionClosed
from ..messages import (
    AllowedFast,
    Bitfield,
    Choke,
    HashRequest,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    Piece,
    Request,
    Unchoke,
)
from ..requests import RequestEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..asyncio.inbox import Received
    from ..asyncio.peer import Peer
    from ..pieces import PieceSet
    from .download import Download
    from .upload import Upload

__all__ = ["NOTHING_LEFT", "exchange"]

#: Messages of one peer after which all others have their turn. Thousands may wait in one read, a
#: HAVE ALL among them is 5 bytes and costs us a look at every piece. Of blocks it is a megabyte.
TURN = 64

#: Why a connection ends that was of use.
NOTHING_LEFT = "nothing is left to exchange"


async def exchange(
    peer: Peer,
    *,
    have: PieceSet,
    download: Download,
    upload: Upload,
    rechoke: Callable[[], None],
    heard: Callable[[Received], None] = lambda message: None,
) -> None:
    """Exchanges pieces with a peer, both ways, until the connection ends.

    Args:
        peer: The peer, to whom nothing was said yet.
        have: The pieces we have now, as far as the peer is to know.
        download: Where its blocks go.
        upload: What answers its requests.
        rechoke: Called when the peer's interest has changed.
        heard: Called with each message but blocks, once it has been acted on.

    Raises:
        ConnectionClosed: The connection failed, or the peer broke a rule.
    """
    peer.announce(have)
    download.add(peer)
    uploading = asyncio.create_task(_serve(peer, upload))
    count = 0
    try:
        async for message in peer:
            count += 1
            if count % TURN == 0:
                await asyncio.sleep(0)
            if type(message) is Piece:  # nine in ten messages of a download, and spared the rest
                download.received(peer, message)
                continue
            _receive(peer, message, download, upload, rechoke)
            heard(message)
            if download.done and peer.peer_pieces.complete:
                await peer.close(NOTHING_LEFT)
                return
    finally:
        download.remove(peer)
        uploading.cancel()
        await asyncio.wait([uploading])
    if not uploading.cancelled():
        uploading.result()


async def _serve(peer: Peer, upload: Upload) -> None:
    try:
        await upload.run()
    except ConnectionClosed:
        pass  # the iteration over the peer is told, too
    except Exception:
        with contextlib.suppress(asyncio.CancelledError):  # the iteration ends before the close
            await peer.close("its requests can't be answered")
        raise


def _receive(
    peer: Peer,
    message: Received,
    download: Download,
    upload: Upload,
    rechoke: Callable[[], None],
) -> None:
    match message:
        case Request() | HashRequest():
            upload.requested()
        case RequestEnded():
            download.ended(peer, message)
        case Have(index):
            download.peer_has(peer, index)
        case Bitfield() | HaveAll() | HaveNone():
            download.peer_announced(peer)
            upload.allowance.peer_announced()
        case Choke():
            download.choked(peer)
        case Unchoke():
            download.unchoked(peer)
        case AllowedFast():
            download.refill(peer)
        case Interested() | NotInterested():
            rechoke()
