"""ut_holepunch (BEP 55) after a real extended handshake, and what a relay makes of it."""

from __future__ import annotations

from peerwire.extensions.ut_holepunch import (
    Connect,
    PunchError,
    Rendezvous,
    RendezvousFailed,
    UtHolepunch,
    relay,
)
from peerwire.messages import Extended
from peerwire.state import State

from ..harness import Script, deliver, expect, meeting

ASKER = ("192.0.2.1", 6881)
#: Who is connected to the relay, and whether it speaks the extension.
PEERS = {ASKER: True, ("192.0.2.2", 6881): True, ("2001:db8::3", 1): False}
US = [("192.0.2.9", 6881)]


def target(data: bytes) -> None:
    """Runs a script of messages; what is heard is written again, and relayed."""
    script = Script(data)
    wire, peer = meeting(UtHolepunch, UtHolepunch)
    (ours,) = peer.extensions
    assert isinstance(ours, UtHolepunch)
    size = script.byte()
    while script and wire.state is State.OPEN:
        payload = script.take(script.below(40))
        for event in deliver(wire, Extended(1, payload).encode(), size=size):
            assert isinstance(event, Rendezvous | Connect | RendezvousFailed)
            again = event.encode()
            told = payload if isinstance(event, RendezvousFailed) else payload[: len(again) - 4]
            expect(again.ljust(len(told), b"?").startswith(told), "it is written otherwise")
            expect(len(again) - len(payload) in (0, 4), "it is written in another length")
            ours.say(event)
            expect(peer.data_to_send() == Extended(1, again).encode(), "it is sent otherwise")
            if isinstance(event, Rendezvous):
                _relay(event)
    expect(not wire.data_to_send(), "it was answered")


def _relay(asked: Rendezvous) -> None:
    said = relay(ASKER, asked.endpoint, PEERS, ours=US)
    expect(len(said) in (1, 2) and said[0][0] == ASKER, f"a relay says {said}")
    expect(said[0][1].endpoint == asked.endpoint, "it is about another peer")
    if len(said) == 1:
        failed = said[0][1]
        expect(isinstance(failed, RendezvousFailed) and failed.error in list(PunchError), "why?")
        return
    (_, first), (other, second) = said
    expect(isinstance(first, Connect) and isinstance(second, Connect), "two connect")
    expect(other == asked.endpoint and PEERS[other] and other != ASKER, "with whom?")
    expect(second.endpoint == ASKER, "with whom else?")
