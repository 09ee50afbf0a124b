"""A probe: what cases begin and end with, and what it makes of a peer that does something else."""

from __future__ import annotations

import asyncio
import sys

import pytest
from tests.hybrids import v2_torrent

from peerwire import (
    Bitfield,
    Choke,
    EncryptionError,
    Extended,
    Handshake,
    Have,
    Piece,
    Reject,
    Request,
    Reserved,
    Unchoke,
)
from peerwire.bencode import encode
from peerwire.check import (
    Closed,
    Deviates,
    Inconclusive,
    NotApplicable,
    Probe,
    Silent,
)
from peerwire.check import (
    probe as module,
)
from peerwire.check.probe import dial, source_address
from peerwire.cli.subject import Subject
from peerwire.mse import CryptoMethod, Initiator, Responder, SkeyTable

from .double import Double, Session
from .test_connection import at_once, connected, saying

BITS = Reserved.FAST | Reserved.EXTENSION


def greeting(sample, bits=BITS):
    return Handshake(sample.meta.info_hash, b"-XX0000-some_peer___", bits)


def probing(sample, connection, **options):
    """A probe on a connection that there is already."""
    reader, writer = connection._reader, connection._writer
    return Probe(sample.subject, reader, writer, **options)


class Dialled:
    """A probe of a double with these defects."""

    def __init__(self, sample, *defects):
        self.sample, self.defects = sample, defects

    async def __aenter__(self):
        sample = self.sample
        self.running = Double.running(sample.meta, sample.content, *self.defects)
        self.double = await self.running.__aenter__()
        self.probe = await dial("127.0.0.1", self.double.port, sample.subject)
        return self.probe

    async def __aexit__(self, *error):
        await self.probe.leave()
        await self.running.__aexit__(*error)


# Addresses


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loopback has one address")
def test_each_connection_on_loopback_comes_from_an_address_of_its_own():
    addresses = [source_address("127.0.0.1") for _ in range(600)]
    assert len({*addresses}) == 600
    assert all(address.startswith("127.1.") for address in addresses)
    assert not any(address.endswith((".0", ".255")) for address in addresses)
    assert source_address("localhost") is not None


def test_elsewhere_any_address_will_do(monkeypatch):
    assert source_address("192.0.2.1") is None
    monkeypatch.setattr(sys, "platform", "darwin")
    assert source_address("127.0.0.1") is None


@at_once
async def test_dialling_without_an_address_of_ones_own(sample, monkeypatch):
    monkeypatch.setattr(module, "source_address", lambda host: None)
    async with Dialled(sample) as probe:
        await probe.open()
        await probe.goes_on()
        assert probe.address == "127.0.0.1"


# What the torrent is


@at_once
async def test_a_torrent_in_requests(sample):
    async with Dialled(sample) as probe:
        assert probe.info_hash == sample.meta.info_hash
        assert probe.last == sample.meta.num_pieces - 1 == 10
        assert probe.bitfield(0, 9) == Bitfield(b"\x80\x40")
        assert probe.blocks(0) == [Request(0, 0, 16384), Request(0, 16384, 16384)]
        assert probe.blocks(10) == [Request(10, 0, 32768 - 20_000)]
        assert probe.first_block() == Request(0, 0, 16384)
        assert probe.greeting().info_hash == sample.meta.info_hash
        assert probe.greeting(BITS, bytes(20)) == Handshake(bytes(20), probe.peer_id, BITS)


# What cases begin with


@at_once
async def test_opening(sample):
    async with Dialled(sample) as probe:
        assert await probe.open(Reserved.FAST) is probe.theirs
        assert any("> have none" in line for line in probe.transcript())
        probe.need(Reserved.FAST, "BEP 6")
        with pytest.raises(NotApplicable, match="does not have the bit of nothing"):
            probe.need(Reserved(1 << 40), "nothing")


@pytest.mark.parametrize(
    "options", [{"reserved": Reserved(0)}, {"reserved": Reserved.FAST, "announce": False}]
)
@at_once
async def test_opening_without_a_word_on_pieces(sample, options):
    async with Dialled(sample) as probe:
        await probe.open(**options)
        assert not any("> have none" in line for line in probe.transcript())


@at_once
async def test_nothing_is_known_of_a_peer_without_a_handshake(sample):
    async with connected(saying(then="end")) as connection:
        probe = probing(sample, connection)
        with pytest.raises(NotApplicable):
            probe.need(Reserved.FAST, "BEP 6")
        with pytest.raises(NotApplicable, match="it does not speak ut_pex"):
            probe.their_id("ut_pex")
        with pytest.raises(
            Inconclusive, match=r"not asked: the connection was (closed|reset) without"
        ):
            await probe.open()


@at_once
async def test_getting_ready(sample):
    async with Dialled(sample) as probe:
        await probe.ready()
        assert not probe.choked
        said = len(probe.transcript())
        await probe.unchoked()
        assert len(probe.transcript()) == said


