"""ut_pex: peers tell each other whom they are connected to (BEP 11)."""

from __future__ import annotations

import enum
from collections import defaultdict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from ..bencode import decode, encode
from .base import Extension
from .compact import IPV4, IPV6, Endpoint, is_usable, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..bencode import Value

__all__ = ["PERIOD", "PexFlags", "PexMessage", "PexPeer", "UtPex"]

#: Seconds between two messages to a peer (BEP 11: once a minute at most).
PERIOD: Final = 60.0

#: Contacts added, and dropped, in one message that we send (BEP 11).
MAX_SENT: Final = 50

#: Contacts of a peer's message that are looked at, of each family, added and dropped. libtorrent
#: sends 100 at once and keeps 50.
MAX_CONTACTS: Final = 100

#: Messages that a peer may send in a minute: those of a connection that was held up come all at
#: once. libtorrent: 6.
BURST: Final = 6

#: Bytes of the longest message read. libtorrent: 500 KiB.
MAX_MESSAGE: Final = 500 * 1024

#: Values in a message, and nesting. Six keys are defined; others may come.
MAX_ITEMS: Final = 100
MAX_DEPTH: Final = 5


class PexFlags(enum.IntFlag):
    """What a peer is told to be like; bits that have no name here are kept."""

    PREFERS_ENCRYPTION = 0x01
    """It set ``e`` in its extended handshake."""

    UPLOAD_ONLY = 0x02
    """It is a seed or a partial seed (BEP 21)."""

    UTP = 0x04
    """It speaks uTP (BEP 29)."""

    HOLEPUNCH = 0x08
    """It speaks ut_holepunch (BEP 55)."""

    OUTGOING = 0x10
    """The teller has dialled it, so it can be reached."""


_NOTHING: Final = PexFlags(0)


class PexPeer(NamedTuple):
    """A peer that another one tells of."""

    ip: str
    port: int
    flags: PexFlags = _NOTHING

    @property
    def endpoint(self) -> Endpoint:
        """The address and the port."""
        return self.ip, self.port


@dataclass(slots=True)
class PexMessage:
    """Whom the sender is connected to since its last message, and whom no more.

    It is hearsay: nobody has to be there, or to be a peer, or to have asked for it.

    Attributes:
        added: Those it is connected to by now.
        dropped: Those it is not any more.
    """

    added: list[PexPeer] = field(default_factory=list)
    dropped: list[PexPeer] = field(default_factory=list)

    def encode(self) -> bytes:
        """Returns the message as the payload of the extension.

        Raises:
            LocalProtocolError: Some IP address is none, or some port.
        """
        out: defaultdict[str, bytearray] = defaultdict(bytearray)
        for key, peers in (("added", self.added), ("dropped", self.dropped)):
            for peer in peers:
                endpoint = pack(peer.ip, peer.port)
                name = key if len(endpoint) == IPV4 else f"{key}6"
                out[name] += endpoint
                if key == "added":  # libtorrent takes no contacts without flags
                    out[f"{name}.f"].append(peer.flags & 0xFF)
        return encode(out)

    @classmethod
    def decode(cls, payload: bytes) -> PexMessage:
        """Reads a message.

        Of each family the first `MAX_CONTACTS` added, and dropped, are looked at. Those where no
        peer can be are left out, and those that are there twice. Flags that are not one byte a
        contact count as none.

        Raises:
            ValueError: It is no bencoded dictionary, or the contacts are not of whole endpoints.
        """
        value = decode(payload, max_depth=MAX_DEPTH, max_items=MAX_ITEMS, strict=False)
        if not isinstance(value, dict):
            raise ValueError("a ut_pex message is a dictionary (BEP 11)")
        message = cls()
        for family, size in ((b"", IPV4), (b"6", IPV6)):
            message.added += _contacts(value, b"added" + family, size)
            message.dropped += _contacts(value, b"dropped" + family, size)
        return message

    def __str__(self) -> str:
        return f"pex {len(self.added)} added, {len(self.dropped)} dropped"


