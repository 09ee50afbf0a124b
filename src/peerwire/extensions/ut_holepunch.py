"""ut_holepunch: two peers that can't be dialled meet with the help of a third (BEP 55).

The initiator asks the relay, which is connected to both, for a `Rendezvous` with the target. The
relay tells each of them to `Connect` to the other, over uTP and at the same time, or answers with
a `RendezvousFailed`. This is the messages and the relay's part: this package has no uTP, so who
wants to follow a `Connect` needs one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from .base import Extension
from .compact import IPV4, IPV6, Endpoint, is_usable, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "Connect",
    "HolepunchMessage",
    "PunchError",
    "Rendezvous",
    "RendezvousFailed",
    "UtHolepunch",
    "decode",
    "relay",
]

#: Bytes of an endpoint by the type of its address.
_LENGTHS = {0: IPV4, 1: IPV6}


class PunchError(enum.IntEnum):
    """Why there is no rendezvous."""

    NO_SUCH_PEER = 1
    """The target's endpoint is none where a peer can be."""

    NOT_CONNECTED = 2
    """The relay is not connected to the target."""

    NO_SUPPORT = 3
    """The target does not speak ut_holepunch."""

    NO_SELF = 4
    """The target is the relay."""


@dataclass(slots=True)
class _About:
    ip: str
    port: int
    kind: ClassVar[int]

    @property
    def endpoint(self) -> Endpoint:
        """The address and the port."""
        return self.ip, self.port

    def encode(self) -> bytes:
        """Returns the message as the payload of the extension."""
        endpoint = pack(self.ip, self.port)
        return bytes((self.kind, len(endpoint) == IPV6)) + endpoint + bytes(4)


@dataclass(slots=True)
class Rendezvous(_About):
    """From the initiator to the relay: let me meet the peer at this endpoint."""

    kind: ClassVar[int] = 0

    def __str__(self) -> str:
        return f"rendezvous with {self.ip} port {self.port}"


@dataclass(slots=True)
class Connect(_About):
    """From the relay to both others: dial the peer at this endpoint, over uTP."""

    kind: ClassVar[int] = 1

    def __str__(self) -> str:
        return f"connect to {self.ip} port {self.port}"


@dataclass(slots=True)
class RendezvousFailed(_About):
    """From the relay to the initiator: there is no rendezvous with the peer at this endpoint.

    Attributes:
        error: Why: a `PunchError`, or a number that is none.
    """

    error: int
    kind: ClassVar[int] = 2

    def encode(self) -> bytes:  # noqa: D102 - said by the base class
        return _About.encode(self)[:-4] + self.error.to_bytes(4)

    def __str__(self) -> str:
        known = self.error in PunchError.__members__.values()
        why = PunchError(self.error).name.lower().replace("_", " ") if known else self.error
        return f"no rendezvous with {self.ip} port {self.port}: {why}"


HolepunchMessage: TypeAlias = Rendezvous | Connect | RendezvousFailed

#: Bytes of the error code by the type of the message. libtorrent sends none where there is no
#: error.
_CODE_LENGTHS = {Rendezvous.kind: (0, 4), Connect.kind: (0, 4), RendezvousFailed.kind: (4,)}


def decode(payload: bytes) -> HolepunchMessage:
    """Reads a message.

    Raises:
        ValueError: It is none: of another type or length.
    """
    if len(payload) < 2 or payload[0] not in _CODE_LENGTHS or payload[1] not in _LENGTHS:
        raise ValueError(
            f"it begins with {payload[:2].hex(' ')}; types of message are 0 to 2, "
            "of address 0 and 1 (BEP 55)"
        )
    end = 2 + _LENGTHS[payload[1]]
    endpoint, code = payload[2:end], payload[end:]
    if len(payload) - end not in _CODE_LENGTHS[payload[0]]:
        raise ValueError(f"it has {len(payload)} bytes, not {end + 4} (BEP 55)")
    ip, port = unpack(endpoint)
    if payload[0] == RendezvousFailed.kind:
        return RendezvousFailed(ip, port, int.from_bytes(code))
    return Rendezvous(ip, port) if payload[0] == Rendezvous.kind else Connect(ip, port)


class UtHolepunch(Extension):
    """The messages of BEP 55; what is heard is an event, one of the three.

    Messages of a peer that does not speak the extension itself are ignored, as it could not be
    answered. A `Connect` is nothing but what another peer says: nobody has to follow it, and a
    peer that is connected already is not dialled again.
    """

    name: ClassVar[str] = "ut_holepunch"

    def say(self, message: HolepunchMessage) -> None:
        """Sends a message.

        Raises:
            LocalProtocolError: The peer does not speak the extension, or the endpoint is none.
            ConnectionClosed: The connection has ended.
        """
        self.send(message.encode())

    def receive(self, payload: bytes) -> HolepunchMessage | None:
        """Reads a message.

        Raises:
            ValueError: It is none.
        """
        message = decode(payload)
        return message if self.supported else None


def relay(
    initiator: Endpoint,
    target: Endpoint,
    peers: Mapping[Endpoint, bool],
    *,
    ours: Collection[Endpoint] = (),
) -> list[tuple[Endpoint, HolepunchMessage]]:
    """Decides what a relay answers to a `Rendezvous`.

    Args:
        initiator: Who asks.
        target: Whom it wants to meet.
        peers: The endpoints of all connected peers, each with whether it speaks ut_holepunch.
        ours: The endpoints of this side.

    Returns:
        What to say to whom: a `Connect` to both, or a `RendezvousFailed` to the initiator, or
        nothing at all to one that does not speak the extension.
    """
    if not peers.get(initiator, False):
        return []
    error = _why_not(initiator, target, peers, ours)
    if error is not None:
        return [(initiator, RendezvousFailed(*target, error))]
    return [(initiator, Connect(*target)), (target, Connect(*initiator))]


def _why_not(
    initiator: Endpoint,
    target: Endpoint,
    peers: Mapping[Endpoint, bool],
    ours: Collection[Endpoint],
) -> PunchError | None:
    if target in ours:
        return PunchError.NO_SELF
    if not is_usable(*target) or target == initiator:
        return PunchError.NO_SUCH_PEER
    if target not in peers:
        return PunchError.NOT_CONNECTED
    return None if peers[target] else PunchError.NO_SUPPORT
