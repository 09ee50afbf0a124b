"""Shows what BitTorrent peers say to each other in a capture, and what is wrong with it.

FILE is a pcap or pcapng (as tcpdump, Wireshark and `peerwire proxy --write` make them), or the raw
bytes that one side of one connection said. All TCP connections are looked at, on any port, and
numbered as Wireshark does (tcp.stream). A line has the seconds since the first packet, the number
of the connection, a mark, and what happened:

  >  said by the side that opened the connection   =  the state of the connection
  <  said by the other side                        !  a broken rule, or bytes that are lost

What is encrypted can't be read by a third and is told as such. With --json each line is an object:
time, mark, event and text are always there, beside them wire (the connection), and what the event
has, such as index, begin and length: docs/reference/log.md lists them.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from ..capture.packets import segment_of
from ..capture.reading import is_capture, piped, read_capture, read_head
from ..capture.reassembly import Gap
from ..capture.streams import End, TcpStreams
from ..errors import PeerWireError
from ..observe import Observer, Protocol
from ..state import Role
from ..torrent.metainfo import Metainfo
from . import arguments
from .log import MESSAGE_NAMES, Connection, Log

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from io import FileIO

    from ..capture.reading import Frame
    from ..capture.streams import Heard, TcpStream
    from ..state import Mark
    from .output import Output

EXAMPLE = "peerwire decode capture.pcapng --port 6881"

#: Bytes of messages that are yet to be complete, in all connections together.
MAX_HELD: Final = 256 * 1024 * 1024

#: Bytes of a raw stream that are read at a time.
CHUNK: Final = 64 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("file", metavar="FILE", help="the capture; - for standard input")
    parser.add_argument(
        "--stream",
        metavar="N",
        type=int,
        action="append",
        help="only the connection of this number; may be given again",
    )
    parser.add_argument("--host", help="only connections of this IP address")
    parser.add_argument(
        "--port", type=arguments.port, help="only connections of this TCP port, of either side"
    )
    parser.add_argument(
        "--message",
        metavar="NAME",
        choices=MESSAGE_NAMES,
        action="append",
        help="only messages of this name, and what is no message; may be given again: "
        + ", ".join(MESSAGE_NAMES),
    )
    parser.add_argument(
        "--torrent",
        metavar="TORRENT",
        action="append",
        default=[],
        help="a .torrent that peers speak of: tells what pieces there are; may be given again",
    )


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    with _interruptible():
        return _decode(args, out)


def _decode(args: argparse.Namespace, out: Output) -> int:
    log, torrents = Log(out, only=args.message), _piece_counts(args.torrent)
    name = sys.stdin.fileno() if args.file == "-" else args.file
    with open(name, "rb", buffering=0, closefd=args.file != "-") as file:
        head = read_head(file)
        if not is_capture(head):
            _decode_raw(head, file, Observer(log.trace(start=0.0), torrents=torrents))
            return 0
        decoder = _Decoder(log, out, args, torrents)
        try:
            with piped(head, file) if args.file == "-" else nullcontext(args.file) as path:
                for frame in read_capture(path):
                    decoder.take_in(frame)
        finally:
            decoder.finish()
            out.note(decoder.summary)
    if not decoder.found:
        raise PeerWireError("no BitTorrent was found")
    return 0


def _piece_counts(paths: list[str]) -> dict[bytes, int | None]:
    torrents = map(Metainfo.from_file, paths)
    return {metainfo.info_hash: metainfo.num_pieces for metainfo in torrents}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lets Ctrl-C end what reads a file: asyncio would wait until something is awaited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _decode_raw(head: bytes, file: FileIO, observer: Observer) -> None:
    data = head
    while data:
        observer.receive_data(Role.INITIATOR, data, 0.0)
        data = file.read(CHUNK)
    if observer.protocol is not Protocol.PLAIN:
        raise PeerWireError(
            "this is no capture (pcap or pcapng), and no raw bytes of a BitTorrent connection, "
            "which begin with a handshake"
        )
    observer.receive_eof(Role.INITIATOR, 0.0, "said no more")


class _Decoder:
    """Packets to a log."""

    def __init__(
        self,
        log: Log,
        out: Output,
        args: argparse.Namespace,
        torrents: dict[bytes, int | None],
    ) -> None:
        self._log = log
        self._out = out
        self._args = args
        self._torrents = torrents
        self._streams = TcpStreams()
        self._observers: dict[int, Observer | None] = {}
        self._held = 0
        self._start: float | None = None
        self._now = 0.0
        self._spoken: Counter[Protocol] = Counter()

    @property
    def found(self) -> bool:
        """Whether there was BitTorrent, be it encrypted."""
        return bool(self._spoken[Protocol.PLAIN] + self._spoken[Protocol.ENCRYPTED])

    @property
    def summary(self) -> str:
        """How many connections there were, and of what kind."""
        plain, hidden = self._spoken[Protocol.PLAIN], self._spoken[Protocol.ENCRYPTED]
        return (
            f"TCP connections: {self._streams.count}; BitTorrent: {plain}; "
            f"encrypted, and perhaps BitTorrent: {hidden}"
        )

    def take_in(self, frame: Frame) -> None:
        self._start = frame.time if self._start is None else self._start
        self._now = frame.time
        try:
            segment = segment_of(frame.link_type, frame.data, frame.wire_length)
        except ValueError as error:
            raise PeerWireError(str(error)) from error
        if segment is not None:
            for heard in self._streams.receive(segment):
                self._hear(heard)

    def finish(self) -> None:
        for heard in self._streams.finish():
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        stream = heard.stream
        if stream.number not in self._observers:
            self._observers[stream.number] = self._observe(stream)
        observer = self._observers[stream.number]
        if observer is not None:
            before = observer.held
            self._feed(observer, heard)
            self._held += observer.held - before
        if len(stream.over) == len(Role):
            self._forget(stream.number)
            del self._observers[stream.number]
        if self._held > MAX_HELD:
            self._hold_less()

    def _feed(self, observer: Observer, heard: Heard) -> None:
        stream, sender, what = heard
        other = Role.RESPONDER if sender is Role.INITIATOR else Role.INITIATOR
        observer.set_behind(other, stream.directions[other].behind)
        if isinstance(what, Gap):
            observer.receive_gap(sender, what.count, self._now)
        elif isinstance(what, End):
            observer.receive_eof(sender, self._now, what.how)
        else:
            observer.receive_data(sender, what, self._now)

    def _observe(self, stream: TcpStream) -> Observer | None:
        """Returns what hears a connection; None if it is not to be shown."""
        args, ends = self._args, (stream.initiator, stream.responder)
        if args.stream is not None and stream.number not in args.stream:
            return None
        if args.host is not None and args.host not in [host for host, _ in ends]:
            return None
        if args.port is not None and args.port not in [port for _, port in ends]:
            return None
        label, begun = f"#{stream.number}", self._now
        introduced = False

        def trace(mark: Mark, what: object, now: float) -> None:
            nonlocal introduced
            if observer.protocol in (Protocol.UNKNOWN, Protocol.OTHER):
                return  # whatever it says is not for this log
            if not introduced:
                introduced = True
                connection = Connection(*ends, begun, stream.whole)
                self._log.write("=", connection, now - self._zero, label)
            self._log.write(mark, what, now - self._zero, label)

        observer = Observer(trace, torrents=self._torrents)
        return observer

    @property
    def _zero(self) -> float:
        return self._start or 0.0

    def _forget(self, number: int) -> None:
        observer = self._observers[number]
        if observer is not None:
            self._observers[number] = None
            self._held -= observer.held
            self._spoken[observer.protocol] += 1

    def _hold_less(self) -> None:
        """Hears no more of the oldest connection of which something is held."""
        held = (
            number for number, observer in self._observers.items() if observer and observer.held
        )
        number = next(held)
        self._forget(number)
        self._out.note(f"connection #{number} is not followed any further: too much is incomplete")
