"""Stands between two clients, and shows what they say to each other, and what is wrong with it.

Let one client connect to the address of --listen: for each connection that it opens, one is opened
to that of --to. What either says is passed on as it is, at once; a side that is slow slows the
other, and closes and resets are passed on, too. Ctrl-C ends it.

Encrypted connections pass as they are and can't be read, unless their torrents are named: then the
encryption ends here on both sides and begins anew, with what one client offers and the other
selects, and what is inside is passed on unchanged. Connections about other torrents than those that
are named can then be plain only.

A line has the seconds since the first connection was opened, its number, a mark, and what happened:

  >  said by the side that opened the connection   =  the state of the connection
  <  said by the other side                        !  a broken rule, or bytes that can't be told

With --json each line is an object: time, mark, event and text are always there, beside them wire
(the connection), and what the event has, such as index, begin and length.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO, Final

from ..asyncio.listener import Listener, bind, most_connections
from ..asyncio.relay import Relay
from ..errors import PeerWireError
from ..swarm.events import system_says, written
from . import arguments
from .log import MESSAGE_NAMES
from .stopping import any_of, stop_on_signals
from .subject import Subject
from .transcript import Transcript

if TYPE_CHECKING:
    import argparse
    import socket
    from contextlib import AbstractContextManager

    from ..extensions.compact import Endpoint
    from .output import Output

EXAMPLE = "peerwire proxy --listen 127.0.0.1:7000 --to 127.0.0.1:6881 debian.torrent"

#: Connections at a time, each of which has two sockets.
MAX_CONNECTIONS: Final = 500

#: Connections that may wait to be accepted.
BACKLOG: Final = 100

#: Seconds that reaching the target may take.
TIMEOUT: Final = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=arguments.address,
        required=True,
        help="where one client is to connect to; port 0 for any that is free",
    )
    parser.add_argument(
        "--to",
        metavar="HOST:PORT",
        type=arguments.address,
        required=True,
        help="where the other client listens",
    )
    parser.add_argument(
        "torrents",
        metavar="TORRENT|MAGNET|INFOHASH",
        nargs="*",
        help="what may be spoken of encrypted; a .torrent also tells what pieces there are",
    )
    parser.add_argument(
        "--write",
        metavar="FILE",
        help="write what was said, too, as a capture (pcap) for `peerwire decode` or Wireshark;"
        " what was encrypted and could be read is in it as it was read",
    )
    parser.add_argument(
        "--message",
        metavar="NAME",
        choices=MESSAGE_NAMES,
        action="append",
        help="show only messages of this name, and what is no message; may be given again: "
        + ", ".join(MESSAGE_NAMES),
    )


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    if args.listen == args.to:
        out.error("--listen and --to are the same address: it would connect to itself")
        return 2
    torrents: dict[bytes, int | None] = {}
    for subject in map(Subject.read, args.torrents):
        torrents |= dict.fromkeys(subject.info_hashes, subject.num_pieces)
    with _created(args.write) as file:
        transcript = Transcript(out, torrents, only=args.message, file=file)
        proxy = _Proxy(transcript, args.to)
        try:
            await proxy.run(args.listen)
        finally:
            await proxy.close()
            proxy.sum_up(args.write)
    return 0


def _created(path: str | None) -> AbstractContextManager[BinaryIO | None]:
    return nullcontext() if path is None else open(path, "wb", buffering=0)


class _Proxy:
    """Accepts connections, and relays each to the target."""

    def __init__(self, transcript: Transcript, target: Endpoint) -> None:
        self._transcript = transcript
        self._target = target
        self._listener: Listener | None = None
        self._relaying: set[asyncio.Task[None]] = set()
        self._most = min(MAX_CONNECTIONS, (most_connections() or 2 * MAX_CONNECTIONS) // 2)
        self._refused = 0
        self._unreached = 0

    async def run(self, address: Endpoint) -> None:
        """Goes on until it is told to stop, or can't."""
        stop = stop_on_signals()
        try:
            sockets = await bind(*address, BACKLOG)
        except OSError as error:
            raise PeerWireError(
                f"can't listen on {written(address)}: {system_says(error)}"
            ) from error
        self._listener = Listener(sockets, accepted=self._take_in, starved=lambda: None)
        address = sockets[0].getsockname()[:2]
        self._transcript.tell(
            "listening",
            f"listening on {written(address)}, for {written(self._target)}",
            host=address[0],
            port=address[1],
            to=written(self._target),
        )
        try:
            await any_of(stop.wait(), self._listener.lost, self._transcript.failed)
        except OSError as error:
            if error.filename is not None:
                raise  # it is of a file that is written
            where = written(address)
            raise PeerWireError(
                f"can't listen on {where} any more: {system_says(error)}"
            ) from error

    async def close(self) -> None:
        """Ends all connections."""
        if self._listener is not None:
            await self._listener.close()
        for task in self._relaying:
            task.cancel()
        await asyncio.gather(*self._relaying, return_exceptions=True)

    def sum_up(self, path: str | None) -> None:
        """Says what there was."""
        transcript = self._transcript
        count = transcript.count
        parts = [f"{count} connection{'s' * (count != 1)}"]
        if count:
            parts[0] += f": {transcript.tally}"
        if self._unreached:
            parts.append(f"{self._unreached} did not reach {written(self._target)}")
        if self._refused:
            parts.append(f"{self._refused} refused, as {self._most} are the most at a time")
        if path is not None:
            parts.append(f"written to {path}")
        transcript.tell(
            "summary",
            "; ".join(parts),
            connections=count,
            unreached=self._unreached,
            refused=self._refused,
            written=path,
            **transcript.tally.record,
        )

    def _take_in(self, connection: socket.socket) -> None:
        if len(self._relaying) >= self._most:
            self._refused += 1
            connection.close()
            return
        task = asyncio.ensure_future(self._relay(connection))
        self._relaying.add(task)
        task.add_done_callback(self._relaying.discard)

    async def _relay(self, connection: socket.socket) -> None:
        conversation = self._transcript.conversation()
        relay = Relay(conversation.interception, conversation)
        try:
            await relay.run(connection, *self._target, timeout=TIMEOUT)
        except OSError as error:
            self._unreached += 1
            text = f"no connection to {written(self._target)}: {_why(error)}"
            self._transcript.write("!", text, self._transcript.now())
        finally:
            conversation.over()


def _why(error: OSError) -> str:
    return system_says(error) or f"no answer within {TIMEOUT:g} s"
