"""A peer that follows the rules but for the defects that it is given: the suite's own test.

It is written on nothing but messages, so that a mistake in peerwire's own peers is not in both.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from typing import TYPE_CHECKING, Any

from peerwire import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Extended,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    Message,
    NotInterested,
    PeerWireError,
    Piece,
    Port,
    Reject,
    Request,
    Reserved,
    Suggest,
    Unchoke,
)
from peerwire.bencode import decode, decode_prefix, encode
from peerwire.framing import Framing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from peerwire.torrent.metainfo import Metainfo

BLOCK = 16 * 1024
UT_METADATA = 5


class Defect(enum.Enum):
    """What can be wrong with it."""

    ANSWERS_ANY_TORRENT = "it serves whatever torrent it is asked for"
    IGNORES_RESERVED = "it says BEP 6 to those who don't speak it"
    DIES_OF_KEEP_ALIVES = "it closes at a keep-alive"
    BEARS_WRONG_LENGTHS = "it goes on after messages of a wrong length"
    SPARE_BITS = "its bitfield has spare bits set"
    SHORT_BITFIELD = "its bitfield is a byte short"
    LATE_BITFIELD = "its bitfield is not the first message"
    INTERESTED = "it is interested although it has everything"
    SERVES_CHOKED = "it serves who is choked"
    WRONG_BYTES = "its blocks have a bit flipped"
    WRONG_OFFSET = "its blocks have another offset than asked for"
    IGNORES_BEGIN = "it serves the beginning of the piece, wherever a request begins"
    ONE_AT_A_TIME = "it forgets all but the first request of a segment"
    ANSWERS_TWICE = "it answers each request twice"
    FORGETS_CANCELLED = "under BEP 6, it answers no request that is cancelled"
    CANCELS_ALL = "a cancel takes back whatever was asked for"
    IGNORES_CHOKED = "under BEP 6, it answers no request of who is choked"
    BEARS_FAST = "it takes messages of BEP 6 that are not agreed on"
    BEARS_UNASKED = "it takes pieces that it never asked for"
    TWO_HAVES = "it says both a bitfield and have all"
    SAME_IDS = "two of its extensions have the same id"
    OWN_IDS = "it answers with its own id of ut_metadata"
    WRONG_SIZE = "its metadata_size is wrong"
    NO_METADATA_REJECT = "it does not answer requests for metadata that there is not"
    HANGS_UP_TWICE = "it closes at a second extended handshake"
    CRASHES = "it is gone after a message of an id that it does not know"
    WEDGES = "it serves nobody after a length prefix that is too long"


CANCELS_ALL = Defect.CANCELS_ALL


class Double:
    """The peer.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, meta: Metainfo, content: bytes, *defects: Defect) -> None:
        self.meta = meta
        self.content = content
        self.defects = {*defects}
        self.port = 0
        self.wedged = False
        self._server: asyncio.Server | None = None

    def has(self, defect: Defect) -> bool:
        return defect in self.defects

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        try:
            await Session(self, reader, writer).run()
        except (PeerWireError, OSError, EOFError, ValueError):
            pass
        finally:
            writer.close()

    def crash(self) -> None:
        """Stops listening."""
        assert self._server is not None
        self._server.close()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, meta: Metainfo, content: bytes, *defects: Defect
    ) -> AsyncIterator[Double]:
        double = cls(meta, content, *defects)
        double._server = await asyncio.start_server(double.accept, "127.0.0.1", 0)
        double.port = double._server.sockets[0].getsockname()[1]
        try:
            yield double
        finally:
            double._server.close()


