"""Every case of a peer that is asked for metadata, before one that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .case import Case, Level
from .cases import CASES
from .magnet import Magnet
from .torrent import TORRENT

if TYPE_CHECKING:
    import contextlib

    from ..swarm.conftest import Clock

ASKED = [case for case in CASES if Level.MAGNET in case.levels]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.id)
async def test_only_what_hashes_is_believed(
    case: Case, stack: contextlib.AsyncExitStack, clock: Clock
) -> None:
    seen, metadata = await Magnet(case, stack, clock).play()
    case.expect.check(seen)
    assert metadata == TORRENT.meta.info
