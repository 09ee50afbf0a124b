"""The programs of a measurement in threads of this process, instead of in processes."""

from __future__ import annotations

import json
import queue
import threading
from typing import Any

import pytest

from peerwire.cli.measuring import bare, contests, decoding, floor, ours
from peerwire.cli.measuring.__main__ import PROGRAMS

#: What the program of a thread has said.
here = threading.local()


class Inside:
    """A `Child` that is a thread. Commands end with the program's name and options."""

    def __init__(self, command: list[str]) -> None:
        self._said: queue.Queue[dict[str, Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=command[-2:])
        self._thread.start()

    def _run(self, name: str, options: str) -> None:
        here.said = self._said
        PROGRAMS[name](**json.loads(options))

    def read(self) -> dict[str, Any]:
        return self._said.get(timeout=30)

    def __enter__(self) -> Inside:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def inside(monkeypatch):
    for module in (bare, decoding, floor, ours):
        monkeypatch.setattr(
            module, "say", lambda **record: here.said.put(json.loads(json.dumps(record)))
        )
    monkeypatch.setattr(contests, "Child", Inside)
    return Inside
