"""upload_only: a peer that wants nothing more, be it a seed or a partial one (BEP 21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .base import Extension

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bencode import Value

__all__ = ["UploadOnly", "UploadOnlyMessage"]


@dataclass(slots=True)
class UploadOnlyMessage:
    """The sender wants nothing from now on, or wants something again."""

    upload_only: bool

    def __str__(self) -> str:
        return f"upload only {'on' if self.upload_only else 'off'}"


class UploadOnly(Extension):
    """Says, and hears, whether a side wants nothing.

    At first that is a key of the extended handshake (BEP 21). When it changes it is a message of
    one byte, which is libtorrent's; other clients only learn of a change from the next extended
    handshake. What is heard is an event, an `UploadOnlyMessage`, and kept in
    `Peer.extended_handshake`.

    Args:
        on: Whether we want nothing.
    """

    name: ClassVar[str] = "upload_only"

    def __init__(self, on: bool = False) -> None:
        super().__init__()
        self._on = on

    @property
    def on(self) -> bool:
        """Whether we want nothing, as the peer was told."""
        return self._on

    @property
    def peer_on(self) -> bool:
        """Whether the peer wants nothing, as it said last."""
        return self.peer_handshake is not None and bool(self.peer_handshake.upload_only)

    def switch(self, on: bool) -> None:
        """Tells the peer that we want nothing from now on, or want something again.

        Raises:
            ConnectionClosed: The connection has ended.
        """
        if on != self._on:
            self._on = on
            if self.supported:
                self.send(bytes((on,)))

    def handshake(self) -> Mapping[str, Value]:
        """Returns the key of BEP 21."""
        return {"upload_only": int(self._on)}

    def receive(self, payload: bytes) -> UploadOnlyMessage:
        """Takes note of what the peer says.

        Raises:
            ValueError: It is not one byte.
        """
        if len(payload) != 1:
            raise ValueError(f"{len(payload)} bytes; upload_only is a byte, 0 or not")
        on = payload != b"\0"
        if self.peer_handshake is not None:
            self.peer_handshake.upload_only = on
        return UploadOnlyMessage(on)
