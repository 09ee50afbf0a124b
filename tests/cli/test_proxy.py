"""peerwire proxy."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import socket
import sys

import pytest

from peerwire import ConnectionClosed, PeerWireError, connect
from peerwire.cli import proxy
from peerwire.cli.decode import run as decode
from peerwire.cli.output import Output

from ..interop.eavesdropper import eavesdropping
from ..libtorrent_peer import __file__ as LIBTORRENT
from .conftest import BLOCK, HOST, Recorder, run, wait_until

OTHER = "ab" * 20


class Proxying:
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

    @property
    def lines(self):
        """The log for people, without times."""
        return [text[11:] for _, text in self.out.results]

    def events(self, event):
        return [record for record, _ in self.out.events if record["event"] == event]

    async def until(self, condition):
        for _ in range(1_000_000):
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
async def proxying():
    """Runs the verb until it says where it listens; ends what a test leaves."""
    started = []

    async def proxying(target, *torrents, json=False, **options):
        args = {
            "listen": (HOST, 0),
            "to": (HOST, target),
            "torrents": list(map(str, torrents)),
            "write": None,
            "message": None,
        }
        out = Recorder()
        out.json = json
        running = asyncio.create_task(proxy.run(argparse.Namespace(**args | options), out))
        started.append(running)
        it = Proxying(out, running)
        await it.until(lambda: out.events or running.done())
        if running.done():
            running.result()
        return it

    yield proxying
    for running in started:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, PeerWireError, OSError):
            await running


async def fetch(sample, port, *, encryption="off", pieces=3):
    """Fetches some pieces, as a client would."""
    meta = sample.meta
    async with connect(
        HOST, port, meta.info_hash, num_pieces=meta.num_pieces, encryption=encryption
    ) as peer:
        peer.have_none()
        await peer.ready()
        return [await peer.request(index, 0, BLOCK) for index in range(pieces)]


async def test_a_transfer(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port)
    assert await fetch(sample, it.port) == await fetch(sample, giver.port)
    await it.until(lambda: it.events("over"))
    assert await it.end() == 0
    assert it.lines[0].startswith("#0 = connection 127.0.0.1:")
    assert it.lines[0].endswith(f" > 127.0.0.1:{giver.port}")
    said = [line for line in it.lines if "request" in line or "piece" in line]
    assert said == [
        f"#0 {mark} {what} {index}:0+{BLOCK}"
        for index in range(3)
        for mark, what in ((">", "request"), ("<", "piece"))
    ]
    assert it.lines[-2:] == ["#0 = the initiator closed", "#0 = the responder closed"]
    assert not [line for line in it.lines if line.startswith("#0 !")]
    (over,) = it.events("over")
    assert over["wire"] == "#0"
    assert (over["blocks"], over["violations"], over["deviations"]) == (3, 0, 0)
    assert over["responder_bytes"] > 3 * BLOCK > over["initiator_bytes"] > 0
    assert 0 < over["mean_delay"] <= over["longest_delay"]
    assert (over["protocol"], over["decrypted"]) == ("plain", None)
    (summary,) = it.events("summary")
    assert (summary["connections"], summary["blocks"]) == (1, 3)
    assert it.out.events[-1][1].startswith("1 connection: > ")


async def test_for_scripts(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port, json=True)
    await fetch(sample, it.port)
    await it.until(lambda: it.events("over"))
    await it.end()
    connection, first = it.records[:2]
    assert connection["event"] == "connection"
    assert connection["responder"] == f"127.0.0.1:{giver.port}"
    assert connection["whole"] is True
    assert first["event"] == "handshake"
    for record in [*it.records, *(record for record, _ in it.out.events)]:
        assert {"time", "mark", "event", "text"} <= record.keys()
    (listening,) = it.events("listening")
    assert (listening["host"], listening["to"]) == (HOST, f"{HOST}:{giver.port}")


async def test_only_some_messages(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port, message=["request"])
    await fetch(sample, it.port)
    await it.until(lambda: it.events("over"))
    await it.end()
    assert {line[3] for line in it.lines} == {"=", ">"}
    assert len([line for line in it.lines if line[3] == ">"]) == 3
    assert it.events("over")[0]["blocks"] == 3


async def raw_pair(it, came):
    near = await asyncio.open_connection(HOST, it.port)
    return near, await came.get()


@pytest.fixture
async def target():
    """Somebody who takes connections and says what a test wants."""
    came = asyncio.Queue()
    server = await asyncio.start_server(lambda *both: came.put_nowait(both), HOST, 0)
    yield server.sockets[0].getsockname()[1], came
    server.close()


async def test_bytes_are_unchanged_whatever_they_are(proxying, target, sample):
    port, came = target
    it = await proxying(port)
    (reader, writer), (far_reader, far_writer) = await raw_pair(it, came)
    ours, theirs = (random.Random(seed).randbytes(300_000) for seed in (1, 2))
    writer.write(ours)
    assert await far_reader.readexactly(len(ours)) == ours
    far_writer.write(theirs)
    assert await reader.readexactly(len(theirs)) == theirs
    for one in (writer, far_writer):
        one.close()
    await it.until(lambda: it.events("over"))
    await it.end()
    (over,) = it.events("over")
    assert (over["initiator_bytes"], over["responder_bytes"]) == (300_000, 300_000)
    assert over["protocol"] == "encrypted"


@pytest.mark.parametrize("encryption", ["prefer", "require"])
async def test_what_is_encrypted_is_read_when_the_torrent_is_named(
    proxying, giving, sample, encryption
):
    giver = await giving(sample)
    it = await proxying(giver.port, OTHER, sample.torrent)
    blocks = await fetch(sample, it.port, encryption=encryption)
    await it.until(lambda: it.events("over"))
    await it.end()
    assert blocks == await fetch(sample, giver.port)
    method = {"prefer": "plaintext", "require": "RC4"}[encryption]
    offered = {"prefer": "RC4 or plaintext", "require": "RC4"}[encryption]
    shown = [
        line for line in it.lines if "handshake" in line or "encrypt" in line or "sele" in line
    ]
    info_hash = sample.meta.info_hash.hex()
    assert shown[0] == (
        f"#0 = encrypted, about {info_hash}, and read here; the initiator offers {offered}"
    )
    assert shown[1].startswith(f"#0 > handshake {info_hash}")
    assert shown[2] == f"#0 = the responder selects {method}"
    assert shown[3].startswith(f"#0 < handshake {info_hash}")
    assert len([line for line in it.lines if " < piece" in line]) == 3
    assert it.events("over")[0]["decrypted"] == method.lower()
    assert not it.out.notes


async def test_what_is_encrypted_passes_when_it_is_not(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port)
    for _ in range(2):
        blocks = await fetch(sample, it.port, encryption="require")
    assert blocks == await fetch(sample, giver.port)
    await it.until(lambda: len(it.events("over")) == 2)
    await it.end()
    assert "#0 = encrypted, as BitTorrent's MSE looks" in it.lines
    assert it.out.notes == [
        "#0 is encrypted and passed on unread; to look inside, name its torrent: the info-hash, "
        "a magnet link or the .torrent"
    ]
    over = it.events("over")[0]
    assert (over["protocol"], over["decrypted"]) == ("encrypted", None)


async def test_another_torrent_than_those_that_are_named(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port, OTHER)
    with pytest.raises(ConnectionClosed):
        await fetch(sample, it.port, encryption="require")
    assert await fetch(sample, it.port, encryption="off")
    await it.until(lambda: len(it.events("over")) == 2)
    await it.end()
    assert it.lines[1].startswith("#0 ! the encrypted connection is about another torrent than ")
    ended = "was cut off here, during the encrypted handshake"
    assert {*it.lines[2:4]} == {f"#0 = the {side} {ended}" for side in ("initiator", "responder")}


async def test_a_rule_of_encryption_that_is_broken(proxying, target, sample):
    port, came = target
    it = await proxying(port, sample.torrent)
    (reader, writer), _ = await raw_pair(it, came)
    writer.write(random.Random(1).randbytes(900))
    with pytest.raises(ConnectionResetError):
        await reader.read()
    await it.until(lambda: it.events("over"))
    await it.end()
    assert it.lines[1].startswith("#0 ! violation by the initiator: no HASH(req1 S) within 512")
    assert it.events("over")[0]["violations"] == 1
    writer.close()


async def test_what_breaks_a_rule_is_told_and_passes(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port, sample.torrent)
    meta = sample.meta
    async with connect(HOST, it.port, meta.info_hash, encryption="off") as peer:
        peer.have_none()
        peer.have(meta.num_pieces)
        await peer.wait_closed()
    await it.until(lambda: it.events("over"))
    await it.end()
    (told,) = [line for line in it.lines if "!" in line]
    count = meta.num_pieces
    assert told.startswith(
        f"#0 ! violation by the initiator: have {count} in a torrent of {count} pieces"
    )
    assert it.events("summary")[0]["violations"] == 1


async def test_many_at_a_time(proxying, giving, sample):
    giver = await giving(sample)
    it = await proxying(giver.port)
    await asyncio.gather(*(fetch(sample, it.port) for _ in range(20)))
    await it.until(lambda: len(it.events("over")) == 20)
    await it.end()
    assert {line.split()[0] for line in it.lines} == {f"#{n}" for n in range(20)}
    assert len([line for line in it.lines if " < piece" in line]) == 60
    assert it.events("summary")[0]["connections"] == 20


async def test_no_more_than_so_many(proxying, target, monkeypatch):
    monkeypatch.setattr(proxy, "MAX_CONNECTIONS", 1)
    port, came = target
    it = await proxying(port)
    (_, writer), (_, far_writer) = await raw_pair(it, came)
    reader, refused = await asyncio.open_connection(HOST, it.port)
    assert await reader.read() == b""
    await it.end()
    assert it.events("summary")[0]["refused"] == 1
    assert "1 refused, as 1 are the most at a time" in it.out.events[-1][1]
    for one in (writer, far_writer, refused):
        one.close()


async def test_a_target_that_is_down(proxying, dead_port):
    it = await proxying(dead_port)
    reader, writer = await asyncio.open_connection(HOST, it.port)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    await it.until(lambda: it.out.results)
    writer.close()
    await it.end()
    assert it.lines == [f"! no connection to 127.0.0.1:{dead_port}: Connection refused"]
    (summary,) = it.events("summary")
    assert (summary["connections"], summary["unreached"]) == (0, 1)
    assert it.out.events[-1][1] == f"0 connections; 1 did not reach 127.0.0.1:{dead_port}"


async def test_a_target_that_does_not_answer(proxying, monkeypatch):
    monkeypatch.setattr(proxy, "TIMEOUT", 0.01)
    it = await proxying(9)

    async def never(*_):
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    with socket.create_connection((HOST, it.port)):
        await it.until(lambda: it.out.results)
    await it.end()
    assert it.lines == ["! no connection to 127.0.0.1:9: no answer within 0.01 s"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_to_end_with_connections_open(proxying, target, number):
    port, came = target
    it = await proxying(port)
    (reader, writer), (far_reader, far_writer) = await raw_pair(it, came)
    assert await it.end(number) == 0
    assert await reader.read() == await far_reader.read() == b""
    assert it.lines[1:] == [
        "#0 = the initiator was cut off here",
        "#0 = the responder was cut off here",
    ]
    assert [record["event"] for record, _ in it.out.events] == ["listening", "over", "summary"]
    for one in (writer, far_writer):
        one.close()


# What is written


def same(lines):
    """A log without the lines that a capture does not have, or has at another time."""
    left_out = ("= connection", "= encrypted, about", "= the responder selects")
    return [line for line in lines if not any(text in line for text in left_out)]


@pytest.mark.parametrize("encryption", ["off", "prefer", "require"])
async def test_a_capture_gives_the_same_log(proxying, giving, sample, tmp_path, capsys, encryption):
    pytest.importorskip("cypcap", reason="cypcap, with which captures are read, is not here")
    giver, path = await giving(sample), tmp_path / "a.pcap"
    it = await proxying(giver.port, sample.torrent, write=str(path))
    await asyncio.gather(*(fetch(sample, it.port, encryption=encryption) for _ in range(2)))
    await it.until(lambda: len(it.events("over")) == 2)
    await it.end()
    assert it.out.events[-1][1].endswith(f"; written to {path}")
    assert it.events("summary")[0]["written"] == str(path)
    args = {"file": str(path), "stream": None, "host": None, "port": None, "message": None}
    capsys.readouterr()
    torrents = {"torrent": [str(sample.torrent)]}
    assert await decode(argparse.Namespace(**args | torrents), Output(json=False)) == 0
    lines = [text for _, text in it.out.results]
    found = capsys.readouterr().out.splitlines()
    assert same(found) == same(lines)
    assert len(found) > 20


async def test_what_was_said_can_be_read_while_it_goes_on(proxying, target, tmp_path):
    port, came = target
    path = tmp_path / "a.pcap"
    it = await proxying(port, write=str(path))
    (_, writer), (far_reader, far_writer) = await raw_pair(it, came)
    writer.write(b"hello")
    await far_reader.readexactly(5)
    await it.until(lambda: path.read_bytes().endswith(b"hello"))
    await it.end()
    for one in (writer, far_writer):
        one.close()


def test_a_file_that_can_not_be_written(cli, tmp_path):
    said = cli("proxy", "--listen", f"{HOST}:0", "--to", f"{HOST}:9", "--write", tmp_path)
    assert said.status == 1
    assert said.err == f"peerwire: {tmp_path}: Is a directory\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
async def test_a_disk_that_is_full(proxying):
    it = await proxying(9, write="/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        await it.over()
    assert caught.value.filename == "/dev/full"


# What can't be


def test_a_port_in_use(cli):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("proxy", "--listen", f"{HOST}:{port}", "--to", f"{HOST}:9")
    assert said.status == 1
    assert said.err.splitlines() == [
        "0 connections",
        f"peerwire: can't listen on 127.0.0.1:{port}: Address already in use",
    ]


async def test_a_socket_that_is_lost(proxying, monkeypatch):
    bound = []

    async def bind(*args):
        bound.extend(await bind_them(*args))
        return bound

    bind_them = proxy.bind
    monkeypatch.setattr(proxy, "bind", bind)
    it = await proxying(9)
    bound[0].shutdown(socket.SHUT_RDWR)
    with pytest.raises(PeerWireError, match=r"can't listen on 127.0.0.1:\d+ any more: Invalid arg"):
        await it.over()


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--listen", f"{HOST}:7", "--to", f"{HOST}:7"], 2, "would connect to itself"),
        (["--listen", f"{HOST}:0", "--to", f"{HOST}:7", "no-such"], 1, "'no-such' is no file"),
        (["--listen", HOST, "--to", f"{HOST}:7"], 2, "is no address; write HOST:PORT"),
        (["--listen", f"{HOST}:0"], 2, "--to"),
    ],
)
def test_wrong_usage(cli, words, status, text):
    said = cli("proxy", *words)
    assert said.status == status
    assert text in said.err
    assert said.out == ""


# With somebody else


@pytest.mark.parametrize("encryption", ["off", "require", "plaintext"])
def test_between_libtorrent_and_us(start, sample, tmp_path, encryption):
    """A whole download; and somebody on each side of the proxy, who compares."""
    pytest.importorskip("libtorrent", reason="the Python package libtorrent is not here")
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    words = ["seed", sample.torrent, sample.content, port, "--encryption", encryption]
    seed = start(*words, command=[sys.executable, LIBTORRENT])
    wait_until(lambda: "ready" in seed.out.splitlines())
    with eavesdropping(port) as behind:
        words = ["--listen", f"{HOST}:0", "--to", f"{HOST}:{behind.port}", sample.torrent]
        it = start("proxy", *words, "--json")
        with eavesdropping(it.port()) as before:
            ours = {"plaintext": "prefer"}.get(encryption, encryption)
            words = [sample.torrent, "--peer", f"{HOST}:{before.port}", "--encryption", ours]
            got = run("get", *words, "-o", tmp_path / "out")
            assert got.status == 0
            wait_until(lambda: '"over"' in it.out)
            ((near,), (far,)) = before.conversations, behind.conversations
    assert it.end(signal.SIGINT) == 0
    assert sample.is_in(tmp_path / "out")
    assert '"event": "piece"' in it.out
    if encryption == "off":
        assert (near.said, near.answered) == (far.said, far.answered)
    else:
        assert near.said[:96] != far.said[:96]  # keys of our own
        tail = 40_000  # of what is inside, where it is plain
        assert (near.answered[-tail:] == far.answered[-tail:]) is (encryption == "plaintext")
