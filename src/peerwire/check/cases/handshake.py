"""The first 68 bytes (BEP 3), and what each side may take from them."""

from __future__ import annotations

import os

from ...handshake import PROTOCOL, Handshake, Reserved
from ...messages import AllowedFast, Extended, HaveAll, HaveNone, Interested, Reject, Suggest
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates
from ..probe import PLAIN, Probe, Silent

__all__ = ["CASES"]

CASES = Cases("bep3/handshake", "BEP 3, peer protocol")
case = CASES.case

#: Bits that BEP 4 gives to nobody.
UNASSIGNED = Reserved(0x007F00FF00000000)

#: More than the longest padding of an encrypted handshake, with which a peer may take it for one.
NOISE = 1200

#: Messages that only BEP 6 and BEP 10 have.
EXTRA = (Suggest, HaveAll, HaveNone, Reject, AllowedFast, Extended)


async def is_refused(probe: Probe, start: bytes) -> str | None:
    """Says something that is no handshake, and waits for the end of the connection.

    An encrypted handshake looks like noise, and who takes it for one may wait for its end: what MSE
    says of ending the connection early is left to both sides.

    Raises:
        Deviates: It answers it, or neither answers nor closes.
    """
    await probe.answers_others()
    probe.opaque = True
    probe.write(start + bytes(NOISE))
    try:
        await probe.closes()
    except Deviates:
        if not probe.received or (await probe.bytes_heard(20)).startswith(PROTOCOL):
            raise
        return "it takes it for an encrypted handshake, and waits for more"
    return None


@case(
    1,
    MUST,
    rule="A handshake starts with the byte 19 and the words 'BitTorrent protocol'.",
    does="says a handshake",
    expects="a handshake that starts like that",
)
async def starts_with_its_name(probe: Probe) -> None:
    probe.say(probe.greeting())
    await probe.handshake()  # it reads nothing else


@case(
    2,
    MUST,
    rule="Both sides name the same torrent.",
    does="says a handshake",
    expects="a handshake with the same info-hash",
)
async def the_same_torrent(probe: Probe) -> None:
    probe.say(probe.greeting())
    heard = await probe.handshake()
    if heard.info_hash not in probe.subject.info_hashes:
        raise Deviates(f"it names {heard.info_hash.hex()}")


@case(
    3,
    MUST,
    rule="If both sides don't name the same torrent, they sever the connection.",
    does="says a handshake with an info-hash that nobody serves",
    expects="the connection is closed",
)
async def of_another_torrent(probe: Probe) -> None:
    await probe.answers_others()
    probe.say(probe.greeting(info_hash=os.urandom(20)))
    await probe.closes()


@case(
    4,
    SHOULD,
    rule="A handshake starts with the words 'BitTorrent protocol'; others are told apart by that.",
    does=f"says a handshake with a letter changed, and {NOISE} bytes more",
    expects="the connection is closed, or what says that it waits for an encrypted handshake",
)
async def of_another_protocol(probe: Probe) -> str | None:
    data = probe.greeting().encode()
    return await is_refused(probe, data.replace(b"protocol", b"protocoL"))


@case(
    5,
    SHOULD,
    rule="The first byte is the length of the protocol's name, 19.",
    does=f"says a handshake that begins with 18, and {NOISE} bytes more",
    expects="the connection is closed, or what says that it waits for an encrypted handshake",
)
async def of_another_length(probe: Probe) -> str | None:
    return await is_refused(probe, b"\x12" + probe.greeting().encode()[1:])


@case(
    6,
    MUST,
    rule="The eight bytes after the name are reserved: they may be used by agreement only.",
    does="says a handshake with bits that nobody has agreed on, and asks for a piece",
    expects="it is served as if they were zero",
)
async def with_reserved_bits(probe: Probe) -> None:
    await probe.answers_others()
    probe.say(probe.greeting(UNASSIGNED))
    await probe.handshake()
    await probe.goes_on()


@case(
    7,
    MUST,
    rule="Reserved bytes that are zero are BEP 3's own, without any extension.",
    does="says a handshake without reserved bits, and asks for a piece",
    expects="it is served without BEP 6 and BEP 10",
)
async def without_reserved_bits(probe: Probe) -> None:
    probe.say(probe.greeting(PLAIN))
    await probe.handshake()
    await probe.goes_on()


