"""One connection to the peer that is asked: it says anything, and hears messages with deadlines.

Other than `peerwire.Peer` it keeps no rules: it says what it is told to, right or wrong, and takes
what comes as it comes. What it knows of the torrent is there to judge what comes by.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..bencode import encode
from ..errors import EncryptionError
from ..handshake import PROTOCOL, Handshake, Reserved, generate_peer_id
from ..messages import (
    Bitfield,
    Extended,
    HaveNone,
    Interested,
    Piece,
    Reject,
    Request,
    Unchoke,
)
from ..mse import CryptoMethod, Initiator, MseHandshake, Responder, SkeyTable, random_bits
from .case import Closed, Deviates, Inconclusive, NotApplicable
from .connection import ANSWER, Connection, Silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from ..cli.subject import Subject
    from ..extensions.handshake import ExtendedHandshake
    from ..messages import Message

__all__ = ["ANSWER", "BLOCK", "PLAIN", "UNCHOKE", "Content", "Probe", "Silent", "dial"]

#: Seconds for a place among those who are unchoked. Transmission looks for one every ten.
UNCHOKE: Final = 13.0

#: Seconds for a connection.
CONNECT: Final = 3.0

#: Bytes of a block (BEP 3, peer messages).
BLOCK: Final = 16 * 1024

#: What reads a block: index, begin, length.
Content: TypeAlias = "Callable[[int, int, int], bytes]"

#: Numbers of the addresses that connections come from.
_sources = itertools.count()

#: The reserved bits of a peer that speaks BEP 3 and nothing else.
PLAIN: Final = Reserved(0)


def source_address(host: str) -> str | None:
    """Returns an address of this machine that no other connection comes from; None for any.

    Many clients take one connection of an address, or none any more of one that broke a rule. On
    Linux all of 127.0.0.0/8 is this machine, so that each case can be somebody else.

    Args:
        host: Where the peer is.
    """
    if host not in ("127.0.0.1", "localhost") or sys.platform != "linux":
        return None
    number = next(_sources)
    return f"127.1.{number // 250 % 250}.{number % 250 + 1}"


async def dial(host: str, port: int, subject: Subject, patience: float = 1.0) -> Probe:
    """Connects to the peer.

    Args:
        host: Where it is.
        port: Its TCP port.
        subject: The torrent that it is asked about.
        patience: As in `Probe`.

    Raises:
        OSError: It can't be connected to; a TimeoutError if nothing answers.
    """
    source = source_address(host)
    local = None if source is None else (source, 0)
    async with asyncio.timeout(CONNECT * patience):
        reader, writer = await asyncio.open_connection(host, port, local_addr=local)
    redial = partial(dial, host, port, subject, patience)
    return Probe(subject, reader, writer, redial, patience)


class Probe(Connection):
    """A connection that knows the torrent, and what most cases begin and end with.

    Args:
        subject: The torrent.
        reader: What the peer says.
        writer: Takes what it is told.
        redial: Makes another connection to the same peer, where that can be dialled.
        patience: What all waits are multiplied with.
        content: Returns a block of the torrent: index, begin, length.

    Attributes:
        subject: The torrent.
        content: As above; None where the peer has the content, not we.
        peer_id: What `greeting` says we are.
    """

    def __init__(
        self,
        subject: Subject,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        redial: Callable[[], Awaitable[Probe]] | None = None,
        patience: float = 1.0,
        content: Content | None = None,
    ) -> None:
        super().__init__(reader, writer, subject.num_pieces or 0, patience)
        self.subject = subject
        self.peer_id = generate_peer_id()
        self.content = content
        self._redial = redial

    # What the torrent is

    @property
    def info_hash(self) -> bytes:
        """The info-hash with which handshakes begin, 20 bytes."""
        return self.subject.info_hash

    @property
    def last(self) -> int:
        """The index of the last piece, which is the shortest in most torrents."""
        return self.num_pieces - 1

    def bitfield(self, *indices: int) -> Bitfield:
        """Returns a bitfield of the right length with these pieces."""
        bits = bytearray((self.num_pieces + 7) // 8)
        for index in indices:
            bits[index // 8] |= 0x80 >> index % 8
        return Bitfield(bytes(bits))

    @property
    def everything(self) -> Bitfield:
        """A bitfield with all pieces."""
        return self.bitfield(*range(self.num_pieces))

    def blocks(self, index: int) -> list[Request]:
        """Returns the requests for all of a piece."""
        size = self.subject.piece_size(index)
        return [Request(index, begin, min(BLOCK, size - begin)) for begin in range(0, size, BLOCK)]

    def first_block(self, index: int = 0) -> Request:
        """Returns the request for the first block of a piece."""
        return self.blocks(index)[0]

    # What is said

    def greeting(self, reserved: Reserved = PLAIN, info_hash: bytes | None = None) -> Handshake:
        """Returns a handshake of ours."""
        return Handshake(info_hash or self.info_hash, self.peer_id, reserved)

    # What most cases begin and end with

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Probe]:
        """Another connection to the same peer, as somebody else.

        Raises:
            Inconclusive: There is none to be had.
        """
        if self._redial is None:
            raise Inconclusive("a peer that connects to us can't be connected to")
        try:
            probe = await self._redial()
        except OSError as error:
            raise Inconclusive(f"no second connection: {error}") from error
        try:
            yield probe
        finally:
            await probe.leave()
            for line in probe.transcript():
                self.note(f"on another connection: {line.strip()}")

    async def open(self, reserved: Reserved = PLAIN, *, announce: bool = True) -> Handshake:
        """Exchanges handshakes, and says that we have nothing if both speak BEP 6.

        Args:
            reserved: What we say that we speak.
            announce: Whether we say that we have nothing.

        Raises:
            Inconclusive: There is no handshake.
        """
        self.say(self.greeting(reserved))
        try:
            heard = await self.handshake()
        except Deviates as error:
            raise Inconclusive(f"not asked: {error}") from error
        if announce and Reserved.FAST in reserved & heard.reserved:
            self.say(HaveNone())
        return heard

    async def answers_others(self) -> None:
        """Sees that a right handshake is answered, before a wrong one is said here.

        Raises:
            Inconclusive: It is not.
        """
        async with self.another() as other:
            await other.open()

    async def ready(self, reserved: Reserved = PLAIN) -> None:
        """Exchanges handshakes, is interested, and waits to be unchoked.

        Raises:
            Inconclusive: We are not.
        """
        await self.open(reserved)
        try:
            await self.unchoked()
        except Deviates as error:
            raise Inconclusive(f"not asked: {error}") from error

    async def unchoked(self) -> None:
        """Says that we are interested and waits to be unchoked.

        Raises:
            Closed: The connection ended.
            Inconclusive: We are still choked.
        """
        if not self.choked:
            return
        self.say(Interested())
        try:
            await self.wait_for(Unchoke, within=UNCHOKE)
        except Silent:
            raise Inconclusive(f"not asked: it chokes us for {UNCHOKE:g} s") from None

    def need(self, bit: Reserved, what: str) -> None:
        """Goes on only if the peer's handshake has a bit.

        Raises:
            NotApplicable: It has not.
        """
        if self.theirs is None or bit not in self.theirs.reserved:
            raise NotApplicable(f"its handshake does not have the bit of {what}")

    async def fast(self) -> None:
        """Exchanges handshakes with a peer that speaks BEP 6.

        Raises:
            NotApplicable: It does not.
        """
        await self.open(Reserved.FAST)
        self.need(Reserved.FAST, "BEP 6")

    async def introduce(
        self, m: Mapping[str, int] | None = None, *, reserved: Reserved = PLAIN, **told: Any
    ) -> ExtendedHandshake:
        """Exchanges handshakes and extended handshakes.

        Args:
            m: The ids that we give extensions.
            reserved: What we say that we speak beside BEP 10.
            told: Other keys.

        Raises:
            NotApplicable: The peer does not speak BEP 10.
            Inconclusive: No extended handshake comes.
        """
        if self.theirs is None:
            await self.open(reserved | Reserved.EXTENSION)
        self.need(Reserved.EXTENSION, "BEP 10")
        self.name(m or {})
        self.say(Extended(0, encode({"m": dict(m or {}), **told})))
        return await self.introduction()

    def name(self, m: Mapping[str, int]) -> None:
        """Remembers the ids that we give extensions, for the transcript."""
        self._names |= {number: name for name, number in m.items() if number}

    async def introduction(self) -> ExtendedHandshake:
        """Returns the peer's extended handshake.

        Raises:
            Inconclusive: None comes.
        """
        while self.introduced is None:
            try:
                await self.wait_for(Extended, where=lambda each: each.extended_id == 0)
            except Deviates as error:
                raise Inconclusive(f"no extended handshake: {error}") from error
        return self.introduced

    def their_id(self, name: str) -> int:
        """Returns the id that the peer wants an extension's messages sent with.

        Raises:
            NotApplicable: It did not give it any.
        """
        number = 0 if self.introduced is None else self.introduced.m.get(name, 0)
        if not number:
            raise NotApplicable(f"it does not speak {name}")
        return number

    async def block(self, asked: Request) -> bytes:
        """Asks for a block and returns it.

        Raises:
            Deviates: Something else comes of it.
        """
        self.say(asked)
        return await self.answer(asked)

    async def answer(self, asked: Request) -> bytes:
        """Returns the block that answers a request that was made.

        Raises:
            Deviates: Something else comes of it.
        """
        (block,) = await self.collect([asked])
        return block

    async def collect(self, asked: Sequence[Request]) -> list[bytes]:
        """Returns the blocks that answer requests that were made, whatever order they come in.

        Raises:
            Deviates: One is rejected, does not come, or is not as long as asked for.
        """
        lengths = {(each.index, each.begin): each.length for each in asked}
        came: dict[tuple[int, int], bytes] = {}
        while len(came) < len(lengths):
            try:
                message = await self.wait_for((Piece, Reject))
            except (Silent, Closed) as error:
                told = f"{len(came)} of {len(lengths)} blocks came: " if len(lengths) > 1 else ""
                raise type(error)(f"{told}{error}") from None
            assert isinstance(message, Piece | Reject)
            place = message.index, message.begin
            if place not in lengths:
                continue
            if not isinstance(message, Piece):
                raise Deviates(f"it says {message}")
            if len(message.block) != lengths[place]:
                raise Deviates(f"asked for {lengths[place]} bytes, it says {message}")
            came[place] = bytes(message.block)
        return [came[place] for place in lengths]

    async def fetch(self, index: int) -> bytes:
        """Asks for a whole piece, and holds it against its hash.

        Raises:
            Deviates: It does not come, or is not the piece.
        """
        requests = self.blocks(index)
        self.say(*requests)
        piece = b"".join(await self.collect(requests))
        if not self.subject.verifies(index, piece):
            raise Deviates(f"what it sends of piece {index} does not have the piece's hash")
        return piece

    async def goes_on(self) -> None:
        """Sees that the connection is still of use: a piece, or a block of a long one, is served.

        Raises:
            Deviates: It is not.
            Inconclusive: We are not unchoked.
        """
        await self.unchoked()
        if len(self.blocks(self.last)) <= 8:
            await self.fetch(self.last)
        else:
            await self.block(self.first_block(self.last))

    # What cases for a leecher begin and end with

    def lacking(self) -> list[int]:
        """Returns the pieces that the peer has not said it has.

        Raises:
            Inconclusive: There are too few to ask it anything.
        """
        lacking = [index for index in range(self.num_pieces) if index not in self.pieces]
        if len(lacking) < 2:
            raise Inconclusive("not asked: it has almost everything already")
        return lacking

    def serve(self, asked: Request) -> Piece:
        """Returns the block that answers a request."""
        assert self.content is not None, "only a case for a leecher serves anything"
        return Piece(asked.index, asked.begin, self.content(asked.index, asked.begin, asked.length))

    async def requested(self, within: float = ANSWER) -> Request:
        """Returns the next request.

        Raises:
            Closed: The connection ended.
            Silent: None came in time.
        """
        return await self.wait_for(Request, within=within)

    # Encryption

    async def encrypt(
        self,
        methods: CryptoMethod,
        *,
        initial_payload: bytes = b"",
        random: Callable[[int], bytes] = random_bits,
    ) -> CryptoMethod:
        """Begins with message stream encryption, and returns the method that the peer chose.

        Args:
            methods: What is offered.
            initial_payload: What is sent along: a handshake, or nothing.
            random: Returns so many random bytes.

        Raises:
            NotApplicable: The peer does not answer.
            Deviates: It answers wrongly, or not to the end.
        """
        mse = Initiator(self.info_hash, methods, initial_payload, random)
        self.note(f"an encrypted handshake, offering {_methods(methods)}")
        method = await self._agree(mse)
        self._take(bytes(mse.rest), decrypted=True)
        return method

    async def accept(
        self, mse: Responder | None = None, *payload: Handshake | Message
    ) -> CryptoMethod:
        """Answers a peer that begins with message stream encryption, and returns what was chosen.

        Args:
            mse: What answers it; None for RC4 where that is offered, else plaintext.
            payload: What is said at once, in the segment in which the answer ends.

        Raises:
            NotApplicable: It begins in the clear.
            Deviates: What it says is wrong, or ends too soon.
        """
        if await self.in_the_clear():
            raise NotApplicable("it does not begin with an encrypted handshake")
        if mse is None:
            both = CryptoMethod.RC4 | CryptoMethod.PLAINTEXT
            mse = Responder(SkeyTable([self.info_hash]), both)
        method = await self._agree(mse, *payload)
        self._raw = mse.rest  # its handshake, which is heard when it is listened for
        return method

    async def in_the_clear(self) -> bool:
        """Says whether a peer that connects to us begins with a plain handshake, or not at all."""
        heard = await self.bytes_heard(len(PROTOCOL))
        return PROTOCOL.startswith(heard[: len(PROTOCOL)])

    async def _agree(self, mse: MseHandshake, *payload: Handshake | Message) -> CryptoMethod:
        until = self._until(ANSWER)
        while True:
            data, self._raw = bytes(self._raw), bytearray()
            try:
                mse.receive_data(data)
            except EncryptionError as error:
                raise Deviates(str(error)) from error
            if mse.method is not None:
                break
            self._write(mse.data_to_send())
            if not await self._read(until, raw=True) or self.ended is not None:
                raise self._unencrypted(f"{self.ended or 'nothing more comes'}")
        self.note(f"encrypted, with {_methods(mse.method)} from here on")
        self._encrypt, self._decrypt = mse.encryptor(), mse.decryptor()
        self._say_after(mse.data_to_send(), *payload)
        return mse.method

    def _say_after(self, data: bytes, *payload: Handshake | Message) -> None:
        """Says the end of an encrypted handshake, and in the same segment what comes after it."""
        for each in payload:
            self._log(">", each)
        said = bytearray(b"".join(each.encode() for each in payload))
        if self._encrypt is not None:
            self._encrypt.apply(said)
        self._write(data + said)

    def _unencrypted(self, how: str) -> Deviates | NotApplicable:
        if self.received:
            return Deviates(f"after {self.received} bytes of an encrypted handshake: {how}")
        return NotApplicable(f"it does not answer an encrypted handshake: {how}")


def _methods(methods: CryptoMethod) -> str:
    return " and ".join(str(each.name).lower() for each in CryptoMethod if each in methods)
