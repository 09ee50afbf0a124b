"""What the peers of a swarm tell each other of peers, and whom to dial of those told of (BEP 11).

Nothing that is heard is believed. An address is dialled if it makes sense that this peer knows of
it, not too many come from the same one, and it ranks high in the order of BEP 40, which no peer
can choose; and then once or twice, as whoever is there may never have asked for it.
"""

from __future__ import annotations

import enum
import ipaddress
from collections import Counter, OrderedDict
from itertools import islice
from typing import TYPE_CHECKING

from ..extensions.compact import is_usable
from ..extensions.ut_pex import PexFlags, PexPeer, UtPex
from ..priority import peer_priority
from ..state import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..asyncio.peer import Peer
    from ..extensions.compact import Endpoint
    from ..extensions.ut_pex import PexMessage

__all__ = [
    "MAX_CONNECTIONS",
    "MAX_KNOWN",
    "MAX_OF_ONE",
    "AddressBook",
    "PeerExchange",
    "Reach",
    "contact",
    "makes_sense",
    "rank",
    "reach",
]

#: Connections, those being dialled included, above which nobody is dialled that was told of.
MAX_CONNECTIONS = 30

#: Addresses that wait to be dialled, and how many of them one peer may have told of: BEP 11 wants
#: no swarm to depend on one source.
MAX_KNOWN = 50
MAX_OF_ONE = 25

#: Addresses remembered as dialled, so that none is dialled again because it is told of again.
MAX_REMEMBERED = 1000

#: Peers told of to others, those that are here longest. All of them would be too much work where
#: there are thousands, and nobody needs more.
MAX_TOLD = 100


class Reach(enum.IntEnum):
    """From where an address can be reached."""

    MACHINE = 0
    NETWORK = 1
    WORLD = 2


def reach(ip: str) -> Reach:
    """Returns from where an IP address can be reached."""
    address = ipaddress.ip_address(ip)
    if address.is_loopback:
        return Reach.MACHINE
    return Reach.WORLD if address.is_global else Reach.NETWORK


def makes_sense(about: Reach, place: Reach) -> bool:
    """Whether a peer at some place can know, or should be told, of an address.

    Nobody further away knows those nearer: to tell us of one at this machine or in this network
    would make us dial what the teller can't. And peers at this machine keep to themselves, lest a
    test leads to strangers.
    """
    if Reach.MACHINE in (about, place):
        return about == place
    return about >= place


def rank(endpoint: Endpoint, ours: Sequence[Endpoint]) -> int:
    """Returns how much a peer at an address is to be preferred, more being better (BEP 40).

    Args:
        endpoint: The address.
        ours: Our own addresses as others see them; the first of the same family counts.
    """
    for own in ours:
        if (":" in own[0]) == (":" in endpoint[0]):
            return peer_priority(own, endpoint)
    return 0


def contact(peer: Peer) -> PexPeer | None:
    """Returns how others can connect to a peer; None if they can't, for all that is known."""
    told = peer.extended_handshake
    ip, port = peer.address
    flags = PexFlags(0)
    if peer.wire.role is Role.INITIATOR:
        flags |= PexFlags.OUTGOING
    else:
        port = 0 if told is None else told.p or 0
    if peer.peer_pieces.complete or (told is not None and told.upload_only):
        flags |= PexFlags.UPLOAD_ONLY
    if told is not None and told.unknown.get(b"e") == 1:
        flags |= PexFlags.PREFERS_ENCRYPTION
    if told is not None and told.m.get("ut_holepunch"):
        flags |= PexFlags.HOLEPUNCH
    ip = _plain(ip)
    return PexPeer(ip, port, flags) if is_usable(ip, port) else None


