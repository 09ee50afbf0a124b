"""What can be wrong with the extension protocol, and the small extensions (BEP 10, 11, 21, 54)."""

from __future__ import annotations

import asyncio

from peerwire import Extended, KeepAlive, Unchoke
from peerwire.bencode import encode

from ..double import LT_DONTHAVE, NOBODY, UT_METADATA, UT_PEX, Session
from .availability import UnchokesAll
from .rows import (
    closes_at,
    fails,
    inconclusive,
    introduces_itself,
    lax,
    not_applicable,
    notes,
    passes,
    says_first,
)


def introduction(payload: bytes) -> type[Session]:
    """Returns a peer whose extended handshake is this."""
    kind = type("Introduces", (Session,), {"introduction": lambda self: payload})
    kind.__name__ = "IntroducesWith" + payload[:4].hex()
    return kind


# Its handshake

TOLD = [f"bep10/handshake/{n}" for n in range(1, 10)]

fails("bep10/handshake/1", saying="not bencode")(introduction(b"\xff"))
fails("bep10/handshake/1", saying="no dictionary")(introduction(b"le"))
inconclusive(*TOLD, "bep10/handshake/12", saying="no extended handshake")(says_first())
not_applicable(*TOLD[1:3], *TOLD[4:8], saying="its extended handshake has no ")(introduction(b"de"))
not_applicable("bep10/handshake/9", saying="it tells neither")(introduction(b"de"))
not_applicable("bep10/handshake/15", saying="it says no reqq")(introduction(b"de"))
fails("bep10/handshake/2", saying="'m' is no dictionary")(introduces_itself(m=[]))
fails("bep10/handshake/2", saying="the id of b'xx' is 256")(introduces_itself(m={"xx": 256}))
fails("bep10/handshake/2", saying="the id of b'xx' is -1")(introduces_itself(m={"xx": -1}))
fails("bep10/handshake/2", saying="the id of b'xx' is b'1'")(introduces_itself(m={"xx": "1"}))
passes("bep10/handshake/2", saying="ut_metadata=5, ut_pex=6")(Session)
fails("bep10/handshake/3", saying="the ids are [5, 5]")(
    introduces_itself(m={"ut_metadata": 5, "ut_pex": 5, "xx": 0})
)
not_applicable("bep10/handshake/3", saying="'m' is no dictionary")(introduces_itself(m=[]))
lax("bep10/handshake/4", saying="it says unchoke before it")(
    says_first(Unchoke(), Extended(0, b"de"))
)
lax("bep10/handshake/4", saying="before it")(says_first(Extended(6, b"de"), Extended(0, b"de")))
fails("bep10/handshake/1", saying="no dictionary")(
    says_first(Extended(6, b"de"), Extended(0, b"le"))
)
passes("bep10/handshake/4")(says_first(KeepAlive(), Extended(0, b"de")))
lax("bep10/handshake/5", saying="it is b'\\xff'")(introduces_itself(v=b"\xff"))
lax("bep10/handshake/5", saying="it is 5")(introduces_itself(v=5))
passes("bep10/handshake/5", saying="it is double")(Session)
lax("bep10/handshake/6", saying="it is 0")(introduces_itself(reqq=0))
lax("bep10/handshake/6", saying="it is b'x'")(introduces_itself(reqq="x"))
lax("bep10/handshake/6", saying="it is 2147483649")(introduces_itself(reqq=2**31 + 1))
passes("bep10/handshake/6", saying="it is 1")(introduces_itself(reqq=1))
passes("bep10/handshake/6", saying="it is 2147483648")(introduces_itself(reqq=2**31))
lax("bep10/handshake/7", saying="it is 65536")(introduces_itself(p=65536))
lax("bep10/handshake/7", saying="it is 0")(introduces_itself(p=0))
passes("bep10/handshake/7", saying="it is 1")(introduces_itself(p=1))
passes("bep10/handshake/7", saying="it is 65535")(introduces_itself(p=65535))
lax("bep10/handshake/8", saying="it is b'123'")(introduces_itself(yourip=b"123"))
lax("bep10/handshake/8", saying="it is 5")(introduces_itself(yourip=5))
lax("bep10/handshake/8", saying="it is b'")(introduces_itself(yourip=b"127.0.0.1"))
lax("bep10/handshake/8", saying="it is 10.0.0.1, where we are 127.")(
    introduces_itself(yourip=bytes((10, 0, 0, 1)))
)
lax("bep10/handshake/9", saying="ipv4 is b'123'")(introduces_itself(ipv4=b"123"))
lax("bep10/handshake/9", saying="ipv6 is 5")(introduces_itself(ipv6=5))
passes("bep10/handshake/9")(introduces_itself(ipv4=bytes(4), ipv6=bytes(16)))


