"""What happens on a wire as lines of a log.

The grammar is one line for each thing that happens::

      0.001203 > request 3:16384+16384
      0.001876 < piece 3:16384+16384
      0.031877 = closed
      9.000000 % request 3:0+16384 timed out
      9.000001 ! deviation: bitfield 4 of at most 8 after other messages (BEP 3, ...)

Seconds, a mark, and what it was: ``>`` sent, ``<`` received, ``=`` a state, ``%`` a timer, ``!``
an error, or a deviation that was let pass. A wire without a trace pays a comparison for each
message, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .state import Mark

__all__ = ["TraceLines", "trace_line"]


def trace_line(mark: Mark, what: object, seconds: float, label: str = "") -> str:
    """Returns one line of a log.

    Args:
        mark: What kind of thing it was.
        what: The message, state, timer or error; a line break in its text becomes a space.
        seconds: When, counted from wherever the reader likes.
        label: Which wire, where a log has several.
    """
    text = " ".join(str(what).splitlines())
    return " ".join(filter(None, (f"{seconds:10.6f}", label, mark, text)))


class TraceLines:
    """A trace for a wire: writes a line for everything that happens.

    Args:
        write: Takes a line, without its end: `print`, or a logger's `debug`.
        label: Which wire, where several write to the same place.
        start: The time that counts as zero; that of the first line if None.
    """

    __slots__ = ("_label", "_start", "_write")

    def __init__(
        self, write: Callable[[str], object], *, label: str = "", start: float | None = None
    ) -> None:
        self._write = write
        self._label = label
        self._start = start

    def __call__(self, mark: Mark, what: object, now: float) -> None:
        """Writes the line: what a wire calls."""
        if self._start is None:
            self._start = now
        self._write(trace_line(mark, what, now - self._start, self._label))
