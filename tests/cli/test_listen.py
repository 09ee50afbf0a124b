"""peerwire listen."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
from functools import partial

import pytest

from peerwire import ConnectionClosed, PeerWireError, Request, Reserved, connect, serve
from peerwire.cli import listen
from peerwire.extensions.ut_metadata import UtMetadata
from peerwire.handshake import Handshake

from ..libtorrent_peer import __file__ as LIBTORRENT
from .conftest import HOST, Recorder, run, wait_until

HASH = bytes(range(20))


class Listening:
    """The verb in this process, once it listens."""

    def __init__(self, out, running):
        self.out = out
        self._running = running

    @property
    def port(self):
        return next(record["port"] for record, _ in self.out.events)

    @property
    def records(self):
        return [record for record, _ in self.out.results]

    def of(self, event):
        return [record for record in self.records if record["event"] == event]

    async def until(self, condition):
        for _ in range(100_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("it never came true")

    async def end(self, number=signal.SIGINT):
        os.kill(os.getpid(), number)
        return await self._running

    async def over(self):
        return await self._running


@pytest.fixture
async def listening(tmp_path):
    """Runs the verb until it says where it listens."""

    async def listening(*torrents, json=True, **options):
        args = {
            "torrents": torrents,
            "host": HOST,
            "port": 0,
            "count": None,
            "timeout": None,
            "max_peers": 5,
            "message": None,
            "encryption": "prefer",
        }
        out = Recorder()
        out.json = json
        running = asyncio.create_task(listen.run(argparse.Namespace(**args | options), out))
        it = Listening(out, running)
        await it.until(lambda: out.events or running.done())
        if running.done():
            running.result()
        return it

    return listening


async def test_who_it_is(listening):
    it = await listening()
    extension = partial(UtMetadata, b"le")
    async with connect(HOST, it.port, HASH, encryption="off", extensions=[extension]) as peer:
        await it.until(lambda: it.of("peer"))
        assert peer.peer_choking
        assert not peer.peer_pieces
        assert set(peer.extended_handshake.m) == {
            *("lt_donthave", "upload_only", "ut_holepunch", "ut_metadata", "ut_pex")
        }
        (record,) = it.of("peer")
        address = "{}:{}".format(*peer._connection._transport.get_extra_info("sockname"))
        assert it.of("connected")[0]["address"] == record["address"] == address
        assert record["wire"] == "#0"
        assert record["info_hash"] == HASH.hex()
        assert record["client"] == record["extended"]["v"]
        assert record["client"].startswith("peerwire ")
        assert record["peer_id"] == peer.wire.peer_id.hex()
        assert record["extensions"] == ["fast", "extension"]
        assert record["reserved"] == "0000000000100004"
        assert record["encryption"] == "off"
        assert record["extended"]["m"] == {"ut_metadata": 1}
        assert record["extended"]["metadata_size"] == 2
    assert await it.end() == 0
    (listening_, _), (summary, text) = it.out.events
    assert listening_["event"] == "listening"
    assert (summary["event"], summary["connections"], summary["peers"]) == ("summary", 1, 1)
    assert text == "1 connection, 1 peer told who it is"


async def test_what_it_says_for_people(listening, capsys):
    it = await listening(json=False)
    async with connect(HOST, it.port, HASH, encryption="off") as peer:
        await it.until(lambda: len(it.records) > 5)
        peer.interested()
        await peer.drain()
        await it.until(lambda: any(text.endswith("< interested") for _, text in it.out.results))
    await it.end()
    lines = [text[11:] for _, text in it.out.results]
    assert lines[0].startswith("#0 = connection from 127.0.0.1:")
    (told,) = [line for line in lines if "this is" in line]
    assert told == (
        f"#0 = this is {peer_name()}, for {HASH.hex()}; reserved bits 0000000000100004: "
        "fast extension; extensions: none; encryption: off"
    )
    assert all(line.startswith("#0 ") for line in lines)


def peer_name():
    from peerwire import __version__

    return f"peerwire {__version__}"


async def test_nobody_is_served(listening):
    it = await listening()
    async with connect(HOST, it.port, HASH, encryption="off") as peer:
        peer.interested()
        peer._connection._transport.write(Request(0, 0, 16384).encode())
        await it.until(lambda: it.of("reject"))
        assert it.of("reject")[0]["mark"] == ">"
        assert not it.of("unchoke")
    await it.end()


async def test_a_peer_without_extensions(listening):
    it = await listening()
    async with connect(HOST, it.port, HASH, encryption="off", reserved=Reserved(0)) as peer:
        await it.until(lambda: it.of("peer"))
        assert it.of("peer")[0]["extended"] is None
        assert peer.handshake
    await it.end()


async def test_a_peer_that_promises_extensions_and_says_nothing(listening, monkeypatch):
    monkeypatch.setattr(listen, "PATIENCE", 0.01)
    it = await listening(json=False)
    with socket.create_connection((HOST, it.port)) as sock:
        sock.sendall(Handshake(HASH, b"-XX0001-abcdefghijkl", Reserved.EXTENSION).encode())
        await it.until(lambda: any("this is" in text for _, text in it.out.results))
    await it.end()
    assert any("extensions: none" in text for _, text in it.out.results)


async def test_a_peer_that_leaves_at_once(listening):
    it = await listening()
    with socket.create_connection((HOST, it.port)) as sock:
        sock.sendall(Handshake(HASH, b"-XX0001-abcdefghijkl", Reserved.EXTENSION).encode())
    await it.until(lambda: it.of("peer"))
    assert it.of("peer")[0]["extended"] is None
    await it.end()


@pytest.mark.parametrize("encryption", ["off", "require"])
async def test_named_torrents(listening, sample, encryption):
    it = await listening(str(sample.torrent), "00" * 20)
    known = sample.meta.info_hash
    async with connect(HOST, it.port, known, encryption=encryption) as peer:
        await it.until(lambda: it.of("peer"))
        assert it.of("peer")[0]["encryption"] == peer.encryption
    with pytest.raises(ConnectionClosed):
        await connect(HOST, it.port, HASH, encryption=encryption)
    assert len(it.of("peer")) == 1
    await it.end()


async def test_so_many_peers(listening):
    it = await listening(count=2)
    async with connect(HOST, it.port, HASH, encryption="off"):
        await it.until(lambda: it.of("peer"))
        async with connect(HOST, it.port, HASH, encryption="off"):
            assert await it.over() == 0
    assert [record["wire"] for record in it.of("peer")] == ["#0", "#1"]


async def test_no_more_at_a_time(listening):
    it = await listening(max_peers=1)
    async with connect(HOST, it.port, HASH, encryption="off"):
        await it.until(lambda: it.of("peer"))
        with pytest.raises(ConnectionClosed):
            await connect(HOST, it.port, HASH, encryption="off")
    await it.end()
    assert it.out.events[-1][0]["connections"] == 1


async def test_so_long(listening):
    it = await listening(timeout=0.01)
    assert await it.over() == 0


async def test_too_few_in_time(listening):
    it = await listening(timeout=0.01, count=3)
    with pytest.raises(PeerWireError, match=r"0 of 3 peers have told who they are in 0\.01 s"):
        await it.over()


async def test_stopped_before_there_were_so_many(listening):
    it = await listening(count=3, timeout=50)
    assert await it.end(signal.SIGTERM) == 0


async def test_a_socket_that_is_lost(listening, monkeypatch):
    served = []

    async def serve_and_keep(*args, **options):
        served.append(await serve(*args, **options))
        return served[0]

    monkeypatch.setattr(listen, "serve", serve_and_keep)
    it = await listening()
    served[0].sockets[0].shutdown(socket.SHUT_RDWR)
    with pytest.raises(PeerWireError, match=r"can't listen on 127.0.0.1:\d+ any more: Invalid arg"):
        await it.over()


def test_only_some_messages(cli):
    said = cli("listen", "--port", "0", "--timeout", "0.01", "--message", "have", "--json")
    assert said.status == 0
    assert [record["event"] for record in said.records] == ["listening", "summary"]


def test_a_failure_is_one_line(cli):
    said = cli("listen", "--port", "0", "--timeout", "0.01", "--count", "1")
    assert said.status == 1
    assert said.err.splitlines()[2:] == ["peerwire: 0 of 1 peers have told who they are in 0.01 s"]


def test_a_port_in_use(cli):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("listen", "--port", port)
    assert said.status == 1
    assert said.err == f"peerwire: can't listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize("words", [["--count", "0"], ["--count", "many"], ["--timeout", "-1"]])
def test_wrong_usage(cli, words):
    assert cli("listen", *words).status == 2


def test_a_torrent_that_is_none(cli):
    said = cli("listen", "no-such-thing")
    assert said.status == 1
    assert said.err.startswith("peerwire: 'no-such-thing' is no file that is here")
    assert said.err.count("\n") == 1


def test_libtorrent_tells_who_it_is(start, sample, tmp_path):
    pytest.importorskip("libtorrent", reason="the Python package libtorrent is not here")
    import sys

    it = start("listen", sample.torrent, "--port", "0", "--count", "1", "--timeout", "30", "--json")
    port = it.port()
    words = ["leech", sample.torrent, tmp_path / "out", HOST, port, "--encryption", "require"]
    start(*words, command=[sys.executable, LIBTORRENT])
    assert it.process.wait(40) == 0
    (peer,) = [r for r in map(json.loads, it.out.splitlines()) if r["event"] == "peer"]
    assert peer["client"].startswith("libtorrent/")
    assert peer["encryption"] == "rc4"
    assert "ut_metadata" in peer["extended"]["m"]
    assert peer["info_hash"] == sample.meta.info_hash.hex()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_until_a_signal(start, number):
    it = start("listen", "--port", "0")
    wait_until(lambda: "listening on 127.0.0.1:" in it.err)
    assert it.end(number) == 0
    assert it.out == ""
    assert it.err.splitlines()[1:] == ["0 connections, 0 peers told who they are"]


def test_help():
    assert "peerwire listen --port 6881" in run("listen", "--help").out
