"""Our side of a case: the extensions it speaks, and an application on a wire without a socket."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from peerwire import (
    Handshake,
    Interested,
    LocalProtocolError,
    PieceSet,
    Request,
    Role,
    State,
    Unchoke,
)
from peerwire.extensions.lt_donthave import LtDontHave
from peerwire.extensions.upload_only import UploadOnly
from peerwire.extensions.ut_holepunch import UtHolepunch
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.extensions.ut_pex import UtPex

from .torrent import BLOCK, INFO_HASH, NUM_PIECES, TORRENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerwire import Extension, Wire

    from .case import Scene

__all__ = ["HOLEPUNCH", "LT_DONTHAVE", "UPLOAD_ONLY", "UT_METADATA", "UT_PEX", "act", "extensions"]

#: The ids of our extensions, in the order in which a swarm has them; it has no holepunch.
UT_METADATA, UT_PEX, LT_DONTHAVE, UPLOAD_ONLY, HOLEPUNCH = range(1, 6)


def extensions(clock: Callable[[], float]) -> list[Callable[[], Extension]]:
    """Returns what makes our extensions."""
    return [
        functools.partial(UtMetadata, TORRENT.meta.info),
        functools.partial(UtPex, clock),
        functools.partial(LtDontHave, NUM_PIECES),
        UploadOnly,
        UtHolepunch,
    ]


def act(wire: Wire, scene: Scene) -> None:
    """Does what an application does about the events of a wire, until there are no more.

    A responder has everything and serves it, an initiator has nothing and asks for it.
    """
    while events := wire.events_received():
        for event in events:
            if wire.closed is None:
                _act_on(wire, event, scene)


def _act_on(wire: Wire, event: Any, scene: Scene) -> None:
    match event:
        case Handshake() if not scene.undecided:
            _meet(wire, event, scene)
        case Interested():
            wire.send_unchoke()
        case Request(index, begin, length) if not scene.slow:
            block = TORRENT.block(index, begin, length) if index < NUM_PIECES else b""
            if len(block) == length:
                wire.send_piece(index, begin, block)
            else:
                wire.send_reject(index, begin, length)
        case Unchoke():
            _ask(wire)


def _meet(wire: Wire, handshake: Handshake, scene: Scene) -> None:
    if wire.state is State.DECIDING:
        if handshake.info_hash != INFO_HASH:
            wire.refuse()
            return
        wire.accept(
            num_pieces=NUM_PIECES if scene.knows_pieces else None,
            info_hash_v2=INFO_HASH if scene.v2 else None,
        )
    if wire.role is Role.RESPONDER:
        wire.announce(PieceSet.full(NUM_PIECES))
    else:
        wire.send_interested()


def _ask(wire: Wire) -> None:
    """Asks for the first blocks, those that are not asked for yet."""
    if wire.peer_choking:
        return
    for index in range(2):
        for begin in (0, BLOCK):
            with contextlib.suppress(LocalProtocolError):
                wire.send_request(index, begin, BLOCK, deadline=wire.now + 30)
