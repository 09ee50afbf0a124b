"""Writes what each verb says to --help into docs/reference/command-line.md.

    python scripts/write_command_line.py

What stands above the mark is written by hand, what stands below it is made.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from peerwire.cli import VERBS, main

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "command-line.md"

MARK = "<!-- made by: python scripts/write_command_line.py -->\n"


def said(verb: str) -> str:
    """Returns what a verb says to --help, on a terminal of 96 columns."""
    os.environ["COLUMNS"] = "96"
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main([verb, "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def sections() -> str:
    """Returns what is made: a section for each verb, in the order of the overview."""
    parts = [f"## {verb}\n\n```text\n{said(verb)}\n```\n" for verb in VERBS]
    return "\n".join([MARK, *parts])


def run() -> None:
    """Writes the page anew."""
    by_hand, _, _ = TARGET.read_text().partition(MARK)
    TARGET.write_text(by_hand + sections())


if __name__ == "__main__":
    run()
