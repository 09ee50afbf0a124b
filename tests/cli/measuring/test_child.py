"""Programs in processes of their own."""

from __future__ import annotations

import json
import runpy
import sys
import warnings

import pytest

from peerwire import PeerWireError
from peerwire.cli.measuring.child import Child, ours, say

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{}', flush=True)
time.sleep(30)
"""


def python(code):
    return [sys.executable, "-c", code]


def test_a_program_of_ours_says_what_it_measured():
    with Child(ours("cipher", size=1024, chunk=1024)) as child:
        done = child.read()
    assert done.keys() == {"bytes", "seconds", "cpu"}
    assert done["bytes"] == 1024


def test_a_program_by_its_name(monkeypatch, capfd):
    monkeypatch.setattr("sys.argv", ours("cipher", size=1024, chunk=1024)[2:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it is imported already
        runpy.run_module("peerwire.cli.measuring", run_name="__main__")
    assert json.loads(capfd.readouterr().out)["bytes"] == 1024


def test_what_is_said_is_a_line(capsys):
    say(port=1)
    assert capsys.readouterr().out == '{"port": 1}\n'


def test_a_program_goes_on_when_it_is_told_to():
    with Child(python("input(); print('1')")) as child:
        child.tell()
        assert child.read() == 1


def test_the_end_of_a_program_tells_why():
    with (
        Child(python("raise SystemExit('no such luck')")) as child,
        pytest.raises(PeerWireError, match="ended with status 1: no such luck"),
    ):
        child.read()


def test_the_end_of_a_program_that_does_not_say_why():
    with (
        Child(python("raise SystemExit(3)")) as child,
        pytest.raises(PeerWireError, match=r"ended with status 3$"),
    ):
        child.read()


def test_a_program_that_says_nothing_is_killed():
    with (
        Child(python("input()")) as child,
        pytest.raises(PeerWireError, match="ended with status -9"),
    ):
        child.read(timeout=0.01)


def test_a_program_ends_with_the_block():
    with Child(python("print('{}', flush=True); input()")) as child:
        assert child.read() == {}
    assert child._popen.returncode == -15


def test_a_program_that_does_not_want_to_end_is_killed(monkeypatch):
    monkeypatch.setattr("peerwire.cli.measuring.child.GRACE", 0.01)
    with Child(python(STUBBORN)) as child:
        child.read()
        assert child.pid == child._popen.pid
    assert child._popen.returncode == -9
