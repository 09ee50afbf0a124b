"""`metadata` as it is typed: a link and peers in, a .torrent out, and never another's file gone."""

from __future__ import annotations

import hashlib
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import libtorrent as lt
import pytest

import peerwire.sync
from peerwire import HashRequest, ServedTorrent
from peerwire.bencode import decode_dict, encode
from peerwire.cli import main
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.torrent.hashing import HashServer
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.metainfo_v2 import MetainfoV2

from .conftest import HOST, PEERWIRE
from .versions import FLAGS, make_torrent, write_content

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metadata.md"
TRACKERS = ["http://127.0.0.1:1/a", "udp://127.0.0.1:1"]


@pytest.fixture
def content(tmp_path):
    return write_content(tmp_path)


@pytest.fixture
def host():
    """Starts a peer that has this .torrent, and its layers or not; returns its address."""
    servers = []

    def host(torrent: bytes, *, v2: bool = True) -> str:
        fields = decode_dict(torrent)
        _, info = fields[b"info"]
        sha1, sha256 = hashlib.sha1(info).digest(), hashlib.sha256(info).digest()
        torrents = {sha1: ServedTorrent(), sha256[:20]: ServedTorrent(info_hash_v2=sha256)}
        if not v2:
            torrents = {sha1: None, sha256[:20]: None}
        trees = [*MetainfoV2.from_bytes(torrent).trees()] if b"piece layers" in fields else []

        def handle(peer):
            for message in peer:
                if isinstance(message, HashRequest):
                    peer.respond_hashes(message, HashServer(trees).answer(message.range))

        server = peerwire.sync.serve(
            handle, HOST, 0, torrents=torrents, extensions=[lambda: UtMetadata(info)]
        )
        servers.append(server)
        return f"{HOST}:{server.port}"

    yield host
    for server in servers:
        server.close()


def link(torrent: bytes, *, version: str = "v1", trackers=()) -> str:
    _, info = decode_dict(torrent)[b"info"]
    topics = []
    if version in ("v1", "hybrid"):
        topics.append(f"xt=urn:btih:{hashlib.sha1(info).hexdigest()}")
    if version in ("v2", "hybrid"):
        topics.append(f"xt=urn:btmh:1220{hashlib.sha256(info).hexdigest()}")
    return "magnet:?" + "&".join([*topics, *(f"tr={url}" for url in trackers)])


@pytest.mark.parametrize("version", FLAGS)
def test_a_link_and_a_peer_are_enough(cli, content, host, tmp_path, version):
    torrent, out = make_torrent(content, version), tmp_path / "out.torrent"
    words = [link(torrent, version=version, trackers=TRACKERS), "--peer", host(torrent), "-o", out]
    said = cli("metadata", *words)
    assert said.status == 0
    assert said.out.startswith(f"{out}: 'several files', {version}, 144.0 KiB in 3 files, ")
    written, made = decode_dict(out.read_bytes()), decode_dict(torrent)
    assert written[b"info"] == made[b"info"]
    assert written.get(b"piece layers") == made.get(b"piece layers")
    assert written[b"announce"][0] == TRACKERS[0].encode()
    assert written[b"announce-list"][0] == [[url.encode()] for url in TRACKERS]
    theirs = lt.load_torrent_buffer(out.read_bytes())
    assert theirs.trackers == TRACKERS
    assert theirs.ti.name() == "several files"


@pytest.mark.parametrize("version", FLAGS)
def test_an_info_hash_is_enough(cli, content, host, tmp_path, version):
    torrent, out = make_torrent(content, version), tmp_path / "out.torrent"
    _, info = decode_dict(torrent)[b"info"]
    digest = hashlib.sha256(info) if version == "v2" else hashlib.sha1(info)
    words = [digest.hexdigest(), "--peer", host(torrent), "-o", out, "--json"]
    said = cli("metadata", *words)
    assert said.status == 0
    assert {key: value for key, value in said.records[-1].items() if key != "seconds"} == {
        "event": "complete",
        "path": str(out),
        "name": "several files",
        "version": version,
        "info_hash": None if version == "v2" else hashlib.sha1(info).hexdigest(),
        "info_hash_v2": None if version == "v1" else hashlib.sha256(info).hexdigest(),
        "bytes": sum(path.stat().st_size for path in content.iterdir()),
        "files": 3,
        "pieces": 5 if version == "v1" else 6,
        "piece_length": 32768,
        "private": False,
        "trackers": [],
        "metadata_bytes": len(info),
        "piece_layers": None if version == "v1" else True,
    }
    assert b"announce" not in decode_dict(out.read_bytes())


