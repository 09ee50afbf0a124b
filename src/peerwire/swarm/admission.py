"""Who may be connected to a swarm: how many, how many from one address, and who may not again."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ..state import Role
from .dialling import Unwanted
from .events import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..asyncio.peer import Peer

__all__ = ["DEFAULT_SWARM_LIMITS", "Admission", "Sender", "SwarmLimits", "household"]

#: Peers remembered as banned; of more, the first are forgotten. Each has cost somebody an address
#: and a block, as one address soon has no more chances.
MAX_BANNED = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SwarmLimits:
    """The bounds that a swarm holds its peers to, all of them together.

    An address is an IPv4 address, or the /64 network of an IPv6 one, which is what one household
    is given.

    Attributes:
        max_peers: Connections at a time; more are refused, unless somebody is here who is of no
            use. A connection that is as bad as it can be holds a megabyte or two. libtorrent: 200.
        max_per_address: The same, from one address, so that one address can't have all places.
            libtorrent and Transmission take one; but a university or a carrier may have many
            people behind one address, and everybody who comes by a proxy seems to be at one.
        max_banned: Peers at one address that are banned before nobody else is let in from there.
            A peer id is made up in no time, so that to ban peers alone gains nothing. libtorrent
            bans the address at once; whoever is behind the same one pays for it, so it takes
            three here, and each of them costs at most a piece fetched again. Who is connected
            stays, unless it is banned, too; and whom our own side wants to dial is judged by
            itself.
        max_chatter: Messages of a peer in a round of ten seconds that neither bring a block nor
            tell of one nor get one served; who says more is banned. So many cost less than a
            second's work, and two clients that trade small pieces as fast as they can stay below.
        grace: Seconds after which a connection counts as of no use if neither side wants anything
            of the other. It makes room if there is none: else those who say nothing could keep
            all places until they are found to be silent, which takes two minutes.
    """

    max_peers: int = 500
    max_per_address: int = 20
    max_banned: int = 3
    max_chatter: int = 100_000
    grace: float = 10.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value <= 0:
                raise ValueError(f"SwarmLimits.{field.name} is {value}; a limit is above zero")


DEFAULT_SWARM_LIMITS = SwarmLimits()


class Sender(NamedTuple):
    """Who sent something: what is remembered of a peer that may be gone."""

    address: tuple[str, int]
    peer_id: bytes

    @classmethod
    def of(cls, peer: Peer) -> Sender:
        """Returns what to remember of a peer."""
        return cls(peer.address, peer.peer_id)

    @property
    def identity(self) -> tuple[str, bytes]:
        """What it is known by when it comes again, from another port."""
        return household(self.address[0]), self.peer_id


class Admission:
    """Decides who is let in, and remembers who is not to come again.

    Args:
        limits: The bounds.
        peer_id: Ours.
        peers: Those connected and since when, kept up to date by the owner.
    """

    def __init__(self, limits: SwarmLimits, peer_id: bytes, peers: Mapping[Peer, float]) -> None:
        self._limits = limits
        self._peer_id = peer_id
        self._peers = peers
        self._banned: dict[tuple[str, bytes], str] = {}  # and why
        self._banned_at: Counter[str] = Counter()  # each address

    def admit(self, peer: Peer, now: float, *, invited: bool) -> list[tuple[Peer, str]]:
        """Decides about a peer that is not among the others yet.

        Args:
            peer: Who would come in.
            now: What time it is, on the clock of `peers`.
            invited: Whether our own side has asked for this address: then it does not count how
                many are here.

        Returns:
            Those who have to go for it, and why.

        Raises:
            Unwanted: It is not let in.
        """
        self.check(peer)
        who = Sender.of(peer).identity
        here = [other for other in self._peers if other.closed is None]
        # A peer id alone says nothing: anybody can learn it, and would take the place of another.
        rivals = [self._rival(peer, o) for o in here if Sender.of(o).identity == who]
        if rivals or invited:
            return rivals
        return self._make_room(household(peer.address[0]), here, now)

    def check(self, peer: Peer) -> None:
        """Raises `Unwanted` for a peer that was banned."""
        reason = self._banned.get(Sender.of(peer).identity)
        if reason is not None:
            raise Unwanted(reason)

    def ban(self, who: Sender, reason: str) -> list[Peer]:
        """Takes note that somebody is not to come again, and why.

        Returns:
            The connections that it has.
        """
        if who.identity not in self._banned:
            self._banned[who.identity] = reason
            self._banned_at[who.identity[0]] += 1
        if len(self._banned) > MAX_BANNED:
            pardoned = next(iter(self._banned))
            del self._banned[pardoned]
            self._banned_at[pardoned[0]] -= 1
            self._banned_at += Counter()  # which leaves out what is zero
        return [peer for peer in self._peers if Sender.of(peer).identity == who.identity]

    def _rival(self, peer: Peer, other: Peer) -> tuple[Peer, str]:
        """Returns the connection with the same peer, if it is the one to go."""
        twice = f"it is connected already, as {written(other.address)}"
        # Of two connections that cross, both sides have to keep the same: the one that the side
        # with the higher id has dialled.
        ours = Role.INITIATOR if self._peer_id > peer.peer_id else Role.RESPONDER
        if other.wire.role is peer.wire.role or other.wire.role is ours:
            raise Unwanted(twice)
        return other, twice

    def _make_room(self, home: str, here: list[Peer], now: float) -> list[tuple[Peer, str]]:
        limits = self._limits
        if self._banned_at[home] >= limits.max_banned:
            raise Unwanted(f"{self._banned_at[home]} peers at its address were banned")
        neighbours = [other for other in here if household(other.address[0]) == home]
        if len(neighbours) >= limits.max_per_address:
            return [self._useless(neighbours, f"{len(neighbours)} are here from its address", now)]
        if len(here) >= limits.max_peers:
            return [self._useless(here, f"{len(here)} peers are here", now)]
        return []

    def _useless(self, peers: list[Peer], full: str, now: float) -> tuple[Peer, str]:
        """Returns the one that is here longest of those that are of no use."""
        for peer in peers:
            wants = peer.peer_interested or peer.am_interested
            if not wants and now - self._peers[peer] >= self._limits.grace:
                return peer, f"{full}, and neither side wants anything of the other"
        raise Unwanted(f"{full}, the most that are let in")


def household(ip: str) -> str:
    """Returns what counts as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    if ":" not in ip:
        return ip
    address = ipaddress.IPv6Address(ip.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