@at_once
async def test_a_peer_that_unchokes_nobody(sample):
    async with connected(saying(greeting(sample))) as connection:
        with pytest.raises(Inconclusive, match="not asked: it chokes us for 13 s"):
            await probing(sample, connection).ready()


@at_once
async def test_a_peer_that_closes_before_we_are_ready(sample):
    async with connected(saying(greeting(sample), then="end")) as connection:
        with pytest.raises(Inconclusive, match=r"not asked: the connection was (closed|reset)"):
            await probing(sample, connection).ready()


@at_once
async def test_bep_6(sample):
    async with Dialled(sample) as probe:
        await probe.fast()
        assert Reserved.FAST in probe.theirs.reserved
    async with connected(saying(greeting(sample, Reserved(0)))) as connection:
        with pytest.raises(NotApplicable, match="BEP 6"):
            await probing(sample, connection).fast()


@at_once
async def test_introductions(sample):
    async with Dialled(sample) as probe:
        told = await probe.introduce({"ut_pex": 7, "gone": 0}, reserved=Reserved.FAST, v="x")
        assert told is probe.introduced
        assert probe.their_id("ut_metadata") == told.m["ut_metadata"]
        assert probe._names[7] == "ut_pex"
        assert 0 in probe._names
        assert await probe.introduce() is told


@at_once
async def test_a_peer_that_does_not_introduce_itself(sample):
    async with connected(saying(greeting(sample))) as connection:
        with pytest.raises(Inconclusive, match="no extended handshake: "):
            await probing(sample, connection).introduce()
    async with connected(saying(greeting(sample, Reserved(0)))) as connection:
        with pytest.raises(NotApplicable, match="BEP 10"):
            await probing(sample, connection).introduce()


@at_once
async def test_an_introduction_that_says_nothing(sample):
    broken, right = Extended(0, b"x"), Extended(0, encode({"v": "y"}))
    async with connected(saying(greeting(sample), broken, Extended(3, b""), right)) as connection:
        assert (await probing(sample, connection).introduce()).v == "y"


# Other connections


@at_once
async def test_somebody_else(sample):
    async with Dialled(sample) as probe:
        await probe.answers_others()
        async with probe.another() as other:
            assert other.peer_id != probe.peer_id
            await other.open()
            await other.goes_on()
    assert any("= on another connection: " in line for line in probe.transcript())


@at_once
async def test_nobody_else(sample):
    async with Dialled(sample) as probe:
        probe._redial = refused
        with pytest.raises(Inconclusive, match="no second connection: refused"):
            await probe.answers_others()
    async with connected(saying()) as connection:
        with pytest.raises(Inconclusive, match="can't be connected to"):
            await probing(sample, connection).answers_others()


async def refused():
    raise ConnectionRefusedError("refused")


# Blocks


@at_once
async def test_what_is_served_is_held_against_its_hash(sample):
    async with Dialled(sample) as probe:
        await probe.ready()
        assert await probe.block(Request(0, 16384, 16384)) == sample.content[16384:32768]
        assert await probe.fetch(1) == sample.content[32768:65536]
        await probe.goes_on()


@at_once
async def test_a_piece_that_is_wrong(sample):
    class Wrong(Session):
        def serve(self, asked):
            return Piece(asked.index, asked.begin, bytes(asked.length))

    async with Dialled(sample, Wrong) as probe:
        await probe.open()
        with pytest.raises(Deviates, match="what it sends of piece 10 does not have the piece"):
            await probe.goes_on()


@at_once
async def test_a_long_piece_is_not_fetched_whole(sample, monkeypatch):
    async with Dialled(sample) as probe:
        await probe.open()
        long = [Request(10, 0, 12768)] * 9
        monkeypatch.setattr(probe, "blocks", lambda index: long)
        await probe.goes_on()
        assert [each for each in probe.heard if isinstance(each, Piece)] == [
            Piece(10, 0, sample.content[327680:])
        ]


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ([], Silent, "^no piece or reject within 12 s"),
        ([Reject(0, 0, 5)], Deviates, "it says reject 0:0"),
        ([Piece(0, 0, b"123")], Deviates, "asked for 5 bytes, it says piece 0:0"),
        ([Piece(3, 0, b"12345"), Reject(1, 0, 5)], Silent, "no piece or reject"),
    ],
)
@at_once
async def test_a_block_that_does_not_come(sample, said, error, words):
    async with connected(saying(greeting(sample), *said)) as connection:
        probe = probing(sample, connection)
        with pytest.raises(error, match=words):
            await probe.block(Request(0, 0, 5))


