"""What can be wrong with handshakes, and with what a peer says that it has."""

from __future__ import annotations

import asyncio
import os

from peerwire import (
    AllowedFast,
    Handshake,
    HaveAll,
    Interested,
)

from ..double import PEER_ID, Ended, Session
from .rows import fails, inconclusive, lax, notes, passes, says_first

# Handshakes


@fails("bep3/handshake/1", saying="can't be read")
class OtherProtocol(Session):
    """Its handshake names another protocol."""

    def greeting(self):
        return super().greeting().replace(b"protocol", b"protocoL")


@fails("bep3/handshake/2", saying="it names 00")
class OtherTorrent(Session):
    """Its handshake names another torrent."""

    def greeting(self):
        return Handshake(bytes(20), PEER_ID).encode()


@fails("bep3/handshake/3", saying="goes on")
class AnyTorrent(Session):
    """It serves whatever torrent it is asked for."""

    def hear_handshake(self, data):
        self.theirs = Handshake.decode(data)


@lax("bep3/handshake/4", "bep3/handshake/5", saying="goes on")
class AnyProtocol(Session):
    """It does not look at the first 20 bytes."""

    async def meet(self):
        self.hear_handshake(self.greeting()[:20] + (await self.exactly(68))[20:])
        self.say(self.greeting())


@lax("bep3/handshake/4", "bep3/handshake/5", saying="goes on")
class Dumbfounded(Session):
    """At what is no handshake it says nothing, and does not close."""

    async def meet(self):
        start = await self.exactly(20)
        if start != self.greeting()[:20]:
            await asyncio.Event().wait()
        self.hear_handshake(start + await self.exactly(48))
        self.say(self.greeting())


@passes("bep3/handshake/4", "bep3/handshake/5", saying="takes it for an encrypted handshake")
class Patient(Session):
    """It waits for the end of an encrypted handshake, however long."""

    async def meet(self):
        try:
            await super().meet()
        except Ended:
            if not self.theirs.peer_id.strip(b"\0"):
                await asyncio.Event().wait()
            raise


@fails("bep3/handshake/6", saying="the connection was")
class FearsBits(Session):
    """It closes at reserved bits that it does not know."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        self.expect(self.theirs.reserved in self.reserved)


@fails("bep3/handshake/6", saying="no handshake within 12 s")
class IgnoresBits(Session):
    """It does not answer to reserved bits that it does not know."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        if self.theirs.reserved not in self.reserved:
            self.say = lambda *_: None


@fails("bep3/handshake/7", "bep3/handshake/10", saying="no handshake within 12 s")
@inconclusive("bep3/handshake/6", saying="no handshake within 12 s")
@notes("bep3/handshake/13", saying="no handshake within 12 s")
class SaysNothingAtAll(Session):
    """It listens, and says nothing."""

    def say(self, *said):
        pass


@fails("bep3/handshake/7", saying="the connection was")
@inconclusive(*(f"bep3/handshake/{n}" for n in (3, 4, 5, 6, 15)), saying="the connection was")
class NeedsBits(Session):
    """It serves nobody who speaks BEP 3 alone."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        self.expect(bool(self.theirs.reserved))


@fails("bep3/handshake/8", saying="have all")
class SaysMore(Session):
    """It says BEP 6 to those who don't speak it."""

    def having(self):
        return [*super().having(), HaveAll()]


@fails("bep3/handshake/8", saying="it says allowed fast")
class SaysMoreLater(Session):
    """With 'unchoke' it says BEP 6 to those who don't speak it."""

    def take(self, message):
        super().take(message)
        if isinstance(message, Interested):
            self.say(AllowedFast(0))


@fails("bep3/handshake/9", saying="the connection was")
class HandshakeInOne(Session):
    """It takes a segment for a handshake."""

    async def meet(self):
        await self.more()
        self.expect(len(self.held) >= 68)
        await super().meet()


@fails("bep3/handshake/10", saying="the connection was")
class DropsTheRest(Session):
    """It drops what came in one segment with the handshake."""

    async def meet(self):
        await super().meet()
        self.held.clear()


@fails("bep3/handshake/12", saying="can't be read")
class LongHandshake(Session):
    """Its handshake has 69 bytes."""

    def greeting(self):
        return super().greeting() + b"\xff"


@fails("bep3/handshake/12", saying="can't be read")
class MumblesLater(Session):
    """What it says to who is interested is no message."""

    def opening(self):
        return []

    def take(self, message):
        self.say(b"\xff" * 4)


@notes("bep3/handshake/13", saying="before it has the peer id")
class AnswersEarly(Session):
    """It answers as soon as it knows the torrent."""

    async def meet(self):
        self.hear_handshake(await self.exactly(48) + bytes(20))
        self.say(self.greeting())
        await self.exactly(20)


@notes("bep3/handshake/14", saying="speaks first")
class SpeaksFirst(Session):
    """It says its handshake at once."""

    async def meet(self):
        self.say(Handshake(self.meta.info_hash, PEER_ID, self.reserved).encode())
        self.hear_handshake(await self.exactly(68))


@notes("bep3/handshake/15", saying="ends a connection to itself")
class KnowsItself(Session):
    """It closes a connection to itself."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        self.expect(self.theirs.peer_id != PEER_ID)


@notes("bep3/handshake/15", saying="ends a connection to itself")
class KnowsItselfLater(Session):
    """It closes a connection to itself after it has answered."""

    def opening(self):
        self.expect(self.theirs.peer_id != PEER_ID)
        return []


@notes("bep3/handshake/15", saying="it does not answer itself")
class IgnoresItself(Session):
    """It says nothing to itself."""

    def hear_handshake(self, data):
        super().hear_handshake(data)
        if self.theirs.peer_id == PEER_ID:
            self.say = lambda *_: None


@notes("bep3/handshake/15", saying="another on each connection")
class NewIds(Session):
    """It has another peer id on each connection."""

    def greeting(self):
        return Handshake(self.theirs.info_hash, os.urandom(20), self.reserved).encode()


notes("bep3/handshake/15", saying="does not know itself")(says_first())
notes("bep3/handshake/13", saying="waits for the peer id")(Session)
notes("bep3/handshake/14", saying="waits to be spoken to")(Session)
notes("bep3/handshake/15", saying="does not know itself")(Session)
notes("bep3/handshake/16", saying="BitTorrent protocol")(Session)
