"""Run one client by hand; see the package's docstring."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import __doc__ as usage
from .clients import CLIENTS
from .clients.libtorrent import SCRIPT
from .content import PIECE_SIZE
from .process import ClientFailed, compile_jail


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.interop", description=usage)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    verbs = parser.add_subparsers(dest="verb", required=True)
    create = verbs.add_parser("create")
    create.add_argument("path", type=Path)
    create.add_argument("out", type=Path)
    for verb in "seed", "leech":
        sub = verbs.add_parser(verb)
        sub.add_argument("client", choices=CLIENTS)
        sub.add_argument("torrent", type=Path)
        sub.add_argument("path", type=Path)
        sub.add_argument("where", metavar="PORT" if verb == "seed" else "HOST:PORT")
        sub.add_argument("--encryption", choices=["off", "prefer", "require"], default="off")
        sub.add_argument("--home", type=Path)
        sub.add_argument("--timeout", type=float, default=600, help="seconds a leecher may take")
    return parser.parse_args()


def run(args: argparse.Namespace, scratch: Path) -> None:
    kind = CLIENTS[args.client]
    missing = kind.available()
    if missing:
        raise ClientFailed(missing)
    home = (args.home or scratch / args.client).absolute()
    client = kind(home, compile_jail(scratch), encryption=args.encryption)
    torrent, path = args.torrent.absolute(), args.path.absolute()
    if args.verb == "seed":
        with client.seed(torrent, path, int(args.where)) as process:
            print(f"{args.client} seeds, pid {process.pid}, log {process.log}", flush=True)
            process.popen.wait()
        raise process.failure(f"exited with {process.popen.returncode}")
    host, port = args.where.rsplit(":", 1)
    with client.leech(torrent, path, (host, int(port))) as download:
        download.wait(args.timeout)
        print(f"{args.client} has everything, in {path}")


def main() -> int:
    args = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if args.verb == "create":
        command = [sys.executable, "-W", "ignore", SCRIPT, "create", args.path.absolute(), args.out]
        return subprocess.run([*command, "--piece-size", str(PIECE_SIZE)], check=False).returncode
    try:
        with tempfile.TemporaryDirectory() as scratch:
            run(args, Path(scratch))
    except ClientFailed as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
