"""peerwire create."""

from __future__ import annotations

import pytest

from peerwire.torrent.metainfo import Metainfo

from .conftest import BLOCK


def test_a_folder(cli, sample, tmp_path):
    out = tmp_path / "new.torrent"
    said = cli("create", sample.content, "-o", out, "--piece-size", "16KiB", "--v1")
    info_hash = sample.meta.info_hash.hex()
    assert said.status == 0
    assert said.err == ""
    assert said.out == (
        f"{out}: 227.3 KiB in 5 files, 15 pieces of 16.0 KiB\ninfo-hash {info_hash}\n"
    )
    assert Metainfo.from_file(out).info == sample.meta.info


def test_for_scripts(cli, sample, tmp_path):
    out = tmp_path / "new.torrent"
    tracker = "http://127.0.0.1:1/announce"
    said = cli(
        "create", sample.content / "c", "-o", out, "--private", "--tracker", tracker, "--json"
    )
    assert said.status == 0
    meta = Metainfo.from_file(out)
    assert meta.trackers == ((tracker,),)
    assert said.records == [
        {
            "path": str(out),
            "name": "c",
            "info_hash": meta.info_hash.hex(),
            "bytes": 200_001,
            "files": 1,
            "pieces": -(-200_001 // BLOCK),
            "piece_length": BLOCK,
            "private": True,
        }
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["missing", "-o", "x.torrent"], "missing: No such file or directory"),
        (["sample", "-o", "nowhere/x.torrent"], "nowhere/x.torrent: No such file or directory"),
        (["sample", "-o", "sample"], "sample: Is a directory"),
        (["sample", "-o", "x.torrent", "--piece-size", "15KiB"], "it is a power of two"),
        (["sample/b/empty", "-o", "x.torrent"], "nothing to transfer"),
    ],
)
def test_what_cannot_be_made(cli, sample, tmp_path, monkeypatch, words, reason):
    monkeypatch.chdir(tmp_path)
    said = cli("create", *words)
    assert said.status == 1
    assert said.out == ""
    assert said.err.startswith("peerwire: ")
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "x.torrent").exists()
