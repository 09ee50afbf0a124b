"""A peer that connects and downloads, and has the defects that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import hashlib

from peerwire import (
    AllowedFast,
    Bitfield,
    Choke,
    Extended,
    Handshake,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    KeepAlive,
    NotInterested,
    PeerWireError,
    Piece,
    Reject,
    Request,
    Reserved,
    Suggest,
    Unchoke,
    Unknown,
)
from peerwire.bencode import decode, decode_prefix, encode
from peerwire.framing import Framing

from .leecher_mse import begin

BLOCK = 16 * 1024
PEER_ID = b"-XX0000-leeching_now"
QUEUE = 6
METADATA, DONTHAVE, PEX = 2, 7, 1


class Defect(enum.Enum):
    WRONG_TORRENT = "it names another torrent"
    TAKES_ANY_TORRENT = "it goes on with whoever has another torrent"
    LATE_BITFIELD = "it says something before its bitfield"
    LONG_BITFIELD = "its bitfield is a byte too long"
    SPARE_BITS = "its bitfield has spare bits set"
    NO_BITFIELD = "it says no bitfield"
    HAS_THE_LAST = "it has the last piece"
    WANTS_NOTHING = "it is interested in nobody"
    WANTS_ALWAYS = "it is interested in those who have nothing"
    DEAF_TO_HAVE = "it does not hear 'have'"
    ASKS_CHOKED = "it asks although it is choked"
    ASKS_LONG = "it asks for 32 KiB at once"
    ASKS_NOTHING = "it asks for blocks of no bytes"
    ASKS_BEYOND = "it asks for whole blocks, whatever the piece has"
    ASKS_ANYTHING = "it asks for pieces that nobody told it of"
    ASKS_LITTLE = "it asks for the first block of all pieces only"
    NEVER_ASKS = "it asks for nothing"
    ONE_AT_A_TIME = "it has one request outstanding"
    ASKS_ON = "it asks for more when it is choked"
    ASKS_ONCE = "it asks for nothing again"
    KEEPS_SILENT = "it does not announce what it has"
    BELIEVES = "it does not check hashes"
    DIES_OF_WRONG = "it closes the connection of who says what is wrong"
    FORGETS_WRONG = "it does not ask again for what was wrong"
    STAYS_INTERESTED = "it stays interested in those who have nothing more"
    HATES_SEGMENTS = "it wants each segment to be a message"
    HATES_KEEP_ALIVES = "it closes where a keep-alive comes"
    HATES_UNKNOWN = "it closes where it does not know what comes"
    BEARS_ANYTHING = "it drops what breaks a rule"
    SERVES_ANYTHING = "it serves what it has not"
    KNOWS_NOT_ITSELF = "it goes on with itself"
    TWO_BITFIELDS = "it says what it has twice"
    MISTAKES_ADVICE = "it takes 'allowed fast' for 'have'"
    TAKES_NO_ADVICE = "it asks for nothing while it is choked"
    DIES_OF_REJECT = "it closes where a request is rejected"
    BEARS_REJECT = "it bears a reject of what it did not ask for"
    BEARS_UNASKED = "it bears a block that it did not ask for"
    BEARS_FAST = "it bears BEP 6 where that is not agreed on"
    FOLLOWS = "it asks for what is suggested first"
    MISTAKES_SUGGESTIONS = "it takes 'suggest' for 'have'"
    FORGETS_CHOKED = "it drops what comes after a choke"
    NEVER_REJECTS = "it does not reject"
    INSISTS = "it asks for the same at once"
    SPEAKS_BEP_3 = "it has no reserved bits"
    SAYS_A_LIST = "its extended handshake is a list"
    SAYS_NO_HANDSHAKE = "it says no extended handshake"
    IGNORES_REQQ = "it asks for more than it may"
    HATES_KEYS = "it closes where it does not know a key"
    EXTENDS_ALL = "it says extended messages to everybody"
    WRONG_METADATA = "it serves metadata of something else"
    WEDGED_BY_PEX = "it says nothing any more after ut_pex"
    UPLOAD_ONLY = "it says that it does not download"
    KEEPS_WANTING = "it asks for what is there no more"
    ASKS_FOR_NO_METADATA = "it does not ask for metadata"
    WRONG_ID = "it asks for metadata with its own id"
    ASKS_IN_OTHER_WORDS = "its request for metadata is not bencoded"
    ASKS_IN_A_LIST = "its request for metadata is a list"
    ASKS_FOR_NO_PIECE = "its request for metadata names no piece"
    ASKS_TWICE = "it asks for metadata that it has"
    ASKS_FOR_MORE = "it asks for metadata beyond its end"
    BELIEVES_METADATA = "it does not check the metadata's hash"
    FORGETS_METADATA = "it does not ask again for metadata that was wrong"
    TRIES_AGAIN = "it asks again for metadata that was wrong"
    DIES_OF_SIZE = "it asks for as much metadata as it is told that there is"


class Leecher:
    """Connects, fetches what it can, and begins anew when the connection ends.

    Args:
        sample: The torrent.
        defects: What is wrong with it.
        encryption: How it begins: what `begin` takes; None for in the clear.
        by_magnet: Whether it has to be given the metadata first.
    """

    def __init__(self, sample, *defects, encryption=None, by_magnet=False):
        self.sample, self.defects = sample, frozenset(defects)
        self.encryption, self.by_magnet = encryption, by_magnet

    async def run(self, port):
        while True:
            with contextlib.suppress(PeerWireError, OSError, EOFError, ValueError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                with contextlib.closing(writer):
                    await Connection(self, reader, writer).talk()
            await asyncio.sleep(0.01)


class Connection:
    """One of its connections."""

    def __init__(self, leecher, reader, writer):
        self.leecher, self.reader, self.writer = leecher, reader, writer
        self.meta, self.subject = leecher.sample.meta, leecher.sample.subject
        self.encrypt = self.decrypt = None
        self.fast = self.extended = False
        self.told, self.have, self.allowed = set(), set(), []
        self.by_magnet, self.metadata = leecher.by_magnet, b""
        self.wants, self.choked, self.wedged = False, True, False
        self.asked, self.refused, self.blocks = [], set(), {}
        self.first = []  # pieces that are asked for before others
        self.reqq, self.ids = QUEUE, {}

    def is_(self, *names):
        return any(Defect[name] in self.leecher.defects for name in names)

    def expect(self, right):
        if not right and not self.is_("BEARS_ANYTHING"):
            raise ValueError("the connection ends here")

    # The socket

    def say(self, *messages):
        data = b"".join(message.encode() for message in messages)
        self.writer.write(data if self.encrypt is None else applied(self.encrypt, data))

    async def read(self):
        data = await self.reader.read(1 << 16)
        return data if self.decrypt is None else applied(self.decrypt, data)

    async def talk(self):
        early = await self.greet()
        while len(early) < 68:
            early += await self.read() or self.gone()
            self.expect(len(early) >= 68 or not self.is_("HATES_SEGMENTS"))
        theirs = Handshake.decode(early[:68])
        if theirs.info_hash != self.meta.info_hash and not self.is_("TAKES_ANY_TORRENT"):
            return
        if theirs.peer_id == PEER_ID and not self.is_("KNOWS_NOT_ITSELF"):
            return
        ours = self.handshake().reserved
        self.fast = Reserved.FAST in theirs.reserved & ours
        self.extended = Reserved.EXTENSION in theirs.reserved & ours
        self.announce()
        framing, data = Framing(1 << 20), early[68:]
        while True:
            try:
                for message in framing.receive(data):
                    self.hear(message)
            except PeerWireError:
                self.expect(False)
                framing = Framing(1 << 20)
            self.look()
            data = await self.read() or self.gone()
            if self.is_("HATES_SEGMENTS"):
                self.expect(whole(data))

    def gone(self):
        raise EOFError

    def handshake(self):
        info_hash = bytes(20) if self.is_("WRONG_TORRENT") else self.meta.info_hash
        reserved = Reserved(0) if self.is_("SPEAKS_BEP_3") else Reserved.FAST | Reserved.EXTENSION
        return Handshake(info_hash, PEER_ID, reserved)

    async def greet(self):
        """Says the handshake, and returns what has come by then."""
        if self.leecher.encryption is None:
            self.say(self.handshake())
            return b""
        mse = await begin(self, **self.leecher.encryption)
        return bytes(mse.rest)

    # What it says of itself

    def announce(self):
        if self.is_("LATE_BITFIELD"):
            self.say(NotInterested())
        size = (self.meta.num_pieces + 7) // 8
        none = Bitfield(bytes(size + self.is_("LONG_BITFIELD")))
        if self.is_("SPARE_BITS"):
            none = Bitfield(bytes(size - 1) + b"\1")
        if self.is_("HAS_THE_LAST"):
            self.have = {self.meta.num_pieces - 1}
            none = Bitfield(bytes(size - 1) + bytes((0x80 >> (self.meta.num_pieces - 1) % 8,)))
        elif self.fast:
            self.say(HaveNone())
        if (not self.fast and not self.is_("NO_BITFIELD")) or self.is_("TWO_BITFIELDS"):
            self.say(none)
        if (self.extended and not self.is_("SAYS_NO_HANDSHAKE")) or self.is_("EXTENDS_ALL"):
            self.say(Extended(0, encode(self.introduction())))

    def introduction(self):
        if self.is_("SAYS_A_LIST"):
            return [1, 2]
        told = {"m": {"ut_metadata": METADATA, "lt_donthave": DONTHAVE, "ut_pex": PEX}}
        if self.is_("UPLOAD_ONLY"):
            told["upload_only"] = 1
        if not self.by_magnet:
            told["metadata_size"] = len(self.meta.info)
        return told | {"v": "a double 1.0"}

    # What it hears

    def hear(self, message):
        if self.wedged:
            return
        if isinstance(message, HaveAll | HaveNone | AllowedFast | Reject | Suggest):
            self.expect(self.fast or self.is_("BEARS_FAST"))
        match message:
            case KeepAlive():
                self.expect(not self.is_("HATES_KEEP_ALIVES"))
            case Unknown():
                self.expect(not self.is_("HATES_UNKNOWN"))
            case Bitfield(bits):
                self.expect(len(bits) == (self.meta.num_pieces + 7) // 8)
                self.told = {n for n in range(8 * len(bits)) if bits[n // 8] & 128 >> n % 8}
            case Have(index):
                self.expect(index < self.meta.num_pieces)
                if index < self.meta.num_pieces and not self.is_("DEAF_TO_HAVE"):
                    self.told.add(index)
            case HaveAll():
                self.told = set(range(self.meta.num_pieces))
            case Suggest(index):
                self.first = [index] * self.is_("FOLLOWS")
                self.told |= {index} if self.is_("MISTAKES_SUGGESTIONS") else set()
            case AllowedFast(index):
                self.expect(index < self.meta.num_pieces)
                self.allowed.append(index)
                self.told |= {index} if self.is_("MISTAKES_ADVICE") else set()
            case Choke():
                self.choked = True
                if self.is_("ASKS_ON"):
                    asyncio.get_running_loop().call_later(1, self.say, Request(0, 0, BLOCK))
                if not self.fast or self.is_("FORGETS_CHOKED"):
                    self.asked.clear()
            case Unchoke():
                self.choked = False
                self.refused.clear()
            case Request():
                self.answer(message)
            case Reject(index, begin, length):
                self.reject(Request(index, begin, length))
            case Piece(index, begin, block):
                self.take(index, begin, bytes(block))
            case Extended(number, payload):
                self.extend(number, bytes(payload))

    def answer(self, request):
        if self.is_("SERVES_ANYTHING"):
            self.say(Piece(request.index, request.begin, bytes(request.length)))
        elif self.fast and not self.is_("NEVER_REJECTS"):
            self.say(Reject(request.index, request.begin, request.length))

    def reject(self, request):
        if request not in self.asked:
            self.expect(self.is_("BEARS_REJECT", "BEARS_FAST"))
            return
        self.expect(not self.is_("DIES_OF_REJECT"))
        self.asked.remove(request)
        if not self.is_("INSISTS"):
            self.refused.add((request.index, request.begin))

    def take(self, index, begin, block):
        if self.choked and self.is_("FORGETS_CHOKED"):
            return
        request = Request(index, begin, len(block))
        if request not in self.asked:
            self.expect(
                (not self.fast and not self.is_("DIES_OF_WRONG")) or self.is_("BEARS_UNASKED")
            )
            return
        self.asked.remove(request)
        self.blocks[index, begin] = block
        begins = range(0, self.subject.piece_size(index), BLOCK)
        if not all((index, each) in self.blocks for each in begins):
            return
        right = self.subject.verifies(index, b"".join(self.blocks[index, n] for n in begins))
        if right or self.is_("BELIEVES"):
            self.have.add(index)
            if not self.is_("KEEPS_SILENT"):
                self.say(Have(index))
        else:
            self.expect(not self.is_("DIES_OF_WRONG"))
            if not self.is_("FORGETS_WRONG"):
                self.blocks = {key: each for key, each in self.blocks.items() if key[0] != index}

    def extend(self, number, payload):
        if number == 0:
            told = decode(payload)
            self.expect(isinstance(told, dict) or not self.is_("HATES_UNKNOWN"))
            if isinstance(told, dict):
                self.meet(told)
        elif number == METADATA:
            told, end = decode_prefix(payload)
            (self.learn if told[b"msg_type"] else self.teach)(told, payload[end:])
        elif number == DONTHAVE and not self.is_("KEEPS_WANTING"):
            self.told.discard(int.from_bytes(payload))
        elif number == PEX:
            self.wedged = self.is_("WEDGED_BY_PEX")
        else:
            self.expect(not self.is_("HATES_UNKNOWN"))

    def meet(self, told):
        self.expect(not self.is_("HATES_KEYS") or set(told) <= {b"m", b"reqq"})
        self.ids |= told.get(b"m", {})
        if not self.is_("IGNORES_REQQ"):
            self.reqq = told.get(b"reqq", QUEUE)
        size, number = told.get(b"metadata_size", 0), self.ids.get(b"ut_metadata")
        sane = 0 < size <= 1 << 20 or self.is_("DIES_OF_SIZE")
        if self.by_magnet and number and sane and not self.is_("ASKS_FOR_NO_METADATA"):
            number = METADATA if self.is_("WRONG_ID") else number
            self.say(Extended(number, self.request()))

    def request(self):
        """A request for metadata: for what comes next."""
        if self.is_("ASKS_IN_OTHER_WORDS"):
            return b"please"
        if self.is_("ASKS_IN_A_LIST"):
            return b"li0ei0ee"
        if self.is_("ASKS_FOR_NO_PIECE"):
            return encode({"msg_type": 0})
        piece = len(self.metadata) // BLOCK
        return encode({"msg_type": 0, "piece": 9 if self.is_("ASKS_FOR_MORE") else piece})

    def teach(self, told, _):
        piece = told[b"piece"]
        data = self.meta.info[piece * BLOCK : (piece + 1) * BLOCK]
        if self.is_("WRONG_METADATA"):
            data = bytes(10)
        head = {"msg_type": 1, "piece": piece, "total_size": len(self.meta.info)}
        self.say(Extended(self.ids[b"ut_metadata"], encode(head) + data))

    def learn(self, told, data):
        whole = False
        if told[b"msg_type"] == 1:
            self.metadata += data
            whole = len(self.metadata) == told[b"total_size"]
        if whole:
            right = hashlib.sha1(self.metadata).digest() == self.meta.info_hash
            right |= self.is_("BELIEVES_METADATA")
            self.expect(right or self.is_("FORGETS_METADATA", "TRIES_AGAIN"))
            self.by_magnet, self.metadata = not right, b""
            whole = right or self.is_("FORGETS_METADATA")
        if (data and not whole) or self.is_("ASKS_TWICE", "INSISTS"):
            self.say(Extended(self.ids[b"ut_metadata"], self.request()))

    # What it wants

    def look(self):
        """Says whether it is interested, and asks for what it can."""
        if self.wedged or self.by_magnet:
            return
        wants = bool(self.told - self.have) and not self.is_("WANTS_NOTHING")
        wants |= self.is_("WANTS_ALWAYS") or (self.wants and self.is_("STAYS_INTERESTED"))
        if wants is not self.wants:
            self.wants = wants
            self.say(Interested() if wants else NotInterested())
        if not self.is_("NEVER_ASKS"):
            self.ask()

    def ask(self):
        open_to = set(self.told)
        if self.choked and not self.is_("ASKS_CHOKED"):
            open_to &= set() if self.is_("TAKES_NO_ADVICE") else set(self.allowed)
        if not self.wants and not self.is_("MISTAKES_SUGGESTIONS"):
            return
        limit = 1 if self.is_("ONE_AT_A_TIME") else min(QUEUE, self.reqq)
        for index in [*self.first, *sorted(open_to - self.have)]:
            for each in self.requests(index):
                known = (index, each.begin) in self.blocks or each in self.asked
                if known or (index, each.begin) in self.refused or len(self.asked) >= limit:
                    continue
                self.asked.append(each)
                self.asked_once = True
                self.say(each)

    asked_once = False

    def requests(self, index):
        if self.is_("ASKS_ONCE") and self.asked_once and not self.asked:
            return []
        size = self.subject.piece_size(index)
        if self.is_("ASKS_ANYTHING"):
            index = (index + 1) % self.meta.num_pieces
        if self.is_("ASKS_LONG"):
            return [Request(index, 0, size)]
        if self.is_("ASKS_NOTHING"):
            return [Request(index, 0, 0)]
        whole = self.is_("ASKS_BEYOND")
        begins = range(0, size, BLOCK)[: 1 if self.is_("ASKS_LITTLE") else None]
        return [Request(index, n, BLOCK if whole else min(BLOCK, size - n)) for n in begins]


def whole(data):
    """Says whether messages end where it ends."""
    while data:
        if len(data) < 4 + int.from_bytes(data[:4]):
            return False
        data = data[4 + int.from_bytes(data[:4]) :]
    return True


def applied(cipher, data):
    buffer = bytearray(data)
    cipher.apply(buffer)
    return bytes(buffer)
