"""Every case as a seeder that a download dials, beside one that behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .case import Case, Ended, Level
from .cases import CASES
from .fetching import Fetching

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from ..swarm.conftest import Clock

FETCHED = [case for case in CASES if Level.GET in case.levels]


@pytest.mark.parametrize("case", FETCHED, ids=lambda case: case.id)
async def test_a_download_completes_all_the_same(
    case: Case, stack: contextlib.AsyncExitStack, clock: Clock, tmp_path: Path
) -> None:
    ring = Fetching(case, stack, clock, tmp_path)
    await ring.start()
    _, error = await ring.play()
    if isinstance(case.expect, Ended):
        case.expect.check_error(error)
    assert await ring.finish(), "it has not what it fetched"
