"""The small extensions on BEP 10: peer exchange (BEP 11), BEP 21, BEP 54."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from ...bencode import decode, encode
from ...messages import Extended, Have, KeepAlive
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive, NotApplicable
from ..probe import Silent
from .extended import handshake_of
from .steps import ignores_or_closes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..probe import Probe

__all__ = ["CASES"]

PEX = Cases("bep11/pex", "BEP 11")
SEEDS = Cases("bep21/upload-only", "BEP 21, extension header")
LOST = Cases("bep54/donthave", "BEP 54")

# BEP 11


@PEX.case(
    1,
    MUST,
    section="BEP 27",
    rule="Peers of a private torrent come from its trackers only.",
    does="says a handshake with the bit of BEP 10",
    expects="no ut_pex, if the torrent is private",
)
async def not_in_private(probe: Probe) -> None:
    known = probe.subject.metainfo or probe.subject.metainfo_v2
    assert known is not None, "the torrent has one of both sides"
    if not known.private:
        raise NotApplicable("the torrent is not private")
    told = await handshake_of(probe)
    if isinstance(told.get(b"m"), dict) and told[b"m"].get(b"ut_pex"):
        raise Deviates("it offers ut_pex")


#: Seconds between messages, without what a timer may come early.
MINUTE = 58.0

#: The address of nobody, on this machine, as BEP 11 has it.
NOBODY = bytes((127, 0, 0, 1, 0, 1))


async def say_pex(probe: Probe, *messages: Mapping[str, bytes]) -> None:
    """Exchanges extended handshakes, and says messages of ut_pex.

    Raises:
        NotApplicable: The peer does not speak it.
    """
    await probe.introduce({"ut_pex": 1})
    number = probe.their_id("ut_pex")
    probe.say(*[Extended(number, encode(dict(each))) for each in messages])


@PEX.case(
    2,
    MUST,
    rule="A message of ut_pex tells of peers that its sender is, or was, connected to.",
    does="says one with a peer added and a peer dropped, and asks for a piece",
    expects="the piece",
)
async def a_message(probe: Probe) -> None:
    told = {"added": NOBODY, "added.f": b"\0", "dropped": bytes((127, 0, 0, 1, 0, 2))}
    await say_pex(probe, told)
    await probe.goes_on()


@PEX.case(
    3,
    SHOULD,
    rule="A contact has 6 bytes.",
    does="says a message of ut_pex with 7 bytes of contacts",
    expects="it is ignored, or the connection is closed",
)
async def of_half_a_contact(probe: Probe) -> str:
    await say_pex(probe, {"added": bytes(7)})
    return await ignores_or_closes(probe)


@PEX.case(
    4,
    INFO,
    rule="There is one message a minute at the most; who says more may be disconnected.",
    does="says ten messages of ut_pex at once",
    expects="anything",
)
async def ten_at_once(probe: Probe) -> str:
    await say_pex(probe, *[{"added": NOBODY, "added.f": b"\0"}] * 10)
    return await ignores_or_closes(probe, "it bears them")


@PEX.case(
    5,
    MUST,
    rule="A message tells of somebody; contacts are whole, not told twice, each with a byte"
    " of flags, and nobody is both added and dropped.",
    does="connects twice, and listens for up to 95 seconds",
    expects="a message like that, if there is one",
    slow=True,
    deadline=120.0,
)
async def theirs(probe: Probe) -> str:
    await probe.introduce({"ut_pex": 1}, p=6881)
    probe.their_id("ut_pex")
    async with probe.another() as other:
        await other.introduce({"ut_pex": 1}, p=6882)
        for _ in range(2):
            for each in await probe.quiet(47):
                if isinstance(each, Extended) and each.extended_id == 1:
                    return judged(each.payload)
            probe.say(KeepAlive())
            other.say(KeepAlive())
    raise Inconclusive("it says no ut_pex within 95 s")


#: The keys of contacts, and the bytes of each of these.
CONTACTS = {b"added": 6, b"added6": 18, b"dropped": 6, b"dropped6": 18}


def judged(payload: bytes) -> str:
    """Tells what a message of ut_pex says.

    Raises:
        Deviates: It breaks a rule.
    """
    try:
        told = decode(payload, strict=False)
    except ValueError as error:
        raise Deviates(f"it is not bencode: {error}") from error
    if not isinstance(told, dict):
        raise Deviates("it is no dictionary")
    if not CONTACTS.keys() & told.keys():
        raise Deviates("it tells of nobody")
    added, added6, dropped, dropped6 = (contacts(told, key) for key in CONTACTS)
    for flags, count in ((told.get(b"added.f"), len(added)), (told.get(b"added6.f"), len(added6))):
        if flags and not (isinstance(flags, bytes) and len(flags) == count):
            raise Deviates(f"{count} contacts have the flags {flags!r:.60}")
    if {*added, *added6} & {*dropped, *dropped6}:
        raise Deviates("somebody is both added and dropped")
    return f"{len(added) + len(added6)} added, {len(dropped) + len(dropped6)} dropped"


def contacts(told: Mapping[bytes, Any], key: bytes) -> list[bytes]:
    """Returns the contacts of a message of ut_pex, apart.

    Raises:
        Deviates: They are no contacts, or there is one twice.
    """
    packed, size = told.get(key, b""), CONTACTS[key]
    if not isinstance(packed, bytes) or len(packed) % size:
        raise Deviates(f"{key.decode()} is not made of contacts of {size} bytes")
    apart = [packed[at : at + size] for at in range(0, len(packed), size)]
    if len({*apart}) < len(apart):
        raise Deviates(f"{key.decode()} tells of somebody twice")
    return apart


@PEX.case(
    6,
    MUST,
    rule="Flags are optional, and bits that nobody knows are left to the future.",
    does="says a message with a peer without flags, and one of IPv6 with all flags, and asks for a"
    " piece",
    expects="the piece",
)
async def with_any_flags(probe: Probe) -> None:
    told = {"added": NOBODY, "added6": bytes(15) + b"\1\0\1", "added6.f": b"\xff"}
    await say_pex(probe, told)
    await probe.goes_on()


@PEX.case(
    7,
    MUST,
    rule="At most 50 are told of as added, but for the first message.",
    does="says a first message with 60, all of them seeds, and asks for a piece",
    expects="the piece",
)
async def sixty_at_first(probe: Probe) -> None:
    contacts = b"".join(NOBODY[:-1] + bytes((port,)) for port in range(1, 61))
    told = {"added": contacts, "added.f": b"\2" * 60}
    await say_pex(probe, told)
    await probe.goes_on()


@PEX.case(
    8,
    MUST,
    rule="There is one message a minute at the most.",
    does="listens for up to 130 seconds, while others connect at first and after 65 seconds",
    expects="messages like that, if there are any",
    slow=True,
    deadline=150.0,
)
async def how_often(probe: Probe) -> str:
    await probe.introduce({"ut_pex": 1}, p=6881)
    probe.their_id("ut_pex")
    async with probe.another() as one:
        await one.introduce({"ut_pex": 1}, p=6882)
        came = await heard_within(probe, 65)
        one.say(KeepAlive())
        async with probe.another() as two:
            await two.introduce({"ut_pex": 1}, p=6883)
            came += await heard_within(probe, 65)
    if not came:
        raise Inconclusive("it says no ut_pex within 130 s")
    apart = [later - sooner for sooner, later in itertools.pairwise(came)]
    if apart and min(apart) < MINUTE:
        raise Deviates(f"two messages are {min(apart):.0f} s apart")
    return f"{len(came)} within 130 s"


async def heard_within(probe: Probe, seconds: float) -> list[float]:
    """Returns when messages of ut_pex come; at the end we say a keep-alive.

    Raises:
        Inconclusive: The connection ends.
    """
    came: list[float] = []
    until = probe.seconds + seconds * probe.patience
    while True:
        left = (until - probe.seconds) / probe.patience
        try:
            await probe.wait_for(Extended, within=left, where=lambda each: each.extended_id == 1)
        except Silent:
            probe.say(KeepAlive())
            return came
        except Closed as error:  # aria2 does where nobody is interested
            raise Inconclusive(f"it does not wait for so long: {error}") from error
        came.append(probe.seconds)


# BEP 21


@SEEDS.case(
    1,
    INFO,
    rule="A peer that wants nothing may say so with 'upload_only'.",
    does="says a handshake with the bit of BEP 10",
    expects="'upload_only' of 1, from a seed",
)
async def says_so(probe: Probe) -> str:
    told = await handshake_of(probe)
    return f"upload_only is {told.get(b'upload_only', 'not said')}"


@SEEDS.case(
    2,
    MUST,
    rule="'upload_only' tells that its sender wants nothing, and nothing else.",
    does="says it of 0, and asks for a piece",
    expects="the piece",
)
async def said_of_us(probe: Probe) -> None:
    await probe.introduce(upload_only=0)
    await probe.goes_on()


# BEP 54


@LOST.case(
    1,
    MUST,
    rule="Who offers lt_donthave understands it, of peers that do not offer it, too.",
    does="says that we have a piece and that we have it no more, and asks for another",
    expects="the piece",
)
async def of_a_piece(probe: Probe) -> None:
    await probe.introduce()
    number = probe.their_id("lt_donthave")
    probe.say(Have(0), Extended(number, bytes(4)))
    await probe.goes_on()


@LOST.case(
    2,
    SHOULD,
    rule="The message is the index of a piece, four bytes.",
    does="says three bytes",
    expects="the connection is closed, or the message ignored",
)
async def of_three_bytes(probe: Probe) -> str:
    await probe.introduce()
    probe.say(Extended(probe.their_id("lt_donthave"), bytes(3)))
    return await ignores_or_closes(probe)


@LOST.case(
    3,
    SHOULD,
    rule="The message is about a piece that was told of before.",
    does="says it of a piece that we never had, and asks for another",
    expects="the piece",
)
async def of_what_we_never_had(probe: Probe) -> None:
    await probe.introduce()
    probe.say(Extended(probe.their_id("lt_donthave"), bytes(4)))
    await probe.goes_on()


@LOST.case(
    4,
    INFO,
    rule="The message is about a piece that there is.",
    does="says it of the piece after the last",
    expects="it is ignored, or the connection is closed",
)
async def of_no_piece(probe: Probe) -> str:
    await probe.introduce()
    probe.say(Extended(probe.their_id("lt_donthave"), probe.num_pieces.to_bytes(4)))
    return await ignores_or_closes(probe)


CASES = (*PEX, *SEEDS, *LOST)
