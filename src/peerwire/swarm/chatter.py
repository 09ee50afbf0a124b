"""How much a peer says that moves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..asyncio.peer import Peer

__all__ = ["Chatter"]


class Chatter:
    """Counts what peers say beside blocks, what we serve them, and HAVEs, which are about blocks.

    Changes of mind, requests that are refused and the like are a few bytes each, and each of them
    is work; the counts are those that wires keep anyway, so that nothing is done for a message.
    """

    def __init__(self) -> None:
        self._before: dict[Peer, int] = {}

    def since_last(self, peer: Peer) -> int:
        """Returns how many such messages have come since this was asked last, of the same peer."""
        received, sent = peer.wire.messages_received, peer.wire.messages_sent
        about_blocks = sum(received.get(name, 0) for name in ("piece", "have"))
        total = sum(received.values()) - about_blocks - sent.get("piece", 0)
        before, self._before[peer] = self._before.get(peer, 0), total
        return total - before

    def part(self, peer: Peer) -> None:
        """Forgets a peer."""
        self._before.pop(peer, None)
