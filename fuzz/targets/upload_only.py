"""upload_only (BEP 21, and libtorrent's message) after a real extended handshake."""

from __future__ import annotations

from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.upload_only import UploadOnly, UploadOnlyMessage
from peerwire.messages import Extended
from peerwire.state import State

from ..harness import Script, deliver, expect, meeting


def target(data: bytes) -> None:
    """Runs a script of messages and of handshakes that say it anew."""
    script = Script(data)
    wire, _ = meeting(UploadOnly, UploadOnly)
    (extension,) = wire.extensions
    assert isinstance(extension, UploadOnly)
    believed = False
    while script and wire.state is State.OPEN:
        if script.byte() & 1:
            believed = bool(script.byte() & 1)
            told = ExtendedHandshake(m={"upload_only": script.byte()}, upload_only=believed)
            deliver(wire, Extended(0, told.encode()).encode())
        else:
            payload = script.take(script.below(3))
            events = deliver(wire, Extended(1, payload).encode())
            right = len(payload) == 1
            believed = payload != b"\0" if right else believed
            expect(events == ([UploadOnlyMessage(believed)] if right else []), "other events")
            expect((wire.state is State.OPEN) == right, "a byte is what it has")
        expect(extension.peer_on == believed, "what was said last is not what is believed")
        said = wire.extensions.peer is not None and wire.extensions.peer.m["upload_only"] != 0
        expect(extension.supported == said, "whether it is spoken")
        if wire.state is State.OPEN:
            extension.switch(not extension.on)
            expect(len(wire.data_to_send()) == 7 * said, "it is told of a change")
