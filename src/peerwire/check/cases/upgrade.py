"""The two info-hashes of a hybrid, and the upgrade from one to the other (BEP 52)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...handshake import Reserved
from ...hashes import HashRange
from ...messages import Hashes, HashReject, HashRequest
from ...mse import CryptoMethod
from ..case import INFO, MUST, Cases, Closed, Deviates, Inconclusive, NotApplicable
from ..probe import Silent
from .hashes import answer, begin, named, of_pieces, tree_of, v2_hash

if TYPE_CHECKING:
    from ..probe import Probe

__all__ = ["CASES"]

CASES = Cases("bep52/upgrade", "BEP 52, upgrade path")
case = CASES.case


def hybrid(probe: Probe) -> None:
    """Goes on only with a hybrid.

    Raises:
        NotApplicable: The torrent is none, or it is not known.
    """
    if probe.subject.version != "hybrid" or probe.subject.metainfo_v2 is None:
        raise NotApplicable("the torrent is no hybrid")


async def upgraded(probe: Probe) -> bool:
    """Hears the answer to an offer; returns whether it is taken up.

    Raises:
        Deviates: The answer has neither info-hash.
        Inconclusive: There is none.
    """
    try:
        heard = await probe.handshake()
    except Deviates as error:
        raise Inconclusive(f"not asked: {error}") from error
    if heard.info_hash not in (probe.info_hash, v2_hash(probe)):
        raise Deviates(f"it answers with the info-hash {heard.info_hash.hex()}")
    return heard.info_hash != probe.info_hash


@case(
    1,
    MUST,
    rule="Who is offered the upgrade of a hybrid may answer with the v2 info-hash.",
    does="says a handshake with the v1 info-hash and the bit of v2",
    expects="a handshake with one of both info-hashes",
)
async def offered(probe: Probe) -> str:
    hybrid(probe)
    probe.say(probe.greeting(Reserved.V2))
    return "it goes on with v2" if await upgraded(probe) else "it stays with v1"


@case(
    2,
    MUST,
    rule="Who is not offered the upgrade goes on with the info-hash that was named.",
    does="says a handshake with the v1 info-hash, without the bit of v2",
    expects="a handshake with the v1 info-hash",
)
async def not_offered(probe: Probe) -> None:
    hybrid(probe)
    probe.say(probe.greeting())
    if await upgraded(probe):
        raise Deviates("it goes on with v2")


@case(
    3,
    INFO,
    section="BEP 52, peer messages",
    rule="Hash messages are of v2: on a connection that is not, nobody says them.",
    does="asks for hashes on a connection of v1",
    expects="the end of the connection, a reject, or nothing",
)
async def without_v2(probe: Probe) -> str:
    if probe.subject.version == "v2":
        raise NotApplicable("the torrent is of v2 only")
    await probe.open()
    probe.say(HashRequest(HashRange(bytes(32), 0, 0, 2, 0)))
    try:
        came = await probe.wait_for((Hashes, HashReject))
    except Closed:
        return "it closes the connection"
    except Silent:
        return "it ignores the request"
    if isinstance(came, Hashes):
        return "it answers with hashes of a file that there is not"
    return "it rejects the request"


@case(
    4,
    MUST,
    rule="Who answers an offer with the v2 info-hash goes on with v2.",
    does="offers the upgrade, and if it is taken asks for hashes and for a piece",
    expects="an answer, hashes or reject, and the piece",
)
async def goes_on_with_v2(probe: Probe) -> None:
    hybrid(probe)
    tree = tree_of(probe)
    probe.say(probe.greeting(Reserved.V2 | Reserved.FAST))
    if not await upgraded(probe):
        raise NotApplicable("it stays with v1")
    begin(probe)
    await answer(probe, of_pieces(tree))
    await probe.goes_on()


@case(
    5,
    MUST,
    section="BEP 52, peer protocol",
    rule="A handshake names the first 20 bytes of the v2 info-hash, and so does the answer.",
    does="says a handshake with them, and asks for a piece",
    expects="a handshake with the same, and the piece",
)
async def by_v2(probe: Probe) -> None:
    info_hash = v2_hash(probe)
    probe.say(probe.greeting(Reserved.FAST, info_hash))
    try:
        heard = await probe.handshake()
    except Closed as error:
        if probe.subject.version == "hybrid":
            raise NotApplicable(f"it does not serve the v2 info-hash: {error}") from None
        raise
    if heard.info_hash != info_hash:
        raise Deviates(f"it answers with the info-hash {heard.info_hash.hex()}")
    begin(probe)
    await probe.goes_on()


@case(
    6,
    MUST,
    rule="The bit of v2 only offers the upgrade; the v2 info-hash alone makes a connection v2.",
    does="says a handshake with the v2 info-hash, without the bit of v2, and asks for hashes",
    expects="an answer, hashes or reject",
)
async def without_the_bit(probe: Probe) -> None:
    await named_both_ways(probe, Reserved.FAST)


@case(
    7,
    MUST,
    rule="The bit of v2 is an offer to upgrade; beside the v2 info-hash it says nothing new.",
    does="says a handshake with the v2 info-hash and the bit of v2, and asks for hashes",
    expects="an answer, hashes or reject",
)
async def with_the_bit(probe: Probe) -> None:
    await named_both_ways(probe, Reserved.FAST | Reserved.V2)


async def named_both_ways(probe: Probe, reserved: Reserved) -> None:
    """Asks for hashes, having named the v2 info-hash, as another connection can do otherwise.

    Args:
        probe: The connection.
        reserved: What it says that it speaks. The other says the opposite of the bit of v2.

    Raises:
        NotApplicable: The other can't do it.
        Deviates: This one can't.
    """
    tree = tree_of(probe)
    async with probe.another() as other:
        await named(other, reserved ^ Reserved.V2)
    try:
        await named(probe, reserved)
    except NotApplicable as error:
        raise Deviates(str(error)) from error
    await answer(probe, of_pieces(tree))


@case(
    8,
    MUST,
    section="BEP 52, infohash",
    rule="The v2 info-hash is cut to its first 20 bytes; with others, the connection is severed.",
    does="says a handshake with its last 20 bytes",
    expects="no handshake, and the end of the connection",
)
async def the_other_end(probe: Probe) -> None:
    whole = probe.subject.info_hash_v2
    if whole is None:
        raise NotApplicable("the torrent has no v2 side")
    await probe.answers_others()
    probe.say(probe.greeting(info_hash=whole[-20:]))
    try:
        await probe.handshake()
    except Closed:
        return
    raise Deviates("it answers with a handshake")


@case(
    9,
    INFO,
    rule="Whether an offer made behind encryption is taken up is not said.",
    does="the same, encrypted",
    expects="a handshake with one of both info-hashes",
)
async def offered_encrypted(probe: Probe) -> str:
    hybrid(probe)
    await probe.encrypt(CryptoMethod.RC4, initial_payload=probe.greeting(Reserved.V2).encode())
    return "it goes on with v2" if await upgraded(probe) else "it stays with v1"
