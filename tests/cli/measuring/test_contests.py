"""The contests that need no other client: who contends, and that all of it works."""

from __future__ import annotations

import pytest

from peerwire.cli.measuring import contests
from peerwire.cli.measuring.contests import Sizes

BLOCK = 16 * 1024
TINY = Sizes(
    runs=1,
    wire=300 * BLOCK,
    encrypted=20 * BLOCK,
    content=1024 * 1024,
    messages=500,
    small=1800,
    peers=20,
    handshakes=5,
)


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (contests.wire, 4),
        (contests.encrypted, 4),
        (contests.floods, 2),
        (contests.chunks, 2),
        (contests.memory, 1),
        (contests.handshakes, 2),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_gives_its_rows(inside, monkeypatch, make, rows):
    monkeypatch.setattr(contests, "LARGE", 64 * 1024)
    contest = make(TINY)
    contest.run(1)
    results = contest.results()
    assert len(results) == rows
    for result in results:
        assert result.figure != 0
        assert bool(result.row.beside) == (result.ratio is not None)


def test_without_uvloop_it_is_left_out(monkeypatch):
    monkeypatch.setattr(contests, "find_spec", lambda name: None)
    assert "uvloop" not in contests.wire(TINY).contenders


def test_what_python_takes_longer():
    contest = contests.startup(TINY)
    contest.run(1)
    assert [result.row.ours for result in contest.results()] == list(contest.contenders)
    for result in contest.results():
        assert result.figure < 30_000
