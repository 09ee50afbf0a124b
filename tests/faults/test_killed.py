"""Downloads that are killed at any moment, and the one at the end that completes.

PEERWIRE_KILLS=1000 PEERWIRE_KILLS_SEED=$RANDOM in the environment play other games, and longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal

import pytest

from peerwire import Request, serve
from peerwire.torrent.create import create
from peerwire.torrent.storage import Storage

from ..cli.conftest import BLOCK, HOST, Sample, run

#: How often a download is killed before it may complete.
KILLS = int(os.environ.get("PEERWIRE_KILLS", "20"))

#: What decides the moments.
SEED = int(os.environ.get("PEERWIRE_KILLS_SEED", "1"))

PIECE = 2 * BLOCK
PIECES = 400


class Counting:
    """A seed that knows what it gave.

    Attributes:
        given: The pieces of which it gave a block in this run, one for each block.
        enough: Set once it has given `wanted` blocks; it gives `more` of them, and then no more.
    """

    def __init__(self, sample):
        self.storage = Storage(sample.meta, sample.content.parent)
        self.begin(2 * PIECES, 0)

    def begin(self, wanted, more):
        self.given = []
        self.enough = asyncio.Event()
        self._wanted = wanted
        self._most = wanted + more

    async def handle(self, peer):
        if not self._wanted:
            self.enough.set()
        peer.have_all()
        peer.unchoke()
        async for message in peer:
            if isinstance(message, Request) and len(self.given) < self._most:
                self.given.append(message.index)
                block = self.storage.read(message.index, message.begin, message.length)
                await peer.respond(message, block)
                if len(self.given) >= self._wanted:
                    self.enough.set()


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
                giver.begin(wanted, moments.randrange(40))
                getting = start(*words)
                await giver.enough.wait()
                for _ in range(moments.randrange(100)):
                    await asyncio.sleep(0)  # so many turns of this loop
                assert await asyncio.to_thread(getting.end, signal.SIGKILL) == -signal.SIGKILL
                assert not here & set(giver.given)
                before, here = here, large.pieces_in(new)
                assert before <= here <= before | set(giver.given)
                total += len(giver.given)
            giver.begin(2 * PIECES, 0)
            said = await asyncio.to_thread(run, *words, "--json")
    assert said.status == 0, said.err
    assert set(giver.given) == set(range(PIECES)) - here
    assert len(giver.given) == 2 * len(set(giver.given))
    assert (new / "large").read_bytes() == large.content.read_bytes()
    total += len(giver.given)
    print(
        f"{len(here)} of {PIECES} pieces survived {KILLS} kills; {total} blocks were given in all,"
        f" {total - 2 * PIECES} more than there are: what was on its way, {BLOCK} bytes each"
    )
