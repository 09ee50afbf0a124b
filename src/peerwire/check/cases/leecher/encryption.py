"""Message stream encryption, of the side that begins with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ....handshake import HANDSHAKE_LENGTH, Reserved
from ....messages import Interested, Unchoke
from ....mse import KEY_LENGTH, MAX_PAD, CryptoMethod, Responder, SkeyTable
from ...case import INFO, MUST, SHOULD, Cases, Deviates, NotApplicable
from ..encryption import NOISE, pads_of
from .steps import GRACE

if TYPE_CHECKING:
    from collections.abc import Generator

    from ...case import Ask
    from ...probe import Probe

__all__ = ["CASES"]

CASES = Cases("mse/leecher", "MSE, as deployed", encrypted=True)

RC4: Final = CryptoMethod.RC4
PLAINTEXT: Final = CryptoMethod.PLAINTEXT


class Observer(Responder):
    """Answers, and remembers what it was told.

    Args:
        probe: The connection to who begins.
        methods: What is accepted.
        pad: How many bytes our pads have.
    """

    def __init__(
        self, probe: Probe, methods: CryptoMethod = RC4 | PLAINTEXT, *, pad: int = 0
    ) -> None:
        self._told: list[bytes] = []
        prefer = RC4 if RC4 in methods else PLAINTEXT
        super().__init__(SkeyTable([probe.info_hash]), methods, pads_of(pad), prefer=prefer)

    @property
    def has_heard_offer(self) -> bool:
        """Whether the leecher has come so far."""
        return len(self._told) > 1

    @property
    def offered(self) -> int:
        """What the leecher offers: crypto_provide."""
        return int.from_bytes(self._told[1])

    @property
    def padding(self) -> int:
        """The length of its pad in the encrypted part, in bytes."""
        return len(self._told[3])

    def _take_decrypted(self, count: int) -> Generator[None, None, bytearray]:
        taken = yield from super()._take_decrypted(count)
        self._told.append(bytes(taken))
        return taken


class Twisted(Observer):
    """Answers with something else than it should.

    Args:
        probe: As above.
        words: What it says, encrypted, in place of its answer.
    """

    def __init__(self, probe: Probe, words: bytes) -> None:
        self._words = words
        super().__init__(probe)

    def _send_encrypted(self, data: bytes) -> None:
        super()._send_encrypted(self._words)


@CASES.case(
    1,
    MUST,
    rule="A key, 512 bytes of padding at the most, a hash that ends it, and one of the torrent.",
    does="answers the key, and listens to the end of the encrypted handshake",
    expects="that, eight zero bytes, and a pad of 512 bytes at the most",
)
async def begins_rightly(probe: Probe) -> str:
    mse = Observer(probe)
    await probe.accept(mse)
    return f"a pad of {mse.padding} bytes, an initial payload of {len(mse.rest)}"


@CASES.case(
    2,
    MUST,
    rule="One method is offered or both: crypto_provide has a bit for each, and no others.",
    does="answers the key, and listens to the end of the encrypted handshake",
    expects="1, 2 or 3",
)
async def offers(probe: Probe) -> str:
    mse = Observer(probe)
    await probe.accept(mse)
    if mse.offered > RC4 | PLAINTEXT:
        raise Deviates(f"it offers {mse.offered:#x}")
    return f"it offers {mse.offered}"


@CASES.case(
    3,
    MUST,
    rule="The initial payload is the beginning of what is said, which goes on after it.",
    does="chooses a method, says nothing more, and listens",
    expects="one handshake, in the initial payload or after it",
)
async def says_hello_once(probe: Probe) -> str:
    mse = Observer(probe)
    await probe.accept(mse)
    early = len(mse.rest)
    await probe.handshake()
    await probe.quiet(1)  # a second one is no message, and can't be read
    return f"{min(early, HANDSHAKE_LENGTH)} bytes of it are in the initial payload"


async def is_of_use(probe: Probe) -> None:
    """Sees that what follows an encrypted handshake is understood on both sides.

    Raises:
        Deviates: It is not.
    """
    await probe.handshake()
    await probe.quiet(GRACE)
    probe.say(probe.everything, Unchoke())
    await probe.wait_for(Interested)
    await probe.requested()


@CASES.case(
    4,
    MUST,
    rule="Where RC4 is chosen, both sides go on in it.",
    does="chooses RC4, and tells of all pieces and says 'unchoke' in it",
    expects="a handshake, and a request",
)
async def goes_on_in_rc4(probe: Probe) -> None:
    await offered(probe, RC4)
    probe.say(probe.greeting())
    await is_of_use(probe)


@CASES.case(
    5,
    MUST,
    rule="Where plaintext is chosen, both sides go on in it after the encrypted handshake.",
    does="chooses plaintext, and tells of all pieces and says 'unchoke' in it",
    expects="a handshake, and a request",
)
async def goes_on_in_plaintext(probe: Probe) -> None:
    await offered(probe, PLAINTEXT)
    probe.say(probe.greeting())
    await is_of_use(probe)


async def offered(probe: Probe, method: CryptoMethod) -> None:
    """Chooses a method.

    Raises:
        NotApplicable: It is not offered.
    """
    mse = Observer(probe, method)
    try:
        await probe.accept(mse)
    except Deviates:
        if not mse.has_heard_offer or mse.offered & method:
            raise
        raise NotApplicable(f"it does not offer {method.name}") from None


@CASES.case(
    6,
    MUST,
    rule="Pads have 0 to 512 bytes.",
    does="answers with pads of 512 bytes",
    expects="a handshake, and a request",
)
async def bears_long_pads(probe: Probe) -> None:
    await probe.accept(Observer(probe, pad=MAX_PAD))
    probe.say(probe.greeting())
    await is_of_use(probe)


@CASES.case(
    7,
    MUST,
    rule="What comes after the answer, in the same segment, is the beginning of the payload.",
    does="says its handshake and a bitfield in the segment in which the answer ends",
    expects="a handshake, and a request",
)
async def takes_it_all(probe: Probe) -> None:
    everything = probe.everything
    await probe.accept(Observer(probe), probe.greeting(), everything, Unchoke())
    await probe.handshake()
    await probe.requested()


def answer(
    *, constant: bytes = bytes(8), select: int = 2, pad: int = 0, padding: int | None = None
) -> bytes:
    """Returns an answer in which one thing is wrong, or nothing.

    Args:
        constant: The verification.
        select: crypto_select.
        pad: The length that the pad is said to have.
        padding: The length that it has.
    """
    room = pad if padding is None else padding
    return constant + select.to_bytes(4) + pad.to_bytes(2) + bytes(room)


async def goes_on(probe: Probe) -> str | None:
    """Sees that the leecher says no more after what is wrong, and returns whether it waits.

    To close at once is optional: it may wait, so as not to be recognized by when it closes.

    Raises:
        Deviates: It says something.
    """
    before, probe.opaque = probe.received, True
    try:
        await probe.closes()
    except Deviates:
        if probe.received > before:
            raise Deviates(f"it goes on, with {probe.received - before} bytes more") from None
        return "it says nothing more, and waits"
    return None


def refused(words: bytes) -> Ask:
    """Returns what answers with something that is wrong, and sees that the leecher minds."""

    async def ask(probe: Probe) -> str | None:
        await probe.accept(Twisted(probe, words))
        everything = probe.everything
        probe.say(probe.greeting(Reserved.FAST | Reserved.EXTENSION), everything, Unchoke())
        return await goes_on(probe)

    return ask


_WRONG = (
    (SHOULD, "The method that is chosen is one.", "chooses both methods", answer(select=3)),
    (MUST, "The method that is chosen is one that was offered.", "chooses none", answer(select=0)),
    (
        MUST,
        "The method that is chosen is one that was offered.",
        "chooses 0x80",
        answer(select=0x80),
    ),
    (SHOULD, "Pads have at most 512 bytes.", "answers with a pad of 8192 bytes", answer(pad=8192)),
    (
        MUST,
        "The end of the padding is the verification, and comes within 512 bytes.",
        "answers with ones in place of the verification, and much more",
        answer(constant=b"\1" * 8) + bytes(NOISE),
    ),
)
for number, (level, rule, does, words) in enumerate(_WRONG, 8):
    CASES.case(
        number,
        level,
        rule=rule,
        does=does,
        expects="the end of the connection, or at least no more of it",
    )(refused(words))


@CASES.case(
    13,
    SHOULD,
    rule="A public key of 0, 1 or P - 1 makes every secret known, and is refused.",
    does="answers with the public key 1",
    expects="the end of the connection, or at least no more of it",
)
async def refuses_a_known_secret(probe: Probe) -> str | None:
    await begun(probe)
    probe.write((1).to_bytes(KEY_LENGTH))
    return await goes_on(probe)


@CASES.case(
    14,
    INFO,
    rule="Who does not speak encryption answers a key with nothing or a plain handshake.",
    does="answers with a plain handshake",
    expects="the end of the connection, or nothing",
)
async def meets_a_plain_peer(probe: Probe) -> str | None:
    await begun(probe)
    probe.say(probe.greeting())
    return await goes_on(probe) or "it closes the connection"


async def begun(probe: Probe) -> None:
    """Hears the leecher's key and its pad.

    Raises:
        NotApplicable: It does not begin with encryption.
    """
    if await probe.in_the_clear():
        raise NotApplicable("it does not begin with an encrypted handshake")
    await probe.bytes_heard(KEY_LENGTH + MAX_PAD, GRACE)
