"""Message stream encryption after a genuine key exchange, with one thing in it that is wrong.

The peer is written here anew, from the description of the protocol, so that each of its fields can
be replaced. Where nothing is wrong the handshake has to succeed, where the proof is wrong, or the
handshake inside names another torrent, it has to fail, and whatever else is wrong may only end in
an error of the tree or in a deadline.
"""

from __future__ import annotations

import functools
import random
from hashlib import sha1
from typing import TYPE_CHECKING

from peerwire import mse
from peerwire.encryption import EncryptedWire, Encryption
from peerwire.errors import EncryptionError, InfoHashMismatch, RemoteProtocolError
from peerwire.handshake import PROTOCOL, Handshake, Reserved
from peerwire.messages import Unchoke
from peerwire.mse import GENERATOR, PRIME, CryptoMethod, SkeyTable, skey_hash
from peerwire.rc4 import StreamCipher, rc4
from peerwire.state import State
from peerwire.wire import Wire

from ..harness import INFO_HASH, OUR_ID, PEER_ID, Script, check_line, chunks, expect

if TYPE_CHECKING:
    from collections.abc import Callable

# The exchange is the real one, but with few private keys there is no need to compute each power
# anew: that would be nearly all of an execution.
power = functools.lru_cache(4096)(pow)

PRIVATE = int.from_bytes(sha1(b"the peer's private key").digest())
PUBLIC = power(GENERATOR, PRIVATE, PRIME).to_bytes(96)
#: Served as well, where several torrents are.
OTHER_HASH = INFO_HASH[::-1]
#: Fields that prove who is talking: one wrong bit, and nobody may believe it.
PROOFS = ("key", "req1", "req2", "verification")
#: What waits at most in an incomplete handshake: a pad and the longest thing looked for behind it.
MOST_HELD = 512 + 20


def target(data: bytes) -> None:
    """Plays one side against ours."""
    script = Script(data)
    policy = list(Encryption)[script.below(3)]
    vars(mse)["pow"] = power  # in place of the builtin
    setting = script.byte()
    try:
        Play(
            script,
            policy,
            responder=bool(setting & 1),
            many=bool(setting & 2),
            misnamed=bool(setting & 4),
        ).run()
    finally:
        del vars(mse)["pow"]


