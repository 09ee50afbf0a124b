"""What `make conformance` does beside asking: choosing, merging, and keeping a client running."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest
from tests.check import seeding
from tests.check.clients import ASKED, KINDS, kinds
from tests.check.column import Column
from tests.check.torrents import make_torrents
from tests.interop.clients import Peerwire
from tests.interop.clients.bittorrent_protocol import PACKAGE
from tests.interop.process import ClientFailed
from tests.interop.versions import COMMANDS, first_version

from peerwire.check import LEECHER_CASES, MUST, SEED_CASES, Cases, Result, Verdict
from peerwire.check.report import Report
from peerwire.cli.subject import Subject

CASE, OTHER = SEED_CASES[:2]


def record(case, verdict, observed=""):
    return Result(case=case, verdict=verdict, observed=observed).record()


def test_what_was_not_applicable_may_be_so_with_another_torrent():
    column = Column("somebody 1")
    column.take([record(CASE, Verdict.FAIL, "first"), record(OTHER, Verdict.NOT_APPLICABLE)])
    assert column.left([CASE, OTHER, SEED_CASES[2]]) == [OTHER, SEED_CASES[2]]
    column.take([record(CASE, Verdict.PASS), record(OTHER, Verdict.PASS, "second")])
    assert column.left([CASE, OTHER]) == []
    assert [each["observed"] for each in column.report().results] == ["first", "second"]
    assert column.report().counts()["fail"] == 1
    assert column.told() == "2 cases: 1 pass, 1 fail"


def test_what_was_inconclusive_is_asked_again():
    column = Column("somebody 1")
    column.take([record(CASE, Verdict.INCONCLUSIVE, "no handshake")])
    column.take([record(CASE, Verdict.NOT_APPLICABLE, "the torrent is private")])
    assert column.told() == "1 cases: 1 inconclusive"
    assert column.left([OTHER, CASE]) == [CASE, OTHER]
    column.take([record(CASE, Verdict.PASS)])
    assert column.left([CASE]) == []
    assert column.told() == "1 cases: 1 pass"


def test_what_is_never_applicable_says_so_of_the_last_torrent():
    column = Column("somebody 1")
    for why in ("the torrent is of v1", "it does not serve v2"):
        column.take([record(CASE, Verdict.NOT_APPLICABLE, why)])
    assert column.report().results[0]["observed"] == "it does not serve v2"


def test_a_column_is_one_file_of_results(tmp_path):
    column = Column("somebody 1")
    column.take([record(LEECHER_CASES[0], Verdict.PASS)])
    column.take([record(OTHER, Verdict.PASS)], gone=[OTHER.id])
    column.take([record(CASE, Verdict.FAIL)], gone=[OTHER.id, CASE.id])
    column.write(tmp_path / "somebody.jsonl")
    report = Report.read(tmp_path / "somebody.jsonl")
    assert report.client == "somebody 1"
    assert [each["id"] for each in report.results] == [CASE.id, OTHER.id, LEECHER_CASES[0].id]
    assert report.gone == [OTHER.id, CASE.id]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("aria2 version 1.36.0\nCopyright (C) 2006", "1.36.0"),
        ("transmission-daemon 3.00 (bb6b5a062e)", "3.00"),
        ("2.0.11.0", "2.0.11.0"),
        ("nothing of the kind", ""),
    ],
)
def test_a_version_is_found_in_what_a_program_says(said, version):
    assert first_version(said) == version


def test_each_client_has_a_version_and_kinds_of_torrents():
    assert COMMANDS.keys() - {"node"} | {PACKAGE} == ASKED.keys()
    assert kinds("aria2") == KINDS
    assert kinds("libtorrent") == (*KINDS, "v2")


def test_torrents_are_of_the_same_content(tmp_path):
    torrents = make_torrents(tmp_path)
    subjects = {kind: Subject.read(str(path)) for kind, path in torrents.paths.items()}
    assert [subject.version for subject in subjects.values()] == ["v1", "v1", "hybrid", "v2"]
    assert [subject.num_pieces for subject in subjects.values()] == [37] * 4
    assert subjects["private"].metainfo.private
    assert not subjects["v1"].metainfo.private
    piece = torrents.content.read_bytes()[-subjects["v1"].piece_size(36) :]
    assert all(subject.verifies(36, piece) for subject in subjects.values())


@pytest.fixture(scope="module")
def torrents(tmp_path_factory):
    return make_torrents(tmp_path_factory.mktemp("torrents"))


class Seeds:
    """Starts `peerwire seed`, and knows which process it is."""

    def __init__(self, torrents, home) -> None:
        self.torrents, self.home = torrents, home
        self.processes = []

    @contextmanager
    def __call__(self, port):
        client = Peerwire(self.home / str(len(self.processes)))
        with client.seed(self.torrents.paths["v1"], self.torrents.content, port) as process:
            self.processes.append(process)
            yield process


def some_cases(*asks):
    cases = Cases("xx1/some", "XX 1")
    for number, ask in enumerate(asks, 1):
        cases.case(number, MUST, rule="A rule.", does="something", expects="something")(ask)
    return cases


async def served(probe):
    await probe.open()
    await probe.goes_on()


async def ask(seeds, cases, notes, seconds=60.0, kind="v1"):
    subject = Subject.read(str(seeds.torrents.paths[kind]))
    return await seeding.ask(seeds, subject, cases, jobs=1, seconds=seconds, note=notes.append)


async def test_a_client_that_is_gone_is_started_again(torrents, tmp_path):
    seeds, notes = Seeds(torrents, tmp_path), []

    async def kill(probe):
        await probe.open()
        os.kill(seeds.processes[-1].pid, signal.SIGKILL)
        await probe.closes()

    run = await ask(seeds, some_cases(served, kill, served), notes)
    verdicts = [result.verdict for result in run.results]
    assert verdicts == [Verdict.PASS, Verdict.FAIL, Verdict.PASS], notes
    assert run.gone == ["xx1/some/2"]
    assert len(seeds.processes) == 2
    assert any("ended with -9" in note for note in notes)
    assert all(process.popen.poll() is not None for process in seeds.processes)


async def test_what_is_left_when_time_is_up_is_inconclusive(torrents, tmp_path):
    seeds = Seeds(torrents, tmp_path)

    async def for_ever(probe):
        await probe.hear(within=3600.0)

    run = await ask(seeds, some_cases(for_ever, served), [], seconds=0.5)
    assert [result.verdict for result in run.results] == [Verdict.INCONCLUSIVE] * 2
    assert "were over" in run.results[0].observed
    assert seeds.processes[0].popen.poll() is not None


async def test_a_client_that_does_not_know_the_torrent(torrents, tmp_path):
    with pytest.raises(ClientFailed, match="no handshake for"):
        await ask(Seeds(torrents, tmp_path), some_cases(served), [], kind="private")


async def test_a_client_that_does_not_start(torrents):
    @contextmanager
    def start(port):
        raise ClientFailed("it is not there")
        yield

    subject = Subject.read(str(torrents.paths["v1"]))
    with pytest.raises(ClientFailed, match="not there"):
        await seeding.ask(start, subject, some_cases(served), jobs=1, seconds=9.0, note=print)
