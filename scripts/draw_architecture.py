"""Draws the floors of the package, and the way of the bytes through its modules.

    python scripts/draw_architecture.py            # writes docs/topics/architecture-*.svg
    python scripts/draw_architecture.py --check    # says whether that would change anything

Modules, what they say of themselves and who imports whom are read from the sources.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from drawing import ROOT, Drawing, finish, wrapped

if TYPE_CHECKING:
    from pathlib import Path

SRC = ROOT / "src" / "peerwire"

#: Highest floor first, and the folders on it.
FLOORS = [
    ("what is typed", ["cli", "check"]),
    ("many peers, and content", ["swarm", "torrent", "capture"]),
    ("one connection on a socket", ["asyncio", "sync"]),
    ("one connection without I/O: the core", ["", "extensions"]),
]

#: The way of what a peer says, and of what we say to it, module by module.
IN = ["asyncio/connection", "encryption", "wire", "framing", "receiving", "state", "asyncio/inbox"]
OUT = ["asyncio/peer", "sending", "state", "encryption", "asyncio/connection"]


def modules(folder: str) -> list[str]:
    """Returns the modules directly in a folder of the package."""
    paths = (SRC / folder).glob("*.py") if (SRC / folder).is_dir() else []
    return sorted(path.stem for path in paths if not path.stem.startswith("__"))


def summary(module: str) -> str:
    """Returns what a module says of itself, its first sentence."""
    told = ast.get_docstring(ast.parse((SRC / f"{module}.py").read_text())) or ""
    return " ".join(told.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


@cache
def imported(path: Path, *, types: bool = False) -> frozenset[str]:
    """Returns the modules of the package that a module imports when it runs, or names as types."""
    found = set()
    package = path.parent
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if types else _at_run_time(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package
            for _ in range(node.level - 1):
                base = base.parent
            stem = base.joinpath(*(node.module or "").split("."))
            targets = [stem / alias.name for alias in node.names] + [stem]
            found |= {
                target.relative_to(SRC).as_posix()
                for target in targets
                if target.with_suffix(".py").is_file()
            }
    return frozenset(found)


def _at_run_time(tree: ast.Module) -> list[ast.AST]:
    waiting: list[ast.AST] = [tree]
    found = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        found.append(node)
        waiting.extend(ast.iter_child_nodes(node))
    return found


def draw_floors() -> Drawing:
    """Draws each folder as a box with its modules, and who imports whom between folders."""
    width, margin, line, columns = 900, 12, 17, 118
    drawing = Drawing("The floors of the package", width, 0)
    places: dict[str, tuple[float, float, float, float]] = {}
    titles: list[tuple[float, str]] = []
    y = 10.0
    for title, folders in FLOORS:
        there = [folder for folder in folders if modules(folder)]
        shares = [max(1, len(modules(folder))) for folder in there]
        titles.append((y + 14, title))
        y += 24
        x = float(margin)
        room = width - 2 * margin - 14 * (len(there) - 1)
        heights = []
        for folder, share in zip(there, shares, strict=True):
            wide = max(150.0, room * share / sum(shares))
            wide = min(wide, room - sum(150 for _ in there[there.index(folder) + 1 :]))
            names = modules(folder)
            across = max(1, int((wide - 16) // columns))
            high = 34 + line * -(-len(names) // across) + 6
            places[folder] = (x, y, wide, high)
            heights.append(high)
            x += wide + 14
            room -= wide
            shares = shares[1:]
        for folder in there:
            left, top, wide, _ = places[folder]
            high = max(heights)
            places[folder] = (left, top, wide, high)
            drawing.box(left, top, wide, high)
            drawing.text(left + 10, top + 20, f"peerwire.{folder}".rstrip("."), "head")
            names = modules(folder)
            across = max(1, int((wide - 16) // columns))
            rows = -(-len(names) // across)
            for number, name in enumerate(names):
                drawing.text(
                    left + 10 + columns * (number // rows),
                    top + 40 + line * (number % rows),
                    name,
                    "mono",
                )
        y += max(heights) + 40
    for (one, other), count in sorted(between().items()):
        if one in places and other in places and places[one][1] < places[other][1]:
            _arrow_down(drawing, places, one, other, count)
    for at, title in titles:
        drawing.text(width - margin, at, title, "faint haloed", "end")
    drawing.height = round(y - 30)
    return drawing


def between() -> dict[tuple[str, str], int]:
    """How many imports lead from one folder to another."""
    found: dict[tuple[str, str], int] = {}
    for path in sorted(SRC.rglob("*.py")):
        here = path.parent.relative_to(SRC).parts
        folder = here[0] if here else ""
        if path.stem.startswith("__"):
            continue
        for target in imported(path):
            there = target.split("/")[0] if "/" in target else ""
            if there != folder:
                found[folder, there] = found.get((folder, there), 0) + 1
    return found


def _arrow_down(
    drawing: Drawing,
    places: dict[str, tuple[float, float, float, float]],
    here: str,
    there: str,
    count: int,
) -> None:
    """Draws what a folder imports of one on the next floor, and how often."""
    floors = [folders for _, folders in FLOORS]
    level = next(n for n, folders in enumerate(floors) if here in folders)
    if level + 1 >= len(floors) or there not in floors[level + 1]:
        return  # further down: there are as many as there are lines of text
    x, y, wide, high = places[here]
    to_x, to_y, to_wide, _ = places[there]
    spread = floors[level + 1].index(there) + 1
    start = x + wide * spread / (len(floors[level + 1]) + 1)
    end = min(max(start, to_x + 20), to_x + to_wide - 20)
    drawing.arrow((start, y + high), (end, to_y))
    drawing.text(start + (end - start) / 4 + 8, y + high + 16, str(count), "faint small haloed")


def draw_flow() -> Drawing:
    """Draws the way in on the left, and the way out on the right, as the modules describe it."""
    for way in (IN, OUT):
        for one, other in pairwise(way):
            assert related(one, other), f"{one} and {other} do not know each other any more"
    box, step = 68, 94
    drawing = Drawing("The way of the bytes", 900, 70 + step * len(IN) + 20)
    for x, title, way in ((10, "bytes in, messages out", IN), (470, "calls in, bytes out", OUT)):
        drawing.text(x + 210, 20, title, "head", "middle")
        drawing.text(x + 210, 44, "the socket" if way is IN else "your program", "faint", "middle")
        for row, module in enumerate(way):
            y = 60 + step * row
            drawing.arrow((x + 210, y - (step - box if row else 10)), (x + 210, y))
            drawing.box(x, y, 420, box, "inner" if "/" in module else "box")
            drawing.text(x + 12, y + 22, f"{module}.py", "mono head")
            for line, words in enumerate(wrapped(summary(module), 60)[:2]):
                drawing.text(x + 12, y + 41 + 16 * line, words, "faint small")
        end = 60 + step * (len(way) - 1) + box
        drawing.arrow((x + 210, end), (x + 210, end + 20))
        last = "your program" if way is IN else "the socket"
        drawing.text(x + 210, end + 36, last, "faint", "middle")
    return drawing


def related(one: str, other: str) -> bool:
    """Whether of two modules one knows the other, or both have to do with the same third."""
    return other in neighbours(one) or bool(neighbours(one) & neighbours(other))


def neighbours(module: str) -> set[str]:
    """Returns the modules that a module knows, and those that know it."""
    paths = {path.relative_to(SRC).with_suffix("").as_posix(): path for path in SRC.rglob("*.py")}
    known_by = {name for name, path in paths.items() if module in imported(path, types=True)}
    return known_by | imported(paths[module], types=True)


def main() -> int:
    """Writes the drawings, or says whether they are up to date."""
    drawings = {
        "topics/architecture-floors.svg": str(draw_floors()),
        "topics/architecture-flow.svg": str(draw_flow()),
    }
    return finish(drawings, check="--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
