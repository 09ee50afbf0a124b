"""`peerwire get` and `peerwire seed` beside bare sockets that move the same blocks."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .bare import HOST
from .child import Child
from .content import Content
from .contest import Contest, Figures, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .contests import Sizes

__all__ = ["BARE", "bare", "transfers"]

#: Who has nothing to do but to move blocks.
BARE = "bare sockets"


@contextlib.contextmanager
def transfers(sizes: Sizes) -> Iterator[list[Contest]]:
    """Gives the contests of fetching and of serving a torrent.

    Both seeders are up for as long as the block runs.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="peerwire-bench-"))
        content = Content.make(Path(folder), sizes.content)
        seeder = stack.enter_context(Child(content.bare_seed(connections=3 * sizes.runs)))
        port = seeder.read()["port"]
        place = ["--content", str(content.path), "--port", "0"]
        ours = stack.enter_context(Child(_verb("seed", str(content.torrent), *place)))
        our_port = ours.read()["port"]
        beside = partial(bare, content, seeder, port)
        yield [
            Contest(
                "get",
                {"get": partial(_get, content, seeder, port), BARE: beside},
                [Row("get, verified, to the temporary folder", "rate", "get", (BARE,))],
            ),
            Contest(
                "seed",
                {"seed": partial(_count, content, our_port), BARE: beside},
                [Row("seed", "rate", "seed", (BARE,))],
            ),
        ]


def _verb(verb: str, *words: str) -> list[str]:
    command = [sys.executable, "-m", "peerwire", verb, *words]
    return [*command, "--encryption", "off", "--json"]


def _get(content: Content, seeder: Child, port: int) -> Figures:
    """Fetches everything from a bare seeder, from the first request to the last word."""
    with tempfile.TemporaryDirectory(dir=content.path.parent) as folder:
        words = [str(content.torrent), "--peer", f"{HOST}:{port}", "-o", folder]
        with Child(_verb("get", *words)) as ours:
            started = seeder.read()["asked_at"]
            while ours.read().get("event") != "complete":
                pass
            seconds = time.monotonic() - started
    return {"rate": content.metainfo.length / seconds}


def _count(content: Content, port: int) -> Figures:
    """Counts the blocks that a seeder serves, from the first request to the last block."""
    with Child(content.bare_leech(port)) as leecher:
        leecher.read()
        done = leecher.read()
    return {"rate": done["bytes"] / done["seconds"], "cpu": done["cpu"] / done["bytes"]}


def bare(content: Content, seeder: Child, port: int) -> Figures:
    """Counts the blocks of a bare seeder: as fast as two such programs are here."""
    figures = _count(content, port)
    seeder.read()  # that it was asked
    return figures
