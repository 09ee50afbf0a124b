"""The table as a picture: a bar for each row, as long as the way to its mark that was gone."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from peerwire.cli.measuring.table import HEADINGS, cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from peerwire.cli.measuring.contest import Result

__all__ = ["picture"]

WIDTH = 1120
LINE = 22
MARGIN = 16

#: Where the cells of a row begin: what, ours, beside, ratio, the bar with the mark.
COLUMNS = (MARGIN, 390, 500, 720, 780)
BAR = 200

#: How many times the mark a bar shows at most.
MOST = 2.0

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.faint { fill: #59636e; }
.line { stroke: #d1d9e0; }
.mark { stroke: #1f2328; stroke-width: 1.5; }
.reached { fill: #2da44e; }
.below { fill: #d1703c; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.faint { fill: #9198a1; }
.line { stroke: #3d444d; }
.mark { stroke: #e6edf3; }
}"""


def picture(results: Sequence[Result], on: Mapping[str, str]) -> str:
    """Returns an SVG image, readable on light and dark ground.

    Args:
        results: The rows.
        on: What was measured on, and with.
    """
    notes = list(_wrapped([f"{name} {value}" for name, value in on.items()]))
    height = 2 * MARGIN + LINE * (len(results) + 2 + len(notes))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>peerwire beside others: how far each figure is on the way to its mark</title>",
        f"<style>{STYLE}</style>",
        *_row(MARGIN, HEADINGS[:-1], "head"),
        f'<line class="line" x1="{MARGIN}" x2="{WIDTH - MARGIN}"'
        f' y1="{MARGIN + LINE}" y2="{MARGIN + LINE}"/>',
    ]
    for number, result in enumerate(results, start=1):
        top = MARGIN + LINE * number
        *words, mark, verdict = cells(result)
        lines += _row(top, [*words, f"{mark}  {verdict}".strip()])
        lines += _bar(top, result)
    top = MARGIN + LINE * (len(results) + 2)
    lines += [_text(MARGIN, top + LINE * n, note, "faint") for n, note in enumerate(notes)]
    return "\n".join([*lines, "</svg>", ""])


def _row(top: int, words: Sequence[str], kind: str = "") -> list[str]:
    what, ours, beside, ratio, mark = COLUMNS
    places = (what, ours, beside, ratio, mark + BAR + 8)
    return [
        _text(place, top, word, kind) for place, word in zip(places, words, strict=True) if word
    ]


def _text(left: int, top: int, words: str, kind: str) -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{left}" y="{top + 15}">{escape(words)}</text>'


def _bar(top: int, result: Result) -> list[str]:
    """Draws how far the way to the mark was gone, where there is one."""
    judged, mark = result.ratio if result.row.beside else result.figure, result.row.mark
    if judged is None or mark is None:
        return []
    least = mark / MOST**9  # a figure can be nothing, or less
    share = judged / mark if result.kind.more_is_better else mark / max(judged, least)
    length = BAR / MOST * min(share, MOST)
    kind = "reached" if result.reached else "below"
    left, middle = COLUMNS[4], COLUMNS[4] + BAR / MOST
    return [
        f'<rect class="{kind}" x="{left}" y="{top + 5}" width="{length:.1f}" height="12" rx="2"/>',
        f'<line class="mark" x1="{middle:.1f}" x2="{middle:.1f}" y1="{top + 2}" y2="{top + 20}"/>',
    ]


def _wrapped(words: Sequence[str], width: int = 150) -> Iterator[str]:
    """Joins notes into lines."""
    line = ""
    for word in words:
        if line and len(line) + len(word) > width:
            yield line
            line = ""
        line += f" · {word}" if line else word
    yield line
