"""Every case against a wire alone, in several chunkings."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from peerwire import Role

from .alone import CHUNKINGS, Alone
from .case import Act, Case, Ended, Level, Reply
from .cases import CASES
from .weight import WEIGHT, check_counts, weight

#: Bytes that all of a script may make us allocate at once, what it is answered included.
PEAK = 16 * 1024 * 1024


def met() -> list[Any]:
    """Each case with the roles that can meet it."""
    found = []
    for case in CASES:
        if Act.DEAF in case.script:
            continue
        if case.levels & {Level.SERVE, Level.SEED}:
            found.append(pytest.param(case, Role.RESPONDER, id=f"{case.id}-responder"))
        if Level.GET in case.levels:
            found.append(pytest.param(case, Role.INITIATOR, id=f"{case.id}-initiator"))
    return found


@pytest.mark.parametrize(("case", "role"), met())
def test_it_is_answered_as_the_table_says_however_it_arrives(case: Case, role: Role) -> None:
    ends = set()
    for chunks in CHUNKINGS.values():
        alone = Alone(case, role, chunks)
        seen = alone.play()
        case.expect.check(seen)
        check_counts(alone.wire)
        assert alone.most_held <= alone.wire.limits.max_undecided
        assert weight(alone.layer) <= WEIGHT
        ends.add(str(seen.closed))
    if isinstance(case.expect, Ended) and not case.id.startswith("handshake/"):
        assert len(ends) == 1, "what it says depends on the chunks"


@pytest.mark.parametrize(("case", "role"), met())
def test_it_does_not_make_us_allocate(case: Case, role: Role) -> None:
    if all(isinstance(step, Reply) or len(_encoded(step)) < 10_000 for step in case.script):
        pytest.skip("what is said is short, so is what comes of it")
    alone = Alone(case, role, CHUNKINGS["at once"])
    tracemalloc.start()
    try:
        alone.play()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= PEAK


def _encoded(step: object) -> bytes:
    return step if isinstance(step, bytes) else b""
