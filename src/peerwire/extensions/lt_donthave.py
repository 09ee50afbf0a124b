"""lt_donthave: a peer has a piece no more (BEP 54)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..errors import LocalProtocolError
from .base import Extension

__all__ = ["DontHave", "LtDontHave"]


@dataclass(slots=True)
class DontHave:
    """The sender has the piece `index` no more."""

    index: int

    def __str__(self) -> str:
        return f"don't have {self.index}"


class LtDontHave(Extension):
    """Tells and hears of pieces that are gone; what is heard is an event, a `DontHave` (BEP 54).

    A peer may send these without speaking the extension itself. They take the piece out of
    `Wire.peer_pieces`. Without the fast extension, what was asked of it will not come: whoever
    asked cancels it.

    Args:
        num_pieces: Piece count of the torrent, when it is known.
    """

    name: ClassVar[str] = "lt_donthave"

    def __init__(self, num_pieces: int | None = None) -> None:
        super().__init__()
        self._bound = 1 << 32 if num_pieces is None else num_pieces

    def dont_have(self, index: int) -> None:
        """Says that we have a piece no more.

        Requests for it are to be rejected, those that are pending and those that come.

        Raises:
            LocalProtocolError: There is no such piece, or the peer does not speak the extension.
            ConnectionClosed: The connection has ended.
        """
        if not 0 <= index < self._bound:
            raise LocalProtocolError(f"{index} is no piece of {self._bound}", rule="BEP 54")
        self.send(index.to_bytes(4))

    def receive(self, payload: bytes) -> DontHave:
        """Reads the index of a piece.

        Raises:
            ValueError: It is not 4 bytes, or there is no such piece.
        """
        if len(payload) != 4:
            raise ValueError(f"{len(payload)} bytes; the index of a piece has 4 (BEP 54)")
        index = int.from_bytes(payload)
        if index >= self._bound:
            raise ValueError(f"{index} is no piece of {self._bound} (BEP 54)")
        return DontHave(index)
