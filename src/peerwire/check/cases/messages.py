"""Messages and their lengths (BEP 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...handshake import Reserved
from ...messages import (
    Cancel,
    Choke,
    Have,
    Interested,
    KeepAlive,
    Message,
    NotInterested,
    Port,
    Request,
    Unchoke,
)
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates
from ..probe import BLOCK, Probe, Silent
from .steps import frame, ignores_or_closes, of_wrong_length

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CASES"]

MESSAGES = Cases("bep3/messages", "BEP 3, peer protocol")
LENGTHS = Cases("bep3/lengths", "BEP 3, peer messages")
PORTS = Cases("bep5/port", "BEP 5, BitTorrent protocol extension")

DHT = Reserved.DHT

#: Seconds in which BEP 3 has a sign of life, and some more.
KEEP_ALIVE = 120.0
SLACK = 15.0


@MESSAGES.case(
    1,
    MUST,
    rule="Messages of length zero are keep-alives, and ignored.",
    does="says five keep-alives, and asks for a piece",
    expects="the piece",
)
async def keep_alives(probe: Probe) -> None:
    await probe.open()
    probe.say(*[KeepAlive()] * 5)
    await probe.goes_on()


@MESSAGES.case(
    2,
    MUST,
    rule="Messages are a stream of length prefixes and messages: segments mean nothing.",
    does="says 'interested' and a request in segments of one byte",
    expects="the block",
)
async def in_single_bytes(probe: Probe) -> None:
    await probe.open()
    await probe.dribble(Interested())
    await probe.unchoked()
    asked = probe.first_block()
    await probe.dribble(asked)
    await probe.answer(asked)


@MESSAGES.case(
    3,
    MUST,
    rule="Messages are a stream of length prefixes and messages: segments mean nothing.",
    does="says seven messages in one segment, the last of them a request",
    expects="the block",
)
async def in_one_segment(probe: Probe) -> None:
    await probe.ready()
    asked = probe.first_block()
    probe.say(KeepAlive(), Interested(), Choke(), Unchoke(), Interested(), KeepAlive(), asked)
    await probe.answer(asked)


@MESSAGES.case(
    4,
    MUST,
    rule="Integers are four bytes, big-endian.",
    does="asks for a block of the last piece",
    expects="that block, with its index and its offset",
)
async def big_endian(probe: Probe) -> None:
    await probe.ready()
    asked = probe.blocks(probe.last)[-1]
    await probe.block(asked)


@MESSAGES.case(
    5,
    INFO,
    rule="BEP 3 does not say what becomes of a message whose id nobody knows.",
    does="says a message with the id 99, and asks for a piece",
    expects="it is ignored, or the connection is closed",
)
async def of_no_known_id(probe: Probe) -> str:
    await probe.ready()
    probe.write(frame(99, b"abc"))
    return await ignores_or_closes(probe, "it ignores the message")


@MESSAGES.case(
    6,
    SHOULD,
    rule="Keep-alives are sent once every two minutes.",
    does="says nothing but a keep-alive each 45 seconds, for two minutes and a half",
    expects=f"a keep-alive, or at least no silence of {KEEP_ALIVE + SLACK:.0f} seconds",
    slow=True,
    deadline=300.0,
)
async def stays_in_touch(probe: Probe) -> str:
    await probe.open()
    while probe.seconds < (KEEP_ALIVE + 2 * SLACK) * probe.patience:
        message = await said_in_time(probe)
        if isinstance(message, KeepAlive):
            return f"it says {message}"
    return "it is never silent for so long that it needs one"


async def said_in_time(probe: Probe) -> Message:
    """Returns the next message, for which we say keep-alives.

    Raises:
        Deviates: The connection ends, or there is silence for too long.
    """
    for _ in range(3):
        probe.say(KeepAlive())
        try:
            return await probe.hear((KEEP_ALIVE + SLACK) / 3)
        except Silent:
            continue
        except Closed as error:
            raise Deviates(f"{error}, where we said a keep-alive in time") from None
    raise Deviates(f"it is silent for {KEEP_ALIVE + SLACK:.0f} s")


@MESSAGES.case(
    7,
    INFO,
    rule="Keep-alives are sent every two minutes; who says nothing for longer may be let go.",
    does="says nothing for 160 seconds after the handshake",
    expects="the connection is closed, or goes on",
    slow=True,
    deadline=200.0,
)
async def bears_silence(probe: Probe) -> str:
    await probe.open()
    started = probe.seconds
    try:
        await probe.closes(160)
    except Deviates:
        return "it bears 160 s of silence"
    return f"it closes after {probe.seconds - started:.0f} s of silence"


@MESSAGES.case(
    8,
    INFO,
    rule="How long a peer waits for a handshake is its own affair.",
    does="connects and says nothing for 70 seconds",
    expects="the connection is closed, or goes on",
    slow=True,
    deadline=80.0,
)
async def waits_for_a_handshake(probe: Probe) -> str:
    try:
        await probe.closes(70)
    except Deviates:
        return "it waits for more than 70 s"
    return f"it closes after {probe.seconds:.0f} s"


# Lengths

#: Messages of a fixed length.
FIXED: tuple[Message, ...] = (
    Choke(),
    Unchoke(),
    Interested(),
    NotInterested(),
    Have(0),
    Request(0, 0, BLOCK),
    Cancel(0, 0, BLOCK),
)


def _lengths() -> Iterator[tuple[str, int, bytes]]:
    for message in FIXED:
        payload = message.encode()[5:]
        told = f"{len(payload)} bytes" if payload else "no payload"
        rule = f"'{message.name}' has {told}."
        yield rule, message.id, payload + b"\0"
        if payload:
            yield rule, message.id, payload[:-1]
    yield "'piece' has an index and an offset before its block.", 7, bytes(7)


for number, (rule, message_id, payload) in enumerate(_lengths(), 1):
    LENGTHS.case(
        number,
        SHOULD,
        rule=rule,
        does=f"says a message with the id {message_id} and {len(payload)} bytes",
        expects="the connection is closed, as nothing that follows can be trusted",
    )(of_wrong_length(payload, message_id))


# BEP 5


@PORTS.case(
    1,
    MUST,
    rule="A 'port' message tells the UDP port of a DHT node, in two bytes.",
    does="says a handshake with the bit of the DHT, and a port, and asks for a piece",
    expects="the piece",
)
async def a_port(probe: Probe) -> None:
    await probe.ready(DHT)
    probe.need(DHT, "the DHT")
    probe.say(Port(6881))
    await probe.goes_on()


@PORTS.case(
    2,
    SHOULD,
    rule="The port is told to peers whose handshake has the bit of the DHT.",
    does="says a handshake without that bit, and listens for a second",
    expects="no 'port'",
)
async def no_port_unasked(probe: Probe) -> None:
    await probe.open()
    try:
        await probe.wait_for(Port, within=1)
    except (Silent, Closed):
        return
    raise Deviates("it tells its port")


PORTS.case(
    3,
    SHOULD,
    rule="A 'port' message has two bytes.",
    does="says one with three",
    expects="the connection is closed, as nothing that follows can be trusted",
)(of_wrong_length(bytes(3), Port.id, DHT, "the DHT"))


@PORTS.case(
    4,
    SHOULD,
    rule="Who meets a peer with the bit of the DHT tells it the port.",
    does="says a handshake with that bit",
    expects="a 'port', if its handshake has the bit, too",
)
async def tells_its_port(probe: Probe) -> str:
    await probe.open(DHT)
    probe.need(DHT, "the DHT")
    try:
        return f"it is {(await probe.wait_for(Port, within=3)).port}"
    except Silent:
        raise Deviates("it has the bit, and tells no port") from None


CASES = (*MESSAGES, *LENGTHS, *PORTS)
