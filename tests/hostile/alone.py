"""Plays a case to a wire alone: no socket, and the clock is a number."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from peerwire import RemoteProtocolError, Role, Wire
from peerwire.encryption import EncryptedWire, Encryption
from peerwire.mse import SkeyTable

from .case import Act, Pause, Reply, Seen
from .ours import act, extensions
from .torrent import INFO_HASH, NUM_PIECES, OUR_ID
from .weight import held_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .case import Case

__all__ = ["CHUNKINGS", "Alone"]

#: What is read at a time from a socket.
READ = 512 * 1024

#: Bytes that stay of an encrypted handshake that is not even half done: a key and a pad.
LEFT_OVER = 1024

#: Bytes of a segment that come one by one; thousands more would be no other case.
SINGLE = 700


def _at_once(data: bytes) -> Iterator[bytes]:
    yield from (data[n : n + READ] for n in range(0, len(data), READ))


def _in_segments(data: bytes) -> Iterator[bytes]:
    yield from (data[n : n + 1448] for n in range(0, len(data), 1448))


def _in_bytes(data: bytes) -> Iterator[bytes]:
    yield from (data[n : n + 1] for n in range(min(len(data), SINGLE)))
    yield from _in_segments(data[SINGLE:])


#: How the bytes of a peer may arrive.
CHUNKINGS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "at once": _at_once,
    "in segments": _in_segments,
    "byte by byte": _in_bytes,
}


class Alone:
    """A wire, and the peer of a case at its other end.

    Args:
        case: What is played.
        role: Which side is ours.
        chunks: How the peer's bytes arrive.
        traced: Whether somebody looks on, for whom a wire takes no short cuts.

    Attributes:
        wire: Ours.
        most_held: The most bytes that it has held of what is not complete.
    """

    def __init__(
        self,
        case: Case,
        role: Role,
        chunks: Callable[[bytes], Iterator[bytes]],
        *,
        traced: bool = True,
    ) -> None:
        scene = case.scene
        self.case = case
        self.now = 0.0
        self.most_held = 0
        self._chunks = chunks
        self._heard = bytearray()
        self._notes: list[str] = []
        initiates = role is Role.INITIATOR
        self.wire = Wire(
            role,
            INFO_HASH if initiates else None,
            OUR_ID,
            num_pieces=NUM_PIECES if initiates and scene.knows_pieces else None,
            info_hash_v2=INFO_HASH if initiates and scene.v2 else None,
            extensions=extensions(lambda: self.now),
            limits=scene.limits,
            strict=scene.strict,
            trace=self._trace if traced else None,
        )
        self.layer = EncryptedWire(
            self.wire,
            Encryption(scene.encryption),
            torrents=SkeyTable([INFO_HASH]),
            random=random.Random(5).randbytes,
        )
        self._settle()

    def play(self) -> Seen:
        """Plays the script to its end, or to that of the wire; returns what came of it."""
        raised = None
        try:
            for step in self.case.script:
                self._do(step)
        except RemoteProtocolError as error:
            raised = error
        self._settle()
        if self.wire.closed is not None:
            assert raised is None or raised is self.wire.closed.__cause__
            self._expect_deaf()
        return Seen(bytes(self._heard), self._notes, self.wire.closed, self.wire)

    def _do(self, step: object) -> None:
        match step:
            case Reply(make):
                reply = make(bytes(self._heard))
                assert reply is not None, "the script waits for what never comes"
                self._say(reply)
            case Pause(seconds):
                self._wait(seconds)
            case Act.CLOSE | Act.SHUTDOWN:
                self.wire.receive_eof()
            case Act.RESET:
                self.wire.receive_eof(ConnectionResetError(104, "Connection reset by peer"))
            case Act.DEAF:
                raise AssertionError("a wire alone does not know whether it is listened to")
            case _:
                self._say(step if isinstance(step, bytes) else step.encode())  # type: ignore[attr-defined]

    def _say(self, data: bytes) -> None:
        for chunk in self._chunks(data):
            self.layer.receive_data(chunk, self.now)
            self._settle()

    def _wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (due := self.layer.next_timer()) is not None and due <= until:
            self.now = max(self.now, due)
            self.layer.handle_timer(self.now)
            self._settle()
        self.now = until

    def _settle(self) -> None:
        held = held_bytes(self.layer)
        self.most_held = max(self.most_held, held)
        act(self.wire, self.case.scene)
        self._heard += self.layer.data_to_send()

    def _expect_deaf(self) -> None:
        """Nothing is taken in any more."""
        counts = dict(self.wire.messages_received)
        self.layer.receive_data(b"\0\0\0\1\2" * 3, self.now)
        assert self.wire.messages_received == counts
        assert not self.wire.events_received()
        assert not self.layer.data_to_send()
        assert held_bytes(self.layer) <= LEFT_OVER

    def _trace(self, mark: str, what: object, _now: float) -> None:
        if mark == "!":
            self._notes.append(str(what))