def test_peers_that_the_link_names_are_asked(cli, content, host, tmp_path):
    torrent, out = make_torrent(content, "v1"), tmp_path / "out.torrent"
    said = cli("metadata", f"{link(torrent)}&x.pe={host(torrent)}&tr={TRACKERS[1]}", "-o", out)
    assert said.status == 0
    metainfo = Metainfo.from_file(out)
    assert metainfo.info_hash.hex() in said.out
    assert metainfo.trackers == ((TRACKERS[1],),)


def test_who_is_of_no_use_is_told(cli, content, host, dead_port, tmp_path):
    torrent, out = make_torrent(content, "v1"), tmp_path / "out.torrent"
    words = [link(torrent), "--peer", f"{HOST}:{dead_port}", "-o", out, "--timeout", 10]
    said = cli("metadata", *words)
    assert (said.status, said.out) == (1, "")
    hash_ = hashlib.sha1(decode_dict(torrent)[b"info"][1]).hexdigest()
    asking = f"asking 1 peer for the metadata of {hash_}\n"
    reason = f"{HOST}:{dead_port}: Connection refused"
    error = f"no peer gave the metadata of {hash_}: {reason}"
    assert said.err == f"{asking}peerwire: {error}\n"
    assert not out.exists()
    said = cli("metadata", *words, "--json")
    assert said.status == 1
    assert said.records == [
        {
            "event": "peer failed",
            "address": f"{HOST}:{dead_port}",
            "reason": "Connection refused",
        },
        {"event": "failed", "error": error},
    ]


def test_who_is_of_no_use_is_told_although_another_is(cli, content, host, tmp_path, monkeypatch):
    from peerwire.cli import metadata

    torrent, out = make_torrent(content, "v1"), tmp_path / "out.torrent"
    fetch = metadata.fetch_metadata

    def one_by_one(*words, **options):
        return fetch(*words, max_peers=1, **options)

    monkeypatch.setattr(metadata, "fetch_metadata", one_by_one)
    lacking = host(make_torrent(content, "v2"))
    words = [link(torrent), "--peer", lacking, "--peer", host(torrent), "-o", out]
    said = cli("metadata", *words)
    assert said.status == 0
    asking, reason = said.err.splitlines()
    assert asking.startswith("asking 2 peers")
    assert reason.startswith(f"{lacking}: it closed the connection")


def test_a_hybrid_without_piece_layers_is_written_and_that_is_said(cli, content, host, tmp_path):
    torrent, out = make_torrent(content, "hybrid"), tmp_path / "out.torrent"
    words = [link(torrent), "--peer", host(torrent, v2=False), "-o", out]
    said = cli("metadata", *words)
    assert said.status == 0
    assert "without piece layers, which its v2 side should have (BEP 52): no peer gave" in said.err
    written = decode_dict(out.read_bytes())
    assert written[b"info"] == decode_dict(torrent)[b"info"]
    assert b"piece layers" not in written
    record = cli("metadata", *words, "--json").records[-1]
    assert record["piece_layers"] is False


def test_a_v2_torrent_without_piece_layers_is_a_failure(cli, content, host, tmp_path):
    torrent, out = make_torrent(content, "v2"), tmp_path / "out.torrent"
    words = [link(torrent, version="v2"), "--peer", host(torrent, v2=False), "-o", out]
    said = cli("metadata", *words)
    assert said.status == 1
    assert "peerwire: without piece layers it is not whole (BEP 52)" in said.err
    assert decode_dict(out.read_bytes())[b"info"] == decode_dict(torrent)[b"info"]


def test_metadata_that_is_no_torrent(cli, host, tmp_path):
    for number, info in enumerate([b"rubbish", encode([]), encode({"file tree": {}}), encode({})]):
        torrent, out = b"d4:info" + info + b"e", tmp_path / f"{number}.torrent"
        if number == 0:
            torrent = encode({"info": b"rubbish"})
            info = encode(b"rubbish")
        hash_ = hashlib.sha1(info).hexdigest()
        said = cli("metadata", hash_, "--peer", host(torrent), "-o", out, "--json")
        assert said.status == 1
        assert said.records[-1]["event"] == "failed"
        assert not out.exists()


# Where it is written


@pytest.fixture
def found(content, host):
    """The words for a torrent that can be had, and what it is."""
    torrent = make_torrent(content, "v1")
    return [link(torrent), "--peer", host(torrent)], torrent


def test_another_torrent_is_not_overwritten(cli, content, tmp_path, dead_port):
    torrent, out = make_torrent(content, "v1"), tmp_path / "out.torrent"
    words = ["metadata", link(torrent), "--peer", f"{HOST}:{dead_port}", "-o", out]
    for data in (make_torrent(content, "v2"), b"precious", b"", b"de"):
        out.write_bytes(data)
        said = cli(*words)
        assert (said.status, said.out) == (1, "")
        assert said.err == (
            f"peerwire: {out} is there already, and it is another torrent or none; "
            "--force overwrites it\n"
        )
        assert out.read_bytes() == data


