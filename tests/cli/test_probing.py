"""What a probe learns of peers of all kinds, and that it comes to an end with each."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random

import pytest

from peerwire import (
    AllowedFast,
    Bitfield,
    Choke,
    ConnectionClosed,
    Extended,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    InfoHashMismatch,
    Interested,
    InvalidHandshake,
    PeerWireError,
    Piece,
    Port,
    Reject,
    Request,
    Reserved,
    Unchoke,
    serve,
)
from peerwire.asyncio import connection
from peerwire.bencode import encode
from peerwire.cli import probing
from peerwire.cli.probing import Blocks, Heard, probe, try_encrypted
from peerwire.cli.subject import Subject
from peerwire.encryption import Encryption
from peerwire.mse import CryptoMethod, Responder, SkeyTable
from peerwire.swarm.events import NoHandshake, why
from peerwire.torrent.metainfo import Metainfo

from ..asyncio.raw import RAW_ID, Raw, greeting
from .stranger import HOST, stranger

BLOCK = 16 * 1024
CONTENT = random.Random(3).randbytes(2 * BLOCK * 3 + 100)
PIECES = [CONTENT[n : n + 2 * BLOCK] for n in range(0, len(CONTENT), 2 * BLOCK)]
INFO = encode(
    {
        "name": "content",
        "piece length": 2 * BLOCK,
        "length": len(CONTENT),
        "pieces": b"".join(hashlib.sha1(piece).digest() for piece in PIECES),
    }
)
META = Metainfo.from_info(INFO)
#: Four pieces: three of two blocks, and one of a hundred bytes.
TORRENT = Subject(info_hash=META.info_hash, metainfo=META, name="content")
HASH_ONLY = Subject(info_hash=META.info_hash)
HELLO = greeting(META.info_hash)
BOTH = Handshake(META.info_hash, RAW_ID, Reserved.FAST | Reserved.EXTENSION)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Nothing is waited for that is not said."""
    for name, value in {"SETTLE_TIMEOUT": 0.2, "PATIENCE_UNTOLD": 0.01, "STILL": 0.0}.items():
        monkeypatch.setattr(probing, name, value)
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT", 0.2)


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def meet(stack):
    """Starts a peer and probes it, in the clear unless it is told otherwise."""

    async def meet(talk, subject=TORRENT, **options):
        address = await stack.enter_async_context(stranger(talk))
        options = {"encryption": Encryption.OFF, "note": lambda _: None, **options}
        report = await probe(address, subject, **options)
        await report.closing if report.closing else None
        return report

    return meet


def saying(*what, hello=HELLO):
    """A peer that says this after both handshakes, and then listens until we leave."""

    async def talk(raw: Raw):
        await raw.hear_handshake()
        raw.say(hello, *what)
        await raw.hear_end()

    return talk


def block(request):
    """What is right to answer."""
    start = request.index * META.piece_length + request.begin
    return Piece(request.index, request.begin, CONTENT[start : start + request.length])


def answering(answer=block, *first, hello=HELLO):
    """A seed: unchokes who is interested, and answers requests like this."""

    async def talk(raw: Raw):
        await raw.hear_handshake()
        raw.say(hello, *(first or (HaveAll(),)))
        while True:
            match await raw.hear():
                case Interested():
                    raw.say(Unchoke())
                case Request() as request:
                    raw.say(answer(request))

    return talk


# A peer as it should be


async def test_a_seed(meet):
    report = await meet(answering())
    assert report.modes == {"off": None}
    assert report.peer.peer_pieces.complete
    assert report.heard.handshake == HELLO
    assert report.heard.told_pieces == "have all"
    assert report.connect_seconds > 0
    assert report.heard.between("> interested", "< unchoke") >= 0
    assert report.blocks.asked == 1
    assert report.blocks.first == (3, 0, 100)  # the one that a block is all of
    assert (report.blocks.received, report.blocks.verified) == (100, [3])
    assert (report.ended, report.blocks.failure, report.heard.deviations) == (None, None, [])


