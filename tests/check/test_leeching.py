"""How clients that download are started, and what comes of a client that is asked."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.check import leeching
from tests.check.torrents import make_torrents
from tests.interop.clients.base import Client, Download
from tests.interop.magnets import PeerwireByMagnet
from tests.interop.process import ClientFailed, running

from peerwire.check import LEECHER_CASES

HOME = Path("home")

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler for the jail")


def named(*names):
    return [case for case in LEECHER_CASES if case.id in names]


def chosen(client, case):
    return leeching.leecher(client, *named(case), HOME, HOME)


def test_each_client_can_be_asked():
    assert set(leeching.BY_MAGNET) < set(leeching.ASKED)
    assert len(leeching.ASKED) == 6


@pytest.mark.parametrize(
    ("client", "case", "encryption"),
    [
        ("peerwire", "bep3/leecher/1", "off"),
        ("peerwire", "mse/leecher/1", "prefer"),
        ("aria2", "mse/leecher/1", "off"),
        ("libtorrent", "mse/leecher/1", "require"),
        ("libtorrent", "mse/leecher/5", "plaintext"),
    ],
)
def test_one_that_is_asked_of_encryption_begins_with_it(client, case, encryption):
    assert chosen(client, case).encryption == encryption


def test_one_that_is_asked_for_what_a_link_lacks_has_a_link():
    assert isinstance(chosen("peerwire", "bep9/leecher/1"), PeerwireByMagnet)
    assert type(chosen("peerwire", "bep9/leecher/9")) is leeching.ASKED["peerwire"]
    assert (
        type(chosen("bittorrent-protocol", "bep9/leecher/1"))
        is leeching.ASKED["bittorrent-protocol"]
    )


def test_one_that_is_asked_of_its_bitfield_has_some_of_it(tmp_path):
    content = tmp_path / "content"
    content.write_bytes(b"abcdef")
    leeching.begin(content, tmp_path / "downloads")
    assert (tmp_path / "downloads" / "content").read_bytes() == b"abc\0\0\0"


@needs_compiler
@pytest.mark.timeout(120)
def test_a_client_is_asked(tmp_path):
    made = make_torrents(tmp_path)
    cases = named("bep3/leecher/1", "bep3/leecher/2", "bep9/leecher/1", "mse/leecher/4")
    report = leeching.ask("peerwire", made.paths["v1"], made.content, tmp_path, cases=cases, jobs=2)
    assert [result["verdict"] for result in report.results] == ["pass"] * 4
    assert [result["id"] for result in report.results] == [each.id for each in cases]


class Absent(Client):
    """Does not start."""

    name = "absent"

    @classmethod
    def available(cls):
        return None

    def seed(self, torrent, content, port):
        raise NotImplementedError

    def leech(self, torrent, out_dir, peer):
        raise ClientFailed("it is not here")


@needs_compiler
def test_a_client_that_does_not_start_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setitem(leeching.ASKED, "absent", Absent)
    made = make_torrents(tmp_path)
    with pytest.raises(ClientFailed, match="it is not here"):
        leeching.ask("absent", made.paths["v1"], made.content, tmp_path)


@needs_compiler
def test_what_is_left_when_time_is_up_is_inconclusive(tmp_path, monkeypatch):
    monkeypatch.setattr(leeching, "TIMEOUT", 0.0)
    made = make_torrents(tmp_path)
    report = leeching.ask(
        "peerwire", made.paths["v1"], made.content, tmp_path, cases=LEECHER_CASES[:2]
    )
    assert [result["observed"] for result in report.results] == ["not asked: 0 s were over"] * 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("raise ValueError", "Traceback (most recent call last):"),
        ("import sys; sys.exit('it is not to be had')", ""),
        ("", ""),
    ],
)
def test_a_crash_is_told_from_an_end(tmp_path, code, told):
    with running([sys.executable, "-c", code], tmp_path, None) as process:
        process.popen.wait()
        assert leeching.crash(process) == told


class Crashing(PeerwireByMagnet):
    """Says a handshake, and dies."""

    @contextmanager
    def leech(self, torrent, out_dir, peer):
        talk = f"""
import os, socket
with socket.create_connection({peer!r}) as to:
    to.sendall(bytes([19]) + b"BitTorrent protocol" + bytes(48))
    to.recv(1)
    os.abort()
"""
        with running([sys.executable, "-c", talk], self.home, None) as process:
            yield Download(process, process.exited_well)


@needs_compiler
def test_the_case_that_a_client_crashes_in_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(leeching.ASKED, "crashing", Crashing)
    made = make_torrents(tmp_path)
    (case,) = named("bep3/leecher/17")
    report = leeching.ask("crashing", made.paths["v1"], made.content, tmp_path, cases=[case])
    (result,) = report.results
    assert (result["verdict"], result["observed"]) == ("fail", "the client crashed: SIGABRT")
    assert report.gone == [case.id]
