"""Progress as a bar on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Bar"]


class Bar:
    """A bar that moves while it is entered.

    Args:
        label: What is being done.
    """

    def __init__(self, label: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            # What is printed meanwhile appears above the bar; but results may go to a file.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._task = self._progress.add_task(label, total=None, note="")

    def update(self, done: int, total: int, note: str = "") -> None:
        """Shows that `done` of `total` bytes are done, and a few words beside it."""
        self._progress.update(self._task, completed=done, total=total, note=note)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()