@pytest.mark.parametrize(
    ("blocks", "verified", "received"),
    [
        (0, [], 0),
        (2, [3], 100 + BLOCK),
        (3, [3, 0], 100 + 2 * BLOCK),
        (99, [3, 0, 1, 2], len(CONTENT)),
    ],
)
async def test_more_blocks(meet, blocks, verified, received):
    report = await meet(answering(), blocks=blocks)
    assert report.blocks.verified == verified
    assert report.blocks.received == received
    assert report.blocks.asked == -(-received // BLOCK)
    assert report.blocks.corrupt == []


async def test_a_peer_that_takes_one_request_at_a_time(meet):
    hello = Extended(0, encode({"m": {"a": 1}, "reqq": 1}))
    report = await meet(answering(block, hello, HaveAll(), hello=BOTH), blocks=99)
    assert report.blocks.received == len(CONTENT)
    assert report.peer.extended_handshake.m == {"a": 1}


async def test_wrong_bytes_are_found_out(meet):
    report = await meet(answering(lambda r: Piece(r.index, r.begin, bytes(r.length))), blocks=3)
    assert (report.blocks.verified, report.blocks.corrupt) == ([], [3, 0])


async def test_what_it_has_is_asked_for_and_no_other(meet):
    report = await meet(answering(block, Bitfield(b"\x40"), Have(2)), blocks=99)
    assert [*report.peer.peer_pieces] == [1, 2]
    assert report.heard.told_pieces == "bitfield"
    assert report.heard.room == 8
    assert report.blocks.verified == [1, 2]


@pytest.mark.parametrize(
    ("has", "blocks", "asked"), [(Bitfield(b"\x60"), 9, 2), (HaveAll(), 3, 3), (HaveAll(), 0, 0)]
)
async def test_without_a_torrent_first_blocks_are_all_that_can_be_asked_for(
    meet, has, blocks, asked
):
    report = await meet(answering(block, has), HASH_ONLY, blocks=blocks)
    assert report.blocks.asked == asked
    assert report.blocks.received == asked * BLOCK
    first = 1 if isinstance(has, Bitfield) else 0
    assert report.blocks.first == ((first, 0, BLOCK) if asked else None)
    assert (report.blocks.verified, report.blocks.corrupt) == ([], [])


async def test_the_port_of_its_dht_node(meet):
    report = await meet(answering(block, HaveAll(), Port(4242)))
    assert report.heard.dht_port == 4242


async def test_it_is_told_that_we_would_hear_of_a_dht_node(meet):
    heard = []

    async def talk(raw):
        heard.append(await raw.hear_handshake())
        raw.say(HELLO)

    await meet(talk)
    assert Reserved.DHT in heard[0].reserved


async def test_another_trace_sees_all(meet):
    seen = []
    await meet(answering(), trace=lambda mark, what, now: seen.append(f"{mark} {what}"))
    assert "< piece 3:0+100" in seen
    assert any(line.startswith("> handshake") for line in seen)


# What it does when it is asked


async def test_a_peer_that_has_nothing_is_not_asked(meet):
    report = await meet(saying(HaveNone()))
    assert "> interested" not in report.heard.first
    assert report.blocks == Blocks()
    assert report.heard.told_pieces == "have none"


async def test_a_peer_that_says_nothing_of_itself(meet):
    report = await meet(saying())
    assert report.heard.told_pieces is None
    assert "> interested" not in report.heard.first


async def test_a_peer_that_chokes_us(meet):
    notes = []
    report = await meet(saying(HaveAll()), timeout=0.5, note=notes.append)
    assert "> interested" in report.heard.first
    assert "< unchoke" not in report.heard.first
    assert 0 < report.patience <= 0.5
    assert report.blocks == Blocks()
    assert notes == ["it chokes us; waiting for 0 s at the most"]


async def test_a_peer_that_chokes_us_may_allow_some_pieces(meet):
    async def talk(raw):
        await raw.hear_handshake()
        raw.say(HELLO, HaveAll(), AllowedFast(1), AllowedFast(2))
        while not isinstance(request := await raw.hear(), Request):
            pass
        raw.say(block(request))
        await raw.hear_end()

    report = await meet(talk, timeout=0.5)
    assert report.peer.peer_allowed_fast == {1, 2}
    assert report.blocks.first == (1, 0, BLOCK)
    assert report.blocks.received == BLOCK


async def test_a_peer_that_rejects(meet):
    report = await meet(answering(lambda r: Reject(r.index, r.begin, r.length)))
    assert report.blocks.failure.startswith("piece 3, bytes 0+100: ")
    assert report.heard.between("> request", "< reject") >= 0
    assert report.ended is None


async def test_a_peer_that_chokes_us_again(meet):
    report = await meet(
        answering(lambda _: Choke(), Bitfield(b"\xf0"), hello=greeting(META.info_hash, fast=False))
    )
    assert "chok" in report.blocks.failure


async def test_a_peer_that_does_not_answer(meet):
    report = await meet(answering(lambda _: b""), timeout=0.5)
    assert report.blocks.failure == "piece 3, bytes 0+100: no answer by its deadline"


async def test_what_fails_later_ends_it(meet):
    def answer(request):
        return (
            block(request)
            if request.index == 3
            else Reject(request.index, request.begin, request.length)
        )

    report = await meet(answering(answer), blocks=4)
    assert report.blocks.verified == [3]
    assert report.blocks.failure.startswith("piece 0, bytes 0+16384: ")
    assert report.blocks.asked == 4


async def test_deviations_are_kept_but_not_all(meet):
    late = [each for _ in range(15) for each in (Have(1), Bitfield(b"\xf0"))]
    report = await meet(saying(*late), HASH_ONLY, timeout=0.5)
    assert len(report.heard.deviations) == 10
    assert all(text.startswith("bitfield") for text in report.heard.deviations)


async def test_errors_are_no_deviations():
    heard = Heard()
    heard("!", ConnectionClosed("peer", "x"), 1.0)
    heard("=", "open", 1.0)
    assert (heard.deviations, heard.first) == ([], {})
    assert heard.between("> request", "< piece") is None


# Ends


async def test_a_peer_that_leaves(meet):
    async def talk(raw):
        await raw.hear_handshake()
        raw.say(HELLO, HaveAll())
        while not isinstance(await raw.hear(), Interested):
            pass

    report = await meet(talk)
    assert report.ended == "it closed the connection, end of stream"
    assert report.blocks == Blocks()


async def test_a_peer_that_breaks_a_rule_after_a_while(meet):
    report = await meet(answering(lambda _: Piece(0, 7, b"x")))
    assert "BEP 6" in report.ended


async def test_a_peer_that_breaks_a_rule_at_once(meet):
    """It has answered all the same, and what it said in its handshake is told."""
    report = await meet(saying(Bitfield(b"\xff" * 9)))
    assert report.peer is None
    assert report.heard.handshake == HELLO
    assert "BEP 3" in report.ended
    assert report.modes == {"off": None}


async def test_a_peer_that_never_closes_its_side(stack, monkeypatch):
    monkeypatch.setattr(probing, "LEAVE_TIMEOUT", 0.01)
    gone = asyncio.Event()

    async def talk(raw):
        await raw.hear_handshake()
        raw.say(HELLO, HaveNone())
        await raw.hear_end()
        await gone.wait()

    address = await stack.enter_async_context(stranger(talk))
    report = await probe(address, TORRENT, encryption=Encryption.OFF, note=print)
    assert not report.closing.done()
    gone.set()
    await report.closing


async def test_a_flood_ends_in_time(meet):
    async def talk(raw):
        await raw.hear_handshake()
        raw.say(HELLO, HaveAll())
        while True:
            raw.say(Have(1).encode() * 10_000)
            await raw.writer.drain()

    report = await meet(talk, timeout=0.5)
    assert report.ended is None
    assert report.peer.wire.messages_received["have"] > 0


# No handshake


async def refused(meet, talk, kind=PeerWireError, **options):
    with pytest.raises(kind) as raised:
        await meet(talk, **options)
    return str(raised.value)


async def silent(raw):
    await raw.hear_end()


async def hang_up(raw):
    await raw.hear_handshake()


async def test_nobody_is_there(dead_port):
    for encryption in (None, Encryption.REQUIRE):
        with pytest.raises(ConnectionClosed) as raised:
            await probe((HOST, dead_port), TORRENT, encryption=encryption, note=print)
        assert why(raised.value) == "Connection refused"


async def test_nobody_can_be_reached(monkeypatch):
    async def connect(*_, **__):
        raise ConnectionClosed("us", "too late") from TimeoutError()

    monkeypatch.setattr(probing, "connect", connect)
    with pytest.raises(PeerWireError, match="no connection in time"):
        await probe((HOST, 1), TORRENT, note=print)


@pytest.mark.parametrize(
    ("encryption", "means"),
    [(None, "lacks this torrent, or is this"), (Encryption.OFF, "or wants encryption")],
)
async def test_a_peer_that_hangs_up(meet, encryption, means):
    async def talk(raw):
        await raw.reader.readexactly(60)

    error = await refused(meet, talk, ConnectionClosed, encryption=encryption)
    assert error.startswith("connection")
    with pytest.raises(NoHandshake) as raised:
        await meet(talk, encryption=encryption)
    assert means in raised.value.means


@pytest.mark.parametrize("encryption", [None, Encryption.OFF])
async def test_a_peer_that_says_nothing(meet, encryption):
    error = await refused(meet, silent, encryption=encryption, timeout=0.3)
    assert error == "no handshake in time"


async def test_a_peer_that_does_something_else_each_time(meet):
    calls = []

    async def talk(raw):
        calls.append(raw)
        if len(calls) > 1:
            await raw.hear_end()

    error = await refused(meet, talk, encryption=None, timeout=0.9)
    assert error.startswith("plain: ")
    assert "; MSE, RC4: " in error
    assert "; MSE, plaintext: " in error


async def test_something_else_is_listening(meet):
    async def talk(raw):
        raw.say(b"HTTP/1.1 400 Bad Request\r\n")
        await raw.hear_end()

    assert "looks like HTTP" in await refused(meet, talk, InvalidHandshake, encryption=None)


async def test_another_torrent(meet):
    await refused(meet, saying(hello=greeting(bytes(20))), InfoHashMismatch, encryption=None)


# Encryption


@pytest.fixture
def host(stack):
    """Starts a peer of our own."""

    async def host(encryption, torrents=None):
        async def handle(peer):
            peer.have_all()
            await peer.wait_closed()

        torrents = torrents or {META.info_hash: META.num_pieces}
        server = await stack.enter_async_context(
            serve(handle, HOST, 0, torrents=torrents, encryption=encryption)
        )
        return HOST, server.port

    return host


async def test_all_ways_are_tried(host):
    report = await probe(await host("prefer"), TORRENT, blocks=0, timeout=0.6, note=lambda _: None)
    assert report.modes == {"off": None, "plaintext": None, "rc4": None}
    assert report.peer.encryption == "off"


async def test_a_peer_that_wants_no_encryption(host):
    report = await probe(await host("off"), TORRENT, blocks=0, timeout=0.6, note=lambda _: None)
    assert report.modes["off"] is None
    assert report.modes["plaintext"] == report.modes["rc4"] == "it closed the connection"


async def test_a_peer_that_wants_all_encrypted(host):
    report = await probe(await host("require"), TORRENT, blocks=0, timeout=0.6, note=lambda _: None)
    assert report.peer.encryption == "rc4"
    assert report.modes["rc4"] is None
    assert "closed the connection" in report.modes["off"]
    assert report.modes["plaintext"] == "it closed the connection"


@pytest.mark.parametrize(("policy", "mode"), [("prefer", "plaintext"), ("require", "rc4")])
async def test_a_way_that_was_asked_for_is_the_only_one(host, policy, mode):
    address = await host("prefer")
    report = await probe(
        address, TORRENT, encryption=Encryption(policy), timeout=0.4, note=lambda _: None
    )
    assert report.modes == {mode: None}


async def test_noise_in_answer_to_encryption(meet):
    async def talk(raw):
        raw.say(bytes(range(2, 98)) + bytes(1000))
        await raw.hear_end()

    assert "verification" in await refused(meet, talk, encryption=Encryption.REQUIRE)


async def test_a_hybrid_that_goes_on_as_v2(host):
    subject = Subject(info_hash=bytes(range(100, 120)), info_hash_v2=bytes(range(32)))
    report = await probe(
        await host("prefer", subject.served), subject, timeout=0.6, note=lambda _: None
    )
    assert report.peer.v2
    assert report.modes == {"off": None, "plaintext": None, "rc4": None}


RC4 = CryptoMethod.RC4


async def test_no_time_is_left_to_try():
    assert "no time left" in await try_encrypted((HOST, 1), TORRENT, RC4, 0)


async def test_nobody_is_there_any_more(dead_port):
    assert "it closed the connection" in await try_encrypted((HOST, dead_port), TORRENT, RC4, 5)


async def test_the_system_has_its_own_reasons(monkeypatch):
    async def open_connection(*_):
        raise OSError("no descriptors left")

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    assert await try_encrypted((HOST, 1), TORRENT, RC4, 5) == "no descriptors left"


async def test_an_encrypted_handshake_that_never_ends(stack):
    address = await stack.enter_async_context(stranger(silent))
    assert await try_encrypted(address, TORRENT, RC4, 0.1) == "no answer within 0.1 s"


async def test_noise(stack):
    async def talk(raw):
        raw.say(bytes(range(2, 98)) + bytes(1000))
        await raw.hear_end()

    address = await stack.enter_async_context(stranger(talk))
    assert "verification" in await try_encrypted(address, TORRENT, RC4, 5)


@pytest.mark.parametrize("answer", ["at once", "in parts", "of another torrent", "none"])
@pytest.mark.parametrize("method", CryptoMethod)
async def test_the_handshake_inside(stack, monkeypatch, answer, method):
    hello = greeting(bytes(20)) if answer == "of another torrent" else HELLO

    async def talk(raw):
        hidden = Responder(SkeyTable([META.info_hash]), method)
        while hidden.method is None:
            hidden.receive_data(await raw.reader.read(4096))
            raw.say(hidden.data_to_send())
        said = bytearray(b"nonsense" * 20 if answer == "none" else hello.encode())
        encrypt = hidden.encryptor()
        if encrypt is not None:
            encrypt.apply(said)
        raw.say(bytes(said))
        await raw.hear_end()

    if answer == "in parts":
        monkeypatch.setattr(probing, "READ", 16)

    address = await stack.enter_async_context(stranger(talk))
    reason = await try_encrypted(address, TORRENT, method, 5)
    told = {"of another torrent": "answers with the torrent", "none": "nonsense"}.get(answer)
    assert (told is None and reason is None) or told in reason
