"""lt_donthave (BEP 54) after a real extended handshake."""

from __future__ import annotations

import functools

from peerwire.errors import LocalProtocolError
from peerwire.extensions.lt_donthave import DontHave, LtDontHave
from peerwire.limits import DEFAULT_LIMITS
from peerwire.messages import Extended
from peerwire.state import State

from ..harness import Script, deliver, expect, meeting


def target(data: bytes) -> None:
    """Runs a script of messages, both what the peer says and what we do."""
    script = Script(data)
    count = script.byte() or None
    bound = DEFAULT_LIMITS.max_pieces if count is None else count
    make = functools.partial(LtDontHave, count)
    wire, peer = meeting(make, make)
    (ours,) = peer.extensions
    assert isinstance(ours, LtDontHave)
    while script and wire.state is State.OPEN:
        payload = script.take(script.below(6))
        index = int.from_bytes(payload)
        right = len(payload) == 4 and index < bound
        events = deliver(wire, Extended(1, payload).encode())
        expect(events == ([DontHave(index)] if right else []), "it heard something else")
        expect((wire.state is State.OPEN) == right, "it took what is wrong, or not what is right")
        if right:
            ours.dont_have(index)
            expect(peer.data_to_send() == Extended(1, payload).encode(), "it says it otherwise")
        elif payload:
            _refused(ours, (count or 1 << 32) + index)
    expect(not wire.data_to_send(), "it was answered")


def _refused(extension: LtDontHave, index: int) -> None:
    try:
        extension.dont_have(index)
        expect(False, f"{index} was sent")
    except LocalProtocolError:
        return
