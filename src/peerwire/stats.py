"""How one connection stands, as a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .wire import Wire

__all__ = ["WireStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStats:
    """One wire at one moment. It does not change, and refers to nothing that does.

    Attributes:
        uploaded: Block bytes sent.
        downloaded: Block bytes received that were asked for.
        wasted: Block bytes received that nobody waited for any more.
        upload_rate: Block bytes a second sent over the last five seconds; 0.0 without a clock.
        download_rate: The same, received.
        messages_sent: How many, by the name of the message.
        messages_received: The same, received.
        requests: Requests made and not answered.
        peer_requests: Requests received and not answered.
        pieces: Pieces the peer has; None while it has all of a number that is not known.
        num_pieces: Pieces of the torrent; None while it is not known.
        am_choking: Whether we choke the peer.
        am_interested: Whether we are interested in it.
        peer_choking: Whether it chokes us.
        peer_interested: Whether it is interested in us.
    """

    uploaded: int
    downloaded: int
    wasted: int
    upload_rate: float
    download_rate: float
    messages_sent: dict[str, int]
    messages_received: dict[str, int]
    requests: int
    peer_requests: int
    pieces: int | None
    num_pieces: int | None
    am_choking: bool
    am_interested: bool
    peer_choking: bool
    peer_interested: bool

    @classmethod
    def of(cls, wire: Wire, *, upload_rate: float = 0.0, download_rate: float = 0.0) -> WireStats:
        """Returns how a wire stands now.

        Args:
            wire: The wire.
            upload_rate: Block bytes a second, from who has a clock.
            download_rate: The same.
        """
        have_all_of_unknown = wire.num_pieces is None and wire.peer_pieces.complete
        return cls(
            uploaded=wire.uploaded,
            downloaded=wire.downloaded,
            wasted=wire.wasted,
            upload_rate=upload_rate,
            download_rate=download_rate,
            messages_sent=dict(wire.messages_sent),
            messages_received=dict(wire.messages_received),
            requests=len(wire.requests),
            peer_requests=len(wire.peer_requests),
            pieces=None if have_all_of_unknown else len(wire.peer_pieces),
            num_pieces=wire.num_pieces,
            am_choking=wire.am_choking,
            am_interested=wire.am_interested,
            peer_choking=wire.peer_choking,
            peer_interested=wire.peer_interested,
        )
