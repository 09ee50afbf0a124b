"""What is said where: results, events, notes, errors, and progress where there is no terminal."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from peerwire.cli import output
from peerwire.cli.output import Output, human_bytes, human_rate

RECORD = {"name": "größe", "n": 1}


def test_for_people(capsys):
    out = Output(json=False)
    out.result(RECORD, "a result")
    out.event(RECORD, "an event")
    out.note("a note")
    out.error("an\n error")
    said = capsys.readouterr()
    assert said.out == "a result\n"
    assert said.err == "an event\na note\npeerwire: an error\n"


def test_for_scripts(capsys):
    out = Output(json=True)
    out.result(RECORD, "a result")
    out.event(RECORD, "an event")
    out.note("a note")
    said = capsys.readouterr()
    assert [json.loads(line) for line in said.out.splitlines()] == [RECORD, RECORD]
    assert said.err == "a note\n"


def test_what_an_encoding_lacks_is_written_all_the_same(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Output(json=False).result({}, "größe \udcff")
    assert stream.buffer.getvalue() == b"gr\\xf6\\xdfe \\udcff\n"


def test_nobody_reads_any_more(monkeypatch):
    reading, writing = os.pipe()
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        os.close(reading)
        for _ in range(2):
            Output(json=False).result({}, "a line")
        stream.flush()


@pytest.fixture
def clock(monkeypatch):
    """Stands still until it is told to move on."""
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])

    def advance():
        now[0] += output.PLAIN_INTERVAL

    return advance


def test_progress_in_plain_lines(capsys, clock):
    with Output(json=False).progress("fetching") as progress:
        progress.update(0, 4096, "1 peer")
        clock()
        progress.update(1024, 4096, "1 peer")
        progress.update(2048, 4096, "1 peer")
        clock()
        progress.update(3 * 1024, 4096)
        clock()
        progress.update(3 * 1024, 4096)  # nothing new, nothing said
        clock()
        progress.update(0, 0)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "fetching: 25 %, 1.0 KiB of 4.0 KiB, 1 peer",
        "fetching: 75 %, 3.0 KiB of 4.0 KiB",
        "fetching: 100 %, 0 B of 0 B",
    ]


def test_a_terminal_gets_a_bar(monkeypatch):
    from peerwire.cli.bar import Bar

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Output(json=False).progress("fetching") as progress:
        assert isinstance(progress, Bar)


def test_a_terminal_without_rich_gets_lines(monkeypatch, capsys, clock):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delitem(sys.modules, "peerwire.cli.bar", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with Output(json=False).progress("fetching") as progress:
        clock()
        progress.update(1, 2)
    assert capsys.readouterr().err == "fetching: 50 %, 1 B of 2 B\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (3 * 2**20, "3.0 MiB"),
        (2**30, "1.0 GiB"),
        (5 * 2**40, "5.0 TiB"),
        (5000 * 2**40, "5000.0 TiB"),
    ],
)
def test_bytes(count, text):
    assert human_bytes(count) == text


def test_rates():
    assert human_rate(3_000_000, 2) == "1.5 MB/s"
    assert human_rate(1, 0) == "at once"
