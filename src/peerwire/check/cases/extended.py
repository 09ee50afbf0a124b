"""The extension protocol (BEP 10), and the small extensions on it (BEP 11, 21, 54)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from ...bencode import decode, encode
from ...handshake import Reserved
from ...messages import Extended, Have, KeepAlive, Request
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive, NotApplicable
from .messages import closes_or_goes_on, frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..probe import Probe

__all__ = ["CASES", "handshake_of"]

HANDSHAKES = Cases("bep10/handshake", "BEP 10, handshake message")
MESSAGES = Cases("bep10/messages", "BEP 10")
PEX = Cases("bep11/pex", "BEP 11")
SEEDS = Cases("bep21/upload-only", "BEP 21, extension header")
LOST = Cases("bep54/donthave", "BEP 54")

EXTENSION = Reserved.EXTENSION


async def handshake_of(probe: Probe) -> Mapping[bytes, Any]:
    """Returns the peer's extended handshake as it was said.

    Raises:
        NotApplicable: It does not speak BEP 10.
        Inconclusive: None comes.
        Deviates: It is no bencoded dictionary.
    """
    await probe.open(EXTENSION)
    probe.need(EXTENSION, "BEP 10")
    try:
        said = await probe.wait_for(Extended, where=lambda each: each.extended_id == 0)
    except Deviates as error:
        raise Inconclusive(f"no extended handshake: {error}") from error
    try:
        value = decode(said.payload, strict=False)
    except ValueError as error:
        raise Deviates(f"it is not bencode: {error}") from error
    if not isinstance(value, dict):
        raise Deviates("it is no dictionary")
    return value


async def value_of(probe: Probe, key: bytes) -> Any:
    """Returns a value of the peer's extended handshake.

    Raises:
        NotApplicable: It has no such key.
    """
    told = await handshake_of(probe)
    if key not in told:
        raise NotApplicable(f"its extended handshake has no {key.decode()}")
    return told[key]


async def number_of(probe: Probe, key: bytes, low: int, high: int) -> str:
    """Sees that a value of the peer's extended handshake is a number within bounds."""
    value = await value_of(probe, key)
    if not isinstance(value, int) or not low <= value <= high:
        raise Deviates(f"it is {value!r:.60}")
    return f"it is {value}"


# The handshake of theirs


@HANDSHAKES.case(
    1,
    MUST,
    rule="The payload of the extended handshake is a bencoded dictionary.",
    does="says a handshake with the bit of BEP 10",
    expects="an extended handshake that is one",
)
async def is_a_dictionary(probe: Probe) -> None:
    await handshake_of(probe)


@HANDSHAKES.case(
    2,
    MUST,
    rule="'m' is a dictionary of names to ids, of which each is a byte; 0 means switched off.",
    does="says a handshake with the bit of BEP 10",
    expects="an 'm' like that, if there is one",
)
async def has_names(probe: Probe) -> str:
    m = await value_of(probe, b"m")
    if not isinstance(m, dict):
        raise Deviates("'m' is no dictionary")
    wrong = [name for name, number in m.items() if not isinstance(number, int) or number >> 8]
    if wrong:
        raise Deviates(f"the id of {wrong[0]!r:.60} is {m[wrong[0]]!r:.60}")
    return ", ".join(f"{name.decode(errors='replace')}={number}" for name, number in m.items())


@HANDSHAKES.case(
    3,
    MUST,
    rule="No two extensions have the same id.",
    does="says a handshake with the bit of BEP 10",
    expects="ids that differ",
)
async def has_ids_of_their_own(probe: Probe) -> None:
    m = await value_of(probe, b"m")
    numbers = [number for number in m.values() if number]
    if len({*numbers}) < len(numbers):
        raise Deviates(f"the ids are {sorted(numbers)}")


@HANDSHAKES.case(
    4,
    SHOULD,
    rule="The extended handshake comes immediately after the handshake.",
    does="says a handshake with the bit of BEP 10",
    expects="nothing before it but what tells which pieces there are",
)
async def comes_soon(probe: Probe) -> None:
    await handshake_of(probe)
    names = ("bitfield", "have", "have all", "have none", "keep-alive")
    for message in probe.heard:
        if isinstance(message, Extended) and message.extended_id == 0:
            return
        if message.name not in names:
            raise Deviates(f"it says {message} before it")


@HANDSHAKES.case(
    5,
    SHOULD,
    rule="'v' is the client's name and version, in UTF-8.",
    does="says a handshake with the bit of BEP 10",
    expects="a text like that, if there is one",
)
async def tells_its_version(probe: Probe) -> str:
    value = await value_of(probe, b"v")
    try:
        return f"it is {value.decode()}"
    except (AttributeError, UnicodeDecodeError):
        raise Deviates(f"it is {value!r:.60}") from None


