"""Downloads that are killed at any moment, and the one at the end that completes.

PEERWIRE_KILLS=1000 PEERWIRE_KILLS_SEED=$RANDOM in the environment play other games, and longer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal

import pytest

from peerwire import Request, serve
from peerwire.torrent.create import create
from peerwire.torrent.storage import Storage

from ..cli.conftest import BLOCK, HOST, Sample, run, until

#: How often a download is killed before it may complete.
KILLS = int(os.environ.get("PEERWIRE_KILLS", "20"))

#: What decides the moments.
SEED = int(os.environ.get("PEERWIRE_KILLS_SEED", "1"))

PIECE = 2 * BLOCK
PIECES = 400


@dataclasses.dataclass
class Round:
    """What is given to one process.

    Attributes:
        wanted: So many blocks are enough.
        most: And no more than so many are given.
        enough: Set once it is enough; if that is none, at first contact.
        given: The pieces of which a block was given, one for each block.
    """

    wanted: int
    most: int
    enough: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    given: list[int] = dataclasses.field(default_factory=list)


class Counting:
    """A seed that knows what it gave."""

    def __init__(self, sample):
        self.storage = Storage(sample.meta, sample.content.parent)
        self.round = Round(0, 0)

    def begin(self, wanted, most):
        self.round = Round(wanted, most)
        return self.round

    async def handle(self, peer):
        now = self.round  # what is still to be read of a peer that was killed belongs to its own
        if not now.wanted:
            now.enough.set()
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request) and len(now.given) < now.most:
                now.given.append(message.index)
                if len(now.given) >= now.wanted:
                    now.enough.set()
                block = self.storage.read(message.index, message.begin, message.length)
                await peer.respond(message, block)


@pytest.fixture
def large(tmp_path):
    """One file of 400 pieces and some bytes."""
    content = tmp_path / "large"
    content.write_bytes(random.Random(1).randbytes(PIECES * PIECE - 777))
    torrent = tmp_path / "large.torrent"
    meta = create(content, piece_length=PIECE)
    torrent.write_bytes(meta.to_bytes())
    return Sample(content, torrent, meta)


@pytest.mark.timeout(60 + 3 * KILLS)
async def test_nothing_that_verified_is_fetched_twice(large, start, tmp_path):
    """Whatever a run leaves on disk the next one keeps, and asks for the rest only."""
    print(f"PEERWIRE_KILLS={KILLS} PEERWIRE_KILLS_SEED={SEED}")
    moments = random.Random(SEED)
    new = tmp_path / "new"
    new.mkdir()
    giver = Counting(large)
    here: set[int] = set()
    total = 0
    torrents = {large.meta.info_hash: large.meta.num_pieces}
    with giver.storage:
        async with serve(giver.handle, HOST, 0, torrents=torrents) as server:
            words = ["get", large.torrent, "--peer", f"{HOST}:{server.port}", "-o", new]
            for number in range(KILLS):
                left = 2 * (PIECES - len(here))
                # At first contact or after some blocks, on average so many that pieces are left
                # for every kill; and while some more are on their way or all of them are here.
                wanted = moments.choice([0, 1, moments.randrange(max(1, left // (KILLS - number)))])
                most = min(wanted + moments.randrange(40), left - 2)  # it is not to complete
                now = giver.begin(min(wanted, most), most)
                getting = start(*words)
                await until(now.enough.is_set)
                for _ in range(moments.randrange(100)):
                    await asyncio.sleep(0)  # so many turns of this loop
                assert await asyncio.to_thread(getting.end, signal.SIGKILL) == -signal.SIGKILL
                assert not here & set(now.given)
                before, here = here, large.pieces_in(new)
                assert before <= here <= before | set(now.given)
                total += len(now.given)
            now = giver.begin(0, 2 * PIECES)
            said = await asyncio.to_thread(run, *words, "--json")
    assert said.status == 0, said.err
    assert set(now.given) == set(range(PIECES)) - here
    assert len(now.given) == 2 * len(set(now.given))
    assert (new / "large").read_bytes() == large.content.read_bytes()
    total += len(now.given)
    print(
        f"{len(here)} of {PIECES} pieces survived {KILLS} kills; {total} blocks were given in all,"
        f" {total - 2 * PIECES} more than there are: what was on its way, {BLOCK} bytes each"
    )
