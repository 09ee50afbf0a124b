"""`get` with a magnet link, and nothing else."""

from __future__ import annotations

import base64
import shutil
import signal
import socket

import pytest

from peerwire.torrent.create import create

from .conftest import FILES, HOST

A, EMPTY, UNDER, C, OVER = FILES  # "over" begins in the piece in which "c" ends


@pytest.fixture
def link(sample):
    """The least a link says."""
    return f"magnet:?xt=urn:btih:{sample.meta.info_hash.hex()}"


@pytest.fixture
def giver(sample, start):
    """The address of `peerwire seed` in a process of its own."""
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", 0, "--json")
    return f"{HOST}:{seed.port()}"


def files_in(folder, sample):
    """The files of the sample that are in a folder, and whether each is whole."""
    return {
        name: (folder / "sample" / name).read_bytes() == (sample.content / name).read_bytes()
        for name in FILES
        if (folder / "sample" / name).exists()
    }


def test_a_link_and_a_peer_are_enough(cli, sample, link, giver, tmp_path):
    said = cli("get", link, "--peer", giver, "-o", tmp_path / "new", "--json")
    assert said.status == 0
    assert files_in(tmp_path / "new", sample) == dict.fromkeys(FILES, True)
    assert said.records[0]["event"] == "metadata"
    assert said.records[-1]["bytes"] == said.records[-1]["fetched"] == sample.meta.length


def test_a_link_that_names_a_peer_is_enough(cli, sample, link, giver, tmp_path):
    said = cli("get", f"{link}&x.pe={giver}", "-o", tmp_path / "new")
    assert said.status == 0
    assert sample.is_in(tmp_path / "new")


def test_a_link_may_be_upper_case_and_base32(cli, sample, giver, tmp_path):
    link = f"MAGNET:?xt=urn:btih:{base64.b32encode(sample.meta.info_hash).decode()}"
    assert cli("get", link, "--peer", giver, "-o", tmp_path / "new").status == 0
    assert sample.is_in(tmp_path / "new")


@pytest.mark.parametrize(
    ("selected", "there"),
    [
        ("0", {A: True, UNDER: True}),  # the two fill the first piece
        ("1", {EMPTY: True}),
        ("4", {OVER: True, C: False}),  # they share a piece
        ("0-1,4", {A: True, EMPTY: True, UNDER: True, OVER: True, C: False}),
        ("0-99", dict.fromkeys(FILES, True)),
    ],
)
def test_what_a_link_selects_is_fetched(cli, sample, link, giver, tmp_path, selected, there):
    said = cli("get", f"{link}&so={selected}", "--peer", giver, "-o", tmp_path / "new", "--json")
    assert said.status == 0
    assert files_in(tmp_path / "new", sample) == there
    done = said.records[-1]
    fetched = sum(map(sample.meta.piece_size, sample.pieces_in(tmp_path / "new")))
    assert done["event"] == "complete"
    assert done["bytes"] == done["fetched"] == fetched


def test_what_is_here_is_not_fetched_again(cli, sample, link, giver, tmp_path):
    words = ["--peer", giver, "-o", tmp_path / "new", "--json"]
    assert cli("get", f"{link}&so=0", *words).status == 0
    again = cli("get", f"{link}&so=0", *words)
    assert again.records[-1]["fetched"] == 0
    rest = cli("get", link, *words)
    assert rest.records[-1]["fetched"] == sample.meta.length - again.records[-1]["bytes"]
    assert sample.is_in(tmp_path / "new")


def test_a_selection_of_no_file_is_a_mistake(cli, link, giver, tmp_path):
    said = cli("get", f"{link}&so=5", "--peer", giver, "-o", tmp_path / "new")
    assert said.status == 1
    assert "no file is selected: 'sample' has 5" in said.err
    assert not (tmp_path / "new").exists()


def test_without_a_peer_it_is_wrong_usage(cli, link, tmp_path):
    said = cli("get", link, "-o", tmp_path / "new")
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        "peerwire: there is no peer to fetch from; name one with --peer HOST:PORT\n"
    )


def test_why_nobody_gives_the_metadata(cli, sample, link, giver, dead_port, start, tmp_path):
    other = tmp_path / "private.torrent"
    shutil.copytree(sample.content, tmp_path / "private" / "sample")
    meta = create(tmp_path / "private" / "sample", private=True)
    other.write_bytes(meta.to_bytes())
    seed = start("seed", other, "--content", tmp_path / "private", "--port", 0, "--json")
    peers = {f"{HOST}:{dead_port}": "Connection refused", f"{HOST}:{seed.port()}": "ut_metadata"}
    private = f"magnet:?xt=urn:btih:{meta.info_hash.hex()}"
    words = [word for peer in peers for word in ("--peer", peer)]
    said = cli("get", private, *words, "-o", tmp_path / "new")
    assert (said.status, said.out) == (1, "")
    (line,) = [line for line in said.err.splitlines() if line.startswith("peerwire: ")]
    assert f"no peer gave the metadata of {meta.info_hash.hex()}" in line
    for peer, reason in peers.items():
        assert peer in line
        assert reason in line
    assert not (tmp_path / "new").exists()


def test_a_fetch_of_metadata_can_be_interrupted(sample, link, start, tmp_path):
    with socket.create_server((HOST, 0)) as silent:
        peer = f"{HOST}:{silent.getsockname()[1]}"
        running = start("get", link, "--peer", peer, "-o", tmp_path / "new", "--encryption", "off")
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            assert running.end(signal.SIGINT) == 130
    assert "interrupted" in running.err
    assert "Traceback" not in running.err
