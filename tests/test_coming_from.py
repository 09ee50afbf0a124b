"""What docs/coming-from-bittorrent-protocol.md says: a test for each row of its tables."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path

import pytest

import peerwire as pw
from peerwire.extensions.handshake import ExtendedHandshake

from .piping import BASE, FAST, INFO_HASH, PEER_ID, Chat, first, peers, pipe, said, wires

DOCUMENT = Path(__file__).parent.parent / "docs/coming-from-bittorrent-protocol.md"


async def test_a_socket():
    async def handler(peer):
        peer.have(7)

    async with (
        pw.serve(handler, "127.0.0.1", 0) as server,
        pw.connect("127.0.0.1", server.port, INFO_HASH) as peer,
    ):
        assert await first(peer, pw.Have) == pw.Have(7)


def test_a_pipe():
    a = pw.Wire("initiator", INFO_HASH)
    b = pw.Wire("responder", INFO_HASH)
    b.receive_data(a.data_to_send(), now=0.0)
    a.receive_data(b.data_to_send(), now=0.0)
    assert a.state is b.state is pw.State.OPEN


def test_type():
    assert pw.Wire("responder").role is pw.Role.RESPONDER
    assert pw.Wire("initiator", INFO_HASH).role is pw.Role.INITIATOR


@pytest.mark.parametrize("written", [bytes, bytes.hex])
async def test_handshake_out(written):
    async def handler(peer):
        came.set_result((peer.info_hash, peer.peer_id))

    came = asyncio.get_running_loop().create_future()
    async with (
        pw.serve(handler, "127.0.0.1", 0) as server,
        pw.connect("127.0.0.1", server.port, written(INFO_HASH), peer_id=written(PEER_ID)),
    ):
        assert await came == (INFO_HASH, PEER_ID)
    for wrong in (b"short", "3031"):
        with pytest.raises(pw.LocalProtocolError):
            pw.connect("127.0.0.1", 1, wrong)


async def test_extension_flags_out():
    async with peers(reserved=pw.Reserved.DHT | pw.Reserved.FAST) as (left, right):
        assert left.wire.reserved == pw.Reserved.DHT | pw.Reserved.FAST
        assert right.reserved == pw.Reserved.DHT | pw.Reserved.FAST


async def test_handshake_in():
    async with peers(reserved=pw.Reserved.DHT) as (left, _):
        assert left.info_hash == INFO_HASH
        assert len(left.peer_id) == 20
        assert left.reserved == pw.Reserved.DHT
    a = pw.Wire("initiator", INFO_HASH, PEER_ID, reserved=BASE)
    b = pw.Wire("responder", INFO_HASH)
    assert said(a, b) == [pw.Handshake(INFO_HASH, PEER_ID, BASE)]


async def test_extension_flags_in():
    async with peers(reserved=pw.Reserved.DHT) as (left, _):
        assert pw.Reserved.DHT in left.reserved
        assert pw.Reserved.FAST not in left.reserved


async def test_answer_to_a_handshake():
    for decide in (pw.Wire.accept, pw.Wire.refuse):
        a, b = pw.Wire("initiator", INFO_HASH), pw.Wire("responder")
        (handshake,) = said(a, b)
        assert handshake.info_hash == INFO_HASH
        assert a.state is pw.State.HANDSHAKE
        decide(b)
        pipe(a, b)
        assert (a.state is pw.State.OPEN) == (decide is pw.Wire.accept)

    async def handler(_peer):
        pass

    async with pw.serve(handler, "127.0.0.1", 0, torrents={INFO_HASH: None}) as server:
        async with pw.connect("127.0.0.1", server.port, INFO_HASH):
            pass
        with pytest.raises(pw.ConnectionClosed):
            await pw.connect("127.0.0.1", server.port, bytes(20))


def test_choke():
    a, b = wires()
    a.send_choke()
    assert said(a, b) == [pw.Choke()]
    a.send_unchoke()
    a.send_unchoke()
    assert said(a, b) == [pw.Unchoke()]


def test_interested():
    a, b = wires()
    a.send_interested()
    a.send_interested()
    assert said(a, b) == [pw.Interested()]
    a.send_not_interested()
    assert said(a, b) == [pw.NotInterested()]


def test_state_flags():
    a = pw.Wire("initiator", INFO_HASH)
    assert (a.am_choking, a.peer_choking) == (True, True)
    assert (a.am_interested, a.peer_interested) == (False, False)
    a, b = wires()
    a.send_interested()
    pipe(a, b)
    assert (a.am_choking, a.am_interested) == (False, True)
    assert (b.peer_choking, b.peer_interested) == (False, True)


async def test_wait_for_unchoke():
    async def handler(peer):
        await first(peer, pw.Interested)
        peer.unchoke()
        await peer.wait_closed()

    async with (
        pw.serve(handler, "127.0.0.1", 0) as server,
        pw.connect("127.0.0.1", server.port, INFO_HASH) as peer,
    ):
        await peer.ready()
        assert peer.am_interested
        assert not peer.peer_choking


@pytest.mark.parametrize("pieces", [b"\xa0\0", pw.PieceSet(9, [0, 2])])
def test_bitfield(pieces):
    a, b = pw.Wire("initiator", INFO_HASH, reserved=BASE), pw.Wire("responder", INFO_HASH)
    pipe(a, b)
    b.events_received()
    a.send_bitfield(pieces)
    assert said(a, b) == [pw.Bitfield(b"\xa0\0")]
    with pytest.raises(pw.LocalProtocolError):
        a.send_bitfield(pieces)  # only ever the first message


def test_have():
    a, b = wires()
    a.send_have(3)
    assert said(a, b) == [pw.Have(3)]
    a.send_have(3)
    assert said(a, b) == []
    assert 3 in b.peer_pieces


def test_peer_pieces():
    a, b = wires()
    assert 5 not in b.peer_pieces
    a.send_have(5)
    pipe(a, b)
    assert 5 in b.peer_pieces
    assert list(b.peer_pieces) == [5]


async def test_request():
    async with peers() as (left, right):
        answer = left.request(0, 1, 11)
        await right.respond(await first(right, pw.Request), b"hello world")
        assert await answer == b"hello world"


async def test_request_while_choked():
    async with peers() as (left, right):
        right.choke()
        await left.wait_until(lambda: left.peer_choking)
        with pytest.raises(pw.PeerChoked):
            await left.request(0, 0, 100)
        assert len(left.requests) == 0


async def test_choked_with_requests_pending():
    async with peers(reserved=BASE) as (left, right):
        answer = left.request(0, 0, 100)
        await first(right, pw.Request)
        right.choke()
        with pytest.raises(pw.PeerChoked):
            await answer


async def test_closed_with_requests_pending():
    async with peers() as (left, right):
        answer = left.request(0, 0, 100)
        await first(right, pw.Request)
        await right.close()
        with pytest.raises(pw.ConnectionClosed) as caught:
            await answer
        assert (caught.value.by, caught.value.reason) == ("peer", "end of stream")
        with pytest.raises(pw.ConnectionClosed):
            await left.request(0, 0, 100)


async def test_cancel():
    async with peers() as (left, right):
        answers = [left.request(index, 0, 100) for index in range(2)]
        left.cancel(0, 0, 100)
        with pytest.raises(pw.RequestCancelled):
            await answers[0]
        answers[1].cancel()
        for index in range(2):
            assert await first(right, pw.Cancel) == pw.Cancel(index, 0, 100)
        assert len(left.requests) == 0


def test_request_timeout():
    a, b = wires(limits=pw.Limits(request_timeout=5))
    late = b.send_request(0, 0, 100, deadline=9.0)
    early = b.send_request(1, 0, 100, deadline=b.now + b.limits.request_timeout)
    pipe(a, b)
    ended = []
    while b.requests:
        b.handle_timer(b.next_timer())
        ended += b.events_received()
    assert [(type(event), event.request) for event in ended] == [
        (pw.RequestEnded, early),
        (pw.RequestEnded, late),
    ]
    assert all(isinstance(event.error, pw.RequestTimeout) for event in ended)
    assert b.now == 9.0


async def test_respond():
    async with peers() as (left, right):
        answer = left.request(3, 0, 4)
        async for message in right:
            match message:
                case pw.Request():
                    await right.respond(message, b"four")
                    break
        assert await answer == b"four"


async def test_respond_with_an_error():
    async with peers() as (left, right):
        answer = left.request(3, 0, 4)
        right.reject(await first(right, pw.Request))
        with pytest.raises(pw.RequestRejected):
            await answer


def test_cancel_in():
    a, b = wires()
    b.send_request(0, 0, 100)
    b.send_cancel(0, 0, 100)
    assert said(b, a) == [pw.Request(0, 0, 100), pw.Cancel(0, 0, 100)]
    assert len(a.peer_requests) == 0


async def test_lists_of_requests():
    async with peers() as (left, right):
        answers = [left.request(index, 0, 100) for index in (5, 3)]
        assert [request.index for request in left.requests] == [5, 3]
        await right.wait_until(lambda: len(right.peer_requests) == 2)
        assert list(right.peer_requests) == [pw.Request(5, 0, 100), pw.Request(3, 0, 100)]
        for request in list(right.peer_requests):
            await right.respond(request, bytes(100))
        await asyncio.gather(*answers)
        assert len(left.requests) == len(right.peer_requests) == 0


async def test_buffers_are_left_alone():
    block, bits, into = bytearray(b"hello world"), bytearray(13), bytearray(11)
    async with peers() as (left, right):
        left.bitfield(bits)
        for _ in range(2):
            answer = left.request(0, 0, 11, into=into)
            await right.respond(await first(right, pw.Request), block)
            assert await answer == b"hello world"
    assert block == into == b"hello world"
    assert bits == bytes(13)


def test_port():
    a, b = wires()
    a.send_port(6881)
    assert said(a, b) == [pw.Port(6881)]


def test_keep_alive():
    a, b = wires()
    a.send_keep_alive()
    assert said(a, b) == [pw.KeepAlive()]


def test_keep_alive_on_and_off():
    a, b = wires()
    assert a.keep_alive
    b.keep_alive = False
    for wire in (a, b):
        wire.handle_timer(30.0)
        wire.handle_timer(60.0)
    assert said(a, b) == [pw.KeepAlive()]
    assert a.events_received() == []


async def test_uploaded_and_downloaded():
    async with peers() as (left, right):
        for _ in range(2):
            answer = left.request(0, 0, 1000)
            await right.respond(await first(right, pw.Request), bytes(1000))
            await answer
        assert left.downloaded == right.uploaded == 2000
        assert left.uploaded == right.downloaded == 0


async def test_an_event_for_each_transfer():
    seen = []

    def trace(mark, what, _now):
        if isinstance(what, pw.Piece):
            seen.append((mark, len(what.block)))

    async with peers(trace=trace) as (left, right):
        request = left.request_nowait(0, 0, 1000)
        await right.respond(await first(right, pw.Request), bytes(1000))
        piece = await first(left, pw.Piece)
        assert piece.request is request
        assert piece == pw.Piece(0, 0, bytes(1000))
    assert seen == [(">", 1000), ("<", 1000)]


async def test_rates(monkeypatch):
    loop = asyncio.get_running_loop()
    async with peers() as (left, right):
        now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now)
        for _ in range(3):
            now += 1
            answer = left.request(0, 0, 1000)
            await right.respond(await first(right, pw.Request), bytes(1000))
            await answer
        assert left.download_rate == pytest.approx(1000, rel=0.01)
        assert right.upload_rate == pytest.approx(1000, rel=0.01)
        assert left.upload_rate == right.download_rate == 0


async def test_has_fast():
    for reserved in (BASE, FAST):
        async with peers(reserved=reserved) as (left, right):
            assert left.fast == right.fast == (reserved is FAST)


@pytest.mark.parametrize(
    ("send", "message", "count"),
    [(pw.Wire.send_have_all, pw.HaveAll(), 9), (pw.Wire.send_have_none, pw.HaveNone(), 0)],
)
def test_have_all_and_have_none(send, message, count):
    a = pw.Wire("initiator", INFO_HASH, reserved=FAST, num_pieces=9)
    b = pw.Wire("responder", INFO_HASH, reserved=FAST, num_pieces=9)
    pipe(a, b)
    b.events_received()
    send(a)
    assert said(a, b) == [message]
    assert len(b.peer_pieces) == count


def test_suggest():
    a, b = wires()
    a.send_suggest(42)
    assert said(a, b) == [pw.Suggest(42)]


async def test_reject():
    async with peers() as (left, right):
        answer = left.request(0, 2, 22)
        right.reject(await first(right, pw.Request))
        assert await first(left, pw.Reject) == pw.Reject(0, 2, 22)
        with pytest.raises(pw.RequestRejected):
            await answer
        assert len(left.requests) == len(right.peer_requests) == 0


def test_allowed_fast():
    a, b = wires()
    assert a.allowed_fast == b.peer_allowed_fast == set()
    a.send_allowed_fast(6)
    assert said(a, b) == [pw.AllowedFast(6)]
    assert a.allowed_fast == b.peer_allowed_fast == {6}
    assert b.allowed_fast == set()
    a.send_choke()
    pipe(a, b)
    b.send_request(6, 0, 100)
    pipe(a, b)
    assert len(a.peer_requests) == 1


def test_choke_under_fast():
    a, b = wires()
    a.send_allowed_fast(6)
    pipe(a, b)
    for index in (0, 6):
        b.send_request(index, 66, 666)
    pipe(a, b)
    b.events_received()
    a.send_choke()
    choke, rejects = a.data_to_send()[:5], pw.Reject(0, 66, 666).encode()
    b.receive_data(choke, now=0.0)
    assert b.events_received() == [pw.Choke()]
    assert len(b.requests) == 2
    b.receive_data(rejects, now=0.0)
    ended, reject = b.events_received()
    assert isinstance(ended.error, pw.RequestRejected)
    assert reject == pw.Reject(0, 66, 666)
    assert [request.index for request in b.requests] == [6]
    assert [request.index for request in a.peer_requests] == [6]


@pytest.mark.parametrize(
    "send",
    [
        pw.Wire.send_have_all,
        pw.Wire.send_have_none,
        lambda wire: wire.send_suggest(42),
        lambda wire: wire.send_allowed_fast(42),
    ],
)
def test_sending_without_fast(send):
    a, _ = wires(BASE)
    with pytest.raises(pw.LocalProtocolError, match="BEP 6"):
        send(a)
    assert a.data_to_send() == b""


@pytest.mark.parametrize(
    "message",
    [pw.HaveAll(), pw.HaveNone(), pw.Suggest(42), pw.AllowedFast(42), pw.Reject(42, 0, 99)],
)
def test_receiving_without_fast(message):
    a, _ = wires(BASE)
    with pytest.raises(pw.RemoteProtocolError, match="BEP 6"):
        a.receive_data(message.encode(), now=0.0)
    assert a.state is pw.State.CLOSED
    assert message not in a.events_received()


def test_unknown_message():
    a, _ = wires()
    a.receive_data(b"\0\0\0\4" + b"\x63abc", now=0.0)
    assert a.events_received() == [pw.Unknown(99, b"abc")]


async def test_use():
    async with peers(reserved=pw.Reserved.EXTENSION, extensions=[Chat]) as (left, right):
        await left.wait_until(lambda: left.extension(Chat).supported)
        assert isinstance(left.extension(Chat), Chat)
        assert left.extension(Chat) is not right.extension(Chat)


async def test_extended_message():
    async with peers(reserved=pw.Reserved.EXTENSION, extensions=[Chat]) as (left, right):
        await left.wait_until(lambda: left.extension(Chat).supported)
        left.extension(Chat).send(b"hello")
        assert await first(right, str) == "hello"


def test_extended_handshake():
    options = {"reserved": pw.Reserved.EXTENSION, "extensions": [Chat]}
    a = pw.Wire("initiator", INFO_HASH, **options)
    b = pw.Wire("responder", INFO_HASH, **options)
    a.extensions.ours.p = 6881
    (_, handshake) = said(a, b)
    assert isinstance(handshake, ExtendedHandshake)
    assert b.extensions.peer.p == 6881
    assert "xx_chat" in b.extensions.peer.m


@pytest.mark.parametrize(
    ("encryption", "spoken"), [("off", "off"), ("prefer", "plaintext"), ("require", "rc4")]
)
async def test_encryption(encryption, spoken):
    async with peers(encryption=encryption) as (left, right):
        assert left.encryption == right.encryption == spoken
        answer = left.request(0, 0, 4)
        await right.respond(await first(right, pw.Request), b"four")
        assert await answer == b"four"


async def test_encryption_finds_the_torrent():
    async def handler(peer):
        came.set_result((peer.info_hash, peer.encryption))

    came = asyncio.get_running_loop().create_future()
    torrents = {bytes([number]) * 20: None for number in range(5)}
    async with (
        pw.serve(handler, "127.0.0.1", 0, torrents=torrents) as server,
        pw.connect("127.0.0.1", server.port, b"\3" * 20, encryption="require"),
    ):
        assert await came == (b"\3" * 20, "rc4")


async def test_end_of_the_stream():
    async with peers() as (left, right):
        left.interested()
        answer = left.request(0, 0, 100)
        await first(right, pw.Request)
        await right.close()
        assert [message async for message in left if message != pw.Unchoke()] == []
        for peer in (left, right):
            assert (peer.am_choking, peer.peer_choking) == (True, True)
            assert (peer.am_interested, peer.peer_interested) == (False, False)
        with pytest.raises(pw.ConnectionClosed):
            await answer
    async with peers() as (left, _):
        with pytest.raises(pw.RemoteProtocolError):
            left.wire.receive_data(b"\xff\xff\xff\xff", now=0.0)
        await left.close()
        with pytest.raises(pw.ConnectionClosed, match="4294967295 bytes is announced"):
            await first(left, pw.Have)


async def test_destroy():
    async with peers() as (left, right):
        await left.close("enough")
        assert (left.closed.by, left.closed.reason) == ("us", "enough")
        await right.wait_closed()
        assert right.closed.by == "peer"
    a, _ = wires()
    a.close()
    assert a.state is pw.State.CLOSED


def test_debug():
    lines = []
    a, b = wires(trace=lambda mark, what, _now: lines.append(f"{mark} {what}"))
    del lines[:]
    a.send_have(3)
    pipe(a, b)
    assert lines == ["> have 3", "< have 3"]


# The document itself


def rows() -> list[list[str]]:
    """The cells of each row of its tables, without their headings."""
    cells = [
        re.split(r"(?<!\\)\|", line)[1:-1]
        for line in DOCUMENT.read_text().splitlines()
        if line.startswith("|")
    ]
    return [
        [cell.strip() for cell in row] for row in cells if row[0].strip() not in ("There", "---")
    ]


def test_document_has_a_test_for_each_row_and_a_row_for_each_test():
    named = []
    for there, here, test in rows():
        assert there
        assert here
        name, target = re.fullmatch(r"\[(\w+)\]\((.+)\)", test).groups()
        assert (DOCUMENT.parent / target).resolve() == Path(__file__).resolve()
        named.append(name)
    tests = [name for name in globals() if re.match(r"test_(?!document_)", name)]
    assert named == tests, "in the same order, too"


async def test_document_has_an_example_that_works():
    (source,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = {
        "Interested": pw.Interested,
        "Request": pw.Request,
        "serve": pw.serve,
        "info_hash": INFO_HASH,
        "my_peer_id": PEER_ID,
        "read": lambda index, begin, length: bytes([index, begin]) * (length // 2),
    }
    code = compile(
        source.replace("6881", "0"), str(DOCUMENT), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    await eval(code, names)
    async with names["server"] as server, pw.connect("127.0.0.1", server.port, INFO_HASH) as peer:
        await peer.ready()
        assert peer.peer_id == PEER_ID
        assert await peer.request(3, 4, 10) == bytes([3, 4]) * 5
