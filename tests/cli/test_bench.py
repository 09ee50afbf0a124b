"""peerwire bench."""

from __future__ import annotations

import dataclasses

import pytest

from peerwire.cli import bench

from .conftest import run

MACHINE = {"event", "processor", "system", "python", "peerwire", "cryptography", "uvloop"}
ROW = {"event", "row", "figure", "unit", "beside", "other", "ratio", "mark", "reached", "runs"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    sizes = dataclasses.replace(bench.SIZES, runs=1, content=1024 * 1024, small=900)
    monkeypatch.setattr(bench, "SIZES", sizes)


def test_for_people(cli):
    said = cli("bench", "--only", "chunks")
    assert said.status == 0
    assert said.err == "measuring chunks\n"
    heading, small, large, empty, *machine = said.out.splitlines()
    assert heading.split() == ["what", "peerwire", "beside", "ratio", "to", "reach"]
    assert small.startswith("one-byte chunks")
    assert large.startswith("1 MiB message")
    assert empty == ""
    assert machine[0].startswith("processor ")


def test_for_scripts(cli):
    said = cli("bench", "--only", "transfers", "--json")
    machine, get, seed = said.records
    assert machine.keys() == MACHINE
    assert get.keys() == seed.keys() == ROW
    assert (get["row"], seed["row"]) == ("get, verified, to the temporary folder", "seed")
    assert get["figure"] > 0
    assert get["beside"] == "bare sockets"
    assert get["runs"] == 1


def test_runs_can_be_more(cli):
    said = cli("bench", "--only", "chunks", "--runs", "2", "--json")
    assert said.records[1]["runs"] == 2


def test_no_runs(cli):
    said = cli("bench", "--runs", "0")
    assert (said.status, said.err.count("\n")) == (2, 1)


def test_everything_is_measured_if_nothing_is_named(monkeypatch, cli):
    made = []
    for name in bench.CONTESTS:
        monkeypatch.setitem(bench.CONTESTS, name, lambda _, name=name: made.append(name) or EMPTY)
    assert cli("bench", "--json").status == 0
    assert made == list(bench.CONTESTS)


EMPTY = bench.contests.Contest("nothing", {"nobody": dict}, [])


def test_help_has_an_example():
    said = run("bench", "--help")
    assert said.status == 0
    assert f"example:\n  {bench.EXAMPLE}" in said.out
