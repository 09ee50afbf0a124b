"""Message stream encryption, which no BEP defines and most clients speak."""

from __future__ import annotations

import os
from hashlib import sha1
from typing import TYPE_CHECKING, Final

from ...handshake import PROTOCOL
from ...mse import GENERATOR, KEY_LENGTH, MAX_PAD, PRIME, CryptoMethod, skey_hash
from ...rc4 import rc4
from ..case import INFO, MUST, SHOULD, Cases, Deviates, Inconclusive, NotApplicable
from ..probe import BLOCK, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..case import Ask

__all__ = ["CASES"]

CASES = Cases("mse/handshake", "MSE, as deployed")
BROKEN = Cases("mse/broken", "MSE, as deployed", hostile=True)
case = CASES.case

RC4: Final = CryptoMethod.RC4
PLAINTEXT: Final = CryptoMethod.PLAINTEXT

#: Seconds in which the rest of a pad has come.
SETTLE: Final = 0.5

#: Bytes without an end to their padding, after which nobody need look for it any more.
NOISE: Final = 2 * MAX_PAD + KEY_LENGTH


def pads_of(length: int) -> Callable[[int], bytes]:
    """Returns a source of randomness that makes all pads as long as that."""

    def random(count: int) -> bytes:
        return length.to_bytes(4) if count == 4 else os.urandom(count)

    return random


async def speaks(probe: Probe) -> None:
    """Sees that the peer answers an encrypted handshake at all.

    Raises:
        NotApplicable: It does not.
    """
    async with probe.another() as other:
        try:
            await other.encrypt(RC4 | PLAINTEXT, initial_payload=other.greeting().encode())
        except Deviates as error:
            raise NotApplicable(f"no encrypted handshake succeeds: {error}") from error


async def encrypt(
    probe: Probe,
    methods: CryptoMethod,
    *,
    initial_payload: bytes = b"",
    random: Callable[[int], bytes] = os.urandom,
) -> None:
    """Begins with encryption, of which the peer is known to speak some.

    Raises:
        NotApplicable: It does not.
        Deviates: It does not speak this.
    """
    await speaks(probe)
    try:
        await probe.encrypt(methods, initial_payload=initial_payload, random=random)
    except NotApplicable as error:
        raise Deviates(str(error)) from error


async def served(probe: Probe) -> None:
    """Sees that the encrypted connection is of use: handshakes are exchanged, a block served."""
    await probe.handshake()
    await probe.goes_on()


@case(
    1,
    MUST,
    rule="Offered RC4, a peer that speaks this chooses it, and both sides go on in it.",
    does="offers RC4, with the handshake along, and asks for a piece",
    expects="RC4, a handshake and the piece",
)
async def offered_rc4(probe: Probe) -> None:
    await encrypt(probe, RC4, initial_payload=probe.greeting().encode())
    await served(probe)


@case(
    2,
    MUST,
    rule="Exactly one of the methods that were offered is chosen.",
    does="offers RC4 and plaintext, with the handshake along, and asks for a piece",
    expects="one of both, a handshake and the piece",
)
async def offered_both(probe: Probe) -> str:
    chosen = await probe.encrypt(RC4 | PLAINTEXT, initial_payload=probe.greeting().encode())
    await served(probe)
    return f"it chooses {'RC4' if chosen is RC4 else 'plaintext'}"


@case(
    3,
    INFO,
    rule="Offered plaintext only, a peer chooses that, or ends the connection as its policy says.",
    does="offers plaintext, with the handshake along",
    expects="plaintext, or the end of the connection",
)
async def offered_plaintext(probe: Probe) -> str:
    try:
        await encrypt(probe, PLAINTEXT, initial_payload=probe.greeting().encode())
    except Deviates:
        return "it refuses plaintext"
    await served(probe)
    return "it takes plaintext"


@case(
    4,
    MUST,
    rule="The initial payload may be empty: the handshake then comes in the stream.",
    does="offers RC4, says the handshake afterwards, and asks for a piece",
    expects="a handshake and the piece",
)
async def no_initial_payload(probe: Probe) -> None:
    await encrypt(probe, RC4)
    probe.say(probe.greeting())
    await served(probe)


@case(
    5,
    MUST,
    rule="Pads have 0 to 512 bytes.",
    does="offers RC4 with pads of no bytes, and asks for a piece",
    expects="a handshake and the piece",
)
async def no_pads(probe: Probe) -> None:
    await encrypt(probe, RC4, initial_payload=probe.greeting().encode(), random=pads_of(0))
    await served(probe)


