"""Every seed and every past finding of the fuzz targets runs once, without the fuzzer."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FUZZ = ROOT / "fuzz"
TARGETS = sorted(path.stem for path in (FUZZ / "targets").glob("[!_]*.py"))


@pytest.fixture(scope="module")
def target():
    """Finds the function of a target, wherever the tests are run from."""
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ / "__init__.py")
    sys.modules["fuzz"] = importlib.util.module_from_spec(spec)
    yield lambda name: importlib.import_module(f"fuzz.targets.{name}").target
    for name in [name for name in sys.modules if name.partition(".")[0] == "fuzz"]:
        del sys.modules[name]


def inputs(name):
    folders = (FUZZ / "corpus" / name, FUZZ / "findings" / name)
    return sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir())


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_in_the_corpus_makes_a_target_fail(name, target):
    run = target(name)
    paths = inputs(name)
    assert paths
    for path in paths:
        try:
            run(path.read_bytes())
        except Exception as error:
            error.add_note(f"the input is {path.relative_to(ROOT)}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_left_of_an_input_is_one_too(name, target):
    run = target(name)
    for path in inputs(name)[::7]:
        data = path.read_bytes()
        for end in {0, 1, len(data) // 3, len(data) // 2}:
            run(data[:end])


def test_the_corpus_is_of_targets_that_are_there_and_stays_small():
    folders = [*(FUZZ / "corpus").iterdir(), *(FUZZ / "findings").iterdir()]
    assert {folder.name for folder in folders} == {*TARGETS}
    sizes = [path.stat().st_size for folder in folders for path in folder.iterdir()]
    assert sum(sizes) < 1 << 20


def test_a_target_says_what_it_found(target, monkeypatch):
    run = target("lt_donthave")
    donthave = importlib.import_module("fuzz.targets.lt_donthave").LtDontHave
    monkeypatch.setattr(donthave, "receive", lambda _self, _payload: None)
    with pytest.raises(Exception, match="something else") as found:
        run(b"\x0a\x04\0\0\0\5")
    assert type(found.value).__name__ == "Finding"
