"""A connection that keeps no rules: it says anything, and hears messages with deadlines."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from ..cli.log import Log
from ..cli.output import Output
from ..errors import RemoteProtocolError
from ..extensions.handshake import ExtendedHandshake
from ..framing import Framing
from ..handshake import HANDSHAKE_LENGTH, Handshake
from ..messages import (
    AllowedFast,
    Bitfield,
    Choke,
    Extended,
    Have,
    HaveAll,
    Message,
    Piece,
    Unchoke,
)
from .case import Closed, Deviates, Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..rc4 import StreamCipher
    from ..state import Mark

__all__ = ["ANSWER", "Connection", "Silent"]

M = TypeVar("M", bound=Message)

#: Seconds in which a peer has answered. No BEP says how soon; Transmission 3 gathers what is not
#: urgent for ten.
ANSWER: Final = 12.0

#: Seconds in which a peer has closed a connection that it does not bear.
CLOSING: Final = 4.0

#: The longest message taken from the peer that is asked, and the most of it all: in bytes, and in
#: messages, as each takes more memory here than there.
MAX_MESSAGE: Final = 4 * 1024 * 1024
MAX_HEARD: Final = 64 * 1024 * 1024
MAX_MESSAGES: Final = 500_000

#: Lines of a transcript that are kept, of its beginning and of its end.
KEPT: Final = 60

#: Messages said at once of which each has a line.
SHOWN: Final = 6


class Silent(Deviates):
    """What had to come did not come in time."""


class _Lines(Output):
    """Keeps the lines of a log: those of the beginning, and the last."""

    def __init__(self) -> None:
        super().__init__(json=False)
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=KEPT)
        self._count = 0

    def result(self, record: Mapping[str, object], text: str) -> None:
        self._count += 1
        (self._first if len(self._first) < KEPT else self._last).append(text)

    def lines(self) -> list[str]:
        left_out = self._count - len(self._first) - len(self._last)
        gap = [f"           ... {left_out} lines ..."] if left_out else []
        return [*self._first, *gap, *self._last]


class Connection:
    """One connection to the peer that is asked.

    Args:
        reader: What the peer says.
        writer: Takes what it is told.
        num_pieces: How many pieces the torrent has.
        patience: What all waits are multiplied with: above 1 for a peer that is slow or far away.

    Attributes:
        num_pieces: How many pieces the torrent has.
        patience: As above.
        theirs: The peer's handshake, once it is heard.
        introduced: All its extended handshakes, taken together.
        heard: All messages that came, in order. Blocks are copies.
        choked: Whether the peer chokes us.
        pieces: The pieces that it said it has.
        allowed: The pieces that it said may be asked for while choked (BEP 6).
        ended: How the connection ended; None while it lasts.
        received: How many bytes came.
        spoke: When we said something last, as the event loop counts.
        opaque: Whether what comes is no plain handshake, and is not to be read as one.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        num_pieces: int,
        patience: float = 1.0,
    ) -> None:
        self.num_pieces = num_pieces
        self.patience = patience
        self.theirs: Handshake | None = None
        self.introduced: ExtendedHandshake | None = None
        self.heard: list[Message] = []
        self.choked = True
        self.pieces: set[int] = set()
        self.allowed: list[int] = []
        self.ended: str | None = None
        self.received = 0
        self.opaque = False
        self._reader, self._writer = reader, writer
        self._reading: asyncio.Task[bytes] | None = None
        self._encrypt: StreamCipher | None = None
        self._decrypt: StreamCipher | None = None
        self._raw = bytearray()  # what came before the handshake was whole
        self._framing = Framing(MAX_MESSAGE)
        self._unread: deque[Message] = deque()
        self._broken: str | None = None
        self._names: dict[int, str] = {0: "handshake"}
        self._started = self.spoke = self._now
        self._lines = _Lines()
        log = Log(self._lines, colour=False)
        self._trace = log.trace(start=self._started)

    @property
    def address(self) -> str:
        """Our address, as the peer sees it."""
        name = self._writer.get_extra_info("sockname")
        return str(name[0]) if name else "0.0.0.0"

    @property
    def seconds(self) -> float:
        """Seconds since the connection was made."""
        return self._now - self._started

    # What is said

    def say(self, *what: bytes | Message | Handshake) -> None:
        """Says all of it at once, right or wrong."""
        for n, each in enumerate(what):
            if n < SHOWN or n == len(what) - 1:
                self._log(">", self._labelled(each))
            elif n == SHOWN:
                self._log(">", f"... {len(what) - SHOWN - 1} more ...")
        data = b"".join(each if isinstance(each, bytes) else each.encode() for each in what)
        if self._encrypt is not None:
            buffer = bytearray(data)
            self._encrypt.apply(buffer)
            data = bytes(buffer)
        self._write(data)

    async def dribble(self, what: bytes | Message | Handshake, pause: float = 0.002) -> None:
        """Says it in segments of one byte."""
        data = what if isinstance(what, bytes) else what.encode()
        self._log(">", what)
        for value in data:
            self._write(bytes((value,)))
            await asyncio.sleep(pause)

    async def flush(self, within: float = ANSWER) -> None:
        """Waits until most of what was said has left, or the peer has stopped reading for long."""
        try:
            async with asyncio.timeout_at(self._until(within)):
                await self._writer.drain()
        except (TimeoutError, OSError):
            pass

    def shutdown(self) -> None:
        """Ends our direction of the connection."""
        self._log("=", "we close our direction")
        try:
            self._writer.write_eof()
        except OSError:
            pass

    def abort(self) -> None:
        """Ends the connection at once."""
        self._log("=", "we end the connection")
        self._writer.transport.abort()

    async def leave(self) -> None:
        """Ends the connection in good order."""
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()

    def note(self, text: str) -> None:
        """Writes something into the transcript."""
        self._log("=", text)

    def transcript(self) -> list[str]:
        """Returns what was said on both sides, a line each."""
        return self._lines.lines()

    # What is heard

    async def handshake(self, within: float = ANSWER) -> Handshake:
        """Returns the peer's handshake.

        Raises:
            Deviates: None comes, or something else does.
        """
        until = self._until(within)
        if self.theirs is None:
            self._take(b"")
        while self.theirs is None:
            if self._broken is not None:
                raise Deviates(self._broken)
            if self.ended is not None:
                raise Closed(f"{self.ended} without a handshake")
            if not await self._read(until):
                raise Silent(f"no handshake within {within:g} s")
        return self.theirs

    async def bytes_heard(self, count: int, within: float = ANSWER) -> bytes:
        """Returns what came before a handshake, once it is so much, or less when time is up."""
        until = self._until(within)
        while self.theirs is None and self.ended is None and len(self._raw) < count:
            if not await self._read(until, raw=True):
                break
        return bytes(self._raw)

    async def more(self, than: int, within: float = ANSWER) -> None:
        """Waits until more bytes have come, whatever they mean.

        Args:
            than: How many came before; see `received`.
            within: Seconds.

        Raises:
            Closed: The connection ended.
            Silent: None came in time.
        """
        until = self._until(within)
        while self.received <= than:
            if self.ended is not None:
                raise Closed(self.ended)
            if not await self._read(until, raw=True):
                raise Silent(f"nothing within {within:g} s")

    async def hear(self, within: float = ANSWER) -> Message:
        """Returns the next message.

        Raises:
            Closed: The connection ended.
            Deviates: Something came that is no message.
            Silent: Nothing came in time.
        """
        message = await self._next(self._until(within))
        if message is None:
            raise Silent(f"nothing within {within:g} s")
        return message

    async def _next(self, until: float) -> Message | None:
        """Returns the next message; None if it does not come in time."""
        while not self._unread:
            if self._broken is not None:
                raise Deviates(self._broken)
            if self.ended is not None:
                raise Closed(self.ended)
            if not await self._read(until):
                return None
        return self._unread.popleft()

    async def wait_for(
        self,
        kind: type[M] | tuple[type[M], ...],
        *,
        within: float = ANSWER,
        where: Callable[[M], bool] = lambda _: True,
    ) -> M:
        """Returns the next message of a kind; what comes before it is passed over.

        Raises:
            Closed: The connection ended.
            Silent: None came in time.
        """
        until = self._until(within)
        while True:
            message = await self._next(until)
            if message is None:
                kinds = kind if isinstance(kind, tuple) else (kind,)
                names = " or ".join(each.name for each in kinds)
                raise Silent(f"no {names} within {within:g} s")
            if isinstance(message, kind) and where(message):
                return message

    async def quiet(self, seconds: float) -> list[Message]:
        """Returns what comes within so many seconds, or until the connection ends.

        Raises:
            Deviates: Something came that is no message.
        """
        until, came = self._until(seconds), []
        try:
            while (message := await self._next(until)) is not None:
                came.append(message)
        except Closed:
            pass
        return came

    async def closes(self, within: float = CLOSING) -> None:
        """Waits for the peer to end the connection.

        Raises:
            Deviates: It does not.
        """
        until = self._until(within)
        while self.ended is None:
            if self._now > until or not await self._read(until, raw=self.opaque):
                raise Deviates("the connection goes on")
            self._unread.clear()

    # The socket

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def write(self, data: bytes) -> None:
        """Says bytes that are no messages, as they are, whatever is agreed on."""
        self._log(">", data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self.ended is None and not self._writer.transport.is_closing():
            self._writer.write(data)
            self.spoke = self._now

    async def _read(self, until: float, *, raw: bool = False) -> bool:
        """Takes in what comes; returns False if nothing came in time."""
        try:
            data = await self._chunk(until)
        except TimeoutError:
            return False
        except OSError:
            self._end("the connection was reset")
            return True
        if not data:
            self._end("the connection was closed")
            return True
        self.received += len(data)
        if self.received > MAX_HEARD:
            raise Inconclusive(f"it sends more than {MAX_HEARD >> 20} MiB")
        if len(self.heard) > MAX_MESSAGES:
            raise Inconclusive(f"it says more than {MAX_MESSAGES} messages")
        if raw:
            self._raw += data
            self._log("<", data)
        else:
            self._take(data)
        return True

    async def _chunk(self, until: float) -> bytes:
        """Returns what comes next, and goes on waiting for it where it does not come in time.

        Raises:
            TimeoutError: Nothing came in time.
            OSError: The connection was lost.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._reader.read(1 << 16))
        await asyncio.wait([self._reading], timeout=max(0.0, until - self._now))
        if not self._reading.done():
            await asyncio.sleep(0)  # of a machine that was busy with something else, perhaps
        if not self._reading.done():
            raise TimeoutError
        reading, self._reading = self._reading, None
        return reading.result()

    def _until(self, seconds: float) -> float:
        return self._now + seconds * self.patience

    def _end(self, how: str) -> None:
        self.ended = how
        self._log("=", how)

    def _take(self, data: bytes, *, decrypted: bool = False) -> None:
        if self._decrypt is not None and not decrypted:
            buffer = bytearray(data)
            self._decrypt.apply(buffer)
            data = bytes(buffer)
        if self.theirs is None:
            self._raw += data
            if len(self._raw) < HANDSHAKE_LENGTH:
                return
            try:
                self.theirs = Handshake.decode(self._raw[:HANDSHAKE_LENGTH])
            except RemoteProtocolError as error:
                self._break(error)
                return
            self._log("<", self.theirs)
            data, self._raw = bytes(self._raw[HANDSHAKE_LENGTH:]), bytearray()
        if self._broken is not None:
            return
        try:
            for message in self._framing.receive(data):
                self._hear(message)
        except RemoteProtocolError as error:
            self._break(error)

    def _break(self, error: RemoteProtocolError) -> None:
        self._broken = f"it says what can't be read: {error}"
        self._log("!", error)

    def _hear(self, message: Message) -> None:
        match message:
            case Piece(index, begin, block):
                message = Piece(index, begin, bytes(block))
            case Choke():
                self.choked = True
            case Unchoke():
                self.choked = False
            case Have(index):
                self.pieces.add(index)
            case HaveAll():
                self.pieces = set(range(self.num_pieces))
            case Bitfield(bits):
                self.pieces = {n for n in range(8 * len(bits)) if bits[n // 8] & 0x80 >> n % 8}
            case AllowedFast(index):
                self.allowed.append(index)
            case Extended(number, payload):
                message = Extended(number, payload, self._names.get(number, ""))
                if number == 0:
                    self._meet(payload)
        self._log("<", message)
        self.heard.append(message)
        self._unread.append(message)

    def _meet(self, payload: bytes) -> None:
        try:
            told = ExtendedHandshake.decode(payload)
        except ValueError:
            return  # a case of its own looks at that
        if self.introduced is None:
            self.introduced = told
        else:
            self.introduced.update(told)

    def _labelled(self, what: bytes | Message | Handshake) -> object:
        if not isinstance(what, Extended):
            return what
        names = {} if self.introduced is None else self.introduced.m
        theirs = {number: name for name, number in names.items()} | {0: "handshake"}
        return Extended(what.extended_id, what.payload, theirs.get(what.extended_id, ""))

    def _log(self, mark: Mark, what: object) -> None:
        if isinstance(what, bytes):
            more = "..." if len(what) > 24 else ""
            what = f"{len(what)} bytes: {what[:24].hex(' ')}{more}"
        self._trace(mark, what, self._now)
