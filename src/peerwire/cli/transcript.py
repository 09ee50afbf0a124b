"""What passes through a proxy, written down: as a log, and as a capture if that is wanted."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..capture.writing import CaptureWriter
from ..conduct import Finding
from ..interception import Interception, other
from ..messages import Cancel, Piece, Reject, Request
from ..mse import CryptoMethod, SkeyTable
from ..observe import Observer, Protocol
from ..state import Role
from .log import Connection, Log, log_record
from .output import human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import BinaryIO

    from ..capture.writing import WrittenStream
    from ..errors import EncryptionError
    from ..extensions.compact import Endpoint
    from ..messages import Buffer
    from ..state import Mark
    from .output import Output

__all__ = ["Conversation", "Delays", "Tally", "Transcript"]

#: Requests of a side remembered until they are answered, for the delay: twice of what is accepted.
MAX_ASKED: Final = 4096

_SENDERS: Final = {">": Role.INITIATOR, "<": Role.RESPONDER}

_METHODS: Final = {CryptoMethod.RC4: "RC4", CryptoMethod.PLAINTEXT: "plaintext"}


@dataclass(slots=True)
class Delays:
    """How long answers to requests took, as far as one can tell who is in the middle."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        """Takes one in."""
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def __str__(self) -> str:
        if not self.count:
            return "no block"
        mean = self.total / self.count
        blocks = f"{self.count} block{'s' * (self.count != 1)}"
        longest = self.longest * 1e3
        return f"{blocks} {mean * 1e3:.1f} ms after the request on average, {longest:.1f} at most"


@dataclass(slots=True)
class Tally:
    """What there was, of one connection or of all."""

    said: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(Role, 0))
    delays: Delays = field(default_factory=Delays)
    violations: int = 0
    deviations: int = 0

    def add(self, more: Tally) -> None:
        """Takes those of another in."""
        for role, count in more.said.items():
            self.said[role] += count
        self.delays.count += more.delays.count
        self.delays.total += more.delays.total
        self.delays.longest = max(self.delays.longest, more.delays.longest)
        self.violations += more.violations
        self.deviations += more.deviations

    @property
    def record(self) -> dict[str, object]:
        """It as keys of a record; times in seconds."""
        count = self.delays.count
        return {
            "initiator_bytes": self.said[Role.INITIATOR],
            "responder_bytes": self.said[Role.RESPONDER],
            "blocks": count,
            "mean_delay": round(self.delays.total / count, 6) if count else None,
            "longest_delay": round(self.delays.longest, 6) if count else None,
            "violations": self.violations,
            "deviations": self.deviations,
        }

    def __str__(self) -> str:
        said = [human_bytes(count) for count in self.said.values()]
        return (
            f"> {said[0]}, < {said[1]}; {self.delays}; "
            f"violations: {self.violations}, deviations: {self.deviations}"
        )


class Transcript:
    """Writes down what is said on any number of connections.

    Args:
        out: Where the log goes.
        torrents: Info-hash to piece count of the torrents that are known.
        only: The names of the messages that the log has, all if None.
        file: Where the capture goes, if one is wanted: unbuffered, so that it can be read while it
            grows.

    Attributes:
        failed: Gets the `OSError` when nothing more can be written.
        count: Connections so far.
        tally: What there was on those that are over.
    """

    def __init__(
        self,
        out: Output,
        torrents: Mapping[bytes, int | None],
        *,
        only: Collection[str] | None = None,
        file: BinaryIO | None = None,
    ) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.count = 0
        self.tally = Tally()
        self._out = out
        self._log = Log(out, only=only)
        self._torrents = torrents
        self._skeys = SkeyTable(torrents.keys()) if torrents else None
        self._file = file
        self._capture: CaptureWriter | None = None
        if file is not None:
            with self.writing(file.name):
                self._capture = CaptureWriter(file)
        self._explained = False
        # So that times go on evenly, whoever sets the clock.
        self._epoch = time.time() - time.monotonic()
        self._zero: float | None = None

    def now(self) -> float:
        """What time it is, in seconds since 1970, as exact as a capture has it."""
        return round(self._epoch + time.monotonic(), 6)

    @contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Lets nothing that goes wrong with a file get at what is passed on."""
        try:
            yield
        except OSError as error:
            if not self.failed.done():
                self.failed.set_exception(OSError(error.errno, error.strerror, name))
                self.failed.exception()  # nobody may wait for it any more

    def write(self, mark: Mark, what: object, now: float, label: str = "") -> None:
        """Writes a line of the log."""
        with self.writing("standard output"):
            self._log.write(mark, what, self._seconds(now), label)

    def tell(self, event: str, text: str, **keys: object) -> None:
        """Tells what is none of what is said: people by the way, scripts among the results."""
        with self.writing("standard output"):
            record = log_record("=", text, self._seconds(self.now())) | {"event": event} | keys
            self._out.event(record, text)

    def conversation(self) -> Conversation:
        """Returns what writes one connection down, once there is one."""
        return Conversation(self, Interception(self._skeys))

    # For its conversations

    def _open(self, initiator: Endpoint, responder: Endpoint, now: float) -> WrittenStream | None:
        self._zero = now if self._zero is None else self._zero
        self.count += 1
        if self._capture is None or self._file is None:
            return None
        with self.writing(self._file.name):
            return self._capture.connection(initiator, responder, now)
        return None

    def _record(self, write: Callable[..., None], *what: object) -> None:
        """Writes something into the capture, if there is one."""
        assert self._file is not None, "nothing is recorded without"
        with self.writing(self._file.name):
            write(*what)

    def _seconds(self, now: float) -> float:
        """How long that is after the first connection was opened."""
        return 0.0 if self._zero is None else now - self._zero

    def _explain(self, label: str) -> None:
        """Says, once, why nothing is told of what is encrypted."""
        if not self._explained:
            self._explained = True
            with self.writing("standard error"):
                self._out.note(
                    f"{label} is encrypted and passed on unread; to look inside, name its torrent: "
                    "the info-hash, a magnet link or the .torrent"
                )


