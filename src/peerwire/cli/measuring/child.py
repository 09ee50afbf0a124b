"""Programs in processes of their own, which say lines of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from ...errors import PeerWireError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["Child", "ours", "say"]

#: Seconds that a program may take to say its next line, before it is killed.
TIMEOUT = 120.0

#: Seconds that it has to end once it is told to.
GRACE = 5.0


def say(**record: object) -> None:
    """Says a line to whoever started this program."""
    print(json.dumps(record), flush=True)


def ours(name: str, **options: object) -> list[str]:
    """Returns the command of one of our own programs."""
    return [sys.executable, "-m", f"{__package__}", name, json.dumps(options)]


class Child:
    """A program that runs for as long as the block.

    Args:
        command: What to run.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as it runs
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def read(self, timeout: float = TIMEOUT) -> Any:
        """Returns the next line that it says.

        Args:
            timeout: Seconds after which it is killed if it says nothing.

        Raises:
            PeerWireError: It has ended, or was killed.
        """
        assert self._popen.stdout is not None
        killer = threading.Timer(timeout, self._popen.kill)
        killer.start()
        try:
            line = self._popen.stdout.readline()
        finally:
            killer.cancel()
        if not line:
            raise PeerWireError(self._how_it_ended())
        return json.loads(line)

    def tell(self) -> None:
        """Tells the program, which waits for a line, to go on."""
        assert self._popen.stdin is not None
        self._popen.stdin.write("\n")
        self._popen.stdin.flush()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._popen.terminate()
        try:
            self._popen.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.communicate()
        self._complaints.close()

    def _how_it_ended(self) -> str:
        ended = f"{' '.join(self._command)} ended with status {self._popen.wait()}"
        self._complaints.seek(0)
        lines = self._complaints.read().splitlines()
        return f"{ended}: {lines[-1]}" if lines else ended
