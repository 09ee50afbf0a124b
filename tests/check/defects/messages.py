"""What can be wrong with how messages are read, and with how long a peer bears silence."""

from __future__ import annotations

import asyncio

from peerwire import (
    Cancel,
    Choke,
    Extended,
    Have,
    KeepAlive,
    PeerWireError,
    Port,
    Request,
    Unchoke,
)
from peerwire.framing import Framing
from peerwire.messages import Unknown

from ..double import Ended, Session
from .availability import UnchokesAll
from .rows import closes_at, fails, lax, not_applicable, notes, passes, says_first

LENGTHS = [
    *(f"bep3/lengths/{n}" for n in range(1, 12)),
    *(f"bep6/lengths/{n}" for n in range(1, 6)),
    "bep5/port/3",
    "bep10/messages/2",
]


@lax(*LENGTHS, "bep3/handshake/11", saying="goes on")
class AnyLength(Session):
    """It drops what has the wrong length, and goes on."""

    def segment(self, data):
        try:
            super().segment(data)
        except PeerWireError:
            self.framing = Framing(1 << 17)


@lax(*(f"bep3/bitfield/{n}" for n in (8, 9, 10)), "bep3/have/3", "bep3/have/4", saying="goes on")
@lax("bep6/reject/4", saying="goes on")
@fails(*(f"bep6/disabled/{n}" for n in range(1, 6)), "bep6/answer/4", saying="goes on")
class Bears(Session):
    """It bears whatever can be read."""

    def take(self, message):
        self.expect = lambda right: None
        super().take(message)
        del self.expect


@lax(*LENGTHS, saying="is of no use: no piece")
class Stunned(UnchokesAll):
    """It neither closes nor goes on after what it does not bear."""

    stunned = False

    def segment(self, data):
        try:
            if not self.stunned:
                super().segment(data)
        except (Ended, PeerWireError):
            self.stunned = True


@passes("bep3/lengths/1")
class ClosesLate(Session):
    """It closes at what comes after a message that it does not bear."""

    late = False

    def segment(self, data):
        self.expect(not self.late)
        try:
            super().segment(data)
        except PeerWireError:
            self.late = True


@fails("bep3/messages/2", saying="the connection was")
class MessagesInOne(Session):
    """It takes a segment for messages."""

    def segment(self, data):
        super().segment(data)
        self.expect(not self.framing.held)


@fails("bep3/messages/2", saying="no piece or reject within 12 s")
class ForgetsParts(Session):
    """It forgets the part of a message that is at the end of a segment."""

    def segment(self, data):
        super().segment(data)
        self.framing = Framing(1 << 17)


@fails("bep3/messages/3", "bep3/request/2", saying="no piece or reject within 12 s")
class FirstOfSegment(Session):
    """It forgets all but the first message of a segment."""

    def segment(self, data):
        first = next(self.framing.receive(data), None)
        self.framing = Framing(1 << 17)
        if first is not None:
            self.take(first)


@lax("bep5/port/4", saying="tells no port")
class KeepsItsPort(Session):
    """It speaks of the DHT, and tells no port."""

    def telling_its_port(self):
        return []


@not_applicable("bep5/port/1", "bep5/port/3", "bep5/port/4", saying="the bit of the DHT")
class NoDht(Session):
    """It does not speak of the DHT."""

    reserved = Session.reserved & ~1


@lax("bep3/messages/6", saying="it is silent for 135 s")
class NoKeepAlives(Session):
    """It says no keep-alives."""

    def keep_alive(self):
        pass


@lax("bep3/messages/6", saying="it is silent for 135 s")
class SpeaksOnce(NoKeepAlives):
    """It says no keep-alives, but something else after a while."""

    async def chores(self):
        await asyncio.sleep(9)
        self.say(Unchoke())


@passes("bep3/messages/6", saying="it is never silent for so long")
class Talks(NoKeepAlives):
    """It says something each minute, so that it needs no keep-alives."""

    async def chores(self):
        while True:
            await asyncio.sleep(60)
            self.say(Have(0))


@notes("bep3/messages/7", "bep3/messages/8", saying="it closes after 3")
class Impatient(Session):
    """It ends a connection that is silent for half a minute."""

    bears_silence = 30


fails("bep3/messages/1", saying="the connection was")(closes_at(KeepAlive))
lax("bep3/messages/6", saying="where we said a keep-alive in time")(closes_at(KeepAlive))
passes("bep3/messages/6", saying="it says keep-alive")(Session)
notes("bep3/messages/5", saying="it closes the connection")(closes_at(Unknown))
notes("bep3/messages/5", saying="it ignores the message")(Session)
notes("bep3/messages/7", saying="it bears 160 s")(Session)
notes("bep3/messages/8", saying="more than 70 s")(Session)
fails("bep5/port/1", saying="the connection was")(closes_at(Port))
passes("bep5/port/4", saying="it is 6881")(Session)
lax("bep5/port/2", saying="it tells its port")(says_first(Port(6881)))
fails("bep3/cancel/1", "bep3/cancel/2", saying="the connection was")(closes_at(Cancel))
notes("bep3/cancel/4", saying="it closes the connection")(closes_at(Cancel))
notes("bep3/cancel/4", saying="it ignores it")(Session)
fails("bep3/choke/3", "bep3/choke/4", saying="the connection was")(closes_at(Choke))
fails("bep3/choke/2", saying="the connection was")(closes_at(Request))
notes("bep10/messages/3", saying="it closes the connection")(closes_at(Extended))
notes("bep10/messages/3", saying="it ignores it, or takes it")(Session)
