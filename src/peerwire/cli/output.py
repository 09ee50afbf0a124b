"""What a verb says: results on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Output", "Progress", "human_bytes", "human_rate"]

#: Seconds between progress lines where there is no terminal to draw a bar on.
PLAIN_INTERVAL = 2.0


class Progress(Protocol):
    """Shows how far something has come."""

    def update(self, done: int, total: int, note: str = "") -> None:
        """Shows that `done` of `total` bytes are done, and a few words beside it."""


class Output:
    """Where a verb writes.

    Args:
        json: Whether results are JSON objects, one a line, instead of text for people.
    """

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def result(self, record: Mapping[str, object], text: str) -> None:
        """Writes a result: `record` as JSON, or `text` for people."""
        _print(json.dumps(record) if self.json else text, sys.stdout)

    def event(self, record: Mapping[str, object], text: str) -> None:
        """Writes what happened on the way: `record` among the results, or `text` as a note."""
        if self.json:
            _print(json.dumps(record), sys.stdout)
        else:
            self.note(text)

    def note(self, text: str) -> None:
        """Tells people something by the way."""
        _print(text, sys.stderr)

    def error(self, text: str) -> None:
        """Tells people what went wrong, in one line."""
        _print(f"peerwire: {' '.join(text.split())}", sys.stderr)

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Shows how far something has come while the block runs.

        Args:
            label: What is being done.
        """
        if not sys.stderr.isatty():
            yield _Lines(label)
            return
        try:
            from .bar import Bar
        except ImportError:  # rich comes with peerwire[cli]; plain lines do without
            yield _Lines(label)
            return
        with Bar(label) as bar:
            yield bar


class _Lines:
    """Progress as plain lines, one every two seconds while there is any."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._said_at = time.monotonic()
        self._said = ""

    def update(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._said_at < PLAIN_INTERVAL:
            return
        self._said_at = now
        share = 100 * done // total if total else 100
        line = f"{self._label}: {share} %, {human_bytes(done)} of {human_bytes(total)}"
        line += f", {note}" if note else ""
        if line != self._said:
            self._said = line
            _print(line, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    """Prints a line, whatever the stream makes of it."""
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        # Who read it has enough, `head` for one. What is under way goes on, to nobody.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def human_bytes(count: float) -> str:
    """Returns a number of bytes as people write it, in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_rate(count: float, seconds: float) -> str:
    """Returns a speed in MB/s (a million bytes a second), as network speeds are written."""
    return f"{count / 1e6 / seconds:.1f} MB/s" if seconds > 0 else "at once"
