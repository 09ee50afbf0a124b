"""Contenders that take turns, and the rows that compare them."""

from __future__ import annotations

import pytest

from peerwire.cli.measuring.contest import Contest, Row


def contest(rows, **runs):
    """A contest whose contenders come to the given figures, one after the other."""
    remaining = {name: iter(figures) for name, figures in runs.items()}
    contenders = {name: lambda name=name: {"rate": next(remaining[name])} for name in runs}
    return Contest("test", contenders, list(rows))


def test_everybody_runs_in_turns_and_another_one_first_each_time():
    order = []
    contenders = {name: lambda name=name: order.append(name) or {"rate": 1.0} for name in "abc"}
    Contest("test", contenders, []).run(4)
    assert "".join(order) == "abcbcacababc"


def test_the_ratio_is_the_median_of_pairs():
    it = contest(
        [Row("speed", "rate", "ours", ("theirs",))], ours=[1e9, 8e9, 3e9], theirs=[1e9, 2e9, 6e9]
    )
    it.run(3)
    (result,) = it.results()
    assert (result.figure, result.other, result.beside) == (3.0, 2.0, "theirs")
    assert result.ratio == 1.0  # of 1, 4 and 0.5
    assert result.runs == 3


def test_the_best_of_the_others_counts():
    it = contest(
        [Row("speed", "rate", "ours", ("slow", "fast"))], ours=[6e9], slow=[1e9], fast=[3e9]
    )
    it.run(1)
    (result,) = it.results()
    assert (result.beside, result.ratio) == ("fast", 2.0)


def test_the_best_is_the_least_where_less_is_better():
    cost = Row("cost", "cpu", "ours", ("dear", "cheap"), 1.0)
    contenders = {
        "ours": lambda: {"cpu": 2e-9},
        "dear": lambda: {"cpu": 8e-9},
        "cheap": lambda: {"cpu": 4e-9},
    }
    it = Contest("test", contenders, [cost])
    it.run(1)
    (result,) = it.results()
    assert (result.beside, result.other, result.ratio, result.reached) == ("cheap", 4.0, 0.5, True)


@pytest.mark.parametrize(("ours", "reached"), [(3.0, True), (2.9, False)])
def test_a_mark_of_a_ratio(ours, reached):
    it = contest([Row("speed", "rate", "ours", ("theirs",), 3.0)], ours=[ours], theirs=[1.0])
    it.run(1)
    assert it.results()[0].reached is reached


@pytest.mark.parametrize(("memory", "reached"), [(8 * 1024, True), (8 * 1024 + 1, False)])
def test_a_mark_of_the_figure_itself(memory, reached):
    it = Contest(
        "test", {"ours": lambda: {"memory": memory}}, [Row("m", "memory", "ours", (), 8.0)]
    )
    it.run(1)
    (result,) = it.results()
    assert (result.ratio, result.other, result.reached) == (None, None, reached)


def test_without_a_mark_nothing_is_reached():
    it = contest([Row("speed", "rate", "ours", ("theirs",))], ours=[1.0], theirs=[1.0])
    it.run(1)
    assert it.results()[0].reached is None


def test_who_is_missing_is_left_out():
    rows = [
        Row("speed", "rate", "ours", ("missing",), 1.0),
        Row("speed", "rate", "missing", ("ours",)),
    ]
    it = contest(rows, ours=[1e9])
    it.run(1)
    (result,) = it.results()
    assert (result.figure, result.ratio, result.beside, result.reached) == (1.0, None, "", None)