class Play:
    """One handshake with a peer that has something wrong with it.

    Args:
        script: What comes next.
        policy: Ours.
        responder: Whether we are; the peer is the other.
        many: Whether we serve several torrents as such, and learn from the peer which it is.
        misnamed: Whether the handshake inside names another torrent than the encrypted one.
    """

    def __init__(
        self, script: Script, policy: Encryption, *, responder: bool, many: bool, misnamed: bool
    ) -> None:
        self.script, self.policy, self.responder = script, policy, responder
        self.many, self.misnamed = responder and many, misnamed
        self.size = script.byte()
        self.methods = CryptoMethod(1 + script.below(3))
        role = "responder" if responder else "initiator"
        one = None if self.many else INFO_HASH
        self.wire = Wire(role, one, OUR_ID, reserved=Reserved(0))
        self.mine = EncryptedWire(
            self.wire,
            policy,
            torrents=SkeyTable([INFO_HASH, OTHER_HASH] if self.many else [INFO_HASH]),
            random=random.Random(script.below(4)).randbytes,
        )
        names = FIELDS if responder else FIELDS[:2] + FIELDS[4:6] + FIELDS[6:8]
        self.wrong = ("", *names)[script.below(len(names) + 1)]
        self.how, self.where, self.value = script.below(4), script.u16(), script.text()
        self.harmless = not self.wrong
        self.error: RemoteProtocolError | None = None

    def run(self) -> None:
        """Speaks the peer's part and judges what becomes of it."""
        heard = bytearray(self.mine.data_to_send())
        self.say(self.field("key", PUBLIC) + self.field("pad", bytes(self.script.below(256))))
        heard += self.mine.data_to_send()
        if len(heard) >= 96 and self.policy is not Encryption.OFF:
            self.speak_encrypted(bytes(heard))
        if self.mine.is_opening or self.wire.state is State.HANDSHAKE:
            self.guarded(lambda: self.mine.handle_timer(self.wire.limits.handshake_timeout))
            expect(self.wire.state is State.CLOSED, "no deadline ends the handshake")
        if self.wire.state is State.OPEN:
            method = self.mine.method or CryptoMethod(0)
            expect(bool(method) or self.is_plain(), "encryption was begun and ended in the clear")
            expect(method in self.policy.methods, "a method we do not allow")
            expect(self.wrong not in PROOFS or self.how != 0, "a wrong proof was believed")
            about = self.wire.info_hash
            expect(
                not method or about == INFO_HASH, "two torrents were named, and one was believed"
            )
        else:
            expect(self.error is not None, "it ended without an error")

    def speak_encrypted(self, heard: bytes) -> None:
        """The rest of the peer's part: what follows the exchange of keys."""
        secret = power(int.from_bytes(heard[:96]), PRIVATE, PRIME).to_bytes(96)
        keys = (sha1(b"keyA" + secret + INFO_HASH), sha1(b"keyB" + secret + INFO_HASH))
        ciphers = [rc4(key.digest(), drop=1024) for key in keys]
        encrypt, decrypt = ciphers if self.responder else ciphers[::-1]
        opening = Handshake(OTHER_HASH if self.misnamed else INFO_HASH, PEER_ID).encode()
        offer = self.field("verification", bytes(8)) + self.field(
            "methods", int(self.methods).to_bytes(4)
        )
        offer += self.with_length("inner pad", bytes(self.script.below(256)))
        proof = b""
        if self.responder:
            proof = self.field("req1", sha1(b"req1" + secret).digest())
            mask = sha1(b"req3" + secret).digest()
            masked = bytes(a ^ b for a, b in zip(skey_hash(INFO_HASH), mask, strict=True))
            proof += self.field("req2", masked)
            early = opening if self.script.byte() & 1 else b""
            offer += self.with_length("initial payload", early)
            opening = opening[len(early) :]
        rest = proof + applied(encrypt, offer)
        if rest[: 20 if self.responder else 8] in self.value:
            self.harmless = False  # a pad with the mark of its own end in it: the fuzzer finds one
        self.say(rest)
        method = self.mine.method if self.responder else self.methods
        payload = opening + Unchoke().encode()
        self.say(applied(encrypt, payload) if method is CryptoMethod.RC4 else payload)
        fitting = self.methods & self.policy.methods and self.is_one()
        if self.harmless and fitting and self.misnamed:
            kind = EncryptionError if self.many else InfoHashMismatch
            expect(type(self.error) is kind, f"misnamed inside, and it ended with {self.error!r}")
        elif self.harmless and fitting:
            expect(self.wire.state is State.OPEN, f"a handshake without fault failed: {self.error}")
            expect(not self.wire.peer_choking, "the payload did not come through")
            self.check_ours(heard, secret, decrypt)
        elif not self.methods & self.policy.methods:
            expect(self.mine.method is None or self.wrong != "", "no method in common")

    def is_plain(self) -> bool:
        """Whether the peer has begun in the clear where it may."""
        willing = self.policy is Encryption.OFF or (
            self.responder and self.policy is Encryption.PREFER
        )
        return willing and self.wrong == "key" and self.value.startswith(PROTOCOL)

    def is_one(self) -> bool:
        """Whether we may select what we do: a responder says one method, an initiator offers."""
        return self.responder or self.methods in (CryptoMethod.RC4, CryptoMethod.PLAINTEXT)

    def check_ours(self, heard: bytes, secret: bytes, decrypt: StreamCipher) -> None:
        """What our side has said, read by the peer: both halves agree."""
        said = bytearray(heard[96:] + self.mine.data_to_send())
        if self.responder:
            pattern = applied(decrypt, bytes(8))
            del said[: said.index(pattern) + 8]
        else:
            del said[: said.index(sha1(b"req1" + secret).digest()) + 40]
            expect(applied(decrypt, bytes(said[:8])) == bytes(8), "our verification")
            del said[:8]
        methods, length = applied(decrypt, bytes(said[:4])), applied(decrypt, bytes(said[4:6]))
        pad = 6 + int.from_bytes(length)
        expect(pad <= 6 + 512, "our pad is too long")
        applied(decrypt, bytes(said[6:pad]))
        theirs = CryptoMethod(int.from_bytes(methods))
        method = self.mine.method or CryptoMethod(0)
        expect(method in theirs and theirs in self.policy.methods, "methods differ")
        rest = bytes(said[pad:])
        if not self.responder:
            length = applied(decrypt, rest[:2])
            expect(int.from_bytes(length) == 68, "our handshake goes along")
            rest = applied(decrypt, rest[2:70])
        elif self.mine.method is CryptoMethod.RC4:
            rest = applied(decrypt, rest)
        expect(rest == Handshake(INFO_HASH, OUR_ID).encode(), "our handshake came out otherwise")

    def with_length(self, name: str, content: bytes) -> bytes:
        """A field of any length, behind the field that tells its length."""
        content = self.field(name, content)
        length = min(len(content), 0xFFFF).to_bytes(2)
        return self.field(f"length of {name}", length) + content

    def field(self, name: str, right: bytes) -> bytes:
        """A field as it should be, or with what is wrong with it."""
        if name != self.wrong:
            return right
        self.harmless = False
        at = self.where % (len(right) + 1)
        match self.how:
            case 0:  # one byte of it is another
                at = min(at, max(0, len(right) - 1))
                flipped = bytes(byte ^ (self.value[:1] or b"\1")[0] or 1 for byte in right[at:][:1])
                wrong = right[:at] + flipped + right[at + 1 :]
                if wrong == right and right:
                    wrong = right[:at] + bytes((right[at] ^ 1,)) + right[at + 1 :]
            case 1:  # it is cut short
                wrong = right[:at]
            case 2:  # there is more of it
                wrong = right[:at] + self.value[:700] + right[at:]
            case _:  # it is something else
                wrong = self.value[:700]
        self.harmless = wrong == right or (name in ("pad", "inner pad") and len(wrong) <= 512)
        return wrong

    def say(self, data: bytes) -> None:
        """The peer says this, in chunks."""
        for chunk in chunks(data, self.size):
            self.guarded(functools.partial(self.mine.receive_data, bytearray(chunk), 0.0))
            if self.wire.state is State.DECIDING:
                self.guarded(self.wire.accept)
            shaking = self.mine._shaking
            expect(shaking is None or shaking.held < MOST_HELD, "an incomplete handshake")

    def guarded(self, action: Callable[[], object]) -> None:
        """Does what may end in a violation."""
        try:
            action()
        except RemoteProtocolError as error:
            check_line(error)
            expect(self.wire.state is State.CLOSED, "a violation left the wire open")
            self.error = error


def applied(cipher: StreamCipher, data: bytes) -> bytes:
    """Encrypts, or decrypts: that is the same."""
    buffer = bytearray(data)
    cipher.apply(buffer)
    return bytes(buffer)


FIELDS = (
    "key",
    "pad",
    "req1",
    "req2",
    "verification",
    "methods",
    "inner pad",
    "length of inner pad",
    "initial payload",
    "length of initial payload",
)
