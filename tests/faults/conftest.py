"""The command line in processes of its own, on a machine that lacks or loses something."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..cli.conftest import HOST, Running, Said, Sample, cli, giving, sample, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HASTY",
    "cli",
    "complaint",
    "giver",
    "giving",
    "mounting",
    "open_files",
    "sample",
    "start",
]

#: The command line with less patience: what takes a minute takes a second.
HASTY = [sys.executable, str(Path(__file__).with_name("hasty.py"))]


@pytest.fixture
def seeding(start: Callable[..., Running], sample: Sample) -> Running:
    """A seed in a process of its own."""
    return start("seed", sample.torrent, "--content", sample.content, "--port", "0", "--json")


@pytest.fixture
def giver(seeding: Running) -> str:
    """The address of a seed in a process of its own."""
    return f"{HOST}:{seeding.port()}"


def complaint(said: Said) -> str:
    """Returns the line that a run that failed says last, of which nothing is a traceback."""
    assert said.status == 1
    assert "Traceback" not in said.err
    assert said.err.count("peerwire: ") == 1
    return said.err.splitlines()[-1].removeprefix("peerwire: ")


def open_files(process: int) -> int:
    """Returns how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{process}/fd"))


@functools.cache
def _namespace() -> tuple[str, ...]:
    """What begins a command that may mount what nobody else sees."""
    tries = [("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")]
    for words in tries if os.geteuid() == 0 else tries[1:]:
        command = [*words, "mount", "-t", "tmpfs", "none", "/tmp"]
        try:
            if subprocess.run(command, capture_output=True, timeout=30).returncode == 0:
                return words
        except OSError:
            pass
    return ()


@pytest.fixture
def mounting() -> Callable[[str], list[str]]:
    """Returns what runs a shell script, its arguments behind it, that may mount what it likes."""
    if not _namespace():
        pytest.skip("no mount namespaces here (unshare --mount, as root or in a user namespace)")
    return lambda script: [*_namespace(), "sh", "-euc", script, "sh"]
