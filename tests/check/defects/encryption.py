"""What can be wrong with message stream encryption."""

from __future__ import annotations

import asyncio

from peerwire import Bitfield
from peerwire.handshake import PROTOCOL

from ..double import Ended, Session
from ..double_mse import KEY, PAD, PLAINTEXT, RC4, Encryption
from .opening import AnyTorrent
from .rows import fails, inconclusive, lax, not_applicable, notes, passes

ALL = [
    *(f"mse/handshake/{n}" for n in range(1, 7)),
    *(f"mse/broken/{n}" for n in range(1, 12)),
    "mse/handshake/9",
    "mse/handshake/10",
]


def encrypts(**attributes: object) -> type[Session]:
    """Returns a peer whose encryption differs in something."""
    kind = type("Encrypts", (Encryption,), attributes)

    class Encrypts(Session):
        def __init__(self, *args):
            super().__init__(*args)
            self.encryption = kind(self)

    Encrypts.__name__ = "EncryptsWith" + "".join(attributes)
    return Encrypts


@not_applicable(*ALL, saying="it does not answer an encrypted handshake")
class Unencrypted(Session):
    """It speaks in the clear only."""

    async def meet(self):
        start = await self.exactly(20)
        self.expect(start == PROTOCOL)
        self.hear_handshake(start + await self.exactly(48))
        self.say(self.greeting())


@notes("mse/handshake/7", saying="it wants encryption")
class EncryptedOnly(Session):
    """It speaks in the clear with nobody."""

    async def meet(self):
        while len(self.held) < 20:
            await self.more()
        self.expect(not self.held.startswith(PROTOCOL))
        await super().meet()


@fails("mse/handshake/2", saying="bytes of an encrypted handshake")
@not_applicable("mse/handshake/1", "mse/broken/1", saying="no encrypted handshake succeeds")
class BreaksOff(Session):
    """It says its key and closes."""

    def __init__(self, *args):
        super().__init__(*args)
        self.encryption = type("Closes", (Encryption,), {"choose": lambda *_: 0})(self)


@passes(*(f"mse/broken/{n}" for n in range(4, 10)), saying="says nothing more, and waits")
@lax(*(f"mse/broken/{n}" for n in (1, 2, 3)), saying="the connection goes on")
class Waits(Session):
    """It keeps connections open that it has done with."""

    async def meet(self):
        try:
            await super().meet()
        except Ended:
            await asyncio.Event().wait()


fails(*(f"mse/broken/{n}" for n in range(4, 9)), saying="it goes on, with ")(encrypts(lenient=True))
lax("mse/broken/9", saying="it goes on, with ")(encrypts(most_pad=8192))


def strict(self, offered):
    return 0 if offered & ~3 else RC4


fails("mse/broken/10", saying="the connection was")(encrypts(choose=strict))
fails("mse/handshake/2", saying="crypto_select")(encrypts(choose=lambda self, offered: 3))
fails("mse/handshake/1", *(f"mse/handshake/{n}" for n in (4, 5, 6)), saying="encrypted handshake")(
    encrypts(choose=lambda self, offered: offered & PLAINTEXT)
)
passes("mse/handshake/2", saying="it chooses plaintext")(
    encrypts(choose=lambda self, offered: PLAINTEXT if offered & PLAINTEXT else RC4)
)
passes("mse/handshake/2", saying="it chooses RC4")(Session)
notes("mse/handshake/3", saying="it takes plaintext")(Session)
notes("mse/handshake/3", saying="it refuses plaintext")(
    encrypts(choose=lambda self, offered: offered & RC4)
)
notes("mse/handshake/7", saying="it takes plain connections")(Session)
fails("mse/handshake/4", saying="encrypted handshake")(encrypts(takes_payloads_of=range(68, 69)))
fails("mse/handshake/5", saying="encrypted handshake")(encrypts(least_pad=1))
fails("mse/handshake/5", saying="it does not answer")(encrypts(before_answering=KEY + 1))
fails("mse/handshake/6", saying="encrypted handshake")(encrypts(most_pad=PAD - 1))
notes("mse/broken/11", saying="it refuses it")(Session)
notes("mse/broken/11", saying="it takes it")(encrypts(takes_payloads_of=range(1 << 16)))
not_applicable("mse/broken/4", saying="before it has heard more")(
    encrypts(before_answering=KEY + 1)
)


@fails("mse/handshake/1", "mse/handshake/4", saying="no handshake within 12 s")
class FallsSilent(Session):
    """It answers the encryption, and no handshake."""

    def greeting(self):
        return b""

    def opening(self):
        return []


def later(self, public):
    asyncio.get_running_loop().call_later(0.3, self.session.say, bytes(PAD))
    return public.to_bytes(KEY)


passes("mse/broken/4")(encrypts(opening=later))


@fails("mse/handshake/1", "mse/handshake/2", saying="can't be read")
class Garbles(Session):
    """What it encrypts can't be read."""

    def greeting(self):
        return bytes(each ^ 1 for each in super().greeting())


# Its key, and what comes along with the other's


@not_applicable("mse/handshake/8", saying="no encrypted handshake succeeds")
class SpeaksBeforeListening(Session):
    """It says its handshake, and more, to whoever connects."""

    async def meet(self):
        self.say(self.greeting(), Bitfield(bytes(100)))
        await super().meet()


passes("mse/handshake/8", saying="pads of 0 and 0 bytes")(Session)
fails("mse/handshake/8", saying="out of range")(encrypts(opening=lambda *_: bytes(KEY)))
fails("mse/handshake/8", saying="both connections have the same public key")(
    encrypts(private_key=lambda self: 5)
)
fails("mse/handshake/8", saying="513 bytes follow the public key")(
    encrypts(opening=lambda self, public: public.to_bytes(KEY) + bytes(PAD + 1))
)
passes("mse/handshake/8", saying="pads of 512 and 512 bytes")(
    encrypts(opening=lambda self, public: public.to_bytes(KEY) + bytes(PAD))
)
inconclusive("mse/handshake/8", saying="before it has heard more")(
    encrypts(before_answering=KEY + 1)
)
fails("mse/handshake/9", saying="encrypted handshake")(encrypts(takes_payloads_of=(0, 68)))
fails("mse/handshake/10", saying="the connection goes on")(AnyTorrent)


def knows_the_torrent(self, payload):
    self.expect(self.session.meta.info_hash in payload)


passes("mse/handshake/10")(encrypts(look_at=knows_the_torrent))
