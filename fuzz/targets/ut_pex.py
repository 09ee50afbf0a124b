"""ut_pex (BEP 11) after a real extended handshake: any message, at any time."""

from __future__ import annotations

import functools

from peerwire.extensions.compact import is_usable
from peerwire.extensions.ut_pex import MAX_CONTACTS, PexMessage, UtPex
from peerwire.messages import Extended
from peerwire.state import State

from ..harness import Script, deliver, expect, meeting


def target(data: bytes) -> None:
    """Runs a script of messages with time between them; what was heard is told to a third."""
    script = Script(data)
    clock = Clock()
    make = functools.partial(UtPex, clock)
    wire, _ = meeting(make, make)
    teller, listener = meeting(make, make)
    (telling,) = teller.extensions
    assert isinstance(telling, UtPex)
    size, heard = script.byte(), 0
    for _ in range(20):
        if not script or wire.state is not State.OPEN:
            break
        before, clock.now = clock.now, clock.now + script.byte()
        heard = heard + 1 if clock.now == before else 1
        payload = script.text()
        for event in deliver(wire, Extended(1, payload).encode(), clock.now, size):
            assert isinstance(event, PexMessage)
            expect(heard <= 6, "more messages at once than allowed")
            _check(event)
            sent = telling.update(clock.now, event.added)
            if sent is not None:
                (again,) = deliver(listener, teller.data_to_send(), clock.now)
                expect(again == sent, "two of ours do not understand each other")
        teller.data_to_send()


def _check(message: PexMessage) -> None:
    for peers in (message.added, message.dropped):
        expect(len(peers) <= 2 * MAX_CONTACTS, "contacts")
        expect(len({peer.endpoint for peer in peers}) == len(peers), "a contact is there twice")
        for peer in peers:
            expect(is_usable(*peer.endpoint), f"nobody can be at {peer.endpoint}")
    expect(PexMessage.decode(message.encode()) == message, "decode(encode(x)) is not x")


class Clock:
    """What time it is, as the input says."""

    now = 0.0

    def __call__(self) -> float:
        """Returns the seconds."""
        return self.now
