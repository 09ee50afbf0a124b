"""The encryption of the double, in the role of who is connected to; nothing of `peerwire.mse`."""

from __future__ import annotations

import os
from hashlib import sha1
from typing import TYPE_CHECKING

from peerwire.rc4 import rc4

if TYPE_CHECKING:
    from peerwire.rc4 import StreamCipher

    from .double import Session

PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22"
    "514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6"
    "F44C42E9A63A36210000000000090563",
    16,
)
KEY, PAD = 96, 512
PLAINTEXT, RC4 = 1, 2


class Encryption:
    """What hides one connection, once it is agreed on.

    Attributes:
        lenient: Whether it goes on whatever it was told.
        takes_payloads_of: How long the initial payload may be; that of handshakes is 68.
        before_answering: How many bytes it wants of the other side before it says its key.
        least_pad: How many bytes it wants of the other side's pads.
        most_pad: How many it takes.
    """

    lenient = False
    takes_payloads_of = range(69)
    before_answering = KEY
    least_pad = 0
    most_pad = PAD

    def __init__(self, session: Session) -> None:
        self.session = session
        self._encrypt: StreamCipher | None = None
        self._decrypt: StreamCipher | None = None

    def encrypted(self, data: bytes) -> bytes:
        return data if self._encrypt is None else applied(self._encrypt, data)

    def decrypted(self, data: bytes) -> bytes:
        return data if self._decrypt is None else applied(self._decrypt, data)

    def choose(self, offered: int) -> int:
        """The method to go on with, of those that are offered; 0 for none."""
        return RC4 if offered & RC4 else offered & PLAINTEXT

    def private_key(self) -> int:
        return int.from_bytes(os.urandom(20))

    def opening(self, public: int) -> bytes:
        """The public key, and a pad."""
        return public.to_bytes(KEY)

    def look_at(self, payload: bytes) -> None:
        """Judges the initial payload before it answers."""

    def expect(self, right: bool) -> None:
        self.session.expect(right or self.lenient)

    def within(self, bounds: range, length: int) -> int:
        """A length that was told; 0 if it can't be right."""
        self.expect(length in bounds)
        return length if length in bounds else 0

    async def respond(self) -> None:
        """Reads the other side's half of the handshake and says its own."""
        session = self.session
        while len(session.held) < self.before_answering:
            await session.more()
        theirs = int.from_bytes(await session.exactly(KEY))
        session.expect(2 <= theirs <= PRIME - 2)
        private = self.private_key()
        session.say(self.opening(pow(2, private, PRIME)))
        secret = pow(theirs, private, PRIME).to_bytes(KEY)

        await self._skip_to(sha1(b"req1" + secret).digest())
        named = bytes(
            a ^ b
            for a, b in zip(await session.exactly(20), sha1(b"req3" + secret).digest(), strict=True)
        )
        info_hash = session.meta.info_hash
        self.expect(named == sha1(b"req2" + info_hash).digest())
        decrypt = rc4(sha1(b"keyA" + secret + info_hash).digest(), drop=1024)
        encrypt = rc4(sha1(b"keyB" + secret + info_hash).digest(), drop=1024)

        head = applied(decrypt, await session.exactly(14))
        self.expect(head[:8] == bytes(8))
        method = self.choose(int.from_bytes(head[8:12]))
        self.expect(bool(method))
        pad = int.from_bytes(head[12:])
        pad = self.within(range(self.least_pad, self.most_pad + 1), pad)
        applied(decrypt, await session.exactly(pad))
        length = int.from_bytes(applied(decrypt, await session.exactly(2)))
        length = self.within(self.takes_payloads_of, length)
        payload = applied(decrypt, await session.exactly(length))

        self.look_at(payload)

        answer = bytes(8) + method.to_bytes(4) + bytes(2)
        session.say(applied(encrypt, answer))
        rest = session.exactly_held()
        if method == RC4:
            self._encrypt, self._decrypt = encrypt, decrypt
        session.held += payload + self.decrypted(rest)

    async def _skip_to(self, pattern: bytes) -> None:
        """Drops the other side's pad."""
        held = self.session.held
        while (found := held.find(pattern)) < 0 and len(held) < PAD + len(pattern):
            await self.session.more()
        self.expect(found >= 0)
        self.expect(self.least_pad <= found <= self.most_pad)
        del held[: max(0, found) + len(pattern)]


def applied(cipher: StreamCipher, data: bytes) -> bytes:
    buffer = bytearray(data)
    cipher.apply(buffer)
    return bytes(buffer)
