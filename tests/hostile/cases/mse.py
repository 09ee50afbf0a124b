"""Message stream encryption, with one thing wrong in it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1

from peerwire import EncryptionError, InvalidHandshake, MessageTooBig, PeerTimeout
from peerwire.mse import GENERATOR, KEY_LENGTH, MAX_PAD, PRIME, VERIFICATION, skey_hash
from peerwire.rc4 import rc4

from ..case import DIALLED, Act, Case, Ended, Left, Level, Pause, Reply, Scene, Step
from ..torrent import INFO_HASH, greeting, said, trickled

__all__ = ["CASES"]

GET = frozenset({Level.WIRE, Level.GET})
PREFER, REQUIRE = Scene(encryption="prefer"), Scene(encryption="require")
PLAIN, RC4, BOTH = 1, 2, 3

#: The peer's private key, and what follows from it.
PRIVATE = 0x1234567890ABCDEF1234567890ABCDEF12345678
PUBLIC = pow(GENERATOR, PRIVATE, PRIME).to_bytes(KEY_LENGTH, "big")

#: Pads with nothing in them that anybody looks for.
NOISE = b"\x5a" * (MAX_PAD + 200)

#: Keys whose secret anybody knows, or that are none.
WEAK_KEYS = {
    "0": 0,
    "1": 1,
    "p-1": PRIME - 1,
    "p": PRIME,
    "p+1": PRIME + 1,
    "the-highest": (1 << 8 * KEY_LENGTH) - 1,
}


def secret(heard: bytes) -> bytes:
    """What is shared, from the public key that we were sent."""
    return pow(int.from_bytes(heard[:KEY_LENGTH], "big"), PRIVATE, PRIME).to_bytes(
        KEY_LENGTH, "big"
    )


def encrypted(key: bytes, shared: bytes, skey: bytes, data: bytes) -> bytes:
    buffer = bytearray(data)
    rc4(sha1(key + shared + skey).digest(), drop=1024).apply(buffer)
    return bytes(buffer)


def with_length(data: bytes, length: int | None) -> bytes:
    return (len(data) if length is None else length).to_bytes(2, "big") + data


@dataclass(frozen=True, slots=True)
class Dialler:
    """The side that dials, and what it says once it has our key; the fields are what may be wrong.

    Attributes:
        skey: The torrent.
        pad: Before all else.
        verification: Eight zeros.
        provide: What it offers.
        pad_length: What it says of a pad that is empty.
        payload: What it sends along.
        payload_length: What it says of that.
    """

    skey: bytes = INFO_HASH
    pad: bytes = b""
    verification: bytes = VERIFICATION
    provide: int = BOTH
    pad_length: int = 0
    payload: bytes = said(greeting())
    payload_length: int | None = None

    def __call__(self, heard: bytes) -> bytes | None:
        if len(heard) < KEY_LENGTH:
            return None
        shared = secret(heard)
        masked = bytes(
            a ^ b
            for a, b in zip(skey_hash(self.skey), sha1(b"req3" + shared).digest(), strict=True)
        )
        offer = self.verification + self.provide.to_bytes(4, "big")
        offer += self.pad_length.to_bytes(2, "big")
        offer += with_length(self.payload, self.payload_length)
        hidden = encrypted(b"keyA", shared, self.skey, offer)
        return self.pad + sha1(b"req1" + shared).digest() + masked + hidden


@dataclass(frozen=True, slots=True)
class Answerer:
    """The side that is dialled, in the same way."""

    pad: bytes = b""
    verification: bytes = VERIFICATION
    select: int = RC4
    pad_length: int = 0
    payload: bytes = said(greeting())

    def __call__(self, heard: bytes) -> bytes | None:
        if len(heard) < KEY_LENGTH:
            return None
        answer = self.verification + self.select.to_bytes(4, "big")
        answer += self.pad_length.to_bytes(2, "big") + self.payload
        hidden = encrypted(b"keyB", secret(heard), INFO_HASH, answer)
        return PUBLIC + self.pad + hidden


def dials(name: str, *script: Step, says: str, scene: Scene = PREFER) -> Case:
    """A peer that dials, after it has said its key."""
    return Case(
        id=f"mse/{name}",
        script=(PUBLIC, *script),
        expect=Ended(EncryptionError, "MSE", says),
        levels=DIALLED,
        scene=scene,
    )


def offers(name: str, dialler: Dialler, says: str, scene: Scene = PREFER) -> Case:
    return dials(name, Reply(dialler), says=says, scene=scene)


def answers(name: str, *script: Step, says: str) -> Case:
    """A peer that we dial, and want to speak RC4 with."""
    return Case(
        id=f"mse/{name}",
        script=script,
        expect=Ended(EncryptionError, "MSE", says),
        levels=GET,
        scene=REQUIRE,
    )


def inside(name: str, *data: bytes, expect: Ended) -> Case:
    """What is encrypted as it should be, and wrong all the same."""
    return Case(
        id=f"mse/{name}",
        script=(PUBLIC, *(Reply(Dialler(payload=d, provide=RC4)) for d in data)),
        expect=expect,
        levels=DIALLED,
        scene=PREFER,
    )


def weak(name: str, key: int) -> tuple[Case, Case]:
    public = key.to_bytes(KEY_LENGTH, "big")
    says = "make every secret known"
    dialled = Case(
        id=f"mse/key-{name}",
        script=(public,),
        expect=Ended(EncryptionError, "MSE", says),
        levels=DIALLED,
        scene=PREFER,
    )
    return dialled, answers(f"answered-with-key-{name}", public, says=says)


OTHER = said(greeting(info_hash=b"y" * 20))
LATE = "did not end within 10 s"

CASES = (
    *(case for name, key in WEAK_KEYS.items() for case in weak(name, key)),
    dials("no-sync", NOISE, says="no HASH(req1 S) within 512 bytes"),
    offers("pad-a-513", Dialler(pad=NOISE[:513]), "512"),
    offers("unknown-torrent", Dialler(skey=b"z" * 20), "is not served here"),
    offers("verification-wrong", Dialler(verification=b"\0" * 7 + b"\1"), "eight zero bytes"),
    offers("offers-nothing", Dialler(provide=0), "the peer offers"),
    offers("offers-the-unheard-of", Dialler(provide=0xFFFFFFFC), "the peer offers"),
    offers("offers-plaintext-where-rc4-is-required", Dialler(provide=PLAIN), "offers", REQUIRE),
    offers("pad-c-513", Dialler(pad_length=513), "a pad of 513 bytes"),
    offers("pad-c-65535", Dialler(pad_length=65535), "a pad of 65535 bytes"),
    offers("payload-69", Dialler(payload=bytes(69)), "an initial payload of 69 bytes"),
    offers("payload-65535", Dialler(payload_length=65535), "an initial payload of 65535 bytes"),
    offers("other-torrent-inside", Dialler(payload=OTHER), "names another torrent"),
    Case(
        id="mse/plain-where-required",
        script=(greeting(),),
        expect=Ended(EncryptionError, "MSE", "a plain handshake, where encryption is required"),
        levels=DIALLED,
        scene=REQUIRE,
    ),
    Case(
        id="mse/where-it-is-off",
        script=(PUBLIC,),
        expect=Ended(InvalidHandshake, "BEP 3, peer protocol", "it is another protocol or encr"),
        levels=DIALLED,
    ),
    Case(
        id="mse/http-where-preferred",
        script=(b"GET / HTTP/1.1\r\n".ljust(KEY_LENGTH + 600, b"x"),),
        expect=Ended(EncryptionError, "MSE", "no HASH(req1 S)"),
        levels=DIALLED,
        scene=PREFER,
    ),
    inside(
        "payload-no-handshake",
        b"GET / HTTP/1.1\r\n\r\n".ljust(68),
        expect=Ended(InvalidHandshake, "BEP 3, peer protocol", "where a handshake begins with"),
    ),
    Case(
        id="mse/4GiB-in-plaintext-after-it",
        script=(PUBLIC, Reply(Dialler(provide=PLAIN)), b"\xff\xff\xff\xff"),
        expect=Ended(MessageTooBig, "Limits.max_message", "4294967295"),
        levels=DIALLED,
        scene=PREFER,
    ),
    Case(
        id="mse/silence-after-the-key",
        script=(PUBLIC, Pause(10)),
        expect=Ended(PeerTimeout, "Limits.handshake_timeout", LATE),
        levels=DIALLED,
        scene=PREFER,
    ),
    Case(
        id="mse/key-trickled",
        script=trickled(PUBLIC[:2], 9),
        expect=Ended(PeerTimeout, "Limits.handshake_timeout", LATE),
        levels=DIALLED,
        scene=PREFER,
    ),
    Case(
        id="mse/closed-after-the-key",
        script=(PUBLIC, Act.CLOSE),
        expect=Left("into its handshake"),
        levels=DIALLED,
        scene=PREFER,
    ),
    answers("answered-with-noise", PUBLIC + NOISE, says="no verification within 512 bytes"),
    answers(
        "answered-plainly", said(greeting()).ljust(KEY_LENGTH + 600, b"\0"), says="no verification"
    ),
    answers("pad-b-513", Reply(Answerer(pad=NOISE[:513])), says="512"),
    answers("selects-nothing", Reply(Answerer(select=0)), says="crypto_select 0x0"),
    answers("selects-both", Reply(Answerer(select=BOTH)), says="crypto_select 0x3"),
    answers("selects-the-unheard-of", Reply(Answerer(select=4)), says="crypto_select 0x4"),
    answers("selects-plaintext", Reply(Answerer(select=PLAIN)), says="which was not offered"),
    answers("pad-d-513", Reply(Answerer(pad_length=513)), says="a pad of 513 bytes"),
    Case(
        id="mse/answered-with-silence",
        script=(PUBLIC[:95], Pause(10)),
        expect=Ended(PeerTimeout, "Limits.handshake_timeout", LATE),
        levels=GET,
        scene=REQUIRE,
    ),
    Case(
        id="mse/answered-by-closing",
        script=(Act.CLOSE,),
        expect=Left("into its handshake"),
        levels=GET,
        scene=REQUIRE,
    ),
)
