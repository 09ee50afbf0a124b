"""What can be wrong with the fast extension (BEP 6)."""

from __future__ import annotations

import asyncio

from peerwire import (
    AllowedFast,
    Bitfield,
    HaveAll,
    HaveNone,
    Interested,
    Suggest,
    Unchoke,
)

from ..double import Session
from .rows import closes_at, fails, lax, not_applicable, notes, passes, says_first

fails("bep6/have/1", saying="it says 2 of them")(says_first(Bitfield(b"\xff\xe0"), HaveAll()))
fails("bep6/have/1", saying="it says 0 of them")(says_first())
fails("bep6/have/1", saying="it says unchoke before have all")(says_first(Unchoke(), HaveAll()))
passes("bep6/have/1", saying="it says have all")(Session)
fails("bep6/have/2", saying="the connection was")(closes_at(HaveNone))
fails("bep6/allowed/4", saying="the connection was")(closes_at(AllowedFast))
fails("bep6/allowed/5", saying="the connection was")(closes_at(Suggest))
notes("bep6/allowed/6", saying="it ignores them")(Session)
notes("bep6/allowed/6", saying="it closes the connection")(closes_at(Suggest))
passes("bep6/allowed/1", saying="it allows 3 pieces")(Session)
notes("bep6/allowed/7", saying="it allows 3 pieces, and unchokes")(Session)


@notes("bep6/allowed/7", saying="it allows 0 pieces")
@not_applicable("bep6/allowed/1", "bep6/allowed/2", "bep6/allowed/3", saying="allows no pieces")
class AllowsNothing(Session):
    """It allows no pieces fast, and never unchokes."""

    def allowed(self, address):
        return []

    def take(self, message):
        if not isinstance(message, Interested):
            super().take(message)


@passes("bep6/allowed/1")
@not_applicable("bep6/allowed/3", saying="allows no pieces")
class AllowsTheInterested(Session):
    """It tells its set to those who are interested, a while later."""

    def having(self):
        return [HaveAll()]

    def take(self, message):
        super().take(message)
        if isinstance(message, Interested):
            address = self.writer.get_extra_info("peername")[0]
            said = b"".join(AllowedFast(each).encode() for each in self.allowed(address))
            asyncio.get_running_loop().call_later(0.3, self.say, said)


@passes("bep6/reject/1", "bep6/reject/2")
class AllowsLater(Session):
    """It tells its set a while after the handshake."""

    def having(self):
        return [HaveAll()]

    def allowed(self, address):
        return [0, 1]

    async def chores(self):
        await asyncio.sleep(0.3)
        self.say(AllowedFast(0), AllowedFast(1))


@lax("bep6/allowed/1", saying="piece 11 of 11")
class AllowsTooMuch(Session):
    """It allows a piece that there is not."""

    def allowed(self, address):
        return [*super().allowed(address), self.meta.num_pieces]


@lax("bep6/allowed/1", saying="a piece twice")
class AllowsTwice(Session):
    """It allows a piece twice."""

    def allowed(self, address):
        return super().allowed(address) * 2


@lax("bep6/allowed/2", saying="where the set is")
class AllowsOthers(Session):
    """It allows the first three that it should not."""

    def allowed(self, address):
        canonical = super().allowed(address)
        return [each for each in range(self.meta.num_pieces) if each not in canonical][:3]


@not_applicable("bep6/reject/1", saying="all pieces are allowed fast")
@not_applicable("bep6/reject/2", saying="or allows all pieces fast")
class AllowsAll(Session):
    """It allows all pieces fast."""

    def allowed(self, address):
        return [*range(self.meta.num_pieces)]


@not_applicable("bep6/lengths/1", saying="the bit of BEP 6")
class ExtensionsOnly(Session):
    """It speaks BEP 10 and not BEP 6."""

    reserved = Session.reserved & ~4
