"""peerwire get."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading

import pytest

from peerwire import Extension, serve
from peerwire.swarm.swarm import Redial

from .conftest import (
    BLOCK,
    HOST,
    TERMINAL,
    run,
    terminal,
    until,
)

COMPLETE = {"event", "info_hash", "path", "bytes", "fetched", "seconds"}
FAILED = {"event", "address", "error", "failures", "gives_up"}


@pytest.fixture
def impatient(monkeypatch):
    """Does not wait before it dials again."""
    monkeypatch.setattr(Redial, "pause", lambda self, failures: 0.0)


@pytest.fixture
def giver(start, sample):
    """A seed in a process of its own; its address."""
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", "0", "--json")
    return f"{HOST}:{seed.port()}"


@pytest.fixture
def mute(sample):
    """A peer in a thread that has everything and says nothing more; its address."""
    started, port = threading.Event(), []

    async def be_mute():
        async def handle(peer):
            peer.have_all()
            await peer.wait_closed()

        torrents = {sample.meta.info_hash: sample.meta.num_pieces}
        metadata = functools.partial(Silent, len(sample.meta.info))
        async with serve(handle, HOST, 0, torrents=torrents, extensions=[metadata]) as server:
            port.append(server.port)
            started.set()
            await asyncio.to_thread(ended.wait)

    ended = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=[be_mute()])
    thread.start()
    assert started.wait(30)
    yield f"{HOST}:{port[0]}"
    ended.set()
    thread.join(30)


class Silent(Extension):
    """Promises metadata."""

    name = "ut_metadata"

    def __init__(self, size):
        super().__init__()
        self._size = size

    def handshake(self):
        return {"metadata_size": self._size}

    def receive(self, payload):
        return None


# To the end


def test_for_people(cli, sample, giver, tmp_path):
    said = cli("get", sample.torrent, "--peer", giver, "-o", tmp_path / "new")
    assert said.status == 0
    where = re.escape(f"{tmp_path}/new/sample")
    assert re.fullmatch(where + r": verified; 227\.3 KiB in \d+\.\d s, \d+\.\d MB/s\n", said.out)
    joined, left = said.err.splitlines()
    assert joined.startswith(f"connected to {giver}, peerwire ")
    assert left.startswith(f"closed {giver}, peerwire ")
    assert left.endswith("; received 227.3 KiB")
    assert sample.is_in(tmp_path / "new")


def test_for_scripts(cli, sample, giver, tmp_path):
    said = cli("get", sample.torrent, "--peer", giver, "-o", tmp_path / "new", "--json")
    assert said.status == 0
    assert said.err == ""
    joined, left, complete = said.records
    assert (joined["event"], joined["dialled"]) == ("peer joined", True)
    assert (left["event"], left["downloaded"]) == ("peer left", sample.meta.length)
    assert complete.keys() == COMPLETE
    assert complete["event"] == "complete"
    assert complete["path"] == f"{tmp_path}/new/sample"
    assert complete["bytes"] == complete["fetched"] == sample.meta.length


def test_what_is_here_is_kept(cli, sample, giver, tmp_path):
    new = tmp_path / "new"
    assert cli("get", sample.torrent, "--peer", giver, "-o", new).status == 0
    path = new / "sample" / "c"
    data = path.read_bytes()
    path.write_bytes(data[:-BLOCK] + bytes(BLOCK))  # the bytes of two pieces
    said = cli("get", sample.torrent, "--peer", giver, "-o", new, "--json")
    assert said.status == 0
    assert said.err == "195.3 KiB of 227.3 KiB are here already\n"
    assert said.records[-1]["fetched"] == 2 * BLOCK
    assert path.read_bytes() == data


def test_nobody_is_needed_for_what_is_all_here(cli, sample, tmp_path, dead_port):
    words = ["get", sample.torrent, "--peer", f"{HOST}:{dead_port}", "-o", tmp_path]
    said = cli(*words)
    assert (said.status, said.err) == (0, "")
    assert said.out == f"{tmp_path}/sample: verified; it was all here\n"
    (complete,) = cli(*words, "--json").records
    assert complete["fetched"] == 0


def test_one_of_several_peers_is_dead(cli, sample, giver, tmp_path, dead_port):
    dead = f"{HOST}:{dead_port}"
    said = cli(
        *("get", sample.torrent, "-o", tmp_path / "new", "--json"),
        *("--peer", dead, "--peer", giver, "--peer", giver),
    )
    assert said.status == 0
    assert sample.is_in(tmp_path / "new")
    failed, *_ = [record for record in said.records if record["event"] == "dial failed"]
    assert failed.keys() == FAILED
    assert failed["address"] == dead
    assert failed["error"] == "Connection refused"
    assert len([record for record in said.records if record["event"] == "peer joined"]) == 1


def test_of_a_magnet_link(cli, sample, giver, tmp_path):
    link = f"magnet:?xt=urn:btih:{sample.meta.info_hash.hex()}"
    said = cli("get", link, "--peer", giver, "-o", tmp_path / "new", "--json")
    assert said.status == 0
    assert said.err == f"fetching the metadata of {sample.meta.info_hash.hex()}\n"
    assert sample.is_in(tmp_path / "new")
    metadata = said.records[0]
    assert metadata == {
        "event": "metadata",
        "info_hash": sample.meta.info_hash.hex(),
        "name": "sample",
        "bytes": len(sample.meta.info),
    }
    assert said.records[-1]["fetched"] == sample.meta.length


def test_of_a_magnet_link_that_names_a_peer_and_a_file(cli, sample, giver, tmp_path):
    link = f"magnet:?xt=urn:btih:{sample.meta.info_hash.hex()}&x.pe={giver}&so=0"
    said = cli("get", link, "-o", tmp_path / "new")
    assert said.status == 0
    assert "sample, 227.3 KiB\n" in said.err
    assert (tmp_path / "new" / "sample" / "a").read_bytes() == (sample.content / "a").read_bytes()
    assert not (tmp_path / "new" / "sample" / "d").exists()


def test_a_magnet_link_that_is_none(cli, tmp_path):
    said = cli("get", "magnet:?dn=nothing", "--peer", f"{HOST}:1", "-o", tmp_path / "new")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("peerwire: ")
    assert said.err.count("\n") == 1


# To no end


def test_every_peer_is_dead(cli, sample, tmp_path, dead_port, impatient):
    dead = f"{HOST}:{dead_port}"
    said = cli("get", sample.torrent, "--peer", dead, "-o", tmp_path / "new")
    assert (said.status, said.out) == (1, "")
    assert said.err.splitlines() == [
        f"no connection to {dead}: Connection refused; trying again",
        f"no connection to {dead}: Connection refused; giving up",
        f"peerwire: 15 of 15 pieces missing and no peer left: {dead}: Connection refused",
    ]


def test_a_seed_of_another_torrent(cli, sample, start, tmp_path, impatient):
    other = tmp_path / "other.torrent"
    assert run("create", sample.content / "c", "-o", other).status == 0
    seed = start("seed", other, "--content", sample.content / "c", "--port", "0", "--json")
    peer = f"{HOST}:{seed.port()}"
    said = cli("get", sample.torrent, "--peer", peer, "-o", tmp_path / "new")
    assert said.status == 1
    assert f"{peer}: it closed the connection" in said.err.splitlines()[-1]


def test_a_peer_that_promises_and_gives_nothing(cli, sample, tmp_path, mute):
    words = ["--peer", mute, "-o", tmp_path / "new", "--timeout", "0.5"]
    said = cli("get", sample.torrent, *words)
    assert (said.status, said.out) == (1, "")
    assert said.err.splitlines()[-1] == (
        "peerwire: 15 of 15 pieces missing and none has come for 0.5 s: "
        f"{mute}: it has never unchoked us"
    )


def test_a_peer_that_promises_metadata_and_gives_none(cli, sample, tmp_path, mute):
    link = f"magnet:?xt=urn:btih:{sample.meta.info_hash.hex()}"
    said = cli("get", link, "--peer", mute, "-o", tmp_path / "new", "--timeout", "0.5")
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith(f" within 0.5 s: {mute}: it has not given all of it yet\n")


@pytest.mark.parametrize("time", ["-1", "nan", "inf", "soon", ""])
def test_a_time_that_is_none(cli, sample, time):
    said = cli("get", sample.torrent, "--peer", f"{HOST}:1", "--timeout", time)
    assert (said.status, said.out) == (2, "")
    assert f"{time!r} is no time; write seconds" in said.err


def test_a_download_may_wait_for_ever(cli, sample, giver, tmp_path):
    words = ["get", sample.torrent, "--peer", giver, "-o", tmp_path / "new", "--timeout", "0"]
    assert cli(*words).status == 0


def test_without_a_peer(cli, sample):
    said = cli("get", sample.torrent)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("peerwire: there is no peer to fetch from")


@pytest.mark.parametrize(
    ("torrent", "output", "reason"),
    [
        ("missing.torrent", "new", "missing.torrent: No such file or directory"),
        ("sample", "new", "sample: Is a directory"),
        ("sample/c", "new", "not a .torrent"),
        ("sample.torrent", "sample/c", "Not a directory"),
        ("sample.torrent", "taken", "can't make the directory"),
    ],
)
def test_what_cannot_be_fetched(cli, sample, tmp_path, monkeypatch, torrent, output, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "sample").write_text("a file where a folder belongs")
    said = cli("get", torrent, "--peer", f"{HOST}:1", "-o", output)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("peerwire: ")
    assert reason in said.err
    assert said.err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_is_read_only(cli, sample, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    said = cli("get", sample.torrent, "--peer", f"{HOST}:1", "-o", closed)
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith("Permission denied\n")


def test_a_disk_that_is_full(sample, giver, tmp_path):
    # A limit on the size of files does to a write what a full disk does.
    full = 100_000
    said = run(
        *("get", sample.torrent, "--peer", giver, "-o", tmp_path / "new"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (full, full)),
    )
    assert (said.status, said.out) == (1, "")
    assert said.err.splitlines()[-1] == (
        f"peerwire: can't write {tmp_path}/new/sample/c: File too large"
    )
    assert "Traceback" not in said.err


# Interrupted


async def interrupted(start, sample, giver, folder, number):
    """Ends a download by a signal once all is on disk that the giver gives; returns the process."""
    getting = start("get", sample.torrent, "--peer", f"{HOST}:{giver.port}", "-o", folder)
    await until(lambda: len(giver.asked) > 5 and len(sample.pieces_in(folder)) == 5)
    status = await asyncio.to_thread(getting.end, number)
    assert getting.out == ""
    return status, getting.err.splitlines()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_second_run_fetches_what_is_missing(start, sample, giving, tmp_path, number):
    new = tmp_path / "new"
    first = await giving(sample, 5)
    status, lines = await interrupted(start, sample, first, new, number)
    if number == signal.SIGINT:
        assert status == 130
        assert lines[-1] == (
            "peerwire: interrupted; what has come is kept, and the same command goes on from there"
        )
    else:
        assert status == -signal.SIGKILL
    here = sample.pieces_in(new)
    assert here == set(first.asked[:5])
    second = await giving(sample)
    words = ["get", sample.torrent, "--peer", f"{HOST}:{second.port}", "-o", new, "--json"]
    said = await asyncio.to_thread(run, *words)
    assert said.status == 0
    assert sample.is_in(new)
    assert sorted(second.asked) == sorted(set(range(sample.meta.num_pieces)) - here)
    assert said.records[-1]["fetched"] == sum(map(sample.meta.piece_size, second.asked))


# Progress


async def test_progress_is_plain_lines_without_a_terminal(start, sample, giving, tmp_path):
    giver = await giving(sample, 5)
    getting = start("get", sample.torrent, "--peer", f"{HOST}:{giver.port}", "-o", tmp_path / "new")
    await until(lambda: "fetching: " in getting.err)
    assert "\x1b" not in getting.err
    assert re.search(r"fetching: (29|35) %, .* of 227.3 KiB, 1 peer\n", getting.err)  # 5 pieces
    giver.go_on.set()
    assert await asyncio.to_thread(getting.process.wait, 30) == 0


def read_terminal(ours):
    """All that was written to a terminal whose programs have ended."""
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the last of them is gone
            part = b""
        if not part:
            os.close(ours)
            return said.decode()
        said += part


async def test_progress_is_a_bar_on_a_terminal(start, sample, giving, tmp_path):
    giver = await giving(sample, 5)
    ours, theirs = terminal()
    getting = start(
        *(
            "get",
            sample.torrent,
            "--peer",
            f"{HOST}:{giver.port}",
            "-o",
            tmp_path / "new",
            "--json",
        ),
        stderr=theirs,
        env=TERMINAL,
    )
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(read_terminal, ours))
    # The events are where scripts look for them, although a bar is on the terminal.
    await until(lambda: "peer joined" in getting.out)
    await until(lambda: len(giver.asked) > 5)
    giver.go_on.set()
    assert await asyncio.to_thread(getting.process.wait, 30) == 0
    shown = await reading
    assert "fetching" in shown
    assert "\u2501" in shown
    assert "/227.3 KiB" in shown
    assert "peer joined" not in shown
    records = [json.loads(line) for line in getting.out.splitlines()]
    assert [record["event"] for record in records] == ["peer joined", "peer left", "complete"]


def test_without_rich_a_terminal_gets_lines(sample, giver, tmp_path):
    code = (
        "import sys; sys.modules['rich'] = None\n"
        "from peerwire.cli import main, output\n"
        "output.PLAIN_INTERVAL = 0.0\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    ours, theirs = terminal()
    words = ["get", str(sample.torrent), "--peer", giver, "-o", str(tmp_path / "new")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        timeout=50,
        env=TERMINAL,
    )
    os.close(theirs)
    shown = read_terminal(ours)
    assert done.returncode == 0
    assert "verified" in done.stdout
    assert "verifying: 100 %" in shown
    assert "fetching: 0 %" in shown
    assert "\x1b" not in shown
    assert sample.is_in(tmp_path / "new")
