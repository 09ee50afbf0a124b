"""peerwire seed."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.hybrids import v2_torrent

from peerwire import ConnectionClosed, PeerWireError, connect, serve
from peerwire.bencode import decode, encode
from peerwire.cli import seed
from peerwire.swarm.hashes import fetch_piece_layer
from peerwire.torrent.metainfo_v2 import MetainfoV2

from .conftest import BLOCK, HOST, Recorder, run, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SEEDING = {"event", "name", "info_hash", "info_hash_v2", "host", "port"}
JOINED = {"event", "address", "client", "dialled", "encryption"}
LEFT = {"event", "address", "client", "by", "reason", "uploaded", "downloaded"}


@pytest.fixture
def seeding():
    """Runs the verb in this process until it says that it seeds, and then ends it by a signal."""

    async def seeding(
        torrent, content, *, host=HOST, super_=False, number=signal.SIGTERM, first=None
    ):
        args = {
            "torrent": str(torrent),
            "content": content,
            "host": host,
            "port": 0,
            "encryption": "prefer",
            "super": super_,
        }
        said = asyncio.Event()
        out = Recorder(at_result=said.set)
        running = asyncio.create_task(seed.run(type("Args", (), args), out))
        await asyncio.wait(
            [running, asyncio.create_task(said.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        if running.done():
            running.result()
        if first is not None:
            await first(out.results[0][0]["port"])
        os.kill(os.getpid(), number)
        assert await running == 0
        return out

    return seeding


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_until_a_signal(seeding, sample, number):
    out = await seeding(sample.torrent, sample.content, number=number)
    ((record, text),) = out.results
    assert record.keys() == SEEDING
    info_hash = sample.meta.info_hash.hex()
    assert text == f"seeding sample on 127.0.0.1:{record['port']}, {info_hash}"
    assert record["info_hash_v2"] is None
    assert out.notes == ["stopping"]


@dataclass
class Hybrid:
    """A file, and its .torrent of both versions."""

    content: Path
    torrent: Path
    meta: MetainfoV2


@pytest.fixture
def hybrid(tmp_path):
    content, torrent = tmp_path / "file", tmp_path / "hybrid.torrent"
    content.write_bytes(random.Random(4).randbytes(10 * BLOCK + 1))
    torrent.write_bytes(v2_torrent(content.read_bytes(), 2 * BLOCK, name="file"))
    return Hybrid(content, torrent, MetainfoV2.from_file(torrent))


async def test_a_hybrid_by_both_of_its_info_hashes(seeding, hybrid):
    meta = hybrid.meta
    (file,) = meta.files

    async def come(port):
        async with connect(HOST, port, meta.v1.info_hash) as peer:
            assert not peer.v2
            await peer.ready()
            assert await peer.request(0, 0, BLOCK) == hybrid.content.read_bytes()[:BLOCK]
        async with connect(HOST, port, meta.info_hash) as peer:
            assert peer.v2
            layer = await fetch_piece_layer(peer, file.pieces_root, file.length, 2 * BLOCK)
            assert layer == meta.piece_layers[file.pieces_root]

    out = await seeding(hybrid.torrent, hybrid.content, first=come)
    record, text = out.results[0]
    assert record["info_hash_v2"] == meta.info_hash.hex()
    assert text.endswith(f", {meta.v1.info_hash.hex()}, {meta.info_hash.hex()}")


async def test_a_hybrid_whose_v2_side_is_of_something_else(seeding, hybrid):
    data = decode(hybrid.torrent.read_bytes())
    data[b"piece layers"] = {root: bytes(len(data)) for root, data in data[b"piece layers"].items()}
    hybrid.torrent.write_bytes(encode(data))

    async def come(port):
        async with connect(HOST, port, hybrid.meta.v1.info_hash) as peer:
            await peer.ready()
        with pytest.raises(ConnectionClosed):
            await connect(HOST, port, hybrid.meta.info_hash)

    out = await seeding(hybrid.torrent, hybrid.content, first=come)
    assert out.notes[0].startswith("its v2 side is left out: a piece layer leads to the root")
    assert out.results[0][0]["info_hash_v2"] is None


async def test_a_hybrid_without_piece_layers(seeding, hybrid):
    data = decode(hybrid.torrent.read_bytes())
    del data[b"piece layers"]
    hybrid.torrent.write_bytes(encode(data))
    out = await seeding(hybrid.torrent, hybrid.content)
    assert out.results[0][0]["info_hash_v2"] is None
    assert out.notes == ["stopping"]


async def test_on_ipv6(seeding, sample):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    out = await seeding(sample.torrent, sample.content, host="::1")
    assert out.results[0][1].startswith("seeding sample on [::1]:")


async def test_the_folder_that_has_it(seeding, sample):
    out = await seeding(sample.torrent, sample.content.parent)
    assert len(out.results) == 1


async def test_what_does_not_verify_is_neither_served_nor_touched(seeding, sample):
    changed = sample.content / "c"
    data = bytearray(changed.read_bytes())
    data[100_000] ^= 1
    changed.write_bytes(data)

    async def give(port):
        """Offers it the right pieces, which it has not asked for."""
        info_hash = sample.meta.info_hash
        async with connect(HOST, port, info_hash, num_pieces=sample.meta.num_pieces) as peer:
            peer.have_all()
            peer.unchoke()
            await peer.wait_until(lambda: peer.peer_pieces)
            assert len(peer.peer_pieces) == sample.meta.num_pieces - 1
            await peer.wait_closed()  # by them: there is nothing that one has for the other
            assert not peer.peer_interested

    out = await seeding(sample.torrent, sample.content, first=give)
    assert out.notes[0] == "only 211.3 KiB of 227.3 KiB verify; the rest is not served"
    assert changed.read_bytes() == data


async def test_super_seeding(seeding, sample):
    async def look(port):
        info_hash = sample.meta.info_hash
        async with connect(HOST, port, info_hash, num_pieces=sample.meta.num_pieces) as peer:
            peer.have_none()
            await peer.wait_until(lambda: peer.peer_pieces)
            assert len(peer.peer_pieces) == 1

    await seeding(sample.torrent, sample.content, super_=True, first=look)


def test_who_lacks_something_can_not_super_seed(cli, sample):
    (sample.content / "c").write_bytes(bytes(200_001))
    said = cli("seed", sample.torrent, "--content", sample.content, "--port", "0", "--super")
    assert said.status == 1
    assert said.out == ""
    assert said.err == (
        "peerwire: only 19.3 KiB of 227.3 KiB verify: who has not all of it can't super-seed;"
        " leave --super out, or complete it first\n"
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["missing.torrent", "--content", "sample"], "missing.torrent: No such file or directory"),
        (["sample", "--content", "sample"], "sample: Is a directory"),
        (["sample/c", "--content", "sample"], "not a .torrent"),
        (["sample.torrent", "--content", "missing"], "missing does not exist"),
        (["sample.torrent", "--content", "sample/b"], "is not all of 'sample'"),
    ],
)
def test_what_cannot_be_served(cli, sample, tmp_path, monkeypatch, words, reason):
    monkeypatch.chdir(tmp_path)
    said = cli("seed", *words, "--port", "0")
    assert said.status == 1
    assert said.out == ""
    assert said.err.startswith("peerwire: ")
    assert reason in said.err
    assert said.err.count("\n") == 1


def test_content_of_another_torrent(cli, sample):
    for path in sample.content.rglob("*"):
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    said = cli("seed", sample.torrent, "--content", sample.content, "--port", "0")
    assert said.status == 1
    assert said.err == (
        f"peerwire: {sample.content}: no piece of it is what {sample.torrent} describes\n"
    )


def test_a_port_in_use(cli, sample):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("seed", sample.torrent, "--content", sample.content, "--port", port)
    assert said.status == 1
    assert said.err == f"peerwire: can't listen on 127.0.0.1:{port}: Address already in use\n"


def test_a_host_that_is_none(cli, sample):
    said = cli("seed", sample.torrent, "--content", sample.content, "--host", "no.such.invalid")
    assert said.status == 1
    assert said.err.startswith("peerwire: can't listen on no.such.invalid:6881: ")


async def test_a_seed_that_loses_its_socket(sample, monkeypatch):
    """The system may take it away, as with the network it belongs to."""
    served = []

    async def serve_and_show(*args, **options):
        served.append(await serve(*args, **options))
        return served[0]

    monkeypatch.setattr(seed, "serve", serve_and_show)
    out = Recorder(at_result=lambda: served[0].sockets[0].shutdown(socket.SHUT_RDWR))
    args = argparse.Namespace(
        torrent=sample.torrent,
        content=sample.content,
        host=HOST,
        port=0,
        encryption="prefer",
        super=False,
    )
    with pytest.raises(PeerWireError, match=r"can't listen on 127.0.0.1:\d+ any more: Invalid arg"):
        await seed.run(args, out)
    assert served[0].sockets == ()


# In a process of its own


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_comes_and_goes_for_people(start, sample, tmp_path, number):
    giver = start("seed", sample.torrent, "--content", sample.content, "--port", "0")
    port = giver.port()
    assert (
        run("get", sample.torrent, "--peer", f"{HOST}:{port}", "-o", tmp_path / "new").status == 0
    )
    wait_until(lambda: "closed" in giver.err)
    assert giver.end(number) == 0
    assert giver.out.splitlines() == [
        f"seeding sample on {HOST}:{port}, {sample.meta.info_hash.hex()}"
    ]
    joined, left, stopping = giver.err.splitlines()
    assert joined.startswith(f"connection from {HOST}:")
    assert ", peerwire " in joined
    assert re.match(rf"closed (by )?{HOST}:", left)  # who is first, once all has been given
    assert left.endswith("; sent 227.3 KiB")
    assert stopping == "stopping"


def test_who_comes_and_goes_for_scripts(start, sample, tmp_path):
    giver = start("seed", sample.torrent, "--content", sample.content, "--port", "0", "--json")
    port = giver.port()
    assert (
        run("get", sample.torrent, "--peer", f"{HOST}:{port}", "-o", tmp_path / "new").status == 0
    )
    wait_until(lambda: len(giver.out.splitlines()) == 3)
    assert giver.end(signal.SIGTERM) == 0
    seeding, joined, left = map(json.loads, giver.out.splitlines())
    assert seeding.keys() == SEEDING
    assert seeding["event"] == "seeding"
    assert joined.keys() == JOINED
    assert joined["event"] == "peer joined"
    assert joined["dialled"] is False
    assert left.keys() == LEFT
    assert left["event"] == "peer left"
    assert (left["uploaded"], left["downloaded"]) == (sample.meta.length, 0)


def test_a_hybrid_of_which_no_more_than_the_v2_info_hash_is_known(start, hybrid, tmp_path):
    giver = start("seed", hybrid.torrent, "--content", hybrid.content, "--port", "0", "--json")
    words = ["--peer", f"{HOST}:{giver.port()}", "-o", tmp_path / "new.torrent"]
    assert run("metadata", hybrid.meta.info_hash.hex(), *words).status == 0
    assert giver.end(signal.SIGTERM) == 0
    assert MetainfoV2.from_file(tmp_path / "new.torrent") == hybrid.meta


def test_a_reader_that_has_enough_does_not_end_it(start, sample, tmp_path):
    reading, writing = os.pipe()
    words = ["seed", sample.torrent, "--content", sample.content, "--port", "0", "--json"]
    giver = start(*words, stdout=writing)
    os.close(writing)
    with open(reading) as stream:
        port = json.loads(stream.readline())["port"]
    for name in "one", "two":
        got = run("get", sample.torrent, "--peer", f"{HOST}:{port}", "-o", tmp_path / name)
        assert got.status == 0
    assert giver.end(signal.SIGINT) == 0
    assert giver.err == "stopping\n"


def test_the_way_from_a_folder_to_a_copy_of_it(start, sample, tmp_path):
    torrent = tmp_path / "new.torrent"
    made = run("create", sample.content, "-o", torrent, "--piece-size", BLOCK, "--json")
    giver = start("seed", torrent, "--content", sample.content, "--port", "0", "--json")
    got = run("get", torrent, "--peer", f"{HOST}:{giver.port()}", "-o", tmp_path / "new", "--json")
    assert made.status == got.status == 0
    assert made.records[0]["info_hash"] == got.records[-1]["info_hash"]
    assert sample.is_in(tmp_path / "new")
