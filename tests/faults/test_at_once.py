"""Two programs at the same files, signals in the midst of a check, and a clock that jumps."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

import peerwire
from peerwire.bencode import encode
from peerwire.torrent.create import create
from peerwire.torrent.metainfo import Metainfo

from ..cli.conftest import BLOCK, HOST, run, until, wait_until
from .conftest import HASTY, complaint

# Two downloads into the same place


@pytest.fixture
def other(sample, tmp_path):
    """Another torrent of the same name, with other content."""
    content = tmp_path / "other" / "sample"
    for path in [path for path in sample.content.rglob("*") if path.is_file()]:
        twin = content / path.relative_to(sample.content)
        twin.parent.mkdir(parents=True, exist_ok=True)
        twin.write_bytes(path.read_bytes()[::-1])
    torrent = tmp_path / "other.torrent"
    torrent.write_bytes(create(content, piece_length=BLOCK).to_bytes())
    return torrent


@pytest.mark.parametrize("which", ["the same", "another"])
async def test_a_second_download_into_the_same_place(sample, other, start, giving, tmp_path, which):
    """It would overwrite what the first has verified, if it is another torrent of that name."""
    giver = await giving(sample, 5)
    new = tmp_path / "new"
    getting = start("get", sample.torrent, "--peer", f"{HOST}:{giver.port}", "-o", new)
    await until(lambda: len(giver.asked) > 5)
    torrent = sample.torrent if which == "the same" else other
    words = ["get", torrent, "--peer", f"{HOST}:{giver.port}", "-o", new]
    second = await asyncio.to_thread(run, *words)
    assert complaint(second) == (
        f"{new}/sample is being downloaded already; wait for the other download, or end it"
    )
    giver.go_on.set()
    assert await asyncio.to_thread(getting.process.wait, 30) == 0
    assert sample.is_in(new)
    words[1] = sample.torrent
    assert (await asyncio.to_thread(run, *words)).status == 0


async def test_a_download_that_was_killed_locks_nobody_out(sample, start, giving, tmp_path):
    giver = await giving(sample, 5)
    new = tmp_path / "new"
    words = ["get", sample.torrent, "--peer", f"{HOST}:{giver.port}", "-o", new]
    getting = start(*words)
    await until(lambda: len(giver.asked) > 5)
    assert await asyncio.to_thread(getting.end, signal.SIGKILL) == -signal.SIGKILL
    giver.go_on.set()
    assert (await asyncio.to_thread(run, *words)).status == 0


async def test_what_is_being_downloaded_is_seeded(sample, start, giving, tmp_path):
    """A seed reads; it serves what was there when it began."""
    giver = await giving(sample, 5)
    new = tmp_path / "new"
    getting = start("get", sample.torrent, "--peer", f"{HOST}:{giver.port}", "-o", new)
    await until(lambda: len(giver.asked) > 5 and len(sample.pieces_in(new)) == 5)
    for name in "a", "b/under", "c", "d/e/over":  # as long as they will be
        path = new / "sample" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate((sample.content / name).stat().st_size)
    seed = start("seed", sample.torrent, "--content", new, "--port", "0")
    await asyncio.to_thread(seed.port)
    assert "the rest is not served" in seed.err
    giver.go_on.set()
    assert await asyncio.to_thread(getting.process.wait, 30) == 0
    assert sample.is_in(new)
    assert await asyncio.to_thread(seed.end, signal.SIGTERM) == 0


# Signals while files are checked


@pytest.fixture
def huge(tmp_path):
    """16 GiB of nothing, of which nothing is right: to check it takes long."""
    length, piece = 16 * 2**30, 4 * 2**20
    info = {
        "name": "huge",
        "length": length,
        "piece length": piece,
        "pieces": bytes(20) * (length // piece),
    }
    torrent = tmp_path / "huge.torrent"
    torrent.write_bytes(Metainfo.from_info(encode(info)).to_bytes())
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(length)
    return torrent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("verb", ["get", "seed"])
def test_a_signal_in_the_midst_of_a_check(huge, start, tmp_path, verb, number):
    """It is heeded at once, and nothing was touched."""
    words = {"get": ["--peer", f"{HOST}:1", "-o", tmp_path], "seed": ["--content", tmp_path]}
    running = start(verb, huge, *words[verb], command=HASTY)
    wait_until(lambda: re.search(r"verifying: \d+ %, (?!0 B)", running.err))
    status = running.end(number)
    assert status == (130 if number == signal.SIGINT else -number)
    assert "Traceback" not in running.err
    said = [line for line in running.err.splitlines() if not line.startswith("verifying: ")]
    assert len(said) == (number == signal.SIGINT)
    assert "interrupted" in "".join(said) or number != signal.SIGINT
    status = (tmp_path / "huge").stat()
    assert (status.st_size, status.st_blocks) == (16 * 2**30, 0)


# A clock that jumps


def test_nothing_asks_what_time_it_is():
    """Deadlines and rates are told by clocks that only go forward, whoever sets the other one."""
    wall_clocks = re.compile(r"\btime\.(time|localtime|gmtime|ctime)\b|\bdatetime\b|CLOCK_REALTIME")
    root = Path(peerwire.__file__).parent
    sources = [
        p for p in root.rglob("*.py") if p.relative_to(root).parts[0] not in ("cli", "check")
    ]
    assert len(sources) > 50
    assert [path.name for path in sources if wall_clocks.search(path.read_text())] == []
