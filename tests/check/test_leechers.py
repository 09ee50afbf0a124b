"""The cases for a leecher, asked of one that has defects, and of one that comes no more."""

from __future__ import annotations

import asyncio
import contextlib
import enum

import pytest

from peerwire import (
    AllowedFast,
    Bitfield,
    Choke,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    NotInterested,
    PeerWireError,
    Piece,
    Reject,
    Request,
    Suggest,
    Unchoke,
)
from peerwire.check import LEECHER_CASES, LeecherRunner, Verdict
from peerwire.framing import Framing
from peerwire.torrent.storage import Storage

BLOCK = 16 * 1024
PATIENCE = 0.1


class Defect(enum.Enum):
    WANTS_NOTHING = "it is interested in nobody"
    WANTS_ALWAYS = "it is interested in those who have nothing"
    ASKS_CHOKED = "it asks although it is choked"
    ASKS_LONG = "it asks for 32 KiB at once"
    ASKS_ANYTHING = "it asks for pieces that nobody told it of"
    ONE_AT_A_TIME = "it has one request outstanding"
    KEEPS_SILENT = "it does not announce what it has"
    BELIEVES = "it does not check hashes"
    STAYS_INTERESTED = "it stays interested in those who have nothing more"
    TAKES_ANY_TORRENT = "it goes on with whoever has another torrent"


CAUGHT = {
    Defect.WANTS_NOTHING: ("bep3/leecher/4", Verdict.FAIL),
    Defect.WANTS_ALWAYS: ("bep3/leecher/3", Verdict.FAIL),
    Defect.ASKS_CHOKED: ("bep3/leecher/6", Verdict.FAIL),
    Defect.ASKS_LONG: ("bep3/leecher/7", Verdict.FAIL),
    Defect.ASKS_ANYTHING: ("bep3/leecher/7", Verdict.FAIL),
    Defect.ONE_AT_A_TIME: ("bep3/leecher/8", Verdict.NON_STRICT),
    Defect.KEEPS_SILENT: ("bep3/leecher/11", Verdict.FAIL),
    Defect.BELIEVES: ("bep3/leecher/12", Verdict.FAIL),
    Defect.STAYS_INTERESTED: ("bep3/leecher/18", Verdict.NON_STRICT),
    Defect.TAKES_ANY_TORRENT: ("bep3/leecher/17", Verdict.FAIL),
}


class Leecher:
    """Connects, fetches a piece at a time, and begins anew when the connection ends."""

    def __init__(self, sample, defect=None):
        self.meta, self.subject, self.defect = sample.meta, sample.subject, defect

    async def run(self, port):
        while True:
            with contextlib.suppress(PeerWireError, OSError, EOFError, ValueError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with contextlib.closing(writer):
                    await self.talk(reader, writer)
            await asyncio.sleep(0.01)

    async def talk(self, reader, writer):
        def say(*messages):
            writer.write(b"".join(message.encode() for message in messages))

        say(Handshake(self.meta.info_hash, b"-XX0000-leeching_now"))
        theirs = Handshake.decode(await reader.readexactly(68))
        wrong = theirs.info_hash != self.meta.info_hash
        if wrong and self.defect is not Defect.TAKES_ANY_TORRENT:
            return
        say(Bitfield(bytes(len(self.bits()))))
        if self.defect is Defect.WANTS_ALWAYS:
            say(Interested())
        told, blocks, unchoked, asked = set(), {}, False, 0
        framing = Framing(1 << 20)
        while data := await reader.read(1 << 16):
            for message in framing.receive(data):
                match message:
                    case Bitfield(bits):
                        self.expect(len(bits) == len(self.bits()))
                        told = {n for n in range(8 * len(bits)) if bits[n // 8] & 128 >> n % 8}
                    case Have(index):
                        self.expect(index < self.meta.num_pieces)
                        told.add(index)
                    case Choke():
                        unchoked = False
                    case Unchoke():
                        unchoked, asked = True, 0
                    case Piece(index, begin, block):
                        blocks[begin] = bytes(block)
                        if len(blocks) == 2:
                            if self.done(index, blocks, say):
                                told.clear()
                            asked = 0
                            blocks.clear()
                    case HaveAll() | HaveNone() | AllowedFast() | Reject() | Suggest():
                        return
                if told and self.defect is not Defect.WANTS_NOTHING:
                    say(Interested())
            if told and (unchoked or self.defect is Defect.ASKS_CHOKED) and not asked:
                asked = 1
                say(*self.requests(min(told)))

    def bits(self):
        return bytes((self.meta.num_pieces + 7) // 8)

    def expect(self, right):
        if not right:
            raise ValueError("the connection ends here")

    def requests(self, index):
        if self.defect is Defect.ASKS_ANYTHING:
            index += 1
        if self.defect is Defect.ASKS_LONG:
            return [Request(index, 0, 2 * BLOCK)]
        size = self.subject.piece_size(index) if index < self.meta.num_pieces else BLOCK
        all_ = [Request(index, begin, min(BLOCK, size - begin)) for begin in range(0, size, BLOCK)]
        return all_[:1] if self.defect is Defect.ONE_AT_A_TIME else all_

    def done(self, index, blocks, say):
        right = self.subject.verifies(index, blocks[0] + blocks[BLOCK])
        if (right or self.defect is Defect.BELIEVES) and self.defect is not Defect.KEEPS_SILENT:
            say(Have(index))
        if right and self.defect is not Defect.STAYS_INTERESTED:
            say(NotInterested())
        return right


async def ask(sample, defect=None, only=None, wait=75.0):
    cases = [case for case in LEECHER_CASES if only in (None, case.id)]
    with Storage(sample.meta, sample.path.parent) as storage:
        runner = LeecherRunner(sample.subject, storage.read, patience=PATIENCE, wait=wait)
        port = await runner.listen("127.0.0.1", 0)
        leecher = asyncio.create_task(Leecher(sample, defect).run(port))
        try:
            return await runner.ask(cases)
        finally:
            leecher.cancel()
            await asyncio.wait([leecher])


async def test_a_leecher_without_defects_passes(sample):
    run = await ask(sample)
    bad = (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INCONCLUSIVE)
    assert {r.case.id: r.observed for r in run.results if r.verdict in bad} == {}
    assert run.count(Verdict.PASS) > 15
    assert run.client


@pytest.mark.parametrize("defect", CAUGHT)
async def test_a_defect_is_caught_by_the_case_meant_for_it(sample, defect):
    only, verdict = CAUGHT[defect]
    run = await ask(sample, defect, only)
    assert [result.verdict for result in run.results] == [verdict], run.results


async def test_nobody_comes(sample):
    runner = LeecherRunner(sample.subject, lambda *_: b"", wait=0.01)
    await runner.listen("127.0.0.1", 0)
    run = await runner.ask(LEECHER_CASES[:3])
    assert run.count(Verdict.INCONCLUSIVE) == 3
    assert run.failed()


async def test_who_begins_with_noise_could_not_be_asked(sample):
    runner = LeecherRunner(sample.subject, lambda *_: b"", patience=PATIENCE)
    port = await runner.listen("127.0.0.1", 0)
    asking = asyncio.create_task(runner.ask(LEECHER_CASES[:1]))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(bytes(range(96)) + bytes(600))
    await reader.read()
    writer.close()
    (result,) = (await asking).results
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "does not speak encryption" in result.observed
