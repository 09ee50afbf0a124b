"""Metadata from peers on loopback, some of which lie, dawdle or know nothing."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
import re
import socket
from collections import Counter

import pytest

from peerwire import DownloadFailed, Handshake, Limits, LocalProtocolError, Reserved, serve
from peerwire.bencode import decode_prefix, encode
from peerwire.extensions.base import Extension
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.messages import Extended
from peerwire.metadata import PIECE_LENGTH
from peerwire.swarm import metadata as module
from peerwire.swarm.metadata import fetch_metadata

from .conftest import HOST, turns, until

METADATA = random.Random(4).randbytes(5 * PIECE_LENGTH + 100)
SIZE = len(METADATA)
INFO_HASH = hashlib.sha1(METADATA).digest()
FORGED = bytes(SIZE)
ALL = range(6)


class Stub(Extension):
    """Announces metadata, and answers requests for it as a test wants, or not at all."""

    name = "ut_metadata"

    def __init__(self, answer=lambda piece: None, size=SIZE):
        super().__init__()
        self.answer = answer
        self.size = size

    def handshake(self):
        return {} if self.size is None else {"metadata_size": self.size}

    def receive(self, payload):
        answer = self.answer(decode_prefix(payload)[0][b"piece"])
        if answer is not None:
            self.send(answer)


def data(piece, source=METADATA, total_size=SIZE):
    block = source[piece * PIECE_LENGTH : (piece + 1) * PIECE_LENGTH]
    return encode({"msg_type": 1, "piece": piece, "total_size": total_size}) + block


def reject(piece):
    return encode({"msg_type": 2, "piece": piece})


def stub(*arguments, kind=Stub):
    return functools.partial(kind, *arguments)


def having(metadata):
    return functools.partial(UtMetadata, metadata)


class Log:
    """A trace that knows what ut_metadata says."""

    def __init__(self):
        self.seen = []

    def __call__(self, mark, what, now):
        if isinstance(what, Extended) and what.label == "ut_metadata":
            header, _ = decode_prefix(what.payload)
            kind = ("request", "data", "reject")[header[b"msg_type"]]
            self.seen.append((mark, f"{kind} {header[b'piece']}"))
        else:
            self.seen.append((mark, str(what)))

    def count(self, mark, kind):
        return Counter(what for m, what in self.seen if m == mark and what.startswith(kind))


def each(kind, times=1):
    return {f"{kind} {piece}": times for piece in ALL}


async def wait_closed(peer):
    await peer.wait_closed()


async def hang_up_when_asked(peer):
    await peer.wait_until(lambda: peer.wire.messages_received.get("extended", 0) > 1)


@pytest.fixture
def host(stack):
    """Starts a peer with these extensions; returns its address."""

    async def host(*extensions, handler=wait_closed, **options):
        options.setdefault("torrents", {INFO_HASH: None})
        server = await stack.enter_async_context(
            serve(handler, HOST, 0, extensions=extensions, **options)
        )
        return HOST, server.port

    return host


@pytest.fixture
def raw_host(stack):
    """Starts a peer that says these bytes, and hangs up when we do or, if asked to, before."""

    async def raw_host(said, *, hang_up=False):
        async def talk(reader, writer):
            writer.write(said)
            if hang_up:
                writer.write_eof()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(talk, HOST, 0)
        stack.callback(server.close)
        return HOST, server.sockets[0].getsockname()[1]

    return raw_host


BITS = Reserved.EXTENSION | Reserved.FAST
GREETING = Handshake(INFO_HASH, b"-RW0001-abcdefghijkl", BITS).encode()


async def failure(*addresses, **options):
    """Returns the reasons of a fetch that fails, without addresses, in their order."""
    options.setdefault("encryption", "off")
    with pytest.raises(DownloadFailed) as raised:
        await fetch_metadata(INFO_HASH, addresses, **options)
    text = str(raised.value)
    start = f"no peer gave the metadata of {INFO_HASH.hex()}: "
    assert text.startswith(start)
    reasons = dict(re.findall(r"(127\.0\.0\.1:\d+): (.*?)(?=; 127\.0\.0\.1|\Z)", text))
    assert set(reasons) == {f"{host}:{port}" for host, port in addresses}
    return [reasons[f"{host}:{port}"] for host, port in addresses]


async def test_metadata_comes_from_a_peer(host):
    log = Log()
    address = await host(having(METADATA))
    assert await fetch_metadata(INFO_HASH, [address], trace=log) == METADATA
    assert log.count(">", "request") == each("request")
    assert log.count("<", "data") == each("data")
    assert log.count(">", "have none") == {"have none": 1}


async def test_an_info_hash_may_be_hex_and_v2(host):
    sha256 = hashlib.sha256(METADATA).digest()
    address = await host(having(METADATA), torrents={sha256[:20]: None})
    fetched = await fetch_metadata(sha256[:20].hex(), [address], info_hash_v2=sha256)
    assert fetched == METADATA
    with pytest.raises(DownloadFailed, match="wrong hash"):
        await fetch_metadata(sha256[:20], [address], info_hash_v2=bytes(32))


@pytest.mark.parametrize(
    "options", [{"info_hash": b"short"}, {"info_hash": INFO_HASH, "info_hash_v2": bytes(20) * 2}]
)
async def test_an_info_hash_is_one(options):
    with pytest.raises(LocalProtocolError):
        await fetch_metadata(addresses=[], **options)


async def test_no_more_is_asked_at_once_than_a_few_pieces(host):
    log = Log()
    address = await host(having(METADATA))
    await fetch_metadata(INFO_HASH, [address], trace=log)
    outstanding = most = 0
    for mark, what in log.seen:
        outstanding += (mark, what[:7]) == (">", "request")
        outstanding -= (mark, what[:4]) == ("<", "data")
        most = max(most, outstanding)
    assert most == module.PIPELINE


async def test_peers_share_the_work(host):
    logs = [Log(), Log()]
    addresses = [await host(stub(), trace=log) for log in logs]
    fetching = asyncio.create_task(fetch_metadata(INFO_HASH, addresses))
    await until(lambda: sum(log.count("<", "request").total() for log in logs) == 8)
    asked = logs[0].count("<", "request") + logs[1].count("<", "request")
    assert set(asked) == set(each("request"))
    fetching.cancel()
    await asyncio.wait([fetching])


async def test_who_is_of_no_use_makes_room_for_the_next(host):
    useless = [await host() for _ in range(3)]
    address = await host(having(METADATA))
    fetched = await fetch_metadata(INFO_HASH, [*useless, address], max_peers=1)
    assert fetched == METADATA


async def test_addresses_are_tried_in_order_as_many_at_once_as_allowed(host):
    log = Log()
    silent = [await host(stub(), trace=log) for _ in range(3)]
    fetching = asyncio.create_task(fetch_metadata(INFO_HASH, silent, max_peers=2))
    await until(lambda: log.count("<", "request")["request 0"] == 2)
    await turns()
    assert log.count("=", "open") == {"open": 2}
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching


async def test_an_address_is_tried_once(host):
    log = Log()
    address = await host(trace=log)
    await failure(address, address)
    assert log.count("=", "open") == {"open": 1}


async def test_each_failure_has_its_reason(host, raw_host):
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        nobody = probe.getsockname()
    small = Limits(max_metadata=SIZE - 1)
    expected = {
        nobody: "Connection refused",
        await host(torrents={}): "0 bytes into its handshake; perhaps it lacks this torrent",
        await host(reserved=Reserved.FAST): r"does not speak the extension protocol \(BEP 10\)",
        await host(): r"does not speak ut_metadata \(BEP 9\)",
        await host(UtMetadata): "announces no metadata_size",
        await host(stub(reject)): "it rejected the request for metadata piece 0",
        await host(having(FORGED)): "the metadata it sent has the wrong hash",
        await host(stub(lambda piece: data(piece, total_size=7))): "total_size of 7",
        await host(stub(lambda piece: data(piece)[:-1])): "piece 0 with 16383 bytes",
        await host(stub(lambda piece: b"le")): "begins with a dictionary",
        await host(stub(), handler=hang_up_when_asked): "it closed the connection",
        await raw_host(GREETING, hang_up=True): "end of stream",
        await raw_host(bytes(68)): "handshake",
    }
    for address, reason in expected.items():
        (told,) = await failure(address)
        assert re.search(reason, told), told
    both = await failure(*expected)
    for reason, told in zip(expected.values(), both, strict=True):
        assert re.search(reason, told), told
    (told,) = await failure(await host(having(METADATA)), limits=small)
    assert "Limits.max_metadata" in told


async def test_each_failure_is_told_although_the_fetch_succeeds(host):
    useless, useful = await host(), await host(having(METADATA))
    told = []
    await fetch_metadata(
        INFO_HASH, [useless, useful], max_peers=1, on_failed=lambda *failed: told.append(failed)
    )
    assert told == [(useless, "it does not speak ut_metadata (BEP 9)")]


async def test_a_fetch_without_peers_fails():
    with pytest.raises(DownloadFailed, match="there is none to ask"):
        await fetch_metadata(INFO_HASH, [])


async def test_not_every_failure_is_told(host, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 2)
    useless = [await host() for _ in range(3)]
    with pytest.raises(DownloadFailed, match=r"; and 1 more\Z") as raised:
        await fetch_metadata(INFO_HASH, useless)
    assert str(raised.value).count("does not speak") == 2


async def test_a_peer_that_does_not_answer_is_given_up(host, clock):
    log = Log()
    address = await host(stub(), trace=log)
    fetching = asyncio.create_task(failure(address, timeout=20))
    await until(lambda: log.count("<", "request"))
    await clock.advance(19)
    assert not fetching.done()
    await clock.advance(2)
    assert await fetching == ["no answer within 20 s"]


async def test_a_peer_that_tells_nothing_of_itself_is_given_up(raw_host, clock):
    log = Log()
    address = await raw_host(GREETING)
    fetching = asyncio.create_task(failure(address, timeout=20, trace=log))
    await until(lambda: log.count(">", "have none"))
    await clock.advance(21)
    assert await fetching == ["no answer within 20 s"]


async def test_each_answer_has_its_own_time(host, clock):
    asked, answers = asyncio.Queue(), []

    class Slow(Stub):
        def receive(self, payload):
            asked.put_nowait(decode_prefix(payload)[0][b"piece"])
            answers.append(self.send)

    log = Log()
    address = await host(Slow)
    fetching = asyncio.create_task(fetch_metadata(INFO_HASH, [address], timeout=20, trace=log))
    for count in range(1, 7):
        piece = await asked.get()
        await clock.advance(15)
        answers[0](data(piece))
        await until(lambda count=count: log.count("<", "data").total() == count)
    assert await fetching == METADATA


async def test_what_is_switched_off_is_not_asked_any_more(host, clock):
    log, peers = Log(), []

    async def handler(peer):
        peers.append(peer)
        await peer.wait_closed()

    def answer(piece):
        peers[0].switch_extension(Stub, False)
        return data(piece)

    address = await host(stub(answer), handler=handler)
    fetching = asyncio.create_task(failure(address, trace=log))
    await until(lambda: log.count("<", "data"))
    await turns()
    await clock.advance(21)
    assert await fetching == ["no answer within 20 s"]
    assert log.count(">", "request").total() == module.PIPELINE


async def test_a_liar_keeps_nobody_from_the_metadata(host):
    liars = [await host(having(FORGED)) for _ in range(3)]
    honest = await host(having(METADATA))
    assert await fetch_metadata(INFO_HASH, [*liars, honest]) == METADATA


class Waiting(Stub):
    """Answers when a test says so: tells it of itself and the piece."""

    def receive(self, payload):
        self.answer((self, decode_prefix(payload)[0][b"piece"]))


async def test_a_liar_is_found_among_those_who_shared_the_work(host):
    log = Log()
    honest, liar = [], []  # what each was asked for and has not answered

    def give(asked, source, pieces):
        for extension, piece in asked[:]:
            if piece in pieces:
                asked.remove((extension, piece))
                extension.send(data(piece, source))

    addresses = [await host(stub(asked.append, kind=Waiting)) for asked in (honest, liar)]
    fetching = asyncio.create_task(fetch_metadata(INFO_HASH, addresses, trace=log))
    await until(lambda: len(honest) == len(liar) == module.PIPELINE)
    share = {piece for _, piece in honest}
    give(liar, FORGED, set(ALL) - share)
    await until(lambda: log.count("<", "data").total() == len(ALL) - len(share))
    give(honest, METADATA, share)
    await until(lambda: log.count("<", "data").total() == len(ALL))
    # The whole has the wrong hash. From now on each is asked for all of it.
    told = "connection closed by us: the metadata it sent has the wrong hash"
    await until(
        lambda: give(liar, FORGED, ALL) or any(what.startswith(told) for _, what in log.seen)
    )
    assert not fetching.done()
    await until(lambda: give(honest, METADATA, ALL) or fetching.done())
    assert await fetching == METADATA


async def test_a_fetch_that_is_cancelled_leaves_nothing(host):
    log = Log()
    addresses = [await host(stub(), trace=log) for _ in range(3)]
    fetching = asyncio.create_task(fetch_metadata(INFO_HASH, addresses))
    await until(lambda: log.count("<", "request")["request 0"])
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching  # `tidy` sees that no task is left


@pytest.mark.parametrize("size", [1, SIZE - 1, SIZE + 1, 4 * 1024 * 1024])
async def test_a_wrong_size_from_one_of_three_keeps_nobody_from_the_metadata(host, size):
    liar = await host(stub(lambda piece: data(piece, bytes(size), size), size))
    honest = [await host(having(METADATA)) for _ in range(2)]
    assert await fetch_metadata(INFO_HASH, [liar, *honest]) == METADATA


async def test_a_dawdler_among_three_keeps_nobody_from_the_metadata(host):
    dawdler = await host(stub())
    honest = [await host(having(METADATA)) for _ in range(2)]
    assert await fetch_metadata(INFO_HASH, [dawdler, *honest]) == METADATA


async def test_dawdlers_do_not_keep_others_from_being_tried(host, clock):
    asked = []

    def answer(what):
        asked.append(what)

    dawdlers = [await host(stub(answer, kind=Waiting)) for _ in range(2)]
    honest = await host(having(METADATA))
    fetching = asyncio.create_task(
        fetch_metadata(INFO_HASH, [*dawdlers, honest], max_peers=2, timeout=20)
    )
    while not fetching.done():
        await until(lambda: asked or fetching.done())
        for extension, piece in asked[:2]:  # in time, and yet it would take for ever
            extension.send(data(piece, FORGED))
        asked.clear()
        await turns()
        await clock.advance(19)
        await turns()
    assert await fetching == METADATA


async def test_all_of_it_has_an_end(host, clock):
    asked = []
    address = await host(stub(asked.append, kind=Waiting))
    told = f"within 50 s: {HOST}:{address[1]}: it has not given all of it yet"
    fetching = asyncio.create_task(fetch_metadata(INFO_HASH, [address], timeout=20, within=50))
    for count in range(1, 6):
        await until(lambda count=count: len(asked) >= count)
        extension, piece = asked[count - 1]
        extension.send(data(piece))
        await turns()
        assert not fetching.done()
        await clock.advance(10)
    with pytest.raises(DownloadFailed, match=told):
        await fetching


async def test_a_mistake_of_ours_is_not_taken_for_the_peers(host, monkeypatch):
    def mistaken(self, peer, message):
        raise ZeroDivisionError

    monkeypatch.setattr(module._Fetch, "_is_last", mistaken)
    with pytest.raises(ZeroDivisionError):
        await fetch_metadata(INFO_HASH, [await host(having(METADATA))])
