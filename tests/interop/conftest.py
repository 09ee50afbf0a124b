"""Fixtures: the content, the loopback jail, and clients that are here or loudly missing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from .clients import CLIENTS, Client
from .clients.libtorrent import SCRIPT
from .content import PIECE_SIZE, Content, write_multi, write_single
from .process import ClientFailed, compile_jail

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUIRE = "PEERWIRE_INTEROP_REQUIRE"


def required() -> set[str]:
    """The clients that must be here."""
    names = {name.strip() for name in os.environ.get(REQUIRE, "").split(",")} - {""}
    unknown = names - CLIENTS.keys()
    if unknown:
        pytest.fail(f"{REQUIRE} names {sorted(unknown)}; the clients are {sorted(CLIENTS)}")
    return names


@pytest.fixture(scope="session")
def jail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compile_jail(tmp_path_factory.mktemp("jail"))
    except ClientFailed as problem:
        if required():
            pytest.fail(str(problem))
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Content]:
    """By "single" and "multi"."""
    folder = tmp_path_factory.mktemp("content")
    made = {}
    for name, path in ("single", write_single(folder)), ("multi", write_multi(folder)):
        torrent = folder / f"{name}.torrent"
        command = [sys.executable, "-W", "ignore", SCRIPT, "create", path, torrent]
        subprocess.run([*command, "--piece-size", str(PIECE_SIZE)], check=True)
        made[name] = Content(path, torrent)
    return made


@pytest.fixture
def client(jail: Path, tmp_path: Path) -> Callable[..., Client]:
    """`client(name, encryption=...)`: that client, or the end of this test where it is missing."""

    def make(name: str, **knobs: str) -> Client:
        kind = CLIENTS[name]
        reason = kind.available()
        if reason and name in required():
            pytest.fail(f"{REQUIRE} asks for {name}: {reason}")
        if reason:
            pytest.skip(f"{name}: {reason}")
        return kind(tmp_path / name, jail, **knobs)

    return make
