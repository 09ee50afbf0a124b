"""What is typed: ``peerwire VERB ...``, a module for each verb.

A verb's module has a docstring, which is its help, an `EXAMPLE`, `add_arguments(parser)` and
``async run(args, out) -> int``, and may have what is said when it is `INTERRUPTED`. It is imported
only when it is typed, so that help stays fast.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from ..version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

#: Verb to what it does, in the order in which a newcomer needs them.
VERBS = {
    "demo": "move a file between two peers on this machine, and verify it",
    "create": "make a .torrent of a file or folder",
    "seed": "serve a torrent to any number of peers",
    "get": "fetch a torrent from peers, verified; resumes",
    "probe": "ask a peer who it is, what it speaks and what it has",
    "metadata": "fetch the .torrent of a magnet link or info-hash from peers",
    "bench": "measure peerwire on this machine, as ratios",
    "listen": "accept peers, and show what they say",
    "proxy": "stand between two clients, and show what they say to each other",
    "decode": "show what peers say to each other in a packet capture",
    "check": "ask a peer, rule by rule, whether it follows the specifications",
}

#: What a shell expects of a program that Ctrl-C has ended: 128 and the number of the signal.
STATUS_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The arguments; those of the process if None.

    Returns:
        The exit status: 0 done, 1 the peer or the content failed, 2 wrong usage, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[0] not in VERBS:
            overview = _overview()
            overview.parse_args(words)
            overview.error("the verb comes first")
        return _run(words[0], words[1:])
    except SystemExit as error:  # argparse has said what there was to say
        return int(error.code or 0)
    except KeyboardInterrupt:  # while modules are imported, for instance
        return STATUS_INTERRUPTED


def _overview() -> argparse.ArgumentParser:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {does}" for verb, does in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="peerwire",
        usage="peerwire VERB ...",
        description="The BitTorrent peer wire protocol.",
        epilog=f"verbs:\n{verbs}\n\npeerwire VERB --help tells more, with an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"peerwire {__version__}")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help=argparse.SUPPRESS)
    return parser


def _run(verb: str, words: list[str]) -> int:
    import asyncio

    from ..errors import PeerWireError
    from .output import Output

    module = import_module(f".{verb}", __name__)
    parser = argparse.ArgumentParser(
        prog=f"peerwire {verb}",
        description=module.__doc__,
        epilog=f"example:\n  {module.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="write one JSON object a line to standard output"
    )
    args = parser.parse_args(words)
    out = Output(json=args.json)
    try:
        status: int = asyncio.run(module.run(args, out))
    except KeyboardInterrupt:
        out.error(getattr(module, "INTERRUPTED", "interrupted"))
        return STATUS_INTERRUPTED
    except PeerWireError as error:
        out.error(str(error))
        return 1
    except OSError as error:
        out.error(": ".join(filter(None, (error.filename, error.strerror))) or str(error))
        return 1
    return status