@case(
    6,
    MUST,
    rule="Pads have 0 to 512 bytes.",
    does="offers RC4 with pads of 512 bytes, and asks for a piece",
    expects="a handshake and the piece",
)
async def long_pads(probe: Probe) -> None:
    await encrypt(probe, RC4, initial_payload=probe.greeting().encode(), random=pads_of(MAX_PAD))
    await served(probe)


@case(
    7,
    INFO,
    rule="A peer tells a plain handshake from an encrypted one by its first 20 bytes.",
    does="says a plain handshake",
    expects="a plain one, or the end of the connection, as its policy says",
)
async def plain(probe: Probe) -> str:
    probe.say(probe.greeting())
    try:
        await probe.handshake()
    except Deviates:
        return "it wants encryption"
    return "it takes plain connections"


@case(
    8,
    MUST,
    rule="A public key has 96 bytes and is from 2 to P - 2; the pad behind it has at most 512.",
    does="says a public key on each of two connections, and listens for a second",
    expects="two keys like that, of which none is said twice, and no more than 512 bytes behind",
)
async def their_keys(probe: Probe) -> str:
    async with probe.another() as other:
        found = [await opening(each) for each in (probe, other)]
    keys = [each[:KEY_LENGTH] for each in found]
    if any(not 2 <= int.from_bytes(key) <= PRIME - 2 for key in keys):
        raise Deviates("a public key is out of range")
    if keys[0] == keys[1]:
        raise Deviates("both connections have the same public key")
    pads = [len(each) - KEY_LENGTH for each in found]
    if max(pads) > MAX_PAD:
        raise Deviates(f"{max(pads)} bytes follow the public key")
    return f"pads of {pads[0]} and {pads[1]} bytes"


async def opening(probe: Probe) -> bytes:
    """Says a public key, and returns what comes of that until a second after theirs.

    Raises:
        NotApplicable: The peer does not speak this.
        Inconclusive: It does, and no public key comes.
    """
    probe.opaque = True
    probe.write(pow(GENERATOR, int.from_bytes(os.urandom(20)), PRIME).to_bytes(KEY_LENGTH))
    await probe.bytes_heard(KEY_LENGTH)  # aria2 looks for it once a second
    heard = await probe.bytes_heard(KEY_LENGTH + MAX_PAD + 1, 1)
    if len(heard) < KEY_LENGTH or heard.startswith(PROTOCOL):
        await speaks(probe)
        raise Inconclusive("it says no public key before it has heard more of us")
    return heard


@case(
    9,
    MUST,
    rule="The initial payload is any beginning of the payload: the rest follows in the stream.",
    does="offers RC4, with 20 bytes of the handshake along, says the rest, and asks for a piece",
    expects="a handshake and the piece",
)
async def part_of_the_handshake(probe: Probe) -> None:
    data = probe.greeting().encode()
    await encrypt(probe, RC4, initial_payload=data[:20])
    probe.say(data[20:])
    await served(probe)


@case(
    10,
    MUST,
    rule="The info-hash in the handshake is that of the torrent that the second hash names.",
    does="names the torrent, and says a handshake with an info-hash that nobody serves",
    expects="the connection is closed",
)
async def of_another_torrent(probe: Probe) -> None:
    try:
        await encrypt(probe, RC4, initial_payload=probe.greeting(info_hash=os.urandom(20)).encode())
    except Deviates:  # the connection has ended before it was encrypted
        return
    await probe.closes()


# What is wrong


class Exchange:
    """The first half of an encrypted handshake, and bytes to make a wrong second half of.

    Args:
        secret: What both sides know.
        info_hash: The torrent's.
    """

    def __init__(self, secret: bytes, info_hash: bytes) -> None:
        self.secret = secret
        self.info_hash = info_hash

    def opening(self, skey: bytes | None = None) -> bytes:
        """Returns the two hashes that end the padding and name the torrent."""
        req2 = skey_hash(skey or self.info_hash)
        req3 = sha1(b"req3" + self.secret).digest()
        masked = bytes(a ^ b for a, b in zip(req2, req3, strict=True))
        return sha1(b"req1" + self.secret).digest() + masked

    def encrypted(self, data: bytes) -> bytes:
        """Returns it as the initiator encrypts it."""
        buffer = bytearray(data)
        rc4(sha1(b"keyA" + self.secret + self.info_hash).digest(), drop=1024).apply(buffer)
        return bytes(buffer)


