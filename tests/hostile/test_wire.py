"""Every case against a wire alone, in several chunkings."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from peerwire import Extended, Hashes, Message, Piece, RemoteProtocolError, Role

from ..wires import EXAMPLES, v2_wire
from .alone import CHUNKINGS, Alone
from .case import FETCHING, Case, Level
from .cases import CASES
from .torrent import NUM_PIECES
from .weight import WEIGHT, check_counts, weight

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Messages of any length, and the least that their payload has.
FREE = {Piece.id: 8, Extended.id: 1, 99: 0}

#: Bytes that all of a script may make us allocate at once, what it is answered included.
PEAK = 16 * 1024 * 1024


#: Bytes of a script that is not long.
SHORT = 10_000


def met(cases: Iterable[Case]) -> list[Any]:
    """Each case with the roles that can meet it."""
    found = []
    for case in cases:
        if Level.WIRE not in case.levels:
            continue
        if case.levels != FETCHING:
            found.append(pytest.param(case, Role.RESPONDER, id=f"{case.id}-responder"))
        if Level.GET in case.levels:
            found.append(pytest.param(case, Role.INITIATOR, id=f"{case.id}-initiator"))
    return found


def is_long(case: Case) -> bool:
    """Whether it says much, so that much may come of it."""
    return any(isinstance(step, bytes) and len(step) > SHORT for step in case.script)


@pytest.mark.parametrize(("case", "role"), met(CASES))
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
        unseen = Alone(case, role, chunks, traced=False)
        ends.add(str(unseen.play().closed))
        assert unseen.wire.messages_received == alone.wire.messages_received
        assert unseen.wire.messages_sent == alone.wire.messages_sent
    # What looks like no handshake is told of by as much of it as has come.
    assert len(ends) == 1 or case.row in ("handshake", "mse"), "what it says depends on the chunks"


@pytest.mark.parametrize(("case", "role"), met(filter(is_long, CASES)))
def test_it_does_not_make_us_allocate(case: Case, role: Role) -> None:
    alone = Alone(case, role, CHUNKINGS["at once"])
    tracemalloc.start()
    try:
        alone.play()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= PEAK


@pytest.mark.parametrize("message", [m for m, _, _ in EXAMPLES if m.id >= 0], ids=lambda m: m.name)
def test_no_other_length_is_taken(message: Message) -> None:
    """Every payload from nothing to more than the longest of fixed length has."""
    for length in range(80):
        if message.id in FREE and length >= FREE[message.id]:
            continue
        if message.id not in FREE and length == len(message.encode()) - 5:
            continue
        if message.id == Hashes.id and length in (48, 48 + 32):
            continue
        wire = v2_wire(num_pieces=NUM_PIECES)  # type: ignore[no-untyped-call]
        with pytest.raises(RemoteProtocolError):
            wire.receive_data((1 + length).to_bytes(4) + bytes((message.id,)) + bytes(length), 0.0)
