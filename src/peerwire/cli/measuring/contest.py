"""Contenders that take turns, and the rows that compare them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FIGURES", "Contest", "Figures", "Kind", "Result", "Row"]

#: What one run of a contender came to, by the names in `FIGURES`.
Figures: TypeAlias = "dict[str, float]"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a figure is.

    Attributes:
        unit: As it is written.
        scale: How much of what is measured makes one of the unit.
        more_is_better: Whether it is, or less.
    """

    unit: str
    scale: float
    more_is_better: bool


FIGURES = {
    "rate": Kind("GB/s", 1e9, more_is_better=True),
    "cpu": Kind("CPU s/GB", 1e-9, more_is_better=False),
    "cpu_other": Kind("CPU s/GB", 1e-9, more_is_better=False),
    "messages": Kind("M/s", 1e6, more_is_better=True),
    "handshakes": Kind("/s", 1, more_is_better=True),
    "memory": Kind("KiB", 1024, more_is_better=False),
    "time": Kind("ms", 1e-3, more_is_better=False),
    "stall": Kind("ms", 1e-3, more_is_better=False),
    "growth": Kind("x", 1, more_is_better=False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what is compared, and what is to be reached.

    Attributes:
        what: What is measured.
        figure: A name of `FIGURES`.
        ours: The contender that is ours.
        beside: Those that it is compared with; the best of them counts. Without any, the figure
            alone is judged.
        mark: What the ratio, or the figure in its unit, has to reach; None to reach nothing.
    """

    what: str
    figure: str
    ours: str
    beside: tuple[str, ...] = ()
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a row came to.

    Attributes:
        row: The row.
        figure: Ours, the median of all runs, in its unit.
        beside: Who it was compared with; "" for nobody.
        other: Their figure.
        ratio: The median over the runs of ours divided by theirs.
        runs: How many there were.
    """

    row: Row
    figure: float
    beside: str = ""
    other: float | None = None
    ratio: float | None = None
    runs: int = 0

    @property
    def kind(self) -> Kind:
        """What the figure is."""
        return FIGURES[self.row.figure]

    @property
    def reached(self) -> bool | None:
        """Whether the mark was; None where there is none, or nobody to be compared with."""
        judged = self.ratio if self.row.beside else self.figure
        if self.row.mark is None or judged is None:
            return None
        return judged >= self.row.mark if self.kind.more_is_better else judged <= self.row.mark


@dataclass(slots=True)
class Contest:
    """Contenders for the same figures.

    Attributes:
        name: What they contend in, in a word.
        contenders: Name to what runs it once. Those that are missing here are left out.
        rows: What is compared.
        figures: Name to what each run came to, after `run`.
    """

    name: str
    contenders: dict[str, Callable[[], Figures]]
    rows: list[Row]
    figures: dict[str, list[Figures]] = field(default_factory=dict)

    def run(self, runs: int, tell: Callable[[str], None] = lambda _: None) -> None:
        """Runs everybody so many times, in turns, another one first each time."""
        names = list(self.contenders)
        self.figures = {name: [] for name in names}
        for number in range(runs):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                tell(f"{self.name}: {name}, {number + 1} of {runs}")
                self.figures[name].append(self.contenders[name]())

    def results(self) -> list[Result]:
        """Returns what the rows came to."""
        return [self._result(row) for row in self.rows if row.ours in self.figures]

    def _result(self, row: Row) -> Result:
        kind = FIGURES[row.figure]
        ours = self._runs(row.ours, row.figure)
        figure = statistics.median(ours) / kind.scale
        others = {name: self._runs(name, row.figure) for name in row.beside if name in self.figures}
        if not others:
            return Result(row, figure, runs=len(ours))
        pick = max if kind.more_is_better else min
        best = pick(others, key=lambda name: statistics.median(others[name]))
        ratio = statistics.median(a / b for a, b in zip(ours, others[best], strict=True))
        other = statistics.median(others[best]) / kind.scale
        return Result(row, figure, best, other, ratio, len(ours))

    def _runs(self, name: str, figure: str) -> list[float]:
        return [figures[figure] for figures in self.figures[name]]
