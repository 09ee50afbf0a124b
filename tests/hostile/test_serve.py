"""Every case at a socket of `serve`, and of a seed, with a neighbour that is served throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .case import Case, Ended, Level
from .cases import CASES
from .dialled import Dialled

if TYPE_CHECKING:
    import contextlib
    from pathlib import Path

    from ..swarm.conftest import Clock

SERVED = [case for case in CASES if Level.SERVE in case.levels]
SEEDED = [case for case in CASES if Level.SEED in case.levels]


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.id)
async def test_a_server_answers_as_the_table_says(
    case: Case, stack: contextlib.AsyncExitStack, clock: Clock
) -> None:
    ring = Dialled(case, stack, clock)
    await ring.serve()
    await ring.play()


@pytest.mark.parametrize("case", SEEDED, ids=lambda case: case.id)
async def test_a_seed_answers_as_the_table_says(
    case: Case, stack: contextlib.AsyncExitStack, clock: Clock, tmp_path: Path
) -> None:
    ring = Dialled(case, stack, clock)
    await ring.seed(tmp_path)
    seen = await ring.play()
    if isinstance(case.expect, Ended) and ring.joined:
        await ring.expect_report(seen)
