"""What can be wrong with what a peer says that it has, and with interest and choking."""

from __future__ import annotations

import asyncio

from peerwire import (
    Bitfield,
    Choke,
    Have,
    HaveAll,
    Interested,
    KeepAlive,
    NotInterested,
    Request,
    Reserved,
    Unchoke,
)

from ..double import Session
from .rows import closes_at, fails, inconclusive, lax, not_applicable, notes, passes, says_first

# What it has


@not_applicable(*(f"bep3/bitfield/{n}" for n in (1, 2, 3)), saying="no bitfield")
@passes("bep3/bitfield/4", saying="it tells of 11 of 11 pieces")
class SaysHave(Session):
    """It says 'have' of all its pieces."""

    def having(self):
        return [Have(index) for index in range(self.meta.num_pieces)]


fails("bep3/bitfield/1", saying="unchoke before it")(says_first(Unchoke(), Bitfield(b"\xff\xe0")))
fails("bep3/bitfield/2", saying="3 bytes for 11 pieces")(says_first(Bitfield(bytes(3))))
fails("bep3/bitfield/3", saying="1 of them")(says_first(Bitfield(b"\xff\xf0")))
passes("bep3/bitfield/4", saying="it tells of 11 of 11 pieces")(says_first(Bitfield(b"\xff\xf0")))
fails("bep3/bitfield/3", saying="1 of them")(says_first(Bitfield(b"\xff\xe1")))
fails("bep3/bitfield/4", saying="it tells of no piece")(says_first())
not_applicable("bep3/interest/1", saying="no seed")(says_first())
passes("bep3/bitfield/1")(says_first(KeepAlive(), Bitfield(b"\xff\xe0")))
lax("bep3/bitfield/5", saying="it says have 11, of 11 pieces")(says_first(Have(10), Have(11)))
fails("bep3/interest/1", saying="it says interested")(
    says_first(Bitfield(b"\xff\xe0"), Interested())
)


@passes(*(f"bep3/bitfield/{n}" for n in (1, 2, 3, 4)), "bep3/interest/1")
@lax("bep3/messages/6", saying="it is silent for 135 s")
class TakesItsTime(Session):
    """It says what it has a while after the handshake, and no keep-alives."""

    def opening(self):
        return []

    async def chores(self):
        await asyncio.sleep(0.3)
        self.say(Bitfield(self.bits()))


@fails("bep3/interest/1", saying="it says interested")
class WantsWhatIsOffered(Session):
    """It is interested in pieces that it has."""

    def take(self, message):
        super().take(message)
        if isinstance(message, Have):
            self.say(Interested())


@fails("bep3/interest/1", saying="it says request")
class AsksUnchoked(Session):
    """It asks for pieces that it has."""

    def take(self, message):
        super().take(message)
        if isinstance(message, Unchoke):
            self.say(Request(0, 0, 1))


@fails("bep3/bitfield/4", saying="does not have the piece's hash")
class LacksAPiece(Session):
    """It says that it has a piece which it has not."""

    def read(self, asked):
        return bytes(asked.length) if asked.index == 5 else super().read(asked)


@notes("bep3/bitfield/11", saying="closes the connection")
@fails("bep10/handshake/19", saying="the connection was")
class BitfieldComesFirst(Session):
    """It closes at a bitfield that is not the first message."""

    later = False

    def take(self, message):
        self.expect(not (isinstance(message, Bitfield) and self.later))
        self.later = True
        super().take(message)


@notes("bep3/have/5", "bep6/have/4", saying="closes the connection to a seed")
class SeedsAlone(Session):
    """It closes the connection to another seed."""

    def take(self, message):
        self.expect(message not in (HaveAll(), Bitfield(self.bits())))
        super().take(message)


notes("bep3/bitfield/11", "bep3/have/5", "bep6/have/4", saying="it goes on")(Session)

# Interest


@fails("bep3/interest/2", saying="the connection was")
class InterestOnce(Session):
    """It closes when interest is said again."""

    def take(self, message):
        self.expect(not isinstance(message, Interested) or self.choking)
        super().take(message)


@passes("bep3/interest/3")
class ChokesTheUninterested(Session):
    """It chokes who is not interested any more."""

    def take(self, message):
        super().take(message)
        if isinstance(message, NotInterested):
            self.choking = True
            self.say(Choke())


@passes("bep3/messages/2", "bep3/handshake/10", "bep3/choke/1")
@notes("bep3/interest/4", saying="unchoked after 10.")
class UnchokesInRounds(Session):
    """It unchokes every ten seconds."""

    async def chores(self):
        await asyncio.sleep(10)
        self.choking = False
        self.say(Unchoke())

    def take(self, message):
        if not isinstance(message, Interested):
            super().take(message)


@inconclusive("bep3/interest/4", "bep3/choke/2", saying="it chokes us for 13 s")
@inconclusive("bep3/choke/1", saying="neither serves the block nor unchokes")
class NeverUnchokes(Session):
    """It has no place for anybody."""

    def take(self, message):
        if not isinstance(message, Interested):
            super().take(message)


@passes("bep3/handshake/12")
class SaysNothing(NeverUnchokes):
    """It says nothing of itself."""

    def opening(self):
        return []


@notes("bep3/interest/5", saying="unchokes who is not interested")
@not_applicable("bep6/reject/1", "bep6/reject/2", "bep6/allowed/3", saying="not choke us")
class UnchokesAll(Session):
    """It chokes nobody."""

    def opening(self):
        self.choking = False
        return [*super().opening(), Unchoke()]


notes("bep3/interest/5", saying="it chokes who is not interested")(Session)
notes("bep3/interest/4", saying="unchoked after 0.")(Session)


@fails("bep3/choke/3", "bep3/choke/4", saying="no piece or reject")
class ChokesBack(Session):
    """It serves nobody who chokes it."""

    def take(self, message):
        if isinstance(message, Choke):
            self.choking = True
        super().take(message)

    def refuse(self, asked):
        return []


fails("bep3/interest/3", saying="the connection was")(closes_at(NotInterested))
fails("bep3/bitfield/6", saying="the connection was")(closes_at(Interested))
fails("bep3/bitfield/7", "bep6/have/3", saying="the connection was")(closes_at(Bitfield))
fails("bep3/have/1", "bep3/have/2", saying="the connection was")(closes_at(Have))

FAST = {"have": 4, "answer": 4, "reject": 5, "allowed": 7, "lengths": 5}
EXTENDED = {
    "bep10/handshake": 19,
    "bep10/messages": 2,
    "bep9/metadata": 11,
    "bep11/pex": 8,
    "bep21/upload-only": 2,
    "bep54/donthave": 4,
}


@not_applicable(
    *(f"bep6/{group}/{n}" for group, last in FAST.items() for n in range(1, last + 1)),
    *(f"{group}/{n}" for group, last in EXTENDED.items() for n in range(1, last + 1)),
)
class Plain(Session):
    """It speaks BEP 3 and nothing else."""

    reserved = Reserved(0)