async def exchange(probe: Probe) -> Exchange:
    """Exchanges keys with a peer that speaks this.

    Raises:
        NotApplicable: It does not.
    """
    await speaks(probe)
    probe.opaque = True
    private = int.from_bytes(os.urandom(20))
    probe.write(pow(GENERATOR, private, PRIME).to_bytes(KEY_LENGTH))
    theirs = await probe.bytes_heard(KEY_LENGTH)
    if len(theirs) < KEY_LENGTH:
        raise NotApplicable("it says no public key before it has heard more of us")
    await probe.bytes_heard(KEY_LENGTH + MAX_PAD, SETTLE)  # its pad, however long
    secret = pow(int.from_bytes(theirs[:KEY_LENGTH]), private, PRIME).to_bytes(KEY_LENGTH)
    return Exchange(secret, probe.info_hash)


def offer(
    *, constant: bytes = bytes(8), provide: int = 2, pad: int = 0, payload: int | None = None
) -> Callable[[Exchange, bytes], bytes]:
    """Returns what makes the second half of a handshake, in which one thing is wrong."""

    def make(found: Exchange, greeting: bytes) -> bytes:
        length = len(greeting) if payload is None else payload
        head = constant + provide.to_bytes(4) + pad.to_bytes(2) + bytes(pad) + length.to_bytes(2)
        return found.opening() + found.encrypted(head + greeting.ljust(length, b"\0")[:length])

    return make


def refused(make: Callable[[Exchange, bytes], bytes]) -> Ask:
    """Returns what says a wrong second half, and sees that the peer does not go on.

    To close at once is optional: a peer may wait, so as not to be recognized by when it closes.
    """

    async def ask(probe: Probe) -> str | None:
        found = await exchange(probe)
        before = probe.received
        probe.write(make(found, probe.greeting().encode()))
        try:
            await probe.closes()
        except Deviates:
            pass
        if probe.received > before:
            raise Deviates(f"it goes on, with {probe.received - before} bytes more")
        return None if probe.ended else "it says nothing more, and waits"

    return ask


def closed_by_key(number: int) -> Ask:
    """Returns what says a public key that makes the secret known to everybody."""

    async def ask(probe: Probe) -> None:
        await speaks(probe)
        probe.opaque = True
        probe.write(number.to_bytes(KEY_LENGTH) + bytes(NOISE))
        await probe.closes()

    return ask


for number, (key, name) in enumerate(((0, "0"), (1, "1"), (PRIME - 1, "P - 1")), 1):
    BROKEN.case(
        number,
        SHOULD,
        rule="A public key of 0, 1 or P - 1 makes every secret known, and is refused.",
        does=f"says the public key {name}",
        expects="the connection is closed",
    )(closed_by_key(key))

_WRONG: tuple[tuple[str, str, Callable[[Exchange, bytes], bytes]], ...] = (
    (
        "The second hash names the torrent; who does not serve it does not go on.",
        "names a torrent that nobody serves",
        lambda found, _: found.opening(bytes(20)) + bytes(NOISE),
    ),
    (
        "The end of the padding comes within 512 bytes.",
        f"says {NOISE} bytes of padding, and more",
        lambda *_: os.urandom(2 * NOISE),
    ),
    (
        "The verification is eight zero bytes.",
        "says eight others",
        offer(constant=b"\1" * 8),
    ),
    (
        "Who accepts none of the methods that are offered does not go on.",
        "offers no method",
        offer(provide=0),
    ),
    (
        "Who accepts none of the methods that are offered does not go on.",
        "offers a method that nobody knows",
        offer(provide=0x80),
    ),
    (
        "Pads have at most 512 bytes.",
        "says a pad of 8192 in the encrypted part",
        offer(pad=8192),
    ),
)
for number, (rule, does, make) in enumerate(_WRONG, 4):
    BROKEN.case(
        number,
        SHOULD if "Pads" in rule else MUST,
        rule=rule,
        does=does,
        expects="the end of the connection, or at least no answer",
    )(refused(make))


@BROKEN.case(
    10,
    MUST,
    rule="Bits of crypto_provide that nobody knows are no reason not to choose a known one.",
    does="offers RC4 and 30 methods that nobody knows",
    expects="an answer",
)
async def more_methods(probe: Probe) -> None:
    found = await exchange(probe)
    before = probe.received
    probe.write(offer(provide=0xFFFFFFFE)(found, probe.greeting().encode()))
    await probe.more(before)


@BROKEN.case(
    11,
    INFO,
    rule="The initial payload is a handshake; nothing says how long it may be.",
    does=f"says one of {BLOCK} bytes",
    expects="an answer, or the end of the connection",
)
async def long_payload(probe: Probe) -> str:
    found = await exchange(probe)
    before = probe.received
    probe.write(offer(payload=BLOCK)(found, PROTOCOL))
    try:
        await probe.more(before)
    except Deviates:
        return "it refuses it"
    return "it takes it"


CASES += BROKEN
