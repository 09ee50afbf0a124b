"""Accepts peers, and shows who they are and what they say.

Each is answered with a handshake, an extended handshake and that there is nothing here, and is
never served. Named torrents are the only ones that are answered for, then to encrypted peers, too;
without any, peers may come for whatever they like, but plainly: who speaks encrypted does not say
for which torrent in clear. Ctrl-C ends it.

A line has the seconds since it began to listen, the number of the peer, a mark, and what happened:

  >  said by us        =  the state of the connection, and who the peer is
  <  said by the peer  %  a timer   !  a broken rule, which ends the connection, or a deviation

With --json each line is an object: time, mark, event and text are always there, beside them wire
(the peer), and what the event has, such as index, begin and length.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import re
import time
from typing import TYPE_CHECKING, Final

from ..asyncio.server import serve
from ..encryption import Encryption
from ..errors import ConnectionClosed, PeerWireError
from ..extensions.lt_donthave import LtDontHave
from ..extensions.upload_only import UploadOnly
from ..extensions.ut_holepunch import UtHolepunch
from ..extensions.ut_metadata import UtMetadata
from ..extensions.ut_pex import UtPex
from ..handshake import Reserved
from ..observe import ExtendedContent
from ..pieces import PieceSet
from ..swarm.events import system_says, written
from . import arguments
from .log import MESSAGE_NAMES, Log, log_record
from .stopping import any_of, stop_on_signals
from .subject import Subject

if TYPE_CHECKING:
    from ..asyncio.peer import Peer
    from ..asyncio.server import ServedTorrent, Server
    from ..state import Mark, Trace
    from .output import Output

EXAMPLE = "peerwire listen --port 6881 --count 1 debian.torrent"

#: Seconds that a peer has for its extended handshake, which comes at once (BEP 10).
PATIENCE: Final = 5.0

#: Who hears of nothing says nothing: what peers are told that is spoken here.
EXTENSIONS: Final = (
    LtDontHave,
    UploadOnly,
    UtHolepunch,
    UtMetadata,
    functools.partial(UtPex, time.monotonic),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "torrents",
        metavar="TORRENT|MAGNET|INFOHASH",
        nargs="*",
        help="torrents to answer for; any, if none is named",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (default: 127.0.0.1; 0.0.0.0 for all)",
    )
    parser.add_argument(
        "--port",
        type=arguments.port,
        default=6881,
        help="the TCP port to listen on, 0 for any (default: 6881)",
    )
    parser.add_argument(
        "--count",
        metavar="N",
        type=_count,
        help="end once so many peers have told who they are",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=arguments.seconds,
        help="end after so long; with --count, that is a failure",
    )
    parser.add_argument(
        "--max-peers",
        metavar="N",
        type=_count,
        default=50,
        help="peers at a time (default: 50)",
    )
    parser.add_argument(
        "--message",
        metavar="NAME",
        choices=MESSAGE_NAMES,
        action="append",
        help="show only messages of this name, and what is no message; may be given again: "
        + ", ".join(MESSAGE_NAMES),
    )
    arguments.add_encryption(parser, Encryption.PREFER)


def _count(text: str) -> int:
    """Reads how many, 1 or more."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no count; it is a number from 1 on")
    return int(text)


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    torrents: dict[bytes, ServedTorrent] = {}
    for subject in map(Subject.read, args.torrents):
        torrents |= subject.served
    stop = stop_on_signals()
    guests = _Guests(Log(out, only=args.message), out, args.count)
    where = written((args.host, args.port))
    try:
        server = await serve(
            guests.welcome,
            args.host,
            args.port,
            torrents=torrents or None,
            encryption=args.encryption,
            extensions=EXTENSIONS,
            max_peers=args.max_peers,
            trace_for=guests.trace,
        )
    except OSError as error:
        raise PeerWireError(f"can't listen on {where}: {system_says(error)}") from error
    async with server:
        where = written((args.host, server.port))
        guests.tell("listening", f"listening on {where}", host=args.host, port=server.port)
        await _wait(stop, server, guests, where, args.timeout)
    guests.sum_up()
    if args.count is not None and guests.met < args.count and not stop.is_set():
        raise PeerWireError(
            f"{guests.met} of {args.count} peers have told who they are in {args.timeout:g} s"
        )
    return 0


