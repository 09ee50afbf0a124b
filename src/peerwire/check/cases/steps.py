"""What several cases do, whatever they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..case import Closed, Deviates, Inconclusive
from ..probe import PLAIN

if TYPE_CHECKING:
    from ...handshake import Reserved
    from ..case import Ask
    from ..probe import Probe

__all__ = ["closes_or_goes_on", "frame", "ignores_or_closes", "of_wrong_length"]

#: Seconds in which a peer has closed, before it is seen whether it goes on instead.
SOON = 1.5


def frame(message_id: int, payload: bytes) -> bytes:
    """Returns a message of any length, right or wrong."""
    return (1 + len(payload)).to_bytes(4) + bytes((message_id,)) + payload


async def closes_or_goes_on(probe: Probe) -> None:
    """Waits for the end of the connection, which has no meaning any more.

    Raises:
        Deviates: It goes on, of use or not.
    """
    try:
        await probe.closes(SOON)
    except Deviates:
        pass
    else:
        return
    try:
        await probe.goes_on()
    except Closed:
        return
    except (Deviates, Inconclusive) as error:
        raise Deviates(f"the connection goes on, and is of no use: {error}") from None
    raise Deviates("it goes on as if nothing were wrong")


async def ignores_or_closes(probe: Probe, ignores: str = "it ignores it") -> str:
    """Tells whether the connection is closed or still of use; both are right.

    Args:
        probe: What has just said something.
        ignores: What the latter is called.

    Raises:
        Deviates: It is neither.
    """
    try:
        await probe.goes_on()
    except Closed:
        return "it closes the connection"
    return ignores


def of_wrong_length(
    payload: bytes, message_id: int, reserved: Reserved = PLAIN, what: str = ""
) -> Ask:
    """Returns what says a message of a length that its id does not have, and waits for the end.

    Args:
        payload: What is said, of that length.
        message_id: Of which message.
        reserved: The bit of what has such messages; none for BEP 3.
        what: What that is called.
    """

    async def ask(probe: Probe) -> None:
        await probe.ready(reserved)
        if reserved:
            probe.need(reserved, what)
        probe.write(frame(message_id, payload))
        await closes_or_goes_on(probe)

    return ask