class Conversation:
    """Writes one connection down: what a `Relay` tells.

    Attributes:
        interception: What reads it on the way.
        label: What it is called in the log; empty before it is opened.
        tally: What there was so far.
    """

    def __init__(self, transcript: Transcript, interception: Interception) -> None:
        self.interception = interception
        self.label = ""
        self.tally = Tally()
        self._transcript = transcript
        self._observer = Observer(self._hear, torrents=transcript._torrents)
        self._stream: WrittenStream | None = None
        self._opened_at = 0.0
        self._offered = False  # whether that was told, and
        self._selected = False
        self._asked: dict[Role, dict[tuple[int, int, int], float]] = {role: {} for role in Role}

    def opened(self, initiator: Endpoint, responder: Endpoint) -> None:
        """There are connections to both sides, whose addresses these are."""
        self._opened_at = now = self._transcript.now()
        self.label = f"#{self._transcript.count}"
        self._stream = self._transcript._open(initiator, responder, now)
        self._write("=", Connection(initiator, responder, now), now)

    def said(self, sender: Role, data: Buffer) -> None:
        """A side said this, in clear."""
        now = self._transcript.now()
        self.tally.said[sender] += len(data)
        self._tell_encryption(now)
        if self._stream is not None:
            self._transcript._record(self._stream.data, sender, data, now)
        self._observer.receive_data(sender, data, now)

    def ended(self, side: Role, how: str) -> None:
        """A side says nothing more, because it did this."""
        now = self._transcript.now()
        if self._stream is not None:
            self._transcript._record(self._stream.eof, side, now)
        if any(self.tally.said.values()):
            self._observer.receive_eof(side, now, how)
        else:
            during = ", during the encrypted handshake" if self.interception.shaking else ""
            self._write("=", f"the {side} {how}{during}", now)

    def broken(self, error: EncryptionError) -> None:
        """The connection can't go on."""
        by = self.interception.broken_by
        what = error if by is None else Finding(by, error)
        self._hear("!", what, self._transcript.now())

    def over(self) -> None:
        """Sums up a connection that was opened and has ended."""
        if not self.label:
            return
        self._transcript.tally.add(self.tally)
        seconds = self._transcript.now() - self._opened_at
        method = self.interception.method
        self._transcript.tell(
            "over",
            f"{self.label} over after {seconds:.1f} s: {self.tally}",
            wire=self.label,
            seconds=round(seconds, 6),
            protocol=self._observer.protocol.name.lower(),
            decrypted=None if method is None else _METHODS[method].lower(),
            **self.tally.record,
        )

    def _tell_encryption(self, now: float) -> None:
        """Tells of the encrypted handshake, before what it hides."""
        it = self.interception
        if not self._offered and it.offered is not None and it.info_hash is not None:
            ways = " or ".join(name for method, name in _METHODS.items() if method in it.offered)
            text = f"encrypted, about {it.info_hash.hex()}, and read here; the initiator offers"
            self._write("=", f"{text} {ways}", now)
            self._offered = True
        if it.method is not None and not self._selected:
            self._write("=", f"the responder selects {_METHODS[it.method]}", now)
            self._selected = True

    def _hear(self, mark: Mark, what: object, now: float) -> None:
        if isinstance(what, Finding):
            self.tally.deviations += what.deviation
            self.tally.violations += not what.deviation
        elif isinstance(what, Request | Piece | Reject | Cancel):
            self._time(_SENDERS[mark], what, now)
        self._write(mark, what, now)
        if what is Protocol.ENCRYPTED.value:
            self._transcript._explain(self.label)

    def _time(self, sender: Role, message: Request | Piece | Reject | Cancel, now: float) -> None:
        """Measures how long an answer took."""
        length = len(message.block) if isinstance(message, Piece) else message.length
        key = (message.index, message.begin, length)
        if isinstance(message, Request):
            asked = self._asked[sender]
            asked.setdefault(key, now)
            if len(asked) > MAX_ASKED:
                del asked[next(iter(asked))]
        elif isinstance(message, Cancel):
            self._asked[sender].pop(key, None)
        else:
            since = self._asked[other(sender)].pop(key, None)
            if since is not None and isinstance(message, Piece):
                self.tally.delays.add(now - since)

    def _write(self, mark: Mark, what: object, now: float) -> None:
        self._transcript.write(mark, what, now, self.label)
