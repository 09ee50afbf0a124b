"""Files that change, or are not what they should be, under `seed` and `get`."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from ..cli.conftest import BLOCK, HOST, run, until
from .conftest import HASTY, complaint

#: The pieces of "c", the longest file of the sample, that hold nothing else.
INSIDE = range(1, 13)


@pytest.fixture
def fetch(sample, tmp_path):
    """Runs `get` to its end."""

    def fetch(giver, name, torrent=None):
        words = ["get", torrent or sample.torrent, "--peer", giver, "-o", tmp_path / name, "--json"]
        return run(*words, command=HASTY)

    return fetch


def events(running):
    return [json.loads(line) for line in running.out.splitlines()]


# While it is served


def test_a_file_that_is_cut_short_while_it_is_served(sample, seeding, giver, fetch, tmp_path):
    """What is gone is not served any more, and the seed says so; the rest is."""
    with (sample.content / "c").open("r+b") as file:
        file.truncate(100_000)
    said = fetch(giver, "new")
    why = complaint(said)
    assert "pieces missing and no peer left" in why
    assert giver in why
    here = sample.pieces_in(tmp_path / "new")
    assert here == set(sample.pieces_in(sample.content.parent))
    assert 0 < len(here) < sample.meta.num_pieces
    failed = [event for event in events(seeding) if event["event"] == "disk failed"]
    assert {event["index"] for event in failed} == set(range(sample.meta.num_pieces)) - here
    assert all(f"{sample.content}/c is too short" in event["error"] for event in failed)
    assert seeding.process.poll() is None
    assert seeding.end(signal.SIGTERM) == 0
    assert "Traceback" not in seeding.err


def test_a_file_that_is_removed_while_it_is_served(sample, seeding, giver, fetch, tmp_path):
    """It is open, so it is there until the seed ends."""
    copy = (sample.content / "c").read_bytes()
    (sample.content / "c").unlink()
    assert fetch(giver, "new").status == 0
    assert (tmp_path / "new" / "sample" / "c").read_bytes() == copy


def test_a_file_that_is_replaced_while_it_is_served(sample, giver, fetch, tmp_path):
    """It is the old one that is open, and that was verified."""
    copy = (sample.content / "c").read_bytes()
    (sample.content / "new").write_bytes(bytes(len(copy)))
    (sample.content / "new").rename(sample.content / "c")
    assert fetch(giver, "new").status == 0
    assert (tmp_path / "new" / "sample" / "c").read_bytes() == copy


def test_a_file_that_is_overwritten_while_it_is_served(sample, seeding, giver, fetch, tmp_path):
    """A seed does not hash what it reads; whoever gets it does, and takes no harm."""
    with (sample.content / "c").open("r+b") as file:
        file.seek(3 * BLOCK)
        file.write(bytes(BLOCK))
    said = fetch(giver, "new")
    assert "no peer left" in complaint(said)
    assert giver in complaint(said)
    here = sample.pieces_in(tmp_path / "new")
    assert here <= sample.pieces_in(sample.content.parent)


def test_a_folder_that_is_gone_between_checks(sample, start, fetch, tmp_path):
    """So few descriptors that files are closed and opened again: what is gone is found missing."""
    seed = start(
        *("seed", sample.torrent, "--content", sample.content, "--port", "0", "--json"),
        command=few_files(1),
    )
    giver = f"{HOST}:{seed.port()}"
    sample.content.rename(tmp_path / "away")
    said = fetch(giver, "new")
    assert "no peer left" in complaint(said)
    failed = [event for event in events(seed) if event["event"] == "disk failed"]
    assert any("No such file or directory" in event["error"] for event in failed)
    assert seed.end(signal.SIGTERM) == 0


def few_files(most):
    """The command line, keeping hardly any file open."""
    code = (
        "import sys, peerwire.torrent.storage as s, peerwire.cli as c;"
        f"s.Storage.__init__.__kwdefaults__['max_open'] = {most}; sys.exit(c.main())"
    )
    return [HASTY[0], "-c", code]


# While it is fetched


@pytest.mark.parametrize("fate", ["removed", "replaced"])
async def test_a_file_that_is_removed_while_it_is_fetched(sample, start, giving, tmp_path, fate):
    """It would be reported complete, and nobody would find it."""
    giver = await giving(sample, 5)
    new = tmp_path / "new"
    getting = start("get", sample.torrent, "--peer", f"{HOST}:{giver.port}", "-o", new)
    await until(lambda: len(giver.asked) > 5 and len(sample.pieces_in(new)) == 5)
    for name in "a", "b/under", "c", "d/e/over":
        path = new / "sample" / name
        path.unlink(missing_ok=True)
        if fate == "replaced":
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(b"somebody else's")
    giver.go_on.set()
    assert await asyncio.to_thread(getting.process.wait, 30) == 1
    assert "was removed while it was written; begin again" in getting.err.splitlines()[-1]
    assert "Traceback" not in getting.err


# What lies there before


@pytest.fixture
def make(tmp_path):
    """Puts something at a path that is no content."""
    other = tmp_path / "other"
    other.write_bytes(b"precious")

    def make(path, kind):
        if kind == "directory":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to({"device": "/dev/zero", "loop": path, "elsewhere": other}[kind])

    yield make
    assert other.read_bytes() == b"precious"


def test_a_file_that_is_longer_than_it_should_be(sample, giver, fetch, tmp_path):
    """Its beginning counts, and its end is nobody's business but its owner's."""
    there = tmp_path / "new" / "sample" / "c"
    there.parent.mkdir(parents=True)
    right = (sample.content / "c").read_bytes()
    there.write_bytes(right + b"and more")
    said = fetch(giver, "new")
    assert said.status == 0
    assert said.records[-1]["fetched"] == sample.meta.length - len(INSIDE) * BLOCK
    assert there.read_bytes() == right + b"and more"


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "loop", "elsewhere"])
def test_what_is_in_the_way_of_a_file(sample, cli, make, tmp_path, kind):
    there = tmp_path / "new" / "sample" / "c"
    there.parent.mkdir(parents=True)
    make(there, kind)
    said = cli("get", sample.torrent, "--peer", f"{HOST}:1", "-o", tmp_path / "new")
    assert f"{there}" in complaint(said)


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "elsewhere"])
def test_what_is_in_the_way_of_a_folder(sample, cli, make, tmp_path, kind):
    (tmp_path / "new").mkdir()
    make(tmp_path / "new" / "sample", kind)
    said = cli("get", sample.torrent, "--peer", f"{HOST}:1", "-o", tmp_path / "new")
    assert f"{tmp_path}/new/sample" in complaint(said)


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "elsewhere"])
def test_an_output_that_is_no_folder(sample, cli, make, tmp_path, kind):
    make(tmp_path / "new", kind)
    said = cli("get", sample.torrent, "--peer", f"{HOST}:1", "-o", tmp_path / "new")
    assert f"{tmp_path}/new" in complaint(said)


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "loop", "elsewhere"])
def test_content_that_is_none(sample, cli, make, tmp_path, kind):
    there = tmp_path / "there"
    make(there, kind)
    assert f"{there}" in complaint(cli("seed", sample.torrent, "--content", there, "--port", "0"))


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "loop", "elsewhere"])
def test_a_file_of_the_content_that_is_none(sample, cli, make, kind):
    (sample.content / "c").unlink()
    make(sample.content / "c", kind)
    said = cli("seed", sample.torrent, "--content", sample.content, "--port", "0")
    assert f"{sample.content}" in complaint(said)
    assert "'c'" in complaint(said)


def test_content_behind_a_link(sample, start, fetch, tmp_path):
    (tmp_path / "link").symlink_to(sample.content)
    seed = start("seed", sample.torrent, "--content", tmp_path / "link", "--port", "0")
    assert fetch(f"{HOST}:{seed.port()}", "new").status == 0
    assert sample.is_in(tmp_path / "new")
