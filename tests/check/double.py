"""A peer that follows the rules: the suite's own test is to see each of them broken, in `defects`.

It is written on nothing but messages, so that a mistake in peerwire's own peers is not in both.
What it does is in small methods, for a peer with a defect to do one of them in another way.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    KeepAlive,
    Message,
    NotInterested,
    Piece,
    Port,
    Reject,
    Request,
    Reserved,
    Suggest,
    Unchoke,
)
from peerwire.bencode import decode, decode_prefix, encode
from peerwire.fast import allowed_fast_set
from peerwire.framing import Framing
from peerwire.handshake import PROTOCOL

from .double_mse import Encryption

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from peerwire.torrent.metainfo import Metainfo

BLOCK = 16 * 1024
UT_METADATA, UT_PEX, LT_DONTHAVE = 5, 6, 7
PEER_ID = b"-XX0000-double_peer_"

#: The address of nobody, as a contact of BEP 11.
NOBODY = bytes((127, 0, 0, 1, 0, 1))

Said = bytes | Message


class Ended(Exception):
    """The connection ends, because of what the other side did."""


class Session:
    """One connection of a peer without defects, and what all others begin with."""

    #: What it says that it speaks.
    reserved = Reserved.FAST | Reserved.EXTENSION | Reserved.DHT
    #: Seconds without a message after which it ends the connection.
    bears_silence: float | None = None

    def __init__(
        self, double: Double, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.double, self.reader, self.writer = double, reader, writer
        self.meta = double.meta
        self.choking = True
        self.theirs = Handshake(bytes(20), bytes(20))
        self.their_m: dict[bytes, int] = {}
        self.known: set[Session] = set()  # of whom it has told the other side
        self.held = bytearray()  # came, and was not looked at yet
        self.framing = Framing(1 << 17)
        self.encryption = Encryption(self)

    # The socket

    def say(self, *said: Said) -> None:
        data = b"".join(each if isinstance(each, bytes) else each.encode() for each in said)
        self.writer.write(self.encryption.encrypted(data))

    def expect(self, right: bool) -> None:
        if not right:
            raise Ended

    async def more(self) -> None:
        """Holds more of what comes."""
        async with asyncio.timeout(self.bears_silence):
            data = await self.reader.read(1 << 16)
        self.expect(bool(data))
        self.held += self.encryption.decrypted(data)

    async def exactly(self, count: int) -> bytes:
        while len(self.held) < count:
            await self.more()
        data = bytes(self.held[:count])
        del self.held[:count]
        return data

    async def run(self) -> None:
        chores = asyncio.create_task(self.chores())
        try:
            await self.meet()
            self.double.sessions.add(self)
            self.say(*self.opening())
            while True:
                if self.held:
                    self.segment(self.exactly_held())
                await self.writer.drain()
                await self.more()
        finally:
            self.double.sessions.discard(self)
            chores.cancel()

    def exactly_held(self) -> bytes:
        data, self.held = bytes(self.held), bytearray()
        return data

    async def chores(self) -> None:
        """What it does by itself."""
        while True:
            await asyncio.sleep(60)
            self.tell_of_others()
            self.keep_alive()

    def tell_of_others(self) -> None:
        others = self.double.sessions - self.known - {self}
        if others and (number := self.their_m.get(b"ut_pex", 0)):
            self.known |= others
            self.say(Extended(number, self.pex()))

    def keep_alive(self) -> None:
        self.say(KeepAlive())

    # The handshake

    async def meet(self) -> None:
        start = await self.exactly(len(PROTOCOL))
        if start != PROTOCOL:
            self.held[:0] = start
            await self.encryption.respond()
            start = await self.exactly(len(PROTOCOL))
            self.expect(start == PROTOCOL)
        self.hear_handshake(start + await self.exactly(48))
        self.say(self.greeting())

    def hear_handshake(self, data: bytes) -> None:
        self.theirs = Handshake.decode(data)
        self.expect(self.theirs.info_hash == self.meta.info_hash)

    def greeting(self) -> bytes:
        return Handshake(self.theirs.info_hash, PEER_ID, self.reserved).encode()

    def speaks(self, bit: Reserved) -> bool:
        return bit in self.theirs.reserved & self.reserved

    @property
    def fast(self) -> bool:
        return self.speaks(Reserved.FAST)

    # What it says first

    def opening(self) -> list[Said]:
        return [*self.having(), *self.introducing(), *self.telling_its_port()]

    def having(self) -> list[Said]:
        if not self.fast:
            return [Bitfield(self.bits())]
        address = self.writer.get_extra_info("peername")[0]
        return [HaveAll(), *map(AllowedFast, self.allowed(address))]

    def bits(self) -> bytes:
        count = self.meta.num_pieces
        bits = (1 << count) - 1 << -count % 8
        return bits.to_bytes((count + 7) // 8)

    def allowed(self, address: str) -> list[int]:
        return allowed_fast_set(self.meta.num_pieces, self.meta.info_hash, address, 3)

    def introducing(self) -> list[Said]:
        return [Extended(0, self.introduction())] if self.speaks(Reserved.EXTENSION) else []

    def introduction(self) -> bytes:
        return encode(self.told())

    def told(self) -> dict[str, Any]:
        m = {"ut_metadata": UT_METADATA, "ut_pex": UT_PEX, "lt_donthave": LT_DONTHAVE}
        if self.meta.private:
            del m["ut_pex"]
        return {"m": m, "metadata_size": len(self.meta.info), "v": "double", "reqq": 250}

    def telling_its_port(self) -> list[Said]:
        return [Port(6881)] if self.speaks(Reserved.DHT) else []

    def pex(self) -> bytes:
        return encode({"added": NOBODY, "added.f": b"\0"})

    # What it answers

    def segment(self, data: bytes) -> None:
        """Takes what comes at once."""
        for message in self.framing.receive(data):
            self.take(message)

    def take(self, message: Message) -> None:
        match message:
            case Interested() if self.choking:
                self.choking = False
                self.say(Unchoke())
            case Request():
                self.say(*self.answer(message))
            case Have(index):
                self.expect(index < self.meta.num_pieces)
            case Suggest() | AllowedFast() | HaveAll() | HaveNone():
                self.expect(self.fast)
            case Reject():
                self.expect(False)  # it asks for nothing
            case Piece():
                self.expect(not self.fast)
            case Bitfield(bits):
                self.expect(len(bits) == (self.meta.num_pieces + 7) // 8)
                spare = -self.meta.num_pieces % 8
                self.expect(not int.from_bytes(bits) & (1 << spare) - 1)
            case Extended(0, payload):
                self.be_introduced(decode(payload))
            case Extended(number, payload):
                self.take_extended(number, payload)
            case Choke() | Unchoke() | NotInterested() | Cancel() | Port() | Interested():
                pass
            case _:
                self.take_unknown(message)

    def take_unknown(self, message: Message) -> None:
        """A keep-alive, or what it does not know."""

    def answer(self, asked: Request) -> list[Said]:
        """What it says to a request."""
        allowed = self.fast and asked.index in self.allowed(
            self.writer.get_extra_info("peername")[0]
        )
        if self.choking and not allowed:
            return self.refuse(asked)
        valid = asked.index < self.meta.num_pieces and 0 < asked.length <= self.longest()
        if not valid or asked.begin + asked.length > self.meta.piece_size(asked.index):
            return self.refuse(asked)
        return [self.serve(asked)]

    def longest(self) -> int:
        """The longest request that it takes."""
        return BLOCK

    def refuse(self, asked: Request) -> list[Said]:
        return [Reject(asked.index, asked.begin, asked.length)] if self.fast else []

    def serve(self, asked: Request) -> Piece:
        return Piece(asked.index, asked.begin, self.read(asked))

    def read(self, asked: Request) -> bytes:
        start = asked.index * self.meta.piece_length + asked.begin
        return self.double.content[start : start + asked.length]

    # Extensions

    def be_introduced(self, told: Any) -> None:
        self.expect(isinstance(told, dict))
        m = told.get(b"m", {})
        self.expect(isinstance(m, dict))
        self.their_m |= {name: number for name, number in m.items() if number in range(256)}

    def take_extended(self, number: int, payload: bytes) -> None:
        if number == LT_DONTHAVE:
            self.expect(int.from_bytes(payload) < self.meta.num_pieces and len(payload) == 4)
        elif number == UT_PEX:
            told = decode(payload)
            self.expect(isinstance(told, dict))
            self.take_pex(told)
        elif number == UT_METADATA:
            header: Any = decode_prefix(payload)[0]
            self.expect(isinstance(header, dict) and isinstance(header.get(b"piece"), int))
            theirs = self.their_m.get(b"ut_metadata", 0)
            if header.get(b"msg_type") == 0 and theirs:
                said = self.give_metadata(header[b"piece"], header)
                self.say(*(Extended(theirs, each) for each in said))

    def take_pex(self, told: dict[bytes, Any]) -> None:
        added = told.get(b"added", b"")
        self.expect(isinstance(added, bytes) and not len(added) % 6)

    def give_metadata(self, piece: int, header: dict[bytes, Any]) -> list[bytes]:
        """What it says of a piece of the metadata: payloads."""
        data = self.meta.info[piece * BLOCK : (piece + 1) * BLOCK] if piece >= 0 else b""
        told = {"msg_type": 1, "piece": piece, "total_size": len(self.meta.info)}
        return [encode(told) + data if data else encode({"msg_type": 2, "piece": piece})]


class Double:
    """The peer.

    Args:
        meta: What it serves.
        content: The bytes of that.
        defects: What is wrong with each of its connections, if anything.

    Attributes:
        port: Where it listens.
        sessions: The connections on which it has shaken hands.
        wedged: Whether it accepts connections and serves nobody any more.
    """

    def __init__(self, meta: Metainfo, content: bytes, *defects: type[Session]) -> None:
        self.meta = meta
        self.content = content
        self.port = 0
        self.sessions: set[Session] = set()
        self.wedged = False
        self._session = type("Peer", tuple(dict.fromkeys((*defects, Session))), {})
        self._server: asyncio.Server | None = None

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        try:
            if not self.wedged:
                await self._session(self, reader, writer).run()
        except (Exception, asyncio.CancelledError):
            pass  # whatever was said, the others are served
        finally:
            writer.close()

    def crash(self) -> None:
        """Stops listening."""
        assert self._server is not None
        self._server.close()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, meta: Metainfo, content: bytes, *defects: type[Session]
    ) -> AsyncIterator[Double]:
        double = cls(meta, content, *defects)
        double._server = await asyncio.start_server(double.accept, "127.0.0.1", 0)
        double.port = double._server.sockets[0].getsockname()[1]
        try:
            yield double
        finally:
            double._server.close()
