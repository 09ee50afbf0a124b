"""`probe` and `metadata`, as typed, of a client that seeds."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from peerwire.torrent.metainfo import Metainfo

if TYPE_CHECKING:
    from pathlib import Path

    from .clients import Client
    from .content import Content

HOST = "127.0.0.1"


def run(*words: object) -> tuple[int, list[dict[str, Any]]]:
    """Runs the command line; returns its status and its objects."""
    command = [sys.executable, "-m", "peerwire", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def probed(client: Client, content: Content, port: int, *words: object) -> dict[str, Any]:
    """What a probe says of a client that seeds."""
    with client.seed(content.torrent, content.path, port):
        status, records = run("probe", f"{HOST}:{port}", content.torrent, *words)
    assert status == 0
    (record,) = records
    return record


def works(record: dict[str, Any]) -> set[str]:
    """The ways to speak that a probe has found to work."""
    return {mode for mode, tried in record["encryption"].items() if tried["works"]}


def is_a_seed(record: dict[str, Any], content: Content) -> None:
    """Asserts what is true of every seed that was asked for two blocks, those of a piece."""
    metainfo = Metainfo.from_file(content.torrent)
    assert record["info_hash"] == metainfo.info_hash.hex()
    assert record["pieces"]["all"]
    assert record["pieces"]["count"] == metainfo.num_pieces
    assert record["interest"]["unchoked"]
    assert record["request"]["seconds"] > 0
    assert record["request"]["verified"]
    assert (record["request"]["corrupt"], record["request"]["failure"]) == ([], None)
    assert (record["ended"], record["deviations"]) == (None, [])


def fetched(client: Client, content: Content, port: int, out: Path) -> dict[str, Any]:
    """Fetches the .torrent of a client that seeds, and compares it."""
    metainfo = Metainfo.from_file(content.torrent)
    link = f"magnet:?xt=urn:btih:{metainfo.info_hash.hex()}"
    with client.seed(content.torrent, content.path, port):
        status, records = run("metadata", link, "--peer", f"{HOST}:{port}", "-o", out)
    assert status == 0
    assert Metainfo.from_file(out).info == metainfo.info
    return records[-1]