def test_the_same_torrent_is_overwritten_and_so_is_what_is_forced(cli, found, tmp_path):
    words, torrent = found
    out = tmp_path / "out.torrent"
    out.write_bytes(torrent)
    assert cli("metadata", *words, "-o", out).status == 0
    assert Metainfo.from_file(out).info == Metainfo.from_bytes(torrent).info
    out.write_bytes(b"precious")
    assert cli("metadata", *words, "-o", out, "--force").status == 0
    assert Metainfo.from_file(out).info == Metainfo.from_bytes(torrent).info


def test_a_place_that_is_none_is_found_before_anybody_is_asked(cli, content, tmp_path, dead_port):
    words = ["metadata", "0" * 40, "--peer", f"{HOST}:{dead_port}", "-o"]
    said = cli(*words, tmp_path)
    assert (said.status, said.err) == (1, f"peerwire: {tmp_path}: Is a directory\n")
    said = cli(*words, tmp_path / "no" / "out.torrent")
    assert said.status == 1
    assert said.err == f"peerwire: {tmp_path / 'no'}: No such file or directory\n"


def test_standard_output(found):
    words, torrent = found
    done = subprocess.run(
        [*PEERWIRE, "metadata", *words, "-o", "-"], capture_output=True, timeout=50, check=True
    )
    assert Metainfo.from_bytes(done.stdout).info == Metainfo.from_bytes(torrent).info
    assert b"standard output: 'several files', v1" in done.stderr


def test_standard_output_in_this_process(capfdbinary, found):
    words, torrent = found
    assert main(["metadata", *words, "-o", "-"]) == 0
    said = capfdbinary.readouterr()
    assert Metainfo.from_bytes(said.out).info == Metainfo.from_bytes(torrent).info
    assert b"standard output: 'several files', v1" in said.err


def test_a_terminal_is_no_place_for_it(cli, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    said = cli("metadata", "0" * 40, "--peer", f"{HOST}:1", "-o", "-")
    assert said.status == 2
    assert "not for a terminal" in said.err


# What is typed wrong


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["0" * 40, "-o", "x.torrent"], "there is no peer to ask"),
        (["0" * 40, "--peer", f"{HOST}:1", "-o", "-", "--json"], "give -o a file"),
        (["0" * 40, "--peer", f"{HOST}:1"], "-o/--output"),
        (["0" * 40, "--peer", f"{HOST}:1", "-o", "x", "--timeout", "x"], "write seconds"),
    ],
)
def test_wrong_usage(cli, words, reason):
    said = cli("metadata", *words)
    assert (said.status, said.out) == (2, "")
    assert reason in said.err


def test_a_torrent_that_is_here_already(cli, content, tmp_path):
    path = tmp_path / "a.torrent"
    path.write_bytes(make_torrent(content, "v1"))
    said = cli("metadata", path, "--peer", f"{HOST}:1", "-o", tmp_path / "b.torrent")
    assert said.status == 2
    assert said.err == f"peerwire: {path} is a .torrent already\n"


def test_nothing_in_time(cli, tmp_path):
    with socket.create_server((HOST, 0)) as silent:
        peer = f"{HOST}:{silent.getsockname()[1]}"
        words = ["0" * 40, "--peer", peer, "-o", tmp_path / "x.torrent", "--timeout", "0.2"]
        said = cli("metadata", *words)
    assert said.status == 1
    assert f"within 0.2 s: {peer}: it has not given all of it yet" in said.err


def test_it_can_be_interrupted(start, tmp_path):
    with socket.create_server((HOST, 0)) as silent:
        peer = f"{HOST}:{silent.getsockname()[1]}"
        out = tmp_path / "x.torrent"
        running = start("metadata", "0" * 40, "--peer", peer, "-o", out)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            assert running.end(signal.SIGINT) == 130
    assert running.err.endswith("peerwire: interrupted\n")
    assert not out.exists()


def test_the_reference_lists_the_keys(cli, content, host, tmp_path):
    torrent, out = make_torrent(content, "v1"), tmp_path / "out.torrent"
    words = [link(torrent), "--peer", host(torrent), "-o", out, "--json"]
    record = cli("metadata", *words).records[-1]
    (row,) = [line for line in REFERENCE.read_text().splitlines() if "| `complete` |" in line]
    assert set(re.findall(r"`(\w+)`", row)) - {"complete"} == record.keys() - {"event"}
