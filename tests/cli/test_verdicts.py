"""What is told of a run: by group, at the end, and how far it is."""

from __future__ import annotations

import asyncio
import io
import re

import pytest

from peerwire.check import MUST, SEED_CASES, Cases, Result, Run, Verdict
from peerwire.check.report import Report
from peerwire.cli import output, verdicts
from peerwire.cli.output import Output
from peerwire.cli.verdicts import HINTS, Telling

CASES = SEED_CASES[:3]
AGAIN = "peerwire check 127.0.0.1:1 x.torrent"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def results(*what, cases=CASES):
    return [
        Result(case=case, verdict=verdict, observed=observed, transcript=["  0.1 > interested\x1b"])
        for case, (verdict, observed) in zip(cases, what, strict=False)
    ]


def told(capsys, *what, gone=(), suspects=(), cases=CASES, **options):
    """Standard output and error of a run that comes to this."""
    json = options.pop("json", False)
    telling = Telling(Output(json=json), cases[: len(what)], **options)
    run = Run(client="some\x1bbody", gone=[*gone], suspects=[*suspects])
    for result in results(*what, cases=cases):
        run.results.append(result)
        telling.result(result)
    telling.summary(Report.of(run), 12.3, AGAIN)
    return capsys.readouterr()


def test_a_group_is_told_once_it_is_whole(capsys):
    telling = Telling(Output(json=False), CASES)
    first, second, third = results(*[(Verdict.PASS, "")] * 2, (Verdict.INFO, "so"))
    telling.result(first)
    telling.result(second)
    assert capsys.readouterr().out == ""
    telling.result(third)
    assert capsys.readouterr().out == f"{'BEP 3: handshake':42} 2 pass, 1 info\n"


def test_a_group_of_ones_own_is_told_by_its_id(capsys):
    mine = Cases("my/own", "Mine 1")

    @mine.case(1, MUST, rule="r.", does="d", expects="e")
    async def ask(probe):
        pass

    assert told(capsys, (Verdict.PASS, ""), cases=mine).out.startswith("my/own  ")


def test_what_is_wrong_is_told_with_all_that_was_said_and_again_at_the_end(capsys):
    out = told(capsys, (Verdict.PASS, ""), (Verdict.FAIL, "it\x1b"), (Verdict.NON_STRICT, "so")).out
    assert "\x1b" not in out
    assert out.count("    | ") == 2
    assert "  fail bep3/handshake/2\n    BEP 3, " in out
    assert "    observed  it\ufffd\n" in out
    assert out.splitlines()[-4:] == [
        "",
        "some\ufffdbody: 3 cases in 12 s: 1 pass, 1 non-strict, 1 fail",
        "  fail         bep3/handshake/2: it\ufffd",
        "  non-strict   bep3/handshake/3: so",
    ]


def test_all_is_told_of_each_if_that_is_wanted(capsys):
    out = told(capsys, (Verdict.PASS, ""), (Verdict.INFO, "so"), verbose=True).out
    assert "  pass bep3/handshake/1" in out
    assert "    observed  that\n" in out
    assert "    observed  so\n" in out
    assert out.count("    | ") == 2


def test_as_objects(capsys):
    said = told(capsys, (Verdict.FAIL, "so"), json=True)
    assert [line[:10] for line in said.out.splitlines()] == ['{"event": '] * 2


def test_many_that_were_not_asked_for_one_reason_share_a_line(capsys):
    what = [(Verdict.INCONCLUSIVE, "not asked: so")] * 4
    out = told(capsys, *what, (Verdict.INCONCLUSIVE, "other"), cases=SEED_CASES).out
    assert out.splitlines()[-2:] == [
        "  inconclusive bep3/handshake/1 and 3 more: not asked: so",
        "  inconclusive bep3/handshake/5: other",
    ]
    out = told(capsys, *what[:3]).out
    assert out.splitlines()[-1] == (
        "  inconclusive bep3/handshake/1, bep3/handshake/2, bep3/handshake/3: not asked: so"
    )


@pytest.mark.parametrize("words", HINTS)
def test_why_most_could_not_be_asked(capsys, words):
    reason = (Verdict.INCONCLUSIVE, f"not asked: {words} 13 s")
    assert told(capsys, reason, reason, (Verdict.PASS, "")).err == f"hint: {HINTS[words]}\n"
    assert told(capsys, reason, (Verdict.FAIL, ""), (Verdict.PASS, "")).err == ""
    assert told(capsys, reason, gone=["bep3/handshake/1"]).err == ""


def test_a_peer_that_crashed(capsys):
    out = told(capsys, (Verdict.FAIL, "so"), gone=["bep3/handshake/1"]).out
    assert out.splitlines()[-1] == "  crashed      after bep3/handshake/1"


def test_a_peer_that_crashed_of_one_of_several(capsys):
    unknown = (Verdict.INCONCLUSIVE, "so")
    names = ["bep3/handshake/2", "bep3/handshake/1"]
    out = told(capsys, unknown, unknown, (Verdict.PASS, ""), suspects=names).out
    assert out.splitlines()[-3:] == [
        "  crashed      after one of bep3/handshake/2, bep3/handshake/1",
        "    once it runs again, this tells which:",
        f"    {AGAIN} --only bep3/handshake/2 --only bep3/handshake/1 --jobs 1",
    ]


def test_a_peer_that_outlived_each_of_them_alone(capsys):
    out = told(capsys, (Verdict.PASS, ""), (Verdict.PASS, ""), suspects=["bep3/handshake/1"]).out
    assert out.splitlines()[-1] == "  crashed      after one of bep3/handshake/1"


def test_colours_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    told(capsys, (Verdict.FAIL, "so"))
    assert "\x1b[1;31m1 fail\x1b[0m" in screen.getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()[-1] == (
        "  fail         bep3/handshake/1: so"
    )


async def watched(telling, monkeypatch, stream, **options):
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(verdicts, "TICK", 0)
    async with telling.going_on(**options):
        for _ in range(5):
            await asyncio.sleep(0)
        telling.note("by the way\x1b")
    return stream.getvalue()


async def test_how_far_it_is_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr", Terminal())
    telling = Telling(Output(json=False), CASES)
    options = {"done": lambda: 2, "asking": lambda: ["bep3/handshake/3"]}
    said = await watched(telling, monkeypatch, Terminal(), **options)
    line = "\r\x1b[K2 of 3 cases: bep3/handshake/3"
    assert said.startswith(line)
    assert f"\r\x1b[Kby the way\ufffd\n{line}" in said
    assert said.endswith("\r\x1b[K")


async def test_how_far_it_is_elsewhere(monkeypatch):
    monkeypatch.setattr(output, "PLAIN_INTERVAL", 0)
    telling = Telling(Output(json=False), CASES)
    said = await watched(telling, monkeypatch, io.StringIO())
    assert said == "0 of 3 cases\nby the way\ufffd\n"


async def test_it_says_little_where_it_is_asked_to(monkeypatch):
    telling = Telling(Output(json=False), CASES)
    assert await watched(telling, monkeypatch, io.StringIO()) == "by the way\ufffd\n"


async def test_standard_error_that_is_closed(monkeypatch):
    class Closed(Terminal):
        def write(self, text):
            if text.startswith("\r"):
                raise BrokenPipeError
            return super().write(text)

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr", Terminal())
    telling = Telling(Output(json=False), CASES)
    assert await watched(telling, monkeypatch, Closed()) == "by the way\ufffd\n"
