"""The least that fetching a torrent takes."""

from __future__ import annotations

import pytest

from peerwire.cli.measuring import floor
from peerwire.cli.measuring.child import ours
from peerwire.cli.measuring.content import MIB, Content


@pytest.fixture
def content(tmp_path):
    return Content.make(tmp_path, 2 * MIB)


def fetched(inside, content, path):
    with inside(content.bare_seed(connections=1)) as seeder:
        port = seeder.read()["port"]
        command = ours("bare_get", port=port, torrent=str(content.torrent), out=str(path))
        with inside(command) as leecher:
            done = leecher.read()
    assert done["seconds"] > 0
    return done["bytes"]


@pytest.mark.parametrize("ahead", [1, 250])
def test_it_fetches_all_of_it(inside, content, tmp_path, monkeypatch, ahead):
    monkeypatch.setattr(floor, "PIPELINE", ahead)
    assert fetched(inside, content, tmp_path / "copy") == 2 * MIB
    assert (tmp_path / "copy").read_bytes() == content.path.read_bytes()


def test_it_verifies(content, tmp_path):
    room = floor._Room(content.metainfo.piece_length)
    with (tmp_path / "copy").open("wb") as file:
        assert not floor._write(room, content.metainfo, 1, file.fileno())