class UtPex(Extension):
    """Tells a peer whom we are connected to, and hears whom it is (BEP 11).

    What is heard is an event, a `PexMessage`; nothing is done about it here. A peer that sends
    more than `BURST` messages in a minute, or one longer than `MAX_MESSAGE`, has its wire ended.

    BEP 27 forbids it in private torrents: do not give it to their wires.

    Example:
        Made by a function, as it needs a clock::

            connect(..., extensions=[functools.partial(UtPex, time.monotonic)])

    Args:
        clock: Says what time it is, in seconds.
        port: TCP port that we listen on, told to the peer so that it can tell others; None if
            there is none.
    """

    name: ClassVar[str] = "ut_pex"

    def __init__(self, clock: Callable[[], float], *, port: int | None = None) -> None:
        super().__init__()
        self._clock = clock
        self._port = port
        self._heard: deque[float] = deque(maxlen=BURST)
        self._told: dict[Endpoint, None] = {}
        self._told_at: float | None = None

    def update(self, now: float, peers: Iterable[PexPeer]) -> PexMessage | None:
        """Tells the peer what has changed since the last message, if it is time to.

        Call it as often as you like: a message is sent once in `PERIOD` at most, and what does not
        fit into one, 50 added and 50 dropped, is left for the next.

        Args:
            now: What time it is, in seconds, on any clock that does not go backwards.
            peers: Those we are connected to by now, but for the receiver. Not looked at while it
                is not time.

        Returns:
            What was sent; None for nothing.

        Raises:
            LocalProtocolError: Some IP address is none, or some port.
            ConnectionClosed: The connection has ended.
        """
        early = self._told_at is not None and now - self._told_at < PERIOD
        if early or not self.supported:
            return None
        here = {peer.endpoint: peer for peer in peers}
        new = (peer for endpoint, peer in here.items() if endpoint not in self._told)
        gone = (PexPeer(*endpoint) for endpoint in self._told if endpoint not in here)
        message = PexMessage(list(islice(new, MAX_SENT)), list(islice(gone, MAX_SENT)))
        if not message.added and not message.dropped:
            return None
        self.send(message.encode())
        self._told_at = now
        for peer in message.dropped:
            del self._told[peer.endpoint]
        self._told.update((peer.endpoint, None) for peer in message.added)
        return message

    def handshake(self) -> Mapping[str, Value]:
        """Returns the port that we listen on (BEP 10)."""
        return {} if self._port is None else {"p": self._port}

    def receive(self, payload: bytes) -> PexMessage:
        """Reads a message.

        Raises:
            ValueError: It is none, too long, or comes too soon.
        """
        now = self._clock()
        if len(self._heard) == BURST and now - self._heard[0] < PERIOD:
            raise ValueError(
                f"more than {BURST} messages in {PERIOD:g} s, one is the rule (BEP 11)"
            )
        self._heard.append(now)
        if len(payload) > MAX_MESSAGE:
            raise ValueError(f"{len(payload)} bytes, {MAX_MESSAGE} is the most read")
        return PexMessage.decode(payload)


def _contacts(value: Mapping[bytes, Value], key: bytes, size: int) -> list[PexPeer]:
    """Returns the usable contacts under a key, `size` bytes each."""
    data, flags = value.get(key, b""), value.get(key + b".f")
    if not isinstance(data, bytes) or len(data) % size:
        raise ValueError(f"{key.decode()} is a string of {size} bytes a contact (BEP 11)")
    if not isinstance(flags, bytes) or len(flags) != len(data) // size:
        flags = bytes(MAX_CONTACTS)
    found: dict[Endpoint, PexPeer] = {}
    for number, begin in enumerate(range(0, min(len(data), MAX_CONTACTS * size), size)):
        endpoint = unpack(data[begin : begin + size])
        if is_usable(*endpoint):
            found.setdefault(endpoint, PexPeer(*endpoint, PexFlags(flags[number])))
    return list(found.values())
