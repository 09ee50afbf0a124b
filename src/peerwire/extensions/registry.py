"""The extensions of one wire: ours, the peer's, and the ids that both sides gave them."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, TypeVar

from ..errors import LocalProtocolError, RemoteProtocolError
from ..version import __version__
from .handshake import ExtendedHandshake

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .base import Extension

__all__ = ["Extensions", "our_handshake"]

#: Bytes of all extended handshakes of a peer together. One has some 200, and an application that
#: does not read holds on to thousands.
MAX_HANDSHAKES = 1024 * 1024

E = TypeVar("E", bound="Extension")
T = TypeVar("T")
R = TypeVar("R")


class Extensions:
    """The extensions of one wire (BEP 10).

    Args:
        factories: What makes each of them: their classes, most often.
        transmit: Sends the payload of an extension's message.

    Attributes:
        yourip: The peer's address, which our extended handshake tells; None while not known.
        peer: What the peer's handshakes said, all taken together; None before the first.
        sent: Whether ours was sent: no extension can be added any more.
        told: Bytes of the messages of which extensions made something to be told.
        transmit: As given.
    """

    def __init__(
        self,
        factories: Iterable[Callable[[], Extension]],
        transmit: Callable[[Extension, bytes], None],
        ours: ExtendedHandshake,
    ) -> None:
        self._ours = ours
        self._shared = True  # `ours` with other wires
        self.yourip: str | None = None
        self.peer: ExtendedHandshake | None = None
        self.sent = False
        self.told = 0
        self.transmit = transmit
        self._by_id: dict[int, Extension] = {}
        self._heard = 0  # bytes of handshakes
        for make in factories:
            self.add(make)

    @property
    def ours(self) -> ExtendedHandshake:
        """What our extended handshake says, beside ``m`` and what the extensions add.

        It may be changed until it is sent, and is sent anew by `Wire.send_extended_handshake`.
        """
        if self._shared:  # few wires say anything of their own
            shared, self._ours = self._ours, ExtendedHandshake(yourip=self.yourip)
            self._ours.update(shared)
            self._shared = False
        return self._ours

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._by_id.values())

    def add(self, make: Callable[[], Extension]) -> Extension:
        """Adds an extension and returns this wire's instance of it.

        Raises:
            LocalProtocolError: Our extended handshake was sent already, the name is taken, or
                there are more than a byte can number.
        """
        extension = make()
        if self.sent:
            raise LocalProtocolError(
                f"{extension.name} comes too late, our extended handshake was sent; "
                "give it to connect, serve or Wire",
                rule="BEP 10, handshake message",
            )
        if any(extension.name == other.name for other in self):
            raise LocalProtocolError(
                f"there are two extensions called {extension.name}",
                rule="BEP 10, handshake message: m is a dictionary",
            )
        if len(self._by_id) == 255:
            raise LocalProtocolError(
                "there are 255 extensions already", rule="BEP 10: an id is a byte, and 0 is taken"
            )
        extension._home = self
        self._by_id[len(self._by_id) + 1] = extension
        return extension

    def get(self, kind: type[E]) -> E:
        """Returns this wire's instance of an extension.

        Raises:
            LocalProtocolError: The wire was not given it.
        """
        found = self.find(kind)
        if found is None:
            raise LocalProtocolError(
                f"{kind.__name__} is not among this wire's extensions; "
                "give it to connect, serve or Wire",
                rule="BEP 10, handshake message",
            )
        return found

    def find(self, kind: type[E]) -> E | None:
        """Returns this wire's instance of an extension; None if it was not given it."""
        return next((extension for extension in self if isinstance(extension, kind)), None)

    def handshake(self) -> ExtendedHandshake:
        """Returns our extended handshake as it stands now.

        Raises:
            LocalProtocolError: An extension adds what can't be told.
        """
        handshake = ExtendedHandshake(yourip=self.yourip)
        handshake.update(self._ours)
        for number, extension in self._by_id.items():
            handshake.m[extension.name] = number if extension.enabled else 0
            for key, value in extension.handshake().items():
                try:
                    handshake.add(key, value)
                except (ValueError, TypeError) as cause:
                    raise LocalProtocolError(
                        f"{extension.name} adds {key} = {value!r:.80}: {cause}",
                        rule="BEP 10, handshake message",
                    ) from cause
        return handshake

    def receive_handshake(self, payload: bytes) -> ExtendedHandshake:
        """Takes in an extended handshake of the peer and returns it.

        Raises:
            ValueError: It is none, or with those before it too much.
            RemoteProtocolError: An extension finds that it contradicts itself.
        """
        self._heard += len(payload)
        if self._heard > MAX_HANDSHAKES:
            raise ValueError(f"all of them together have over {MAX_HANDSHAKES} bytes")
        handshake = ExtendedHandshake.decode(payload)
        if self.peer is None:
            self.peer = ExtendedHandshake()
        self.peer.update(handshake)
        for extension in self:
            extension.supported = self.peer.m.get(extension.name, 0) != 0
            self._ask(extension, extension.handshake_received, self.peer)
        return handshake

    def named(self, number: int) -> Extension | None:
        """Returns the extension that messages with this id are for."""
        return self._by_id.get(number)

    def label(self, number: int) -> str:
        """Returns what messages with this id are called in a log; empty if we gave none."""
        if number == 0:
            return "handshake"
        extension = self._by_id.get(number)
        return "" if extension is None else extension.name

    def receive(self, extension: Extension, payload: bytes) -> object | None:
        """Gives an extension its message; returns what the application is to see of it.

        Raises:
            RemoteProtocolError: The extension does not allow it.
        """
        if not extension.enabled:
            return None  # on its way when we switched it off
        event = self._ask(extension, extension.receive, payload)
        if event is not None:
            self.told += len(payload)
        return event

    def peer_id_of(self, name: str) -> int | None:
        """Returns the id the peer wants an extension's messages sent with; None for not at all."""
        return (self.peer.m.get(name) or None) if self.peer is not None else None

    @staticmethod
    def _ask(extension: Extension, function: Callable[[T], R], argument: T) -> R:
        try:
            return function(argument)
        except (ValueError, struct.error) as cause:
            raise RemoteProtocolError(str(cause), rule=f"extension {extension.name}") from cause


@functools.lru_cache(maxsize=16)
def our_handshake(reqq: int) -> ExtendedHandshake:
    """Returns what every wire tells of this library; shared, so not to be changed."""
    return ExtendedHandshake(v=f"peerwire {__version__}", reqq=reqq)