@at_once
async def test_blocks_in_any_order(sample):
    asked = [Request(0, 0, 2), Request(1, 0, 2)]
    said = [Piece(1, 0, b"cd"), Have(1), Piece(0, 0, b"ab")]
    async with connected(saying(greeting(sample), *said)) as connection:
        assert await probing(sample, connection).collect(asked) == [b"ab", b"cd"]
    async with connected(saying(greeting(sample), said[0], then="end")) as connection:
        with pytest.raises(Closed, match="1 of 2 blocks came: the connection was closed"):
            await probing(sample, connection).collect(asked)


# Leechers


@at_once
async def test_what_a_leecher_lacks_and_asks_for(sample):
    def content(index, begin, length):
        return sample.content[index * 32768 + begin :][:length]

    said = [Bitfield(b"\xff\x00"), Request(9, 0, 16384)]
    async with connected(saying(greeting(sample), *said)) as connection:
        probe = probing(sample, connection, content=content)
        await probe.open()
        asked = await probe.requested()
        assert probe.lacking() == [8, 9, 10]
        assert probe.serve(asked) == Piece(9, 0, sample.content[9 * 32768 :][:16384])
        probe.pieces |= {8, 9}
        with pytest.raises(Inconclusive, match="it has almost everything already"):
            probe.lacking()


# Encryption


@pytest.mark.parametrize("method", CryptoMethod)
@at_once
async def test_encryption_with_a_peer_that_we_dial(sample, method):
    async with Dialled(sample) as probe:
        payload = probe.greeting().encode()
        assert await probe.encrypt(method, initial_payload=payload) is method
        assert (await probe.handshake()).info_hash == sample.meta.info_hash
        await probe.goes_on()
    assert any("encrypted, with" in line for line in probe.transcript())


@at_once
async def test_encryption_that_is_not_answered(sample):
    async with connected(saying(then="end")) as connection:
        with pytest.raises(NotApplicable, match="it does not answer an encrypted handshake: the"):
            await probing(sample, connection).encrypt(CryptoMethod.RC4)
    async with connected(saying()) as connection:
        with pytest.raises(NotApplicable, match="nothing more comes"):
            await probing(sample, connection).encrypt(CryptoMethod.RC4)


@at_once
async def test_encryption_that_is_answered_wrongly(sample):
    async with connected(saying(bytes(95))) as connection:
        with pytest.raises(Deviates, match="after 95 bytes of an encrypted handshake"):
            await probing(sample, connection).encrypt(CryptoMethod.RC4)
    async with connected(saying(bytes(96))) as connection:
        with pytest.raises(Deviates) as caught:
            await probing(sample, connection).encrypt(CryptoMethod.RC4)
        assert isinstance(caught.value.__cause__, EncryptionError)


def beginning(sample, methods):
    """A peer that connects to us and begins with encryption."""

    async def behave(reader, writer):
        mse = Initiator(sample.meta.info_hash, methods, greeting(sample).encode())
        while mse.method is None:
            writer.write(mse.data_to_send())
            mse.receive_data(await reader.read(1 << 16))
        writer.write(mse.data_to_send())
        said = bytearray(Unchoke().encode())
        if cipher := mse.encryptor():
            cipher.apply(said)
        writer.write(said)
        await asyncio.Event().wait()

    return behave


@pytest.mark.parametrize("method", CryptoMethod)
@pytest.mark.parametrize("at_once_said", [False, True])
@at_once
async def test_encryption_with_a_peer_that_connects(sample, method, at_once_said):
    async with connected(beginning(sample, method)) as connection:
        probe = probing(sample, connection)
        assert not await probe.in_the_clear()
        payload = [probe.greeting()] if at_once_said else []
        assert await probe.accept(None, *payload) is method
        assert (await probe.handshake()).info_hash == sample.meta.info_hash
        await probe.wait_for(Unchoke)
    assert any("> handshake" in line for line in probe.transcript()) == at_once_said


@at_once
async def test_a_peer_that_begins_in_the_clear(sample):
    async with connected(saying(greeting(sample), Choke())) as connection:
        probe = probing(sample, connection)
        assert await probe.in_the_clear()
        with pytest.raises(NotApplicable, match="it does not begin with an encrypted handshake"):
            await probe.accept()
        await probe.open()
        assert await probe.hear() == Choke()


@at_once
async def test_answers_as_a_case_wants_them(sample):
    both = CryptoMethod.RC4 | CryptoMethod.PLAINTEXT
    async with connected(beginning(sample, both)) as connection:
        mse = Responder(SkeyTable([sample.meta.info_hash]), CryptoMethod.PLAINTEXT)
        probe = probing(sample, connection)
        assert await probe.accept(mse) is CryptoMethod.PLAINTEXT


# v2


def test_the_info_hash_of_v2_is_cut_short():
    subject = Subject.of_torrent(v2_torrent(bytes(40_000), 16384, hybrid=False))

    async def ask():
        async with connected(saying()) as connection:
            return Probe(subject, connection._reader, connection._writer).info_hash

    assert len(asyncio.run(ask())) == 20