class TellsAddress(Session):
    """It tells the other side's address."""

    packed = b""

    def told(self):
        address = self.writer.get_extra_info("peername")[0]
        return super().told() | {"yourip": self.packed + bytes(map(int, address.split(".")))}


passes("bep10/handshake/8")(TellsAddress)
passes("bep10/handshake/8")(
    type("TellsMapped", (TellsAddress,), {"packed": bytes(10) + b"\xff\xff"})
)

# Ours


def introduced_with(*wrong: bytes) -> type[Session]:
    """Returns a peer that closes at these extended handshakes."""
    kind = closes_at(Extended, where=lambda message: message == Extended(0, *wrong))
    kind.__name__ = "ClosesAt" + wrong[0][:8].decode()
    return kind


fails("bep10/handshake/10", saying="the connection was")(introduced_with(b"de"))


@fails("bep10/handshake/11", saying="the connection was")
class KnowsAllNames(Session):
    """It closes at a name that it does not know."""

    def be_introduced(self, told):
        self.expect(b"xx_nobody" not in told.get(b"m", {}))


@fails("bep10/handshake/12", saying="the connection was")
class IntroducedOnce(Session):
    """It closes at a second extended handshake."""

    before = False

    def be_introduced(self, told):
        self.expect(not self.before)
        self.before = True


@fails("bep10/handshake/13", saying="it says extended")
class IgnoresOff(Session):
    """It says messages of an extension that is switched off."""

    def be_introduced(self, told):
        self.say(Extended(UT_PEX, self.pex()))


@fails("bep10/handshake/16", saying="no extended within 12 s")
class ForgetsNames(Session):
    """What a later handshake does not name, it takes for switched off."""

    def be_introduced(self, told):
        self.their_m.clear()
        super().be_introduced(told)


@notes("bep10/handshake/17", saying="it goes by the first")
@notes("bep10/handshake/18", saying="it ignores that, and answers")
class FirstNames(Session):
    """It takes ids from the first handshake only."""

    def be_introduced(self, told):
        self.their_m = told.get(b"m", {}) | self.their_m


@fails("bep10/handshake/16", saying="it answers with the id 5")
class OwnId(Session):
    """It answers with its own id of ut_metadata."""

    def be_introduced(self, told):
        self.their_m[b"ut_metadata"] = UT_METADATA


passes("bep10/handshake/16")(Session)
notes("bep10/handshake/17", saying="it goes by the second")(Session)
notes("bep10/handshake/18", saying="it does not answer")(Session)


@lax("bep10/handshake/14", saying="no piece")
@lax("bep11/pex/3", saying="no piece")
@lax("bep54/donthave/2", saying="no piece")
class Confused(UnchokesAll):
    """After nonsense of an extension, it hears nothing more, and does not close."""

    def segment(self, data):
        try:
            super().segment(data)
        except Exception:
            self.segment = lambda data: None


passes("bep10/handshake/14", saying="it closes the connection")(Session)


@passes("bep10/handshake/14", "bep54/donthave/2", "bep11/pex/3", saying="it ignores it")
@notes("bep54/donthave/4", saying="it ignores it")
class Ignores(Session):
    """It ignores nonsense of extensions."""

    def take(self, message):
        try:
            super().take(message)
        except Exception:
            if not isinstance(message, Extended):
                raise


passes("bep10/handshake/15", saying="250 of 250 asked for at once")(Session)
notes("bep10/messages/1", saying="it ignores it")(Session)
notes("bep10/messages/1", saying="it closes the connection")(
    closes_at(Extended, where=lambda message: message.extended_id == 200)
)

# BEP 11

ClosesAtPex = closes_at(Extended, where=lambda message: message.extended_id == UT_PEX)
ClosesAtPex.__name__ = "ClosesAtPex"
fails("bep11/pex/2", "bep11/pex/6", "bep11/pex/7", saying="the connection was")(ClosesAtPex)
passes("bep11/pex/3", saying="it closes the connection")(ClosesAtPex)
notes("bep11/pex/4", saying="it closes the connection")(ClosesAtPex)
notes("bep11/pex/4", saying="it bears them")(Session)
NoPex = introduces_itself(m={"ut_pex": 0})
not_applicable(*(f"bep11/pex/{n}" for n in range(2, 9)), saying="does not speak ut_pex")(NoPex)
not_applicable(*(f"bep54/donthave/{n}" for n in (1, 2, 3, 4)), saying="does not speak lt_")(NoPex)
not_applicable("bep11/pex/1", saying="the torrent is not private")(Session)
passes("bep11/pex/5", saying="1 added, 0 dropped")(Session)