@HANDSHAKES.case(
    6,
    SHOULD,
    rule="'reqq' is how many outstanding requests the sender supports.",
    does="says a handshake with the bit of BEP 10",
    expects="a number from 1 on, if there is one",
)
async def tells_its_queue(probe: Probe) -> str:
    return await number_of(probe, b"reqq", 1, 2**31)


@HANDSHAKES.case(
    7,
    SHOULD,
    rule="'p' is the TCP port that the sender listens on.",
    does="says a handshake with the bit of BEP 10",
    expects="a number from 1 to 65535, if there is one",
)
async def tells_its_port(probe: Probe) -> str:
    return await number_of(probe, b"p", 1, 65535)


@HANDSHAKES.case(
    8,
    SHOULD,
    rule="'yourip' is the receiver's address as the sender sees it, in 4 or 16 bytes.",
    does="says a handshake with the bit of BEP 10",
    expects="our address, if there is one",
)
async def tells_our_address(probe: Probe) -> None:
    value = await value_of(probe, b"yourip")
    try:
        told = ipaddress.ip_address(value)
    except ValueError:
        raise Deviates(f"it is {value!r:.60}") from None
    if str(getattr(told, "ipv4_mapped", None) or told) != probe.address:
        raise Deviates(f"it is {told}, where we are {probe.address}")


@HANDSHAKES.case(
    9,
    SHOULD,
    rule="'ipv4' and 'ipv6' are compact addresses of 4 and 16 bytes.",
    does="says a handshake with the bit of BEP 10",
    expects="values of these lengths, if there are any",
)
async def tells_its_addresses(probe: Probe) -> None:
    told = await handshake_of(probe)
    found = {key: told[key] for key in (b"ipv4", b"ipv6") if key in told}
    if not found:
        raise NotApplicable("it tells neither")
    for key, value in found.items():
        if not isinstance(value, bytes) or len(value) != (4 if key == b"ipv4" else 16):
            raise Deviates(f"{key.decode()} is {value!r:.60}")


# The handshake of ours


async def taken(probe: Probe, payload: bytes) -> None:
    """Says an extended handshake, and sees that the connection is still of use."""
    await probe.open(EXTENSION)
    probe.need(EXTENSION, "BEP 10")
    probe.say(Extended(0, payload))
    await probe.goes_on()


@HANDSHAKES.case(
    10,
    MUST,
    rule="All items of the dictionary are optional.",
    does="says an empty dictionary, and asks for a piece",
    expects="the piece",
)
async def of_ours_empty(probe: Probe) -> None:
    await taken(probe, b"de")


@HANDSHAKES.case(
    11,
    MUST,
    rule="Unknown names are ignored, in the dictionary and in 'm'.",
    does="says keys and names that nobody knows, and asks for a piece",
    expects="the piece",
)
async def of_ours_unknown(probe: Probe) -> None:
    told = {"m": {"xx_nobody": 7}, "xx_list": [1, {"a": b"b"}], "xx_text": b"\xff" * 40}
    await taken(probe, encode(told))


@HANDSHAKES.case(
    12,
    MUST,
    rule="The handshake may be said more than once: who does is not disconnected.",
    does="says it three times, and asks for a piece",
    expects="the piece",
)
async def of_ours_again(probe: Probe) -> None:
    await probe.introduce({"ut_pex": 1})
    probe.say(Extended(0, encode({"m": {"ut_pex": 2}})), Extended(0, encode({"v": "once more"})))
    await probe.goes_on()


@HANDSHAKES.case(
    13,
    MUST,
    rule="An id of zero means that the extension is not supported.",
    does="says an 'm' in which ut_pex and ut_metadata are 0, and asks for a piece",
    expects="the piece, and no message of an extension",
)
async def of_ours_switched_off(probe: Probe) -> None:
    await probe.introduce({"ut_pex": 0, "ut_metadata": 0})
    await probe.goes_on()
    said = [each for each in probe.heard if isinstance(each, Extended) and each.extended_id]
    if said:
        raise Deviates(f"it says {said[0]}")


@HANDSHAKES.case(
    14,
    SHOULD,
    rule="The payload of the extended handshake is a bencoded dictionary.",
    does="says one that is not bencoded",
    expects="the connection is closed, or the message ignored",
)
async def of_ours_broken(probe: Probe) -> str:
    try:
        await taken(probe, b"\xff" * 40)
    except Closed:
        return "it closes the connection"
    return "it ignores it"


@HANDSHAKES.case(
    15,
    MUST,
    rule="'reqq' is how many outstanding requests are supported without dropping any.",
    does="asks for as many parts of blocks as it says, up to 250, in one segment",
    expects="all of them",
)
async def keeps_its_queue(probe: Probe) -> str:
    told = await probe.introduce(reserved=Reserved.FAST)
    if told.reqq is None:
        raise NotApplicable("it says no reqq")
    await probe.unchoked()
    parts = [
        Request(each.index, each.begin + at, 1024)
        for index in range(min(probe.num_pieces, 64))
        for each in probe.blocks(index)[:4]
        for at in range(0, each.length - 1023, 1024)
    ]
    asked = parts[: min(told.reqq, 250)]
    probe.say(*asked)
    await probe.collect(asked)
    return f"{len(asked)} of {told.reqq} asked for at once"


