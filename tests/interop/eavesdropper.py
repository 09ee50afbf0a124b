"""Somebody between two peers: passes all bytes on, and keeps them."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How a BitTorrent handshake begins that is not encrypted (BEP 3).
GREETING = b"\x13BitTorrent protocol"

#: Seconds between looks at whether it is to end.
POLL = 0.05


@dataclass
class Conversation:
    """What went over one connection.

    Attributes:
        said: By whoever dialled.
        answered: By whoever was dialled.
        ended_by: Who closed it, or reset it, first; None while it is open.
    """

    said: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    ended_by: str | None = None

    def spoken(self, content: bytes) -> str:
        """What somebody who overhears it can tell: "off", "plaintext" or "rc4".

        `content` is a part of what was moved, shorter than a block and from the middle of one.
        """
        if self.said.startswith(GREETING):
            return "off"
        return "plaintext" if content in self.said + self.answered else "rc4"


class Eavesdropper:
    """Listens at `port`, and dials `target` for everybody who comes."""

    def __init__(self, target: int) -> None:
        self.conversations: list[Conversation] = []
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL)
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ending = False
        self._start(self._accept)

    def close(self) -> None:
        self._ending = True
        self._threads[0].join()
        for end in self._sockets:
            shut(end)
        for thread in self._threads:
            thread.join()
        for end in self._sockets:
            end.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with self._listener:
            while not self._ending:
                try:
                    near, _ = self._listener.accept()
                except TimeoutError:
                    continue
                near.settimeout(None)
                self._sockets.append(near)
                self._introduce(near)

    def _introduce(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            shut(near)
            return
        far.settimeout(None)
        self._sockets.append(far)
        conversation = Conversation()
        self.conversations.append(conversation)
        self._start(self._pass_on, near, far, conversation, "dialler")
        self._start(self._pass_on, far, near, conversation, "dialled")

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, conversation: Conversation, who: str
    ) -> None:
        kept, other = conversation.said, "dialled"
        if who == "dialled":
            kept, other = conversation.answered, "dialler"
        ends = who
        while data := receive(source):
            kept += data
            try:
                sink.sendall(data)
            except OSError:
                ends = other
                break
        conversation.ended_by = conversation.ended_by or ends
        shut(sink, socket.SHUT_WR)


def receive(source: socket.socket) -> bytes:
    """The next bytes; none at the end, be it a reset."""
    try:
        return source.recv(65536)
    except OSError:
        return b""


def shut(end: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    try:
        end.shutdown(how)
    except OSError:
        pass  # it is already


@contextmanager
def eavesdropping(target: int) -> Iterator[Eavesdropper]:
    """Stand between whoever dials `.port` and 127.0.0.1:`target`."""
    eavesdropper = Eavesdropper(target)
    try:
        yield eavesdropper
    finally:
        eavesdropper.close()
