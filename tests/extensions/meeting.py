"""A wire with one extension, and a peer that says of it what a test wants."""

import pytest

from peerwire.errors import RemoteProtocolError
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.framing import Framing
from peerwire.handshake import Handshake, Reserved
from peerwire.messages import Extended
from peerwire.wire import Wire

INFO_HASH = bytes(range(20))
OUR_ID = b"-PW0000-ourselvesxyz"
PEER_ID = b"-LT2110-somebodyelse"

#: The ids that an extension has in messages to us, as our first, and to the peer.
OURS, THEIRS = 1, 30


class Meeting:
    """Both after their handshakes; the peer's extended one has the extension's name, unless told.

    Attributes:
        extension: Ours.
        handshake: What our extended handshake said.
    """

    def __init__(self, make, **told):
        self.wire = Wire("responder", INFO_HASH, OUR_ID, extensions=[make])
        (self.extension,) = self.wire.extensions
        self.wire.receive_data(Handshake(INFO_HASH, PEER_ID, Reserved.EXTENSION).encode(), 0.0)
        data = self.wire.data_to_send()
        (message,) = Framing(1 << 20).receive(data[68:])
        self.handshake = ExtendedHandshake.decode(message.payload)
        self.wire.events_received()
        self.tell(**({"m": {self.extension.name: THEIRS}} | told))

    def tell(self, **told):
        """The peer sends an extended handshake."""
        self.wire.receive_data(Extended(0, ExtendedHandshake(**told).encode()).encode(), 0.0)
        self.wire.events_received()

    def hear(self, payload):
        """The peer sends a message of the extension; returns the events."""
        self.wire.receive_data(Extended(OURS, payload).encode(), 0.0)
        return self.wire.events_received()

    def sent(self):
        """The payloads of the extension's messages that we have sent since the last look."""
        messages = list(Framing(1 << 20).receive(self.wire.data_to_send()))
        assert all(message.extended_id == THEIRS for message in messages)
        return [message.payload for message in messages]

    def violation(self, payload):
        """Asserts that a message ends the wire and that the extension is named; returns why."""
        with pytest.raises(RemoteProtocolError) as error:
            self.hear(payload)
        assert error.value.rule == f"extension {self.extension.name}"
        assert isinstance(error.value.__cause__, ValueError)
        assert self.wire.closed is not None
        return str(error.value)