# Messages


@MESSAGES.case(
    1,
    INFO,
    rule="Ids are the receiver's: nothing says what becomes of one that it did not give.",
    does="says a message of the extension 200, and asks for a piece",
    expects="it is ignored, or the connection is closed",
)
async def of_no_extension(probe: Probe) -> str:
    await probe.introduce()
    probe.say(Extended(200, b"abc"))
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return "it ignores it"


@MESSAGES.case(
    2,
    SHOULD,
    rule="An extended message has an id of its own, a byte.",
    does="says one without",
    expects="the connection is closed",
)
async def without_an_id(probe: Probe) -> None:
    await probe.introduce()
    probe.write(frame(Extended.id, b""))
    await closes_or_goes_on(probe)


@MESSAGES.case(
    3,
    INFO,
    rule="Extended messages are for peers whose handshake has the bit of BEP 10.",
    does="says a handshake without that bit, and an extended handshake",
    expects="it is ignored, or the connection is closed",
)
async def not_agreed_on(probe: Probe) -> str:
    await probe.open()
    probe.say(Extended(0, b"de"))
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return "it ignores it, or takes it"


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
    if known is None or not known.private:
        raise NotApplicable("the torrent is not private")
    told = await handshake_of(probe)
    if isinstance(told.get(b"m"), dict) and told[b"m"].get(b"ut_pex"):
        raise Deviates("it offers ut_pex")


#: The address of nobody, on this machine, as BEP 11 has it.
NOBODY = bytes((127, 0, 0, 1, 0, 1))


@PEX.case(
    2,
    MUST,
    rule="A message of ut_pex tells of peers that its sender is, or was, connected to.",
    does="says one with a peer added and a peer dropped, and asks for a piece",
    expects="the piece",
)
async def a_message(probe: Probe) -> None:
    await probe.introduce({"ut_pex": 1})
    told = {"added": NOBODY, "added.f": b"\0", "dropped": bytes((127, 0, 0, 1, 0, 2))}
    probe.say(Extended(probe.their_id("ut_pex"), encode(told)))
    await probe.goes_on()


@PEX.case(
    3,
    SHOULD,
    rule="A contact has 6 bytes.",
    does="says a message of ut_pex with 7 bytes of contacts",
    expects="it is ignored, or the connection is closed",
)
async def of_half_a_contact(probe: Probe) -> str:
    await probe.introduce({"ut_pex": 1})
    probe.say(Extended(probe.their_id("ut_pex"), encode({"added": bytes(7)})))
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return "it ignores it"


@PEX.case(
    4,
    INFO,
    rule="There is one message a minute at the most; who says more may be disconnected.",
    does="says ten messages of ut_pex at once",
    expects="anything",
)
async def ten_at_once(probe: Probe) -> str:
    await probe.introduce({"ut_pex": 1})
    number = probe.their_id("ut_pex")
    probe.say(*[Extended(number, encode({"added": NOBODY, "added.f": b"\0"}))] * 10)
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return "it bears them"


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


def judged(payload: bytes) -> str:
    """Tells what a message of ut_pex says.

    Raises:
        Deviates: It breaks a rule.
    """
    told = decode(payload, strict=False)
    if not isinstance(told, dict):
        raise Deviates("it is no dictionary")
    contacts: dict[bytes, list[bytes]] = {}
    for key, size in ((b"added", 6), (b"added6", 18), (b"dropped", 6), (b"dropped6", 18)):
        packed = told.get(key, b"")
        if not isinstance(packed, bytes) or len(packed) % size:
            raise Deviates(f"{key.decode()} is not made of contacts of {size} bytes")
        contacts[key] = [packed[at : at + size] for at in range(0, len(packed), size)]
        if len({*contacts[key]}) < len(contacts[key]):
            raise Deviates(f"{key.decode()} tells of somebody twice")
    if not contacts.keys() & told.keys():
        raise Deviates("it tells of nobody")
    for key in (b"added", b"added6"):
        flags = told.get(key + b".f", (contacts[key] and b"") or b"")
        if flags and isinstance(flags, bytes) and len(flags) != len(contacts[key]):
            raise Deviates(f"{len(contacts[key])} contacts have {len(flags)} flags")
    both = {*contacts[b"added"]} & {*contacts[b"dropped"]}
    if both:
        raise Deviates("somebody is both added and dropped")
    return f"{len(contacts[b'added'])} added, {len(contacts[b'dropped'])} dropped"


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
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return "it ignores it"


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
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return "it ignores it"


CASES = (*HANDSHAKES, *MESSAGES, *PEX, *SEEDS, *LOST)
