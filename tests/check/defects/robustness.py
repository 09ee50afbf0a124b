"""Peers that break at what no peer says that means well, and serve nobody afterwards."""

from __future__ import annotations

from peerwire import Extended, HaveNone, Interested, Request
from peerwire.bencode import encode

from ..double import Ended, Session
from .messages import Stunned
from .rows import fails, passes

LAST = {"opening": 7, "messages": 17, "floods": 8, "extended": 20, "metadata": 10}

#: Extended handshakes that cases begin with.
MEANT_WELL = (encode({"m": {}}), encode({"m": {"ut_metadata": 1, "ut_pex": 2}}))


@fails(
    *(f"robust/{group}/{n}" for group, last in LAST.items() for n in range(1, last + 1)),
    *(f"robust/leaving/{n}" for n in (3, 4, 5, 6)),
    saying="the next connection is not served",
)
class Fragile(Session):
    """It breaks at anything but what it needs to be asked for a piece."""

    heard = 0

    async def run(self):
        try:
            await super().run()
        except Ended:
            self.double.wedged |= bool(self.held or self.framing.held)
        except Exception:
            self.double.wedged = True

    def hear_handshake(self, data):
        try:
            super().hear_handshake(data)
        except Ended:
            self.double.wedged = True
            raise

    def take(self, message):
        self.heard += 1
        known = isinstance(message, HaveNone | Interested) or (
            isinstance(message, Request) and message.length <= 1 << 14
        )
        if self.heard > 20 or not (known or message in [Extended(0, m) for m in MEANT_WELL]):
            self.double.wedged = True
        super().take(message)


@fails(
    *(f"robust/leaving/{n}" for n in (1, 2, 7, 8)),
    saying="the next connection is not served",
)
class Clinging(Session):
    """It breaks when it is left before it was asked for anything, or while it is."""

    asked = False

    async def run(self):
        try:
            await super().run()
        finally:
            self.double.wedged |= self.asked or not self.theirs.peer_id.strip(b"\0")

    def answer(self, asked):
        self.asked = True
        return super().answer(asked)


@fails("robust/opening/8", saying="the next connection is not served")
class Crowded(Session):
    """It breaks when many connect and say nothing."""

    async def meet(self):
        self.double.waiting = getattr(self.double, "waiting", 0) + 1
        self.double.wedged |= self.double.waiting > 25
        await super().meet()
        self.double.waiting -= 1


passes("robust/messages/1", "robust/leaving/6", saying="it closes the connection")(Session)
passes("robust/messages/1", "robust/messages/12", saying="the connection goes on")(Stunned)
passes("robust/floods/1", "robust/floods/8", saying="the connection goes on")(Session)
