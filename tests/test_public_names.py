import importlib
import inspect
import pkgutil
import types

import pytest

import peerwire
from peerwire import errors, messages

from .wires import EXAMPLES

MODULES = [
    module.name
    for module in pkgutil.walk_packages(peerwire.__path__, "peerwire.")
    if not module.name.endswith("__main__")
]

PUBLIC = [getattr(peerwire, name) for name in peerwire.__all__ if not name.startswith("__")]

MESSAGES = [
    thing for thing in PUBLIC if inspect.isclass(thing) and issubclass(thing, peerwire.Message)
]


def own_members(cls):
    """What a class of this package defines for whoever uses it, inherited things included."""
    for kind in cls.__mro__:
        if not kind.__module__.startswith("peerwire"):
            continue
        for name, member in vars(kind).items():
            if not name.startswith("_"):
                yield f"{kind.__qualname__}.{name}", member


def test_the_public_names_are_there_and_no_others():
    there = {
        name
        for name in dir(peerwire)
        if not name.startswith("_") and not isinstance(getattr(peerwire, name), types.ModuleType)
    }
    assert there - {"import_module", "TYPE_CHECKING"} == {*peerwire.__all__} - {"__version__"}
    assert len(peerwire.__all__) == len({*peerwire.__all__})
    assert isinstance(peerwire.__version__, str)


def test_they_come_with_a_star():
    names: dict[str, object] = {}
    exec("from peerwire import *", names)
    assert names.keys() - {"__builtins__"} == {*peerwire.__all__}


def test_a_name_that_is_not_there_is_missed_as_always():
    with pytest.raises(AttributeError, match=r"peerwire.*nonsense"):
        peerwire.nonsense  # noqa: B018


def test_all_errors_and_messages_are_public():
    assert {*errors.__all__} <= {*peerwire.__all__}
    assert {*messages.__all__} - {"Buffer"} <= {*peerwire.__all__}


@pytest.mark.parametrize("name", MODULES)
def test_each_module_says_what_is_public_in_it(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        assert hasattr(module, public), f"{name} has no {public}"


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_what_is_public_is_described(thing):
    assert thing.__doc__
    assert thing.__doc__ != inspect.getdoc(object)
    if not inspect.isclass(thing):
        return
    for name, member in own_members(thing):
        if callable(member) or isinstance(member, property | classmethod | staticmethod):
            overridden = name.endswith(".encode") and issubclass(thing, peerwire.Message)
            assert inspect.getdoc(member) or overridden, f"{name} has no docstring"


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_can_be_matched_and_is_one_line(kind):
    said = [message for message, _, _ in EXAMPLES if isinstance(message, kind)]
    assert said
    for message in said:
        assert len(str(message).splitlines()) == 1
        fields = [getattr(message, name) for name in type(message).__match_args__]
        assert type(message)(*fields) == message


def test_what_needs_asyncio_is_loaded_when_it_is_used():
    for name in ("connect", "Peer", "serve", "Server", "ServedTorrent"):
        assert peerwire.__getattr__(name) is getattr(peerwire, name)
    with pytest.raises(AttributeError, match="'peerwire' has no attribute 'nothing'"):
        peerwire.__getattr__("nothing")