async def _wait(
    stop: asyncio.Event, server: Server, guests: _Guests, where: str, timeout: float | None
) -> None:
    """Waits until it is to end, or can't go on."""
    things = (stop.wait(), guests.enough.wait(), server.serve_forever())
    try:
        await any_of(*things, timeout=timeout)
    except OSError as error:
        raise PeerWireError(f"can't listen on {where} any more: {system_says(error)}") from error


class _Hearing:
    """Writes down what happens on one wire, whose label is to be known later."""

    def __init__(self, label: str, trace: Trace) -> None:
        self.label = label
        self._trace = trace

    def __call__(self, mark: Mark, what: object, now: float) -> None:
        self._trace(mark, what, now)


class _Guests:
    """The peers that come, and what is told of them.

    Attributes:
        came: How many have connected.
        met: How many have told who they are.
        enough: Set once that is as many as were wanted.
    """

    def __init__(self, log: Log, out: Output, wanted: int | None) -> None:
        self.came = 0
        self.met = 0
        self.enough = asyncio.Event()
        self._log = log
        self._out = out
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()

    def tell(self, event: str, text: str, **keys: object) -> None:
        """Tells something of no peer: people by the way, scripts among the results."""
        record = log_record("=", text, self._seconds) | {"event": event} | keys
        self._out.event(record, text)

    def sum_up(self) -> None:
        """Says how many there were."""
        came = f"{self.came} connection{'s' * (self.came != 1)}"
        met = "1 peer told who it is" if self.met == 1 else f"{self.met} peers told who they are"
        self.tell("summary", f"{came}, {met}", connections=self.came, peers=self.met)

    def trace(self, address: tuple[str, int]) -> Trace:
        """Says that a peer has come, and returns what writes down the rest."""
        label = f"#{self.came}"
        self.came += 1
        where = written(address)
        text = f"connection from {where}"
        record = log_record("=", text, self._seconds, label)
        self._show(record | {"event": "connected", "address": where}, label)
        return _Hearing(label, self._log.trace(label, start=self._started))

    async def welcome(self, peer: Peer) -> None:
        """Answers a peer, and says who it is: a handler for `serve`."""
        try:
            peer.announce(PieceSet())
            if Reserved.EXTENSION in peer.reserved:
                await peer.wait_until(lambda: peer.extended_handshake is not None, timeout=PATIENCE)
        except (TimeoutError, ConnectionClosed):
            pass  # what it has told by now is what there is
        heard = peer.wire.trace
        assert isinstance(heard, _Hearing), "it is what `trace` returned"
        self._introduce(peer, heard.label)
        await peer.wait_closed()

    def _introduce(self, peer: Peer, label: str) -> None:
        self.met += 1
        told = peer.extended_handshake
        bits = [str(bit.name).lower() for bit in Reserved if bit in peer.reserved]
        parts = [
            f"this is {peer.client}, for {peer.info_hash.hex()}",
            f"reserved bits {int(peer.reserved):016x}: {' '.join(bits) or 'none'}",
            f"extensions: {' '.join(sorted(told.m)) if told and told.m else 'none'}",
            f"encryption: {peer.encryption}",
        ]
        record = log_record("=", peer.handshake, self._seconds, label)
        record |= {
            "event": "peer",
            "text": "; ".join(parts),
            "address": written(peer.address),
            "client": peer.client,
            "encryption": peer.encryption,
            "extended": None,
        }
        if told is not None:
            content = ExtendedContent(0, b"", "handshake", told)
            record["extended"] = log_record("<", content, 0.0)["content"]
        self._show(record, label)
        if self.met == self._wanted:
            self.enough.set()

    def _show(self, record: dict[str, object], label: str) -> None:
        """Shows something that was found out, in the log."""
        if self._out.json:
            self._out.result(record, "")
        else:
            self._log.write("=", record["text"], self._seconds, label)

    @property
    def _seconds(self) -> float:
        return self._loop.time() - self._started