class AddressBook:
    """Addresses that were told of and not dialled yet, the best of them first.

    What is best is the order of BEP 40, in which both ends of a connection rank it alike.
    """

    def __init__(self) -> None:
        self._waiting: dict[Endpoint, str] = {}  # and who told of it
        self._dialled: OrderedDict[Endpoint, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def learn(
        self,
        teller: str,
        message: PexMessage,
        *,
        ours: Sequence[Endpoint] = (),
        here: Collection[Endpoint] = (),
    ) -> None:
        """Takes note of what a peer tells.

        Args:
            teller: The peer's IP address.
            message: What it tells.
            ours: Our own addresses as others see them.
            here: The addresses of those connected or being dialled.
        """
        for peer in message.dropped:
            if self._waiting.get(peer.endpoint) == teller:
                del self._waiting[peer.endpoint]
        place = reach(teller)
        known = {*self._waiting, *self._dialled, *ours, *here}
        hosts = {ip for ip, _ in (*self._waiting, *here)}
        left = MAX_OF_ONE - Counter(self._waiting.values())[teller]
        for peer in message.added:
            about = reach(peer.ip)
            # BEP 11, security: the one host that many ports are told of may be a victim.
            again = peer.ip in hosts and about is not Reach.MACHINE
            if left and peer.endpoint not in known and not again and makes_sense(about, place):
                self._waiting[peer.endpoint] = teller
                hosts.add(peer.ip)
                left -= 1
        if len(self._waiting) > MAX_KNOWN:
            best = sorted(self._waiting, key=lambda endpoint: rank(endpoint, ours), reverse=True)
            self._waiting = {endpoint: self._waiting[endpoint] for endpoint in best[:MAX_KNOWN]}

    def take(
        self, ours: Sequence[Endpoint] = (), here: Collection[Endpoint] = ()
    ) -> Endpoint | None:
        """Takes out the best address, to be dialled; None if there is none.

        Args:
            ours: Our own addresses as others see them.
            here: The addresses of those connected or being dialled, which are passed over.
        """
        for endpoint in here:
            self._waiting.pop(endpoint, None)
        if not self._waiting:
            return None
        best = max(self._waiting, key=lambda endpoint: rank(endpoint, ours))
        del self._waiting[best]
        self._dialled[best] = None
        if len(self._dialled) > MAX_REMEMBERED:
            self._dialled.popitem(last=False)
        return best


class PeerExchange:
    """Tells the peers of a swarm of each other, and has those dialled whom they tell of.

    Args:
        peers: Those connected; kept up to date by the owner.
        dialled: Says to which addresses connections were dialled that are there or under way.
        dial: Dials an address.
        port: Says which TCP port we listen on, None for none.
        clock: Says what time it is, in seconds.
    """

    def __init__(
        self,
        peers: Collection[Peer],
        *,
        dialled: Callable[[], Collection[Endpoint]],
        dial: Callable[[Endpoint], None],
        port: Callable[[], int | None],
        clock: Callable[[], float],
    ) -> None:
        self._peers = peers
        self._dialled = dialled
        self._dial = dial
        self._port = port
        self._clock = clock
        self._book = AddressBook()

    def extension(self) -> UtPex:
        """Makes the extension for one wire."""
        return UtPex(self._clock, port=self._port())

    def tell(self) -> None:
        """Tells each peer of the others, those whose turn it is; call it every few seconds."""
        now = self._clock()
        here = [peer for peer in self._peers if peer.closed is None]
        found = ((peer, contact(peer)) for peer in islice(here, MAX_TOLD + 1))
        contacts = [(peer, told, reach(told.ip)) for peer, told in found if told is not None]
        for peer in here:
            extension = peer.wire.extensions.find(UtPex)
            if extension is not None:
                place = reach(_plain(peer.address[0]))
                extension.update(
                    now,
                    (
                        told
                        for other, told, about in contacts
                        if other is not peer and makes_sense(about, place)
                    ),
                )

    def heard(self, peer: Peer, message: PexMessage) -> None:
        """Takes note of what a peer tells, and has somebody dialled if there is room."""
        self._book.learn(_plain(peer.address[0]), message, ours=self._ours(), here=self._here())
        self.dial_more()

    def dial_more(self) -> None:
        """Has as many dialled as there is room for."""
        while len(self._book) and self._connections() < MAX_CONNECTIONS:
            endpoint = self._book.take(self._ours(), self._here())
            if endpoint is not None:
                self._dial(endpoint)

    def _connections(self) -> int:
        came = sum(peer.wire.role is Role.RESPONDER for peer in self._peers)
        return came + len(self._dialled())

    def _here(self) -> set[Endpoint]:
        contacts = map(contact, self._peers)
        return {*self._dialled(), *(told.endpoint for told in contacts if told is not None)}

    def _ours(self) -> list[Endpoint]:
        """Our addresses, those first that most peers see us at: one alone may be lying."""
        told = (peer.extended_handshake for peer in self._peers)
        seen = Counter(t.yourip for t in told if t is not None and t.yourip is not None)
        return [(_plain(ip), self._port() or 0) for ip, _ in seen.most_common()]


def _plain(ip: str) -> str:
    """Returns an address of a socket, which may be an IPv4 one in IPv6's clothes."""
    if ":" not in ip:
        return ip
    address = ipaddress.IPv6Address(ip.partition("%")[0])
    return str(address.ipv4_mapped or address)