FOUR, SIX = NOBODY, bytes(15) + b"\1\0\1"


def tells_of(payload: bytes) -> type[Session]:
    """Returns a peer whose messages of ut_pex are these."""
    kind = type("TellsOf", (Session,), {"pex": lambda self: payload})
    kind.__name__ = f"TellsOf{payload[:60]!r}"
    return kind


def pex(**told: object) -> bytes:
    return encode({key.replace("_f", ".f"): value for key, value in told.items()})


OTHER = FOUR[:5] + b"\2"
for payload, saying in (
    (b"\xff", "it is not bencode"),
    (b"le", "it is no dictionary"),
    (b"de", "it tells of nobody"),
    (pex(added=7), "added is not made of contacts of 6 bytes"),
    (pex(added=FOUR[:5]), "added is not made of contacts of 6 bytes"),
    (pex(added6=FOUR), "added6 is not made of contacts of 18 bytes"),
    (pex(dropped6=FOUR), "dropped6 is not made of contacts of 18 bytes"),
    (pex(added=FOUR * 2, added_f=b"\0\0"), "added tells of somebody twice"),
    (pex(dropped=FOUR * 2), "dropped tells of somebody twice"),
    (pex(added=FOUR, added_f=b"\0\0"), "1 contacts have the flags b'\\x00\\x00'"),
    (pex(added6=SIX, added6_f=5), "1 contacts have the flags 5"),
    (pex(added=FOUR, added_f=b"\0", dropped=FOUR), "somebody is both added and dropped"),
    (pex(added6=SIX, added6_f=b"\0", dropped6=SIX), "somebody is both added and dropped"),
):
    fails("bep11/pex/5", saying=saying)(tells_of(payload))
passes("bep11/pex/5", saying="1 added, 1 dropped")(
    tells_of(pex(added=FOUR, added_f=b"\0", dropped=OTHER))
)
passes("bep11/pex/5", saying="2 added, 2 dropped")(
    tells_of(
        pex(
            added=FOUR, added_f=b"\0", dropped=OTHER, added6=SIX, added6_f=b"\0", dropped6=SIX[::-1]
        )
    )
)


@inconclusive("bep11/pex/5", saying="no ut_pex within 95 s")
@inconclusive("bep11/pex/8", saying="no ut_pex within 130 s")
class KeepsPeersToItself(Session):
    """It says no ut_pex."""

    async def chores(self):
        pass


@fails("bep11/pex/8", saying="two messages are 20 s apart")
class Chatters(Session):
    """It says ut_pex every twenty seconds."""

    async def chores(self):
        while True:
            await asyncio.sleep(20)
            if number := self.their_m.get(b"ut_pex"):
                self.say(Extended(number, self.pex()))


@passes("bep11/pex/5", saying="1 added, 0 dropped")
@passes("bep11/pex/8", saying="1 within 130 s")
class Drowsy(Session):
    """It tells of others late, and ends connections that are silent for 70 seconds."""

    bears_silence = 70

    async def chores(self):
        await asyncio.sleep(90)
        self.tell_of_others()


@inconclusive("bep11/pex/8", saying="does not wait for so long: the connection was closed")
class Impatient(Session):
    """It ends connections that are silent for 30 seconds."""

    bears_silence = 30


passes("bep11/pex/8", saying="2 within 130 s")(Session)

# BEP 21

notes("bep21/upload-only/1", saying="upload_only is 1")(introduces_itself(upload_only=1))
notes("bep21/upload-only/1", saying="upload_only is not said")(Session)


@fails("bep21/upload-only/2", saying="the connection was")
class Misunderstands(Session):
    """It closes at whoever says 'upload_only', whatever its value."""

    def be_introduced(self, told):
        self.expect(b"upload_only" not in told)


# BEP 54

ClosesAtLost = closes_at(Extended, where=lambda message: message.extended_id == LT_DONTHAVE)
ClosesAtLost.__name__ = "ClosesAtLost"
fails("bep54/donthave/1", saying="the connection was")(ClosesAtLost)
passes("bep54/donthave/2", saying="it closes the connection")(ClosesAtLost)
lax("bep54/donthave/3", saying="the connection was")(ClosesAtLost)
notes("bep54/donthave/4", saying="it closes the connection")(ClosesAtLost)
