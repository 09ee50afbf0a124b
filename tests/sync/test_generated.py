"""The synchronous classes are those of asyncio, and nobody wrote them twice."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest

import peerwire
import peerwire.sync

ROOT = Path(__file__).parent.parent.parent

spec = importlib.util.spec_from_file_location("generate_sync", ROOT / "scripts/generate_sync.py")
generator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generator)

GENERATED = generator.generate()


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_committed_is_what_is_generated(name):
    """Run `make generate` when this fails. Formatting is the formatter's."""
    committed = (ROOT / "src/peerwire/sync" / name).read_text()
    assert ast.dump(ast.parse(committed)) == ast.dump(ast.parse(GENERATED[name]))


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (peerwire.sync.Peer, peerwire.Peer),
        (peerwire.sync.Server, peerwire.Server),
    ],
)
def test_each_public_name_is_there(kind, other):
    lacking = {name for name in dir(other) if not name.startswith("_")} - set(dir(kind))
    assert lacking <= {"wire"}, "which only the thread of the event loop may use"


class Here:
    """A portal that leads nowhere else."""

    @staticmethod
    def call(function, *args, **kwargs):
        return function(*args, **kwargs)


def generated(kind, wanted):
    """Names of a generated class: its methods, or its properties."""
    return [
        name for name, value in vars(kind).items() if not name.startswith("_") and wanted(value)
    ]


@pytest.mark.parametrize("name", generated(peerwire.sync.Peer, callable))
def test_each_method_calls_its_namesake_with_what_it_is_given(name):
    remote = Mock()
    method = getattr(peerwire.sync.Peer(Here(), remote), name)
    given = inspect.signature(method).parameters.values()
    args = [object() for each in given if each.kind is each.POSITIONAL_OR_KEYWORD]
    named = {each.name: object() for each in given if each.kind is each.KEYWORD_ONLY}
    assert method(*args, **named) is getattr(remote, name).return_value
    getattr(remote, name).assert_called_once_with(*args, **named)


@pytest.mark.parametrize(
    "name", generated(peerwire.sync.Peer, lambda value: isinstance(value, property))
)
def test_each_property_is_that_of_its_namesake_or_a_copy(name):
    remote = MagicMock()
    value = getattr(peerwire.sync.Peer(Here(), remote), name)
    of = getattr(remote, name)
    assert value is of or value is of.copy.return_value or value == list(of)


def test_nothing_is_said_of_await():
    for text in GENERATED.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                doc = ast.get_docstring(node) or ""
                assert "await" not in doc.lower().replace("who awaits it gets", ""), doc
