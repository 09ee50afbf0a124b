"""What an extension is: a name, what it adds to the handshake, what it does with a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bencode import Value
    from .handshake import ExtendedHandshake
    from .registry import Extensions

__all__ = ["Extension"]


class Extension:
    """One extension of one wire. Subclass it, and give the class to `connect`, `serve` or `Wire`.

    A wire makes its own instance of each extension, so that an instance may hold what concerns
    one peer. An extension that needs arguments is given as a function that makes it, for instance
    a `functools.partial`.

    Example:
        An extension that carries text::

            class Chat(Extension):
                name = "xx_chat"

                def receive(self, payload):
                    return Said(payload.decode())

                def say(self, text):
                    self.send(text.encode())
    """

    name: ClassVar[str]
    """What the extension is called in the ``m`` dictionary of the extended handshake."""

    def __init__(self) -> None:
        self.supported = False  #: Whether the peer speaks it, too, and has it switched on.
        self.enabled = True  #: Whether we have it switched on, see `Wire.switch_extension`.
        self._home: Extensions | None = None

    # To be overridden

    def handshake(self) -> Mapping[str, Value]:
        """Returns what is added to our extended handshake, beside the name in ``m``."""
        return {}

    def handshake_received(self, handshake: ExtendedHandshake) -> None:
        """Called after each extended handshake of the peer, `supported` being up to date.

        Args:
            handshake: What its handshakes told, all together; also in `peer_handshake`.

        Raises:
            ValueError: The peer's handshake contradicts this extension; that ends the wire.
        """

    def receive(self, payload: bytes) -> object | None:
        """Called with each message of the extension.

        A peer may send some without speaking the extension itself: see `supported` before
        answering.

        Args:
            payload: What follows the extended message id.

        Returns:
            What the application is to see of it, as an object of a class of its own; None for
            nothing.

        Raises:
            ValueError: The payload is not what the extension allows. That ends the wire with a
                `RemoteProtocolError` which says so; so a decoding error may be let through, and
                a `struct.error` as well.
        """
        return None

    # Provided

    @property
    def peer_handshake(self) -> ExtendedHandshake | None:
        """What the peer's extended handshakes told, all together; None before the first."""
        return None if self._home is None else self._home.peer

    def send(self, payload: bytes) -> None:
        """Sends a message of the extension.

        Args:
            payload: What follows the extended message id.

        Raises:
            LocalProtocolError: The peer does not speak the extension, or has not said so yet.
            ConnectionClosed: The connection has ended.
        """
        if self._home is None or not self.supported:
            raise LocalProtocolError(
                f"the peer has not announced {self.name}; wait for its extended handshake",
                rule="BEP 10: message ids are those the receiver announced",
            )
        self._home.transmit(self, payload)
