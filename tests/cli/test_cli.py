"""What all verbs have in common: usage, help, errors, and how fast it begins."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import peerwire
import peerwire.cli
from peerwire.cli import VERBS, main

from .conftest import run


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["--nonsense"],
        ["--", "demo"],
        ["demo", "more"],
        ["demo", "--size", "many"],
        ["create"],
        ["create", "path"],
        ["create", "path", "-o", "out", "--piece-size", "1.2.3"],
        ["seed"],
        ["seed", "x.torrent"],
        ["seed", "x.torrent", "--content", ".", "--port", "65536"],
        ["seed", "x.torrent", "--content", ".", "--port", "http"],
        ["get"],
        ["get", "x.torrent"],
        ["get", "x.torrent", "--peer", "localhost"],
        ["get", "x.torrent", "--peer", "::1:6881"],
        ["get", "x.torrent", "--peer", "127.0.0.1:"],
    ],
    ids=" ".join,
)
def test_wrong_usage(cli, words):
    said = cli(*words)
    assert said.status == 2
    assert said.out == ""
    assert "peerwire" in said.err
    assert "Traceback" not in said.err


def test_help(cli):
    said = cli("--help")
    assert said.status == 0
    assert said.err == ""
    for verb, does in VERBS.items():
        assert f"  {verb} " in said.out
        assert does in said.out


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example(cli, verb):
    said = cli(verb, "--help")
    assert said.status == 0
    example = import_module(f"peerwire.cli.{verb}").EXAMPLE
    assert f"example:\n  {example}\n" in said.out
    assert example.startswith(f"peerwire {verb} ")
    assert "--json" in said.out


def test_the_version(cli):
    assert cli("--version").out == f"peerwire {peerwire.__version__}\n"


def test_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["peerwire", "--version"])
    assert main() == 0
    assert peerwire.__version__ in capsys.readouterr().out


def test_help_needs_neither_an_event_loop_nor_colours():
    code = (
        "import sys; from peerwire.cli import main; status = main(['--help']);"
        "slow = {'asyncio', 'rich'} & sys.modules.keys();"
        "sys.exit(f'{status} {slow}' if status or slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "x: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("two\nlines"), "two lines"),
        (peerwire.DownloadFailed("nobody\nis left"), "nobody is left"),
    ],
)
def test_an_error_is_one_line(cli, monkeypatch, error, line):
    async def fail(args, out):
        raise error

    monkeypatch.setattr(import_module("peerwire.cli.demo"), "run", fail)
    said = cli("demo")
    assert (said.status, said.out, said.err) == (1, "", f"peerwire: {line}\n")


@pytest.mark.parametrize(
    ("verb", "line"),
    [
        ("demo", "interrupted"),
        ("get", "interrupted; what has come is kept, and the same command goes on from there"),
    ],
)
def test_an_interrupt_is_a_status_of_its_own(cli, monkeypatch, verb, line):
    async def interrupt(args, out):
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module(f"peerwire.cli.{verb}"), "run", interrupt)
    said = cli(*([verb] if verb == "demo" else [verb, "x.torrent", "--peer", "127.0.0.1:1"]))
    assert (said.status, said.out, said.err) == (130, "", f"peerwire: {line}\n")


def test_an_interrupt_before_anything_is_done(cli, monkeypatch):
    def interrupt(name, package):
        raise KeyboardInterrupt

    monkeypatch.setattr(peerwire.cli, "import_module", interrupt)
    assert cli("demo").status == 130


def test_as_a_module():
    said = run("--version")
    assert (said.status, said.out) == (0, f"peerwire {peerwire.__version__}\n")
