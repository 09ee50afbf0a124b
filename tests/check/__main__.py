"""Run the suite against the clients that are installed here: ``python -m tests.check OUT``.

Each client seeds the same torrent on loopback, one after the other, and is ended afterwards. What
came of it goes into the folder OUT: a file of results for each, and a page of all.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.clients import CLIENTS, Peerwire
from tests.interop.process import ClientFailed, compile_jail, free_port

from peerwire.torrent.create import create

if TYPE_CHECKING:
    from tests.interop.clients import Client

#: Pieces of two blocks; the last piece, the last block and the bitfield are all cut short.
PIECE = 32 * 1024
LENGTH = 37 * PIECE - 20_000

#: Seconds that one client may take. Transmission unchokes every ten.
TIMEOUT = 1500

SEEDS: dict[str, type[Client]] = {"peerwire": Peerwire} | CLIENTS


def ask(name: str, torrent: Path, content: Path, scratch: Path, out: Path, *words: str) -> None:
    """Asks one client everything, and writes what came of it."""
    home = scratch / name
    home.mkdir()
    copy = home / "content" / content.name
    copy.parent.mkdir()
    copy.write_bytes(content.read_bytes())
    client = SEEDS[name](home / "home", compile_jail(home), encryption="prefer")
    port = free_port()
    with client.seed(torrent, copy, port), (out / f"{name}.jsonl").open("w") as results:
        command = [sys.executable, "-m", "peerwire", "check", f"127.0.0.1:{port}", torrent]
        subprocess.run([*command, "--json", *words], stdout=results, timeout=TIMEOUT, check=False)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.check", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--client", action="append", choices=SEEDS, help="only this one")
    parser.add_argument("--jobs", default="8")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        content, torrent = scratch / "content.bin", scratch / "content.torrent"
        content.write_bytes(random.Random(5).randbytes(LENGTH))
        torrent.write_bytes(create(content, piece_length=PIECE).to_bytes())
        for name in args.client or SEEDS:
            if reason := SEEDS[name].available():
                print(f"{name}: left out: {reason}")
                continue
            print(f"{name} ...", flush=True)
            try:
                ask(name, torrent, content, scratch, args.out, "--jobs", args.jobs)
            except (ClientFailed, subprocess.TimeoutExpired) as problem:
                print(f"{name}: left out: {problem}")
    there = [args.out / f"{name}.jsonl" for name in SEEDS]
    merged = [word for path in there if path.exists() for word in ("--merge", path)]
    command = [sys.executable, "-m", "peerwire", "check", *merged]
    done = subprocess.run([*command, "--html", args.out / "grid.html"], check=False)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
