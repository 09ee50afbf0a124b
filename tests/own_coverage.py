"""Whether each module of the core is covered by its own tests, and the rest as far as it was.

Run after the tests, on what they measured: ``python -m tests.own_coverage``. The tests of a module
are those of `test_x.py` and `test_x_*.py`; what other tests happen to run on their way does not
count, as they would not notice what it did. `conftest.py` tells coverage which file is running.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "peerwire"

#: The folders whose files are the core.
CORE = (SRC, SRC / "extensions")

#: Whose tests are called something else. `__main__` runs in processes of its own.
ELSEWHERE = {"__init__": "test_public_names"}
UNMEASURED = ("__main__.py",)

#: What is on the floors above was covered to this, in percent, and is to stay so.
REST = 99.9


def core() -> list[Path]:
    """The files of the core."""
    return sorted(
        path for folder in CORE for path in folder.glob("*.py") if path.name not in UNMEASURED
    )


def own_tests(path: Path) -> str:
    """A pattern for the test files of a module, as `conftest.py` names them."""
    name = ELSEWHERE.get(path.stem, f"test_{path.stem}")
    folder = Path("tests", path.parent.relative_to(SRC)).as_posix()
    return rf"^{re.escape(folder)}/{re.escape(name)}(_\w+)?\.py$"


def measured(coverage: Coverage, paths: list[Path], contexts: list[str] | None) -> dict[str, Any]:
    """What coverage reports of these files, counting only what ran in these contexts."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        coverage.json_report([str(path) for path in paths], report.name, contexts=contexts)
        return dict(json.load(report))


def runs(lines: list[int]) -> Iterator[str]:
    """Writes ascending numbers as runs: 3, 5-7."""
    for _, group in itertools.groupby(enumerate(lines), lambda pair: pair[1] - pair[0]):
        first, *more = [line for _, line in group]
        yield f"{first}-{more[-1]}" if more else f"{first}"


def lacking(coverage: Coverage, path: Path) -> str:
    """Says which lines and branches of a module its own tests leave out; empty for none."""
    report = measured(coverage, [path], ["^$", own_tests(path)])
    (file,) = report["files"].values()
    gone = file["missing_lines"]
    branches = [
        f"{start}->{end if end > 0 else 'exit'}"
        for start, end in file["missing_branches"]
        if start not in gone
    ]
    said = [("lines", list(runs(gone))), ("branches", branches)]
    return "; ".join(f"{what} {', '.join(where)}" for what, where in said if where)


def main() -> int:
    """Reports what is not covered; returns the exit status."""
    coverage = Coverage()
    coverage.load()
    if not coverage.get_data().measured_contexts():
        print("nothing was measured; run `make unit` first")
        return 1
    failed = False
    for path in core():
        if missing := lacking(coverage, path):
            failed = True
            print(f"{path.relative_to(ROOT)}: its own tests leave out {missing}")
    rest = [path for path in sorted(SRC.rglob("*.py")) if path not in core()]
    percent = measured(coverage, rest, None)["totals"]["percent_covered"]
    if percent < REST:
        failed = True
        print(f"the rest: {percent:.2f} % is covered, {REST} % was")
    if not failed:
        print(
            f"{len(core())} modules of the core are covered by their own tests, each line and "
            f"branch; the rest is to {percent:.2f} %"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