@case(
    8,
    MUST,
    section="BEP 6; BEP 10",
    rule="What BEP 6 and BEP 10 add is used only with who has their bits in the handshake.",
    does="says a handshake without reserved bits, and listens for two seconds",
    expects="no message that is of these alone",
)
async def says_nothing_extra(probe: Probe) -> None:
    await probe.open(PLAIN)
    probe.say(Interested())
    for message in await probe.quiet(2):
        if isinstance(message, EXTRA):
            raise Deviates(f"it says {message}")


@case(
    9,
    MUST,
    section="BEP 3, peer protocol; TCP",
    rule="A connection is a stream: where segments end means nothing.",
    does="says a handshake in segments of one byte",
    expects="it is answered",
)
async def byte_by_byte(probe: Probe) -> None:
    await probe.dribble(probe.greeting())
    await probe.handshake()


@case(
    10,
    MUST,
    section="BEP 3, peer protocol; TCP",
    rule="A connection is a stream: where segments end means nothing.",
    does="says a handshake and all but the last byte of 'interested' in one segment, then that"
    " byte, and asks for a piece",
    expects="the piece",
)
async def with_a_message(probe: Probe) -> None:
    data = Interested().encode()
    probe.say(probe.greeting(), data[:-1])
    await probe.handshake()
    probe.write(data[-1:])  # to who dropped the others, it begins a length of 32 MiB
    await probe.goes_on()


@case(
    11,
    SHOULD,
    rule="After the handshake come messages: a second handshake is the prefix of one of 323 MB.",
    does="says two handshakes",
    expects="the connection is closed",
)
async def twice(probe: Probe) -> None:
    await probe.open()
    probe.say(probe.greeting())
    await probe.closes()


@case(
    12,
    MUST,
    rule="The info-hash is the truncated SHA-1, 20 bytes, and the peer id another 20.",
    does="says a handshake, and then 'interested'",
    expects="what comes after the 68 bytes are messages",
)
async def is_of_68_bytes(probe: Probe) -> None:
    await probe.open()
    probe.say(Interested())
    try:
        await probe.hear()  # what is no message is a deviation by itself
    except Silent:
        pass


@case(
    13,
    INFO,
    rule="A peer that serves many torrents waits for the info-hash, and may answer before the id.",
    does="says the first 48 bytes of a handshake, without the peer id",
    expects="an answer, or none before the rest has come",
)
async def without_peer_id(probe: Probe) -> str:
    data = probe.greeting().encode()
    probe.write(data[:48])
    early = len(await probe.bytes_heard(68, 1))
    probe.write(data[48:])
    await probe.handshake()
    return "it answers before it has the peer id" if early else "it waits for the peer id"


@case(
    14,
    INFO,
    rule="The side that opened the connection speaks first, in practice.",
    does="says nothing for a second",
    expects="nothing, or the peer's handshake",
)
async def who_speaks_first(probe: Probe) -> str:
    await probe.bytes_heard(1, 1)
    return "it speaks first" if probe.received else "it waits to be spoken to"


@case(
    15,
    INFO,
    rule="Who meets its own peer id has connected to itself.",
    does="says a handshake with the peer id that the peer has on another connection",
    expects="the connection is closed, if ids are the same on all connections",
)
async def its_own_peer_id(probe: Probe) -> str:
    async with probe.another() as other:
        await other.open()
        assert other.theirs is not None
        probe.say(Handshake(probe.info_hash, other.theirs.peer_id))
    try:
        heard = await probe.handshake()
    except Closed:
        return "it ends a connection to itself"
    except Silent:
        return "it does not answer itself"
    try:
        await probe.hear(1)
    except Closed:
        return "it ends a connection to itself"
    except Silent:
        pass
    if heard.peer_id != other.theirs.peer_id:
        return "its peer id is another on each connection"
    return "it does not know itself"


@case(
    16,
    INFO,
    section="BEP 20",
    rule="The peer id tells which client it is, by convention.",
    does="says a handshake",
    expects="a peer id with a name in it",
)
async def what_it_is_called(probe: Probe) -> str:
    heard = await probe.open()
    return f"{heard.client}, {PROTOCOL[1:].decode()}, bits {heard.reserved:016x}"
