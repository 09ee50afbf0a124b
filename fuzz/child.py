"""One target under the fuzzer: ``python -m fuzz.child TARGET [libFuzzer's options]``."""

from __future__ import annotations

import importlib
import sys

import atheris  # type: ignore[import-untyped]


def main() -> None:
    """Imports the target, with everything of ours that it imports, so that coverage is seen."""
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["peerwire", "fuzz"]):
        module = importlib.import_module(f"fuzz.targets.{name}")
    # What libFuzzer starts, in a shell, where it works in several processes: to merge, to minimize.
    sys.argv[0] = f"{sys.executable} -m fuzz.child {name}"
    atheris.Setup(sys.argv, module.target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
