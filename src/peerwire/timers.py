"""The waits of one wire that are not a request's: handshake, silence, keep-alive."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .errors import PeerTimeout

if TYPE_CHECKING:
    from .limits import Limits

__all__ = ["Timers"]


class Timers:
    """When a peer has been silent for too long, and when we have.

    Args:
        limits: The waits.
        now: What time it is, in seconds.

    Attributes:
        handshake_deadline: When the peer's handshake must be complete. Its bytes do not move it.
        last_message_at: When the last whole message came. Only that, not bytes, puts off the end.
        sent_since_tick: Whether anything was sent since `keep_alive_due` last looked.
        held_back: Whether the peer is not listened to, so that its silence is not its own.
    """

    __slots__ = (
        "_limits",
        "_tick_at",
        "handshake_deadline",
        "held_back",
        "last_message_at",
        "sent_since_tick",
    )

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self.held_back = False
        self.handshake_deadline = now + limits.handshake_timeout
        self.opened(now)

    def opened(self, now: float) -> None:
        """Counts from now on: the handshakes are done."""
        self.last_message_at = now
        self.sent_since_tick = False
        self._tick_at = now + self._limits.keep_alive / 2

    def next(self, keep_alive: bool) -> float:
        """Says when an open wire is to look again; infinity for never."""
        return min(self._idle_deadline, self._tick_at) if keep_alive else self._idle_deadline

    def check_handshake(self, now: float, held: int) -> None:
        """Raises `PeerTimeout` when the handshake is late; `held` bytes of it came."""
        if now >= self.handshake_deadline:
            raise PeerTimeout(
                f"no whole handshake within {self._limits.handshake_timeout:g} s, "
                f"{held} bytes of it came",
                rule="Limits.handshake_timeout",
            )

    def check_idle(self, now: float) -> None:
        """Raises `PeerTimeout` when the peer was silent for too long."""
        if now >= self._idle_deadline:
            raise PeerTimeout(
                f"no message for {self._limits.idle_timeout:g} s; "
                "a peer that has nothing to say sends keep-alives",
                rule="BEP 3, keepalives, and Limits.idle_timeout",
            )

    def keep_alive_due(self, now: float) -> bool:
        """Whether we were silent for so long that a keep-alive is due.

        Looking twice a period, and only at whether anything was sent, spares every send a look
        at the clock and still keeps the silence within the period.
        """
        if now < self._tick_at:
            return False
        due = not self.sent_since_tick
        self.sent_since_tick = False
        self._tick_at = now + self._limits.keep_alive / 2
        return due

    @property
    def _idle_deadline(self) -> float:
        # `next` and `check_idle` have to round alike: or a wire woken at this very moment would
        # find that it is not due yet, again and again.
        return math.inf if self.held_back else self.last_message_at + self._limits.idle_timeout
