"""A process that has few descriptors, and many connections."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket

import pytest

from ..cli.conftest import HOST, run, wait_until
from .conftest import complaint, open_files

linux = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


def few(limit):
    """What makes a process have few descriptors."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@contextlib.contextmanager
def crowd(port, count):
    """So many connections to a port that say nothing."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((HOST, port), timeout=30))
            for _ in range(count)
        ]


def get(sample, port, folder, **options):
    words = ["get", sample.torrent, "--peer", f"{HOST}:{port}", "-o", folder, "--json"]
    return run(*words, **options)


@linux
def test_a_seed_outlives_more_connections_than_it_has_descriptors(sample, start, tmp_path):
    """Those that say nothing give way, and not a line is said of it."""
    seed = start(
        *("seed", sample.torrent, "--content", sample.content, "--port", "0", "--json"),
        preexec_fn=few(64),
    )
    port = seed.port()
    before = open_files(seed.process.pid)
    with crowd(port, 200):
        assert get(sample, port, tmp_path / "one").status == 0
        assert open_files(seed.process.pid) <= 64
    assert get(sample, port, tmp_path / "two").status == 0
    wait_until(lambda: open_files(seed.process.pid) <= before + len(list(walk(sample.content))))
    assert seed.end(signal.SIGTERM) == 0
    assert seed.err == "stopping\n"


def walk(folder):
    return (path for path in folder.rglob("*") if path.is_file())


@linux
def test_a_seed_with_hardly_any_descriptors(sample, start, tmp_path):
    """So few that even its share for connections is too many: it says so, and goes on."""
    seed = start(
        *("seed", sample.torrent, "--content", sample.content, "--port", "0", "--json"),
        preexec_fn=few(24),
    )
    port = seed.port()
    with crowd(port, 60):
        wait_until(lambda: "can't accept a peer" in seed.err)
    assert get(sample, port, tmp_path / "new").status == 0
    assert seed.end(signal.SIGTERM) == 0
    assert "Traceback" not in seed.err
    said = "can't accept a peer: Too many open files; trying again every 1 s"
    assert set(seed.err.splitlines()) == {said, "stopping"}


def test_a_download_that_may_open_nothing(sample, start, tmp_path, giver):
    """It fails with the reason, or gets there with what it has; and goes on from there."""
    port = giver.rpartition(":")[2]
    for limit in range(8, 18):
        said = get(sample, port, tmp_path / "new", preexec_fn=few(limit))
        if said.status == 0:
            break
        assert "Too many open files" in said.err or "No file descriptors" in said.err
        if "Traceback" in said.err:
            continue  # Python itself, which could not even begin
        complaint(said)
    else:
        pytest.fail("17 descriptors are enough")
    assert get(sample, port, tmp_path / "new").status == 0
    assert sample.is_in(tmp_path / "new")
