"""Runs the targets, each for a bounded time, and says in a line what came of it.

    python -m fuzz [--merge] [TARGET ...]

``FUZZ_SECONDS`` is the time for each, 60 unless it is set. What a run finds interesting stays in
``fuzz/grown``, which git ignores, and is where the next one begins; ``--merge`` takes what of it
reaches code that no other does into ``fuzz/corpus``. An input that makes a target fail is saved in
``fuzz/findings``, where the test suite finds it, too. Exit status 1 says that there is one.
"""

# ruff: noqa: T201 - it is typed

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("[!_]*.py"))

#: Seconds after which one input counts as a hang; the slowest of the corpus takes some 0.05.
HANG = 10
#: Megabytes above which one input counts as a leak.
MEMORY = 1024


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--merge", action="store_true", help="keep what was grown, and do not fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    arguments = parser.parse_args()
    chosen = arguments.targets or TARGETS
    if unknown := set(chosen) - set(TARGETS):
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    if arguments.merge:
        return max(map(merge, chosen))
    seconds = int(os.environ.get("FUZZ_SECONDS", "60"))
    return int(sum([fuzz(target, seconds) for target in chosen]) > 0)


def fuzz(target: str, seconds: int) -> int:
    """Fuzzes one target; returns how many findings there are, which is 1 at most."""
    grown, corpus, findings = folders(target)
    before = {*findings.iterdir()}
    options = (
        f"-max_total_time={seconds}",
        f"-timeout={HANG}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={findings}/",
        f"-dict={HERE / 'words.dict'}",
        "-print_final_stats=1",
    )
    done = run(target, *options, str(grown), str(corpus), str(findings))
    new = sorted(path for path in findings.iterdir() if path not in before)
    failed = done.returncode != 0
    print(f"{summary(target, done.stderr)}  {int(failed)} findings", flush=True)
    if failed:
        print(what_failed(done))
        print(*(f"saved as {path.relative_to(HERE.parent)}" for path in new), sep="\n", flush=True)
    return int(failed)


def merge(target: str) -> int:
    """Takes into the corpus what reaches code that nothing in it does; how often does not count."""
    grown, corpus, _ = folders(target)
    done = run(target, "-merge=1", "-use_counters=0", str(corpus), str(grown))
    size = sum(path.stat().st_size for path in corpus.iterdir())
    print(f"{target:20} {len(list(corpus.iterdir())):5} inputs  {size:7,} bytes", flush=True)
    if done.returncode:
        print(what_failed(done))
    return int(done.returncode != 0)


def folders(target: str) -> tuple[Path, Path, Path]:
    """What was grown here, the corpus, and the findings of a target; they are made."""
    found = [HERE / name / target for name in ("grown", "corpus", "findings")]
    for folder in found:
        folder.mkdir(parents=True, exist_ok=True)
    return found[0], found[1], found[2]


def run(target: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs the fuzzer in a process of its own: it ends its process when it is done."""
    command = [sys.executable, "-m", "fuzz.child", target, *options]
    return subprocess.run(
        command, cwd=HERE.parent, capture_output=True, text=True, errors="replace", check=False
    )


def summary(target: str, report: str) -> str:
    """The line about a run, from libFuzzer's report."""
    counts = {
        name: int(re.findall(pattern, report)[-1]) if re.search(pattern, report) else 0
        for name, pattern in (
            ("executions", r"number_of_executed_units: (\d+)"),
            ("rate", r"average_exec_per_sec: +(\d+)"),
            ("corpus", r" corp: (\d+)/"),
            ("features", r" ft: (\d+)"),
        )
    }
    return (
        f"{target:20} {counts['executions']:11,} executions {counts['rate']:8,}/s "
        f"{counts['corpus']:6,} inputs {counts['features']:7,} features"
    )


def what_failed(done: subprocess.CompletedProcess[str]) -> str:
    """The traceback, or whatever else was said last."""
    said = done.stdout + done.stderr
    found = re.search(r"Uncaught Python exception: ===\n(.*?)\n\n", said, re.DOTALL)
    return found[1] if found else said[-2000:]


if __name__ == "__main__":
    sys.exit(main())
