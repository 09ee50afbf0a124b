"""Every block of code in the documents runs, or says in their source why it does not."""

from __future__ import annotations

import argparse
import ast
import asyncio
import contextlib
import functools
import inspect
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec

import pytest

import peerwire.sync

from .documents import DOCUMENTS, ROOT, blocks

#: What is shown and not run: output, drawings, tables of contents.
SHOWN = re.compile(r"text|json|\{.*")

#: Verbs that run until they are told to end.
LASTING = {"seed", "listen", "proxy"}

PIECE = bytes(range(256)) * 256
NUM_PIECES = 4
INFO_HASH = bytes(range(20))

WITH_PYTHON = [path for path in DOCUMENTS if any(b.language == "python" for b in blocks(path))]
WITH_SHELL = [path for path in DOCUMENTS if any(b.language == "sh" for b in blocks(path))]


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_each_block_is_one_that_can_be_tested(document):
    for block in blocks(document):
        assert (
            SHOWN.fullmatch(block.language)
            or block.language in ("python", "sh", "setup")
            or (block.note == "skip")
        ), f"{block}: a block of {block.language!r} needs a reason why it is not run"
        assert block.note != "skip" or len(block.said) > 15, f"{block}: and the reason?"
    indented = re.findall(
        r"^    (?:\$|make|peerwire|python3?|pip|git|\.venv/\S+) .*", document.read_text(), re.M
    )
    assert not indented, "commands belong between ```sh and ```, so that they are tested"


def excerpts():
    return [b for path in DOCUMENTS for b in blocks(path) if b.note == "from"]


@pytest.mark.parametrize("block", excerpts(), ids=str)
def test_an_excerpt_is_in_the_file_that_it_is_of(block):
    assert block.said.startswith("examples/"), "these are run by test_examples.py"
    assert block.code in (ROOT / block.said).read_text(), f"{block} is not in {block.said}"


# Python


def seed(peer, blocks):
    """Serves so many blocks, and leaves."""
    peer.have_all()
    for message in peer:
        match message:
            case peerwire.Interested():
                peer.unchoke()
            case peerwire.Request(_, begin, length):
                peer.respond(message, PIECE[begin : begin + length])
                blocks -= 1
        if not blocks:
            return


class Page:
    """The namespace of a document, and the event loop in which its awaits are run."""

    def __init__(self, stack):
        self._stack = stack
        self._runner = stack.enter_context(asyncio.Runner())
        stack.callback(self._end)
        self._port = None
        self.names = {"__name__": "__main__", "served": self._serve}

    def run(self, block):
        code = block.code
        if self._port is not None:
            code = code.replace("6881", str(self._port))
        compiled = compile(
            "\n" * block.line + code,
            str(block.path),
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        if compiled.co_flags & inspect.CO_COROUTINE:
            self._runner.run(asyncio.wait_for(eval(compiled, self.names), 20))
        else:
            exec(compiled, self.names)

    def _serve(self, blocks=1000):
        """What a setup calls: a seeder takes the place of port 6881."""
        handler = functools.partial(seed, blocks=blocks)
        server = self._stack.enter_context(
            peerwire.sync.serve(handler, "127.0.0.1", 0, torrents={INFO_HASH: NUM_PIECES})
        )
        self._stack.callback(self._end)  # before the server is closed
        self._port = server.port
        return INFO_HASH, NUM_PIECES

    def _end(self):
        for value in self.names.values():
            if isinstance(value, peerwire.Peer | peerwire.Server):
                self._runner.run(value.close())


@pytest.mark.parametrize("document", WITH_PYTHON, ids=named)
def test_python_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        page = Page(stack)
        for block in blocks(document):
            if block.language in ("python", "setup") and not block.note:
                page.run(block)


# The shell


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_for(port, process):
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


def commands(block):
    code = block.code.replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in code.splitlines()]
    return [words for words in lines if words]


def check_command(words):
    """Whether there is such a command, and it takes these arguments."""
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= {*targets}
    elif words[0] == "python" and not words[1].startswith("-"):
        assert (ROOT / words[1]).is_file()
    elif words[0].endswith("peerwire") and len(words) > 1 and "--help" not in words:
        module = import_module(f"peerwire.cli.{words[1]}")
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        parser.add_argument("--json", action="store_true")
        parser.parse_args(words[2:])


@pytest.mark.parametrize("document", WITH_SHELL, ids=named)
def test_commands_are_there(document):
    for block in blocks(document):
        for words in commands(block) if block.language == "sh" else []:
            check_command(words)


@pytest.mark.parametrize("document", WITH_SHELL, ids=named)
def test_commands_run(document, tmp_path):
    prepare(tmp_path)
    for block in blocks(document):
        if block.language == "sh" and not block.note:
            run_commands(block, tmp_path)


def prepare(folder):
    """Puts there what the documents speak of."""
    (folder / "holiday").mkdir()
    for name in ("beach.jpg", "sea.jpg"):
        (folder / "holiday" / name).write_bytes(name.encode() * 30_000)
    captures = ROOT / "tests" / "data" / "captures"
    (folder / "capture.pcap").write_bytes((captures / "plain.pcap").read_bytes())


def run_commands(block, folder):
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1"}
    with contextlib.ExitStack() as stack:
        for words in commands(block):
            if words[0] == "make" or words[1].startswith("examples/"):
                continue  # what makes all this run; run by test_examples.py
            if words[1] == "decode" and find_spec("cypcap") is None:
                continue  # there is no libpcap's binding here
            assert words[0] == "peerwire", f"{block}: how is {words[0]} to be run?"
            words = [word.replace("6881", str(port)) for word in words]
            if words[1] == "check":  # all of it takes a minute: tests/interop/test_check.py
                words += ["--only", "bep3/choke"]
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", *words],
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            if words[1] in LASTING:
                stack.callback(process.send_signal, signal.SIGINT)
                wait_for(port, process)
                continue
            try:
                said, _ = process.communicate(timeout=30)
            except BaseException:
                process.kill()
                raise
            assert process.returncode == 0, f"{block}: {shlex.join(words)}:\n{said}"
