"""The extension protocol (BEP 10)."""

from __future__ import annotations

import ipaddress
import itertools
from typing import TYPE_CHECKING, Any

from ...bencode import decode, encode
from ...handshake import Reserved
from ...messages import Extended, Message, Request
from ..case import INFO, MUST, SHOULD, Cases, Deviates, Inconclusive, NotApplicable
from .steps import closes_or_goes_on, frame, ignores_or_closes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..probe import Probe

__all__ = ["CASES", "OURS", "handshake_of"]

HANDSHAKES = Cases("bep10/handshake", "BEP 10, handshake message")
MESSAGES = Cases("bep10/messages", "BEP 10")

#: The id that we give ut_metadata: an odd one, that nobody else gives.
OURS = 77

EXTENSION = Reserved.EXTENSION


def is_introduction(message: Message) -> bool:
    """Says whether this is an extended handshake."""
    return isinstance(message, Extended) and message.extended_id == 0


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
        said = await probe.wait_for(Extended, where=is_introduction)
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
    if not isinstance(m, dict):
        raise NotApplicable("'m' is no dictionary")
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
    for message in itertools.takewhile(lambda each: not is_introduction(each), probe.heard):
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
    if not isinstance(value, bytes) or len(value) not in (4, 16):
        raise Deviates(f"it is {value!r:.60}")
    told = ipaddress.ip_address(value)
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
    await probe.open(EXTENSION)
    probe.need(EXTENSION, "BEP 10")
    probe.say(Extended(0, b"\xff" * 40))
    return await ignores_or_closes(probe)


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


@HANDSHAKES.case(
    16,
    MUST,
    rule="'m' is additive: a later one says what changes, and leaves the rest as it was.",
    does="gives ut_metadata an id, says a handshake with another name only, and asks for metadata",
    expects="an answer with the id that ut_metadata was given",
)
async def of_ours_more(probe: Probe) -> None:
    number = await speaks_metadata(probe)
    probe.say(Extended(0, encode({"m": {"xx_nobody": OURS + 1}})))
    await answered_with(probe, number, OURS)


@HANDSHAKES.case(
    17,
    INFO,
    rule="A later handshake may change what was said; a peer may choose to ignore it.",
    does="gives ut_metadata an id, and then another, and asks for metadata",
    expects="an answer with one of both",
)
async def of_ours_changed(probe: Probe) -> str:
    number = await speaks_metadata(probe)
    probe.say(Extended(0, encode({"m": {"ut_metadata": OURS + 1}})))
    found = await answered_with(probe, number, OURS, OURS + 1)
    return f"it goes by the {'first' if found == OURS else 'second'}"


@HANDSHAKES.case(
    18,
    INFO,
    rule="An id of zero in a later handshake disables an extension.",
    does="gives ut_metadata an id, and then 0, and asks for metadata and for a piece",
    expects="the piece, and no metadata",
)
async def of_ours_taken_back(probe: Probe) -> str:
    number = await speaks_metadata(probe)
    probe.say(Extended(0, encode({"m": {"ut_metadata": 0}})))
    probe.say(Extended(number, encode({"msg_type": 0, "piece": 0})))
    await probe.goes_on()
    said = [each for each in probe.heard if isinstance(each, Extended) and each.extended_id]
    return "it ignores that, and answers" if said else "it does not answer"


@HANDSHAKES.case(
    19,
    MUST,
    section="BEP 10, handshake message; BEP 3, peer messages",
    rule="The extended handshake comes immediately after the handshake, and so does the bitfield:"
    " peers say them in either order.",
    does="says an extended handshake and then a bitfield, and asks for a piece",
    expects="the piece",
)
async def of_ours_before_the_bitfield(probe: Probe) -> None:
    await probe.open(EXTENSION)
    probe.need(EXTENSION, "BEP 10")
    probe.say(Extended(0, b"d1:mdee"), probe.bitfield(0))
    await probe.goes_on()


async def speaks_metadata(probe: Probe) -> int:
    """Gives ut_metadata an id, and returns the peer's.

    Raises:
        NotApplicable: It does not speak it, or has none.
    """
    told = await probe.introduce({"ut_metadata": OURS})
    if not told.metadata_size:
        raise NotApplicable("it tells no metadata_size")
    return probe.their_id("ut_metadata")


async def answered_with(probe: Probe, number: int, *ours: int) -> int:
    """Asks for metadata, and returns the id that the answer comes with, one of ours.

    Raises:
        Deviates: It comes with another id, or not at all.
    """
    probe.say(Extended(number, encode({"msg_type": 0, "piece": 0})))
    said = await probe.wait_for(Extended, where=lambda each: each.extended_id != 0)
    if said.extended_id not in ours:
        raise Deviates(f"it answers with the id {said.extended_id}")
    return said.extended_id


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
    return await ignores_or_closes(probe)


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
    return await ignores_or_closes(probe, "it ignores it, or takes it")


CASES = (*HANDSHAKES, *MESSAGES)
