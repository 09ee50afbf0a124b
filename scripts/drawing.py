"""What the drawings of the documentation are made of: boxes, arrows and words, as SVG."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

__all__ = ["ROOT", "Drawing", "finish", "wrapped"]

ROOT = Path(__file__).resolve().parent.parent

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.head { font-weight: 600; }
.faint { fill: #59636e; }
.haloed { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; }
.small { font-size: 12px; }
.mono { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12px; }
.box { fill: #f6f8fa; stroke: #8c959f; }
.inner { fill: #ffffff; stroke: #d1d9e0; }
.end { fill: #fff1e5; stroke: #bc4c00; }
.arrow { fill: none; stroke: #0b5e8a; stroke-width: 1.4; marker-end: url(#tip); }
.tip { fill: #0b5e8a; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.faint { fill: #9198a1; }
.haloed { stroke: #131416; }
.box { fill: #1c2128; stroke: #768390; }
.inner { fill: #22272e; stroke: #444c56; }
.end { fill: #3d2412; stroke: #e0823d; }
.arrow { stroke: #6cc3f0; }
.tip { fill: #6cc3f0; }
}"""


@dataclass
class Drawing:
    """An SVG that is read on light and dark ground.

    Attributes:
        title: What it shows, for who does not see it.
        width: In pixels.
        height: In pixels.
    """

    title: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box") -> None:
        """Draws a box."""
        self.parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
            ' rx="6"/>'
        )

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Writes a line; `y` is where its letters stand."""
        self.parts.append(
            f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draws an arrow along points: straight by two, a curve by three or four."""
        (x, y), *rest = points
        curve = {1: "L", 2: "Q", 3: "C"}[len(rest)]
        way = " ".join(f"{x:g},{y:g}" for x, y in rest)
        self.parts.append(f'<path class="arrow" d="M{x:g},{y:g} {curve}{way}"/>')

    def __str__(self) -> str:
        size = f'width="{self.width}" height="{self.height}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size}'
                f' viewBox="0 0 {self.width} {self.height}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{STYLE}</style>",
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
                ' markerHeight="8" orient="auto-start-reverse">'
                '<path class="tip" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
                *self.parts,
                "</svg>",
                "",
            ]
        )


def wrapped(words: str, width: int) -> list[str]:
    """Returns words in lines of so many characters at the most."""
    return textwrap.wrap(words, width) or [""]


def finish(drawings: dict[str, str], *, check: bool) -> int:
    """Writes drawings, or says which are not up to date.

    Args:
        drawings: What is to be in each file below docs/.
        check: Whether to write nothing.

    Returns:
        An exit status.
    """
    stale = 0
    for name, drawing in drawings.items():
        path = ROOT / "docs" / name
        if check and (not path.is_file() or path.read_text() != drawing):
            print(f"docs/{name} is not what the code says any more: make generate")
            stale = 1
        elif not check:
            path.write_text(drawing)
    return stale