class Session:
    """Its side of one connection."""

    def __init__(
        self, double: Double, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.double, self.reader, self.writer = double, reader, writer
        self.meta = double.meta
        self.has = double.has
        self.choking = True
        self.theirs: Handshake
        self.m: dict[bytes, int] = {}
        self.extended_before = False

    def say(self, *messages: Message | Handshake) -> None:
        self.writer.write(b"".join(each.encode() for each in messages))

    def speaks(self, bit: Reserved) -> bool:
        return bit in self.theirs.reserved

    async def run(self) -> None:
        self.theirs = Handshake.decode(await self.reader.readexactly(68))
        known = self.theirs.info_hash == self.meta.info_hash
        if self.double.wedged or not (known or self.has(Defect.ANSWERS_ANY_TORRENT)):
            return
        bits = Reserved.FAST | Reserved.EXTENSION
        self.say(Handshake(self.theirs.info_hash, b"-XX0000-double_peer_", bits))
        self.introduce()
        framing = Framing(1 << 17)
        while data := await self.reader.read(1 << 16):
            try:
                messages = list(framing.receive(data))
            except PeerWireError:
                if not self.has(Defect.BEARS_WRONG_LENGTHS):
                    self.double.wedged = self.has(Defect.WEDGES)
                    raise
                framing = Framing(1 << 17)
                continue
            cancelled = [m for m in messages if isinstance(m, Cancel)]
            asked = False
            for message in messages:
                if isinstance(message, Request):
                    if asked and self.has(Defect.ONE_AT_A_TIME):
                        continue
                    asked = True
                self.take(message, cancelled)
            await self.writer.drain()

    def introduce(self) -> None:
        count = self.meta.num_pieces
        bits = bytearray(b"\xff" * ((count + 7) // 8))
        if count % 8 and not self.has(Defect.SPARE_BITS):
            bits[-1] = 0xFF << 8 - count % 8 & 0xFF
        if self.has(Defect.SHORT_BITFIELD):
            del bits[0]
        fast = self.speaks(Reserved.FAST) or self.has(Defect.IGNORES_RESERVED)
        if self.has(Defect.LATE_BITFIELD):
            self.say(Unchoke())
            self.choking = False
        if not fast or self.has(Defect.TWO_HAVES):
            self.say(Bitfield(bytes(bits)))
        if fast:
            self.say(HaveAll())
        if self.has(Defect.INTERESTED):
            self.say(Interested())
        if self.speaks(Reserved.EXTENSION):
            size = len(self.meta.info) + self.has(Defect.WRONG_SIZE)
            m = {"ut_metadata": UT_METADATA, "ut_pex": UT_METADATA + 1}
            if self.has(Defect.SAME_IDS):
                m["ut_pex"] = UT_METADATA
            told = {"m": m, "metadata_size": size, "v": "double", "reqq": 250}
            self.say(Extended(0, encode(told)))

    def take(self, message: Message, cancelled: list[Cancel]) -> None:
        fast = self.speaks(Reserved.FAST)
        match message:
            case Interested() if self.choking:
                self.choking = False
                self.say(Unchoke())
            case Request(index, begin, length):
                taken_back = Cancel(index, begin, length) in cancelled
                self.answer(message, taken_back or (bool(cancelled) and self.has(CANCELS_ALL)))
            case Have(index) | AllowedFast(index) | Suggest(index):
                self.expect(index < self.meta.num_pieces or not isinstance(message, Have))
                self.expect(fast or isinstance(message, Have) or self.has(Defect.BEARS_FAST))
            case HaveAll() | HaveNone():
                self.expect(fast or self.has(Defect.BEARS_FAST))
            case Reject():
                self.expect(self.has(Defect.BEARS_FAST))
            case Piece():
                self.expect(not fast or self.has(Defect.BEARS_UNASKED))
            case Bitfield(bits):
                self.expect(len(bits) == (self.meta.num_pieces + 7) // 8)
                spare = -self.meta.num_pieces % 8
                self.expect(not int.from_bytes(bits) & (1 << spare) - 1)
            case Extended(number, payload):
                self.take_extended(number, payload)
            case Choke() | Unchoke() | NotInterested() | Cancel() | Port() | Interested():
                pass
            case _ if message.id == -1:
                self.expect(not self.has(Defect.DIES_OF_KEEP_ALIVES))
            case _:
                if self.has(Defect.CRASHES):
                    self.double.crash()
                self.expect(not self.has(Defect.CRASHES))

    def expect(self, right: bool) -> None:
        if not right:
            raise ValueError("the connection ends here")

    def answer(self, asked: Request, cancelled: bool) -> None:
        fast = self.speaks(Reserved.FAST)
        refused = Reject(asked.index, asked.begin, asked.length)
        if self.choking and not self.has(Defect.SERVES_CHOKED):
            if fast and not self.has(Defect.IGNORES_CHOKED):
                self.say(refused)
            return
        if cancelled and (not fast or self.has(Defect.FORGETS_CANCELLED)):
            return
        valid = asked.index < self.meta.num_pieces and 0 < asked.length <= BLOCK
        if not valid or asked.begin + asked.length > self.meta.piece_size(asked.index):
            if fast:
                self.say(refused)
            return
        begin = 0 if self.has(Defect.IGNORES_BEGIN) else asked.begin
        start = asked.index * self.meta.piece_length + begin
        block = bytearray(self.double.content[start : start + asked.length])
        if self.has(Defect.WRONG_BYTES):
            block[0] ^= 1
        offset = asked.begin + self.has(Defect.WRONG_OFFSET)
        for _ in range(2 if self.has(Defect.ANSWERS_TWICE) else 1):
            self.say(Piece(asked.index, offset, bytes(block)))

    def take_extended(self, number: int, payload: bytes) -> None:
        if number == 0:
            told: Any = decode(payload)
            self.expect(isinstance(told, dict))
            self.expect(not (self.extended_before and self.has(Defect.HANGS_UP_TWICE)))
            self.extended_before = True
            self.m |= told.get(b"m", {})
        elif number == UT_METADATA:
            header: Any = decode_prefix(payload)[0]
            if header[b"msg_type"] == 0:
                self.give_metadata(header[b"piece"])

    def give_metadata(self, piece: int) -> None:
        number = UT_METADATA if self.has(Defect.OWN_IDS) else self.m[b"ut_metadata"]
        data = self.meta.info[piece * BLOCK : (piece + 1) * BLOCK]
        told = {"msg_type": 1, "piece": piece, "total_size": len(self.meta.info)}
        if data:
            self.say(Extended(number, encode(told) + data))
        elif not self.has(Defect.NO_METADATA_REJECT):
            self.say(Extended(number, encode({"msg_type": 2, "piece": piece})))
