"""Every policy of ours against every policy of theirs, both ways, with somebody listening in.

`make interop` prints the grid at its end. What a cell says was spoken is what the eavesdropper
could tell, and what `peerwire` says of it has to agree.
"""

from __future__ import annotations

import json

import pytest

from .clients import Peerwire
from .content import Content, digests, make_torrent, write
from .eavesdropper import eavesdropping
from .policies import GRID, POLICIES
from .process import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

#: A refusal comes at once, or after a client's first try of something else.
REFUSAL_TIMEOUT = 30


@pytest.fixture(scope="session")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    path = folder / "small.bin"
    write(path, 300_007, seed=20)
    return Content(path, make_torrent(path, folder / "small.torrent"))


@pytest.mark.parametrize(
    ("name", "theirs", "way", "ours", "spoken"),
    [
        pytest.param(*row, ours, spoken, id="-".join((*row, ours)))
        for row, cells in GRID.items()
        for ours, spoken in zip(POLICIES, cells, strict=True)
    ],
)
def test_cell(name, theirs, way, ours, spoken, client, content, jail, tmp_path, record_property):
    record_property("encryption", (name, theirs, way, ours))
    them, us = client(name, theirs), Peerwire(tmp_path / "peerwire", jail, encryption=ours)
    seeder, leecher = (them, us) if way == "seeds" else (us, them)
    port, out = free_port(), tmp_path / "out"
    with (
        seeder.seed(content.torrent, content.path, port) as seeding,
        eavesdropping(port) as overheard,
        leecher.leech(content.torrent, out, ("127.0.0.1", overheard.port)) as download,
    ):
        process = download.process if way == "seeds" else seeding
        if spoken is None:
            download.process.wait_until(
                lambda: refused(way, process, overheard), "refused", REFUSAL_TIMEOUT
            )
        else:
            download.wait()
        said = told(process)
        record_property("spoken", "/".join(sorted(said)))
        used = max(overheard.conversations, key=lambda call: len(call.said) + len(call.answered))
    whole = digests(out / content.path.name) == digests(content.path)
    if spoken is None:
        assert not said
        assert not whole
        return
    assert whole
    assert said == {spoken}
    assert used.spoken(sample(content)) == spoken


def refused(way, process, overheard):
    """Whether whoever was dialled has ended it, and we know."""
    if way == "seeds":
        return any(event["event"] == "dial failed" for event in events(process))
    return any(call.ended_by == "dialled" for call in overheard.conversations)


def told(process):
    """What we say was spoken, with all peers that went as far as a handshake."""
    return {event["encryption"] for event in events(process) if event["event"] == "peer joined"}


def events(process):
    lines = process.output().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"event"')]


def sample(content):
    """Bytes from the middle of the first block."""
    return content.path.read_bytes()[1000:1064]
