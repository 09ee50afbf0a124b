"""A peer that does not do what it should, against `get`: alone, and beside one that does.

Beside a good one the download completes; alone it ends with a line that names the peer and says
what it did. The swarm's rules have tests of their own; here it is the program that is seen.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct

import pytest

from peerwire import AllowedFast, Have, HaveAll, Piece, Reject, Request, Unchoke
from peerwire.framing import Framing
from peerwire.handshake import Handshake, Reserved
from peerwire.torrent.storage import Storage

from ..cli.conftest import HOST, run
from .conftest import HASTY, complaint


class Bad:
    """Somebody at a socket who speaks plainly, and has everything, or so it says.

    Subclasses say what becomes of requests.
    """

    #: What `get` says of it, alone.
    reason = ""

    def __init__(self, sample, reader, writer):
        self.sample = sample
        self.reader = reader
        self.writer = writer
        self.storage = Storage(sample.meta, sample.content.parent)

    async def run(self):
        """Shakes hands and offers all pieces; then requests come."""
        try:
            await self.greet()
            await self.offer()
            await self.serve()
        finally:
            self.writer.close()

    async def greet(self):
        await self.reader.readexactly(68)
        theirs = Handshake(self.sample.meta.info_hash, b"-BA0001-abcdefghijkl", Reserved.FAST)
        self.say(theirs)

    async def offer(self):
        self.say(HaveAll(), Unchoke())

    async def serve(self):
        framing = Framing(1 << 20)
        while data := await self.reader.read(65536):
            for message in framing.receive(data):
                if isinstance(message, Request):
                    await self.requested(message)

    async def requested(self, request):
        raise NotImplementedError

    def say(self, *what):
        self.writer.write(b"".join(w if isinstance(w, bytes) else w.encode() for w in what))

    def block(self, request):
        return self.storage.read(request.index, request.begin, request.length)

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Stalls(Bad):
    """Never answers."""

    reason = "time out"

    async def requested(self, request):
        pass


class Trickles(Bad):
    """Answers a few bytes a second, of which no message comes in time."""

    reason = "time out"
    answering = None

    async def requested(self, request):
        if self.answering is None:
            self.answering = asyncio.create_task(self.trickle(request))

    async def trickle(self, request):
        for byte in Piece(request.index, request.begin, self.block(request)).encode():
            self.say(bytes([byte]))
            await self.writer.drain()
            await asyncio.sleep(0.1)


class Chokes(Bad):
    """Never lets anybody ask for anything, and says nothing else, either."""

    reason = "no message"

    async def offer(self):
        self.say(HaveAll())


class HasNothing(Bad):
    """Says that it has everything, and rejects whatever is asked for."""

    reason = "it rejects the requests for all that it has of use"

    async def requested(self, request):
        self.say(Reject(request.index, request.begin, request.length))


class ClosesInABlock(Bad):
    """Ends the connection in the middle of the first block."""

    reason = "closed the connection"

    async def requested(self, request):
        piece = Piece(request.index, request.begin, self.block(request)).encode()
        self.say(piece[: len(piece) // 2])
        self.writer.close()


class Corrupts(Bad):
    """Every block is of the right length and wrong."""

    reason = "wrong"

    async def requested(self, request):
        self.say(Piece(request.index, request.begin, bytes(request.length)))


class CorruptsSome(Bad):
    """Wrong in one bit, of every third block."""

    reason = "wrong"
    count = 0

    async def requested(self, request):
        block = bytearray(self.block(request))
        self.count += 1
        if self.count % 3 == 0:
            block[len(block) // 2] ^= 1
        self.say(Piece(request.index, request.begin, bytes(block)))


class Silent(Bad):
    """Takes the connection and says nothing at all."""

    reason = "handshake"

    async def greet(self):
        await self.reader.read()


class Resets(Bad):
    """Resets the connection, at the moment that a subclass says."""

    reason = "Connection reset by peer"


class ResetsAtOnce(Resets):
    async def greet(self):
        self.reset()


class ResetsOnTheHandshake(Resets):
    async def greet(self):
        await self.reader.readexactly(68)
        self.reset()


class ResetsInItsHandshake(Resets):
    async def greet(self):
        self.say(Handshake(self.sample.meta.info_hash, b"x" * 20, Reserved.FAST).encode()[:30])
        await self.writer.drain()
        await self.reader.readexactly(68)
        self.reset()


class ResetsAfterItsHandshake(Resets):
    async def offer(self):
        await self.reader.read(1)
        self.reset()


class ResetsChoking(Resets):
    async def offer(self):
        self.say(HaveAll(), AllowedFast(0))

    async def requested(self, request):
        assert request.index == 0
        self.reset()


class ResetsOnTheRequest(Resets):
    async def requested(self, request):
        self.reset()


class ResetsInABlock(Resets):
    async def requested(self, request):
        self.say(Piece(request.index, request.begin, self.block(request)).encode()[:9000])
        await asyncio.sleep(0)
        self.reset()


class ResetsAfterBlocks(Bad):
    """Each connection brings two blocks, and then a reset: slow, but it gets there."""

    count = 0

    async def requested(self, request):
        self.say(Piece(request.index, request.begin, self.block(request)))
        await self.writer.drain()
        self.count += 1
        if self.count == 2:
            while (await self.reader.read(65536)).find(Have(request.index).encode()) < 0:
                pass  # it has what was given when it says so
            self.reset()


USELESS = [
    Stalls,
    Trickles,
    Chokes,
    HasNothing,
    ClosesInABlock,
    Corrupts,
    CorruptsSome,
    Silent,
    ResetsAtOnce,
    ResetsOnTheHandshake,
    ResetsInItsHandshake,
    ResetsAfterItsHandshake,
    ResetsChoking,
    ResetsOnTheRequest,
    ResetsInABlock,
]


@pytest.fixture
async def bad(sample):
    """Lets somebody listen; returns the address."""
    servers, tasks, ends = [], set(), []

    async def bad(kind):
        def accept(reader, writer):
            there = kind(sample, reader, writer)
            task = asyncio.create_task(there.run())
            tasks.add(task)
            ends.append(there)

        server = await asyncio.start_server(accept, HOST, 0)
        servers.append(server)
        return f"{HOST}:{server.sockets[0].getsockname()[1]}"

    yield bad
    for server in servers:
        server.close()
    for there in ends:
        there.writer.close()
        there.storage.close()
        if getattr(there, "answering", None) is not None:
            tasks.add(there.answering)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, OSError | EOFError | asyncio.CancelledError | None):
            raise result


@pytest.fixture
def get(sample, tmp_path):
    """Fetches from peers, plainly, as what is here speaks nothing else."""

    async def get(*peers):
        words = ["get", sample.torrent, "-o", tmp_path / "new", "--encryption", "off", "--json"]
        for peer in peers:
            words += ["--peer", peer]
        return await asyncio.to_thread(run, *words, command=HASTY)

    return get


@pytest.mark.parametrize("kind", USELESS)
async def test_alone(bad, get, kind):
    address = await bad(kind)
    why = complaint(await get(address))
    assert f"no peer left: {address}: " in why
    assert kind.reason in why


async def test_all_of_them_beside_a_good_one(bad, giver, get, sample, tmp_path):
    said = await get(*[await bad(kind) for kind in USELESS], giver)
    assert said.status == 0, said.err
    assert sample.is_in(tmp_path / "new")
    assert "Traceback" not in said.err


async def test_one_of_three_corrupts(bad, giver, get, sample, tmp_path):
    other = await bad(Corrupts)
    third = await bad(Stalls)
    said = await get(giver, other, third)
    assert said.status == 0
    assert sample.is_in(tmp_path / "new")


async def test_all_of_three_corrupt(bad, get):
    addresses = [await bad(Corrupts) for _ in range(3)]
    why = complaint(await get(*addresses))
    assert all(address in why for address in addresses)


async def test_little_by_little(bad, get, sample, tmp_path):
    said = await get(await bad(ResetsAfterBlocks))
    assert said.status == 0, said.err
    assert sample.is_in(tmp_path / "new")


async def test_a_seed_that_is_stopped_and_goes_on(start, sample, giving, get, tmp_path, seeding):
    """Its machine acknowledges, and it says nothing: as good as a cable that is cut."""
    other = await giving(sample)
    port = seeding.port()
    seeding.process.send_signal(signal.SIGSTOP)
    try:
        said = await get(f"{HOST}:{port}", f"{HOST}:{other.port}")
        assert said.status == 0
        alone = await get_alone(sample, f"{HOST}:{port}", tmp_path)
        assert f"no peer left: {HOST}:{port}: " in complaint(alone)
    finally:
        seeding.process.send_signal(signal.SIGCONT)
    assert (await get_alone(sample, f"{HOST}:{port}", tmp_path)).status == 0


async def get_alone(sample, peer, tmp_path):
    words = ["get", sample.torrent, "-o", tmp_path / "alone", "--peer", peer]
    return await asyncio.to_thread(run, *words, command=HASTY)


async def test_a_peer_that_vanishes_in_the_midst_of_the_blocks(bad, get, sample, tmp_path):
    """What it gave before is kept each time, so it gets there: every connection brings some."""

    class Vanishes(Bad):
        count = 0

        async def requested(self, request):
            self.count += 1
            if self.count > 6:
                await asyncio.Event().wait()  # reads no more, says no more, closes nothing
            self.say(Piece(request.index, request.begin, self.block(request)))

    said = await get(await bad(Vanishes))
    assert said.status == 0
    left = [record for record in said.records if record["event"] == "peer left"]
    assert {(record["by"], "time out" in record["reason"]) for record in left[:-1]} == {
        ("us", True)
    }
    assert sample.is_in(tmp_path / "new")
