"""Changes the code in small ways, one at a time, and shows the changes that no test notices.

mutmut makes the mutants and runs the tests of their module on them, in a copy of the checkout.
What survives is held against `looked_at.toml`: mutants that somebody looked at and found to behave
as the original does, or to differ in what nobody is promised. Whatever survives beside those is
shown, in the form that the list has, and fails the command.

    python -m tests.mutation                 # every module below
    python -m tests.mutation bencode mse     # these
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[2]
LOOKED_AT = Path(__file__).with_name("looked_at.toml")
MODULES = ("bencode", "mse", "framing", "wire", "receiving")

#: A mutant as the list names it: its function, the line before and the line after. mutmut's own
#: numbers change with every edit.
Mutant: TypeAlias = tuple[str, str, str]

#: What mutmut writes down for a mutant that a test noticed, and for one that never came to an end.
KILLED = {1, 3}
TIMEOUT = {36, 24, -24, 152}

#: A mutant that loops is stopped by its time, one that hoards by this, in bytes.
MAX_MEMORY = 3 << 30

#: In the copy, only what is mutated is said; the rest is as it is in the checkout.
CONFIGURATION = """
[tool.mutmut]
source_paths = ["src/peerwire"]
only_mutate = ["src/peerwire/{module}.py"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
timeout_multiplier = 3.0
"""


def own_tests(module: str) -> list[str]:
    """The test files of a module: its own, and those that begin with its name."""
    tests = ROOT / "tests"
    found = [tests / f"test_{module}.py", *sorted(tests.glob(f"test_{module}_*.py"))]
    return [str(path.relative_to(ROOT)) for path in found]


def prepare(module: str, folder: Path) -> None:
    """Copies what mutmut needs of the checkout."""
    ignore = shutil.ignore_patterns("__pycache__", "interop", ".hypothesis")
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    settings = CONFIGURATION.format(module=module, tests=json.dumps(own_tests(module)))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + settings)


def mutmut(folder: Path, *arguments: str, limit: float) -> str:
    """Runs mutmut in the copy and returns what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        check=False,
    ).stdout


def survives(folder: Path, module: str, name: str) -> bool:
    """Whether all tests of the module pass with a mutant, in a process of its own.

    mutmut forks after it imported the module, and runs the tests that it saw calling a function:
    what a module calls as it is imported is neither mutated then nor tested.
    """
    mutants = folder / "mutants"
    options = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *own_tests(module)],
        cwd=mutants,
        env=os.environ | {"PYTHONPATH": str(mutants / "src"), "MUTANT_UNDER_TEST": name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=600,
        check=False,
    )
    return result.returncode == 0


def describe(folder: Path, name: str) -> Mutant:
    """Finds the line that a mutant changed, before and after."""
    shown = mutmut(folder, "show", name, limit=60).splitlines()
    changes = [line for line in shown if line[:1] in "-+" and line[:3] not in ("---", "+++")]
    lines = {mark: " ".join(c[1:].strip() for c in changes if c[0] == mark) for mark in "-+"}
    function = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    function = function.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    return function, lines["-"], lines["+"]


def looked_at(module: str) -> collections.Counter[Mutant]:
    """The mutants of a module that are known to survive."""
    groups = tomllib.loads(LOOKED_AT.read_text()).get(module, [])
    return collections.Counter(
        (function, before, after)
        for group in groups
        for function, before, after in group["mutants"]
    )


def check(module: str, limit: float) -> bool:
    """Mutates a module and reports; returns whether every survivor was looked at."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="peerwire-mutation-") as name:
        folder = Path(name)
        prepare(module, folder)
        output = mutmut(folder, "run", "--max-children", "1", limit=limit)
        results = folder / "mutants" / "src" / "peerwire" / f"{module}.py.meta"
        codes = json.loads(results.read_text())["exit_code_by_key"] if results.exists() else {}
        if not codes or None in codes.values():
            print(output[-2000:], f"{module}: mutmut did not come to its end", sep="\n")
            return False
        doubtful = [key for key, code in codes.items() if code not in KILLED | TIMEOUT]
        alive = [key for key in doubtful if survives(folder, module, key)]
        survivors = collections.Counter(describe(folder, key) for key in alive)
    known = looked_at(module)
    fresh, stale = survivors - known, known - survivors
    caught = len(codes) - len(alive)
    print(
        f"{module}: {len(codes)} mutants, {caught} noticed ({100 * caught / len(codes):.1f} %), "
        f"{len(alive)} survive, {fresh.total()} of them not looked at, "
        f"in {time.monotonic() - started:.0f} s"
    )
    for mutant in fresh.elements():
        print(f"    {json.dumps(mutant, ensure_ascii=False)},")
    for mutant in stale.elements():
        print(f"    is in the list and survives no more: {json.dumps(mutant, ensure_ascii=False)}")
    sys.stdout.flush()
    return not fresh


def main() -> int:
    """Does what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=MODULES, metavar="MODULE")
    parser.add_argument("--limit", type=float, default=3600, help="seconds a module")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    done = [check(module, arguments.limit) for module in arguments.modules]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
