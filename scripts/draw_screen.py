"""Draws what the README shows of the tools: the real program's own lines, as an SVG.

    python scripts/draw_screen.py            # writes docs/screen.svg
    python scripts/draw_screen.py --check    # says whether that would change anything

The program runs on a terminal of its own, so that it writes the colours that it writes to anybody.
"""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.style import Style

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "screen.svg"

CAPTURE = "tests/data/captures/metadata.pcap"
COMMAND = ["decode", CAPTURE]
PROMPT = "$ peerwire decode capture.pcap"

LINES = 24
WIDTH = 104

#: Pixels: of a character, of a line, around the text.
ADVANCE, LEADING, MARGIN = 7.8, 18, 16

#: The colours of an SVG that is read on any ground: those of a dark terminal.
GROUND, INK, FAINT = "#16191d", "#d7dae0", "#7f8894"
COLOURS = {1: "#f0707a", 2: "#8fce6b", 3: "#e3c76f", 5: "#d48ae6", 6: "#56c8d8"}


def run() -> str:
    """Returns what the program writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"}
    environment.pop("NO_COLOR", None)
    program = subprocess.Popen(
        [sys.executable, "-m", "peerwire", *COMMAND],
        cwd=ROOT,
        env=environment,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    said = io.BytesIO()
    try:
        while chunk := os.read(ours, 65536):
            said.write(chunk)
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    if program.wait(30):
        raise SystemExit(f"peerwire {' '.join(COMMAND)} ended with {program.returncode}")
    return said.getvalue().decode().replace("\r\n", "\n")


def draw(said: str) -> str:
    """Returns the first lines as an SVG, each span in its colour."""
    console = Console(width=WIDTH, color_system="standard", file=io.StringIO())
    lines = [Text(PROMPT, style="bold")]
    lines += [Text.from_ansi(line) for line in said.splitlines()[:LINES]]
    width = round(WIDTH * ADVANCE + 2 * MARGIN)
    height = LEADING * len(lines) + 2 * MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img">',
        "<title>peerwire decode: two clients, message by message</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>',
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">',
    ]
    for number, line in enumerate(lines):
        line.truncate(WIDTH, overflow="ellipsis")
        y = MARGIN + LEADING * (number + 0.75)
        x = float(MARGIN)
        for segment in line.render(console):
            text = segment.text.rstrip("\n").replace(" ", "\u00a0")  # else leading ones are lost
            if not text:
                continue
            fill = _fill(segment.style)
            weight = ' font-weight="bold"' if segment.style and segment.style.bold else ""
            drawn.append(
                f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}"{weight}'
                f' textLength="{len(text) * ADVANCE:.1f}">{escape(text)}</text>'
            )
            x += len(text) * ADVANCE
    return "\n".join([*drawn, "</g>", "</svg>", ""])


def _fill(style: Style | None) -> str:
    if style is not None and style.color is not None:
        return COLOURS[style.color.number or 0]
    return FAINT if style is not None and style.dim else INK


def main() -> int:
    """Writes the drawing, or says whether it is up to date."""
    drawing = draw(run())
    if "--check" in sys.argv:
        return int(not TARGET.is_file() or TARGET.read_text() != drawing)
    TARGET.write_text(drawing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
