"""Fixtures: the content, the loopback jail, and clients that are here or loudly missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .clients import CLIENTS, Client, Encryption
from .content import Content, multi, single
from .process import ClientFailed, compile_jail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REQUIRE = "PEERWIRE_INTEROP_REQUIRE"


@pytest.fixture(scope="session")
def required() -> set[str]:
    """The clients that must be here."""
    names = {name.strip() for name in os.environ.get(REQUIRE, "").split(",")} - {""}
    unknown = names - CLIENTS.keys()
    if unknown:
        pytest.fail(f"{REQUIRE} names {sorted(unknown)}; the clients are {sorted(CLIENTS)}")
    return names


@pytest.fixture(scope="session")
def jail(required: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compile_jail(tmp_path_factory.mktemp("jail"))
    except ClientFailed as problem:
        if required:
            pytest.fail(str(problem))
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Content]:
    """By "single" and "multi"."""
    folder = tmp_path_factory.mktemp("content")
    return {"single": single(folder), "multi": multi(folder)}


@pytest.fixture
def client(required: set[str], jail: Path, tmp_path: Path) -> Callable[..., Client]:
    """`client(name, encryption="off")`: that client; where it is missing the test ends."""

    def make(name: str, encryption: Encryption = "off") -> Client:
        kind = CLIENTS[name]
        reason = kind.available()
        if reason and name in required:
            pytest.fail(f"{REQUIRE} asks for {name}: {reason}")
        if reason:
            pytest.skip(f"{name}: {reason}")
        return kind(tmp_path / name, jail, encryption=encryption)

    return make


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`name, what`: each client with each content that it can move."""
    if {"name", "what"} <= set(metafunc.fixturenames):
        pairs = [
            (name, what)
            for name, kind in CLIENTS.items()
            for what in ("single", "multi")
            if what == "single" or not kind.single_file_only
        ]
        metafunc.parametrize(("name", "what"), pairs)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what test_encryption.py found, whichever process found it."""
    found = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            told = dict(report.user_properties)
            if "encryption" in told:
                spoken = told.get("spoken", "?") or "refused"
                mark = "" if outcome == "passed" else " FAILED"
                found[tuple(told["encryption"])] = spoken + mark
    if found:
        terminalreporter.section("what is spoken with peerwire --encryption ...")
        for line in table(found):
            terminalreporter.write_line(line)


def table(found: dict[tuple[str, str, str, str], str]) -> Iterator[str]:
    """The lines of a table: client, what it wants and does, to what was spoken for each policy."""
    policies = ("off", "prefer", "require")
    yield f"{'':20}{'it wants':11}{'and it':9}" + "".join(f"{policy:11}" for policy in policies)
    for name, wants, way in dict.fromkeys(cell[:3] for cell in sorted(found)):
        cells = [found.get((name, wants, way, policy), "") for policy in policies]
        yield f"{name:20}{wants:11}{way:9}" + "".join(f"{cell:11}" for cell in cells)
