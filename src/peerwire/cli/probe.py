"""Asks a peer who it is, what it speaks, what it has, and what it does when it is asked for more.

It is asked in the clear, or else encrypted as it wants; then it is tried which other encryption
works, a connection each. No more than one block is downloaded, and only where a .torrent says how
long it is; --blocks N asks for more. With --json all of it is one object, whose keys
docs/reference/probe.md lists. The exit status is 0 if the peer answered with a handshake.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import TYPE_CHECKING

from ..encryption import Encryption
from ..errors import PeerWireError
from ..swarm.events import why, written
from . import arguments
from .log import Log, wants_colour
from .portrait import draw, printable, record, rows, unanswered
from .probing import probe
from .subject import Subject, add_subject

if TYPE_CHECKING:
    from .output import Output

EXAMPLE = "peerwire probe 127.0.0.1:6881 debian.torrent"

#: What `--encryption` calls it when no way to speak is asked for.
AUTO = "auto"

#: Seconds for all of it. Transmission unchokes after ten or so.
TIMEOUT = 30.0

#: Blocks downloaded at the most: 64 MiB.
MAX_BLOCKS = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("peer", metavar="HOST:PORT", type=arguments.address, help="the peer")
    add_subject(parser)
    parser.add_argument(
        "--encryption",
        choices=[AUTO, *(policy.value for policy in Encryption)],
        default=AUTO,
        help="auto: try all and tell which work; off: in the clear; prefer: the handshake is "
        "encrypted, where the peer can; require: all is, with RC4 (default: auto)",
    )
    parser.add_argument(
        "--blocks",
        metavar="N",
        type=_count,
        help="download up to N blocks of 16 KiB, and verify the pieces that they make up "
        "(default: 1, or 0 without a .torrent)",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=arguments.seconds,
        default=TIMEOUT,
        help=f"the most that all of it may take (default: {TIMEOUT:g})",
    )
    parser.add_argument("--trace", action="store_true", help="show all that is said, first")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) > MAX_BLOCKS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to {MAX_BLOCKS}")
    return int(text)


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    subject = Subject.read(args.torrent)
    blocks = args.blocks if args.blocks is not None else int(subject.num_pieces is not None)
    try:
        report = await probe(
            args.peer,
            subject,
            encryption=None if args.encryption == AUTO else Encryption(args.encryption),
            blocks=blocks,
            timeout=args.timeout,
            trace=Log(out).trace() if args.trace else None,
            note=out.note,
        )
    except PeerWireError as error:
        reason = printable(why(error))
        if out.json:
            out.result(unanswered(args.peer, reason), "")
        out.error(f"{written(args.peer)}: {reason}")
        return 1
    tty = sys.stdout.isatty()
    table = rows(report, fancy=tty and "utf" in (sys.stdout.encoding or "").lower())
    width = shutil.get_terminal_size().columns if tty else None
    out.result(record(report), draw(table, colour=wants_colour(sys.stdout), width=width))
    if report.closing is not None:
        await report.closing
    return 0
