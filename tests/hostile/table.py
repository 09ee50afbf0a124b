"""The table of docs/topics/security.md, made of the rows and the cases."""

from __future__ import annotations

from pathlib import Path

from .case import Case, Level, Row
from .cases import CASES
from .rows import ROWS

__all__ = ["BEGIN", "DOCUMENT", "END", "in_document", "table", "update"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "topics" / "security.md"

#: The lines around the table in the document.
BEGIN = "<!-- made by: python -m tests.hostile -->"
END = "<!-- end of what is made -->"


def table() -> str:
    """Returns the table, and the cases of each row below it."""
    lines = ["| what comes | what becomes of it | held by | cases |", "| --- | --- | --- | --- |"]
    for row in ROWS:
        count = len(cases_of(row))
        link = f"[{count}](#{row.key})"
        lines.append(f"| {row.input} | {row.answer} | {_bounds(row)} | {link} |")
    for row in ROWS:
        on = ", ".join(level.value for level in Level if level in row.levels)
        lines += ["", f"### {row.key}", "", f"Met by {on}.", ""]
        lines += [_line(case) for case in cases_of(row)]
    return "\n".join(lines)


def cases_of(row: Row) -> list[Case]:
    """Returns the cases of a row."""
    return [case for case in CASES if case.row == row.key]


def in_document() -> str:
    """Returns what the document has for the table."""
    _, _, rest = DOCUMENT.read_text().partition(BEGIN)
    return rest.partition(END)[0].strip()


def update() -> None:
    """Writes the table into the document."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")


def _bounds(row: Row) -> str:
    named = (bound if " " in bound else f"`{bound}`" for bound in row.bounds)
    return ", ".join(named) or "the rule itself"


def _line(case: Case) -> str:
    return f"- `{case.id}`: {case.expect}"
