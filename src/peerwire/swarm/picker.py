"""Which block to ask of which peer: rarest first, endgame, and who to blame for a bad piece.

Theory of operation. A set of pieces is one big integer, and availability is kept likewise: see
``rarity.py``. Seeds have everything and tell nothing about rarity: they are a plain number.

Blocks are looked at only in pieces that have been started, of which there are about as many as
peers. A started piece's blocks are free, asked (of whom), or got (from whom).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from ..limits import BLOCK_LENGTH
from ..pieces import PieceSet
from .rarity import PieceBits, Rarity

__all__ = ["Blame", "Block", "Picker", "Received"]

#: Until this many pieces are held, a piece is picked at random: the rarest ones come slowly, and
#: what counts at first is to have something to give (BEP 3: random order). libtorrent: 4.
RANDOM_FIRST = 4

#: Of how many peers a block is asked at once in the endgame.
ENDGAME_COPIES = 3

K = TypeVar("K", bound=Hashable)


class Block(NamedTuple):
    """What one request asks for (BEP 3, peer messages)."""

    index: int  # type: ignore[assignment]  # the wire's word, and not the tuple's method
    begin: int
    length: int


class Received(NamedTuple, Generic[K]):
    """What a block meant that came in.

    Attributes:
        new: Whether it was missing; what is not new has to be thrown away.
        whole: Whether the piece now has all its blocks and can be hashed.
        others: The other peers that were asked for the same block, to send cancels to.
    """

    new: bool
    whole: bool
    others: tuple[K, ...]


#: What nearly every block means, made once: a tenth of the time that a block takes here.
_NEW: Received[Any] = Received(True, False, ())
_NEW_AND_WHOLE: Received[Any] = Received(True, True, ())


class Blame(NamedTuple, Generic[K]):
    """Who gave the blocks of a piece that does not hash.

    Attributes:
        index: The piece.
        senders: Who gave each of its blocks.
    """

    index: int  # type: ignore[assignment]
    senders: dict[Block, K]

    @property
    def peers(self) -> tuple[K, ...]:
        """All who gave a block of it, in the order they first did."""
        return tuple(dict.fromkeys(self.senders.values()))

    @property
    def alone(self) -> bool:
        """Whether that is one peer, which is then guilty beyond doubt."""
        return len(self.peers) == 1


class _Peer(Generic[K]):
    """What is known of a peer: its pieces, for one question and for all pieces at once."""

    __slots__ = ("bits", "key", "pending", "pieces", "seed")

    def __init__(self, key: K, pieces: PieceSet, bits: int, seed: bool) -> None:
        self.key = key
        self.pieces = pieces
        self.bits = bits
        self.seed = seed
        self.pending: dict[tuple[int, int, int], Block] = {}


class _Piece(Generic[K]):
    """A piece that has been started, its blocks by number."""

    __slots__ = ("asked", "block_length", "exclusive", "free", "got", "index", "owner", "size")

    def __init__(
        self, index: int, size: int, block_length: int, owner: _Peer[K], exclusive: bool
    ) -> None:
        self.index = index
        self.size = size
        self.block_length = block_length
        self.owner = owner
        self.exclusive = exclusive
        self.free = list(reversed(range(-(-size // block_length))))  # the next one is last
        self.asked: dict[int, list[_Peer[K]]] = {}
        self.got: dict[int, K] = {}

    @property
    def whole(self) -> bool:
        return not self.free and not self.asked

    def block(self, number: int) -> Block:
        begin = number * self.block_length
        return Block(self.index, begin, min(self.block_length, self.size - begin))


class Picker(Generic[K]):
    """Decides which block to ask of which peer, and keeps account of all that is asked.

    In this order: blocks of pieces that the peer itself started, which keeps blame simple; blocks
    of other started pieces, so that they become whole; the rarest piece that the peer has, ties
    broken at random, the first few pieces wholly at random (`RANDOM_FIRST`). When every block to
    be had has been asked for, the endgame begins (BEP 3, cancel): a peer with nothing left to do
    is asked for blocks that others have not delivered yet, up to `ENDGAME_COPIES` times each.

    A piece that does not hash is afterwards asked of one peer alone ("on parole"), so that a
    second failure names the guilty. That peer keeps it while it delivers; another one with
    nothing else to do takes it over from the start.

    No call takes time in proportion to the number of pieces, but for operations on integers of a
    bit a piece.

    Args:
        num_pieces: How many pieces the torrent has.
        piece_size: How many bytes of the piece of an index to ask for, from its beginning on. Of
            which there are none, nothing is asked; it is for the caller to call `verified`.
        have: The pieces that are here and verified. Copied.
        wanted: The pieces to get; None means all. Copied.
        block_length: What to ask for at once, in bytes.
        rng: Breaks ties; pass a seeded one and everything is deterministic.
    """

    def __init__(
        self,
        num_pieces: int,
        piece_size: Callable[[int], int],
        *,
        have: PieceSet,
        wanted: PieceSet | None = None,
        block_length: int = BLOCK_LENGTH,
        rng: random.Random | None = None,
    ) -> None:
        self._num_pieces = num_pieces
        self._piece_size = piece_size
        self._block_length = block_length
        self._rng = rng if rng is not None else random.Random()
        self._bits = PieceBits(num_pieces)
        held = self._bits.of(have)
        self._held = held.bit_count()
        self._needed = (self._bits.all if wanted is None else self._bits.of(wanted)) & ~held
        self._remaining = self._needed.bit_count()
        self._unstarted = self._needed
        self._started: dict[int, _Piece[K]] = {}
        self._loose: dict[int, _Piece[K]] = {}  # those started that have a free block
        self._suspects: dict[int, frozenset[K]] = {}
        self._peers: dict[K, _Peer[K]] = {}
        self._availability = Rarity()
        self._seeds = 0

    @property
    def remaining(self) -> int:
        """How many of the wanted pieces are not verified yet."""
        return self._remaining

    @property
    def done(self) -> bool:
        """Whether every wanted piece is verified."""
        return not self._remaining

    # Peers and what they have

    def add_peer(self, peer: K, pieces: PieceSet) -> None:
        """Take a new peer into account.

        Args:
            peer: Whatever names it.
            pieces: What it has. Copied; changes are told by the methods below.

        Raises:
            ValueError: The peer is known already.
        """
        if peer in self._peers:
            raise ValueError(f"{peer!r} was added before: see replace")
        who = _Peer(peer, PieceSet(), 0, False)
        self._peers[peer] = who
        self._set_pieces(who, pieces)

    def peer_has(self, peer: K, index: int) -> None:
        """Note that the peer has one more piece (BEP 3, have).

        Raises:
            IndexError: There is no such piece.
        """
        who = self._peers[peer]
        if index in who.pieces:
            return
        who.pieces.add(index)
        bit = self._bits.bit(index)
        who.bits |= bit
        self._availability.add(bit)

    def peer_lost(self, peer: K, index: int) -> None:
        """Note that the peer has a piece no more (BEP 54), or refuses to give it.

        What it has been asked for stays pending until it answers or fails.
        """
        who = self._peers[peer]
        if index not in who.pieces:
            return
        pieces = who.pieces.copy()
        pieces.discard(index)
        self._set_pieces(who, pieces)

    def replace(self, peer: K, pieces: PieceSet) -> None:
        """Take a second bitfield of a peer for what it has from now on."""
        self._set_pieces(self._peers[peer], pieces)

    def remove_peer(self, peer: K) -> None:
        """Forget a peer; what it was asked for can be asked of others."""
        who = self._peers.pop(peer)
        self._set_pieces(who, PieceSet())
        for block in list(who.pending.values()):
            self._give_up(who, block)
        for piece in list(self._started.values()):
            if piece.exclusive and piece.owner is who and not piece.whole:
                self._restart(piece)

    def count(self, peer: K) -> int:
        """Returns how many pieces the peer is known to have here."""
        return len(self._peers[peer].pieces)

    def interesting(self, peer: K) -> bool:
        """Tell whether the peer has a piece that is wanted and not verified here (BEP 3)."""
        return self._peers[peer].bits & self._needed != 0

    def pending(self, peer: K) -> tuple[Block, ...]:
        """The blocks asked of the peer and not answered, oldest first."""
        return tuple(self._peers[peer].pending.values())

    # Blocks

    def pick(self, peer: K, count: int, *, only: Collection[int] | None = None) -> list[Block]:
        """Choose blocks to request of the peer now; they are pending from then on.

        Args:
            peer: Whom to ask.
            count: How many blocks at most.
            only: The pieces it may be asked for, when it chokes but has allowed some (BEP 6,
                allowed fast).

        Returns:
            Up to `count` blocks, none of which the peer lacks or has been asked for already.
        """
        who = self._peers[peer]
        blocks: list[Block] = []
        if count <= 0:
            return blocks
        allowed = who.pieces
        if only is not None:
            allowed = PieceSet(self._num_pieces, (index for index in only if index in allowed))
        for piece in self._sources(who, allowed):
            while piece.free:
                blocks.append(self._ask(who, piece, piece.free.pop()))
                if not piece.free:
                    del self._loose[piece.index]
                if len(blocks) == count:
                    return blocks
        if not who.pending and self._all_asked():
            # Waiting until a peer has nothing else bounds the duplicates, and the cost.
            for piece, number in self._unanswered(who, allowed)[:count]:
                blocks.append(self._ask(who, piece, number))
        return blocks

    def received(self, peer: K, index: int, begin: int) -> Received[K]:
        """Note that a block of the right length has come.

        A late one, given up before, counts too as long as it is missing.
        """
        who = self._peers[peer]
        number, odd = divmod(begin, self._block_length)
        piece = self._started.get(index)
        if piece is not None and not odd and piece.asked.get(number) == [who]:
            del piece.asked[number]
            del who.pending[index, begin, min(self._block_length, piece.size - begin)]
            piece.got[number] = peer
            return _NEW_AND_WHOLE if not piece.asked and not piece.free else _NEW
        if piece is None and index in who.pieces and self._unstarted & self._bits.bit(index):
            piece = self._start(who, index)
        if piece is None or odd or (piece.exclusive and piece.owner is not who):
            return Received(False, False, ())
        askers = piece.asked.pop(number, [])
        if not askers:
            if number not in piece.free:
                return Received(False, False, ())
            piece.free.remove(number)
            if not piece.free:
                del self._loose[index]
        block = piece.block(number)
        for asker in askers:
            del asker.pending[block]
        piece.got[number] = peer
        others = tuple(asker.key for asker in askers if asker is not who)
        return Received(True, piece.whole, others)

    def failed(self, peer: K, block: Block) -> None:
        """Note that an asked block will not come (timeout, reject, choke): others may be asked.

        A block that is not pending is ignored. The same peer may be asked again: where it has
        refused for good, call `peer_lost` too.
        """
        who = self._peers[peer]
        if block in who.pending:
            self._give_up(who, block)

    # Pieces

    def verified(self, index: int) -> None:
        """Note that a piece is here and its hash is right."""
        bit = self._bits.bit(index)
        if not self._needed & bit:
            return
        if index in self._started:
            self._restart(self._started[index])
        self._needed ^= bit
        self._unstarted ^= bit
        self._remaining -= 1
        self._held += 1
        self._suspects.pop(index, None)

    def corrupt(self, index: int) -> Blame[K]:
        """Note that a whole piece has the wrong hash; it will be asked for again, on parole.

        A peer that gave it alone is not asked for it again.

        Returns:
            Who gave it.

        Raises:
            ValueError: The piece is not whole.
        """
        piece = self._started.get(index)
        if piece is None or not piece.whole:
            raise ValueError(f"piece {index} is not whole, it can't be corrupt")
        blame = Blame(index, {piece.block(number): who for number, who in piece.got.items()})
        self._suspects[index] = self.suspects(index).union(blame.peers)
        self._restart(piece)
        if blame.alone and blame.peers[0] in self._peers:
            self.peer_lost(blame.peers[0], index)
        return blame

    def disown(self, guilty: Callable[[K], bool]) -> None:
        """Throw away the blocks that liars gave of pieces that are not whole yet.

        They would make these pieces fail, too, and what others gave of them be fetched again.

        Args:
            guilty: Tells of each peer that gave any whether it is one; it may have left.
        """
        for piece in list(self._started.values()):
            numbers = [number for number, who in piece.got.items() if guilty(who)]
            if not numbers or piece.whole:
                continue
            for number in numbers:
                del piece.got[number]
                piece.free.append(number)
            self._loose[piece.index] = piece
            if not piece.asked and not piece.got:
                self._restart(piece)

    def owner(self, index: int) -> K | None:
        """The only peer that is asked for a piece on parole, if one is and it is not whole yet."""
        piece = self._started.get(index)
        return piece.owner.key if piece and piece.exclusive and not piece.whole else None

    def take_away(self, index: int) -> None:
        """Start a piece on parole anew, as its owner is too slow: who asks first has it next.

        What was asked of the owner must have been taken back.
        """
        self._restart(self._started[index])

    def suspects(self, index: int) -> frozenset[K]:
        """All who gave blocks to failed attempts at this piece; none once it is verified."""
        return self._suspects.get(index, frozenset())

    def _set_pieces(self, who: _Peer[K], pieces: PieceSet) -> None:
        if who.seed:
            self._seeds -= 1
        else:
            self._availability.subtract(who.bits)
        who.pieces = PieceSet.full(self._num_pieces) & pieces
        who.seed = who.pieces.complete
        if who.seed:
            who.bits = self._bits.all
            self._seeds += 1
        else:
            who.bits = self._bits.of(who.pieces)
            self._availability.add(who.bits)

    # What to ask for next

    def _sources(self, who: _Peer[K], allowed: PieceSet) -> Iterator[_Piece[K]]:
        """Pieces with blocks for this peer, best first."""
        loose = list(self._loose.values())
        yield from (piece for piece in loose if piece.owner is who and piece.index in allowed)
        yield from (
            piece
            for piece in loose
            if piece.owner is not who and not piece.exclusive and piece.index in allowed
        )
        bits = who.bits if allowed is who.pieces else self._bits.of(allowed)
        while candidates := bits & self._unstarted:
            if self._held >= RANDOM_FIRST:
                candidates = self._availability.rarest(candidates)
            yield self._start(who, self._bits.any_of(candidates, self._rng))
        for piece in loose:
            stalled = piece.exclusive and piece.owner is not who and not piece.asked
            if stalled and piece.index in allowed:
                self._restart(piece)
                yield self._start(who, piece.index)

    def _all_asked(self) -> bool:
        """Whether no block that a connected peer has is left to be asked for."""
        unasked = self._unstarted
        for piece in self._loose.values():
            if not piece.exclusive:
                unasked |= self._bits.bit(piece.index)
        return not unasked & (self._bits.all if self._seeds else self._availability.any())

    def _unanswered(self, who: _Peer[K], allowed: PieceSet) -> list[tuple[_Piece[K], int]]:
        """Blocks asked of others that may be asked of this peer too, those asked least first."""
        found = [
            (piece, number)
            for piece in self._started.values()
            if not piece.exclusive and piece.index in allowed
            for number, askers in piece.asked.items()
            if len(askers) < ENDGAME_COPIES
        ]
        return sorted(found, key=lambda entry: len(entry[0].asked[entry[1]]))

    # The life of a piece and its blocks

    def _start(self, who: _Peer[K], index: int) -> _Piece[K]:
        exclusive = index in self._suspects
        piece = _Piece(index, self._piece_size(index), self._block_length, who, exclusive)
        self._unstarted ^= self._bits.bit(index)
        self._started[index] = piece
        if piece.free:
            self._loose[index] = piece
        return piece

    def _restart(self, piece: _Piece[K]) -> None:
        """Make a started piece an unstarted one, with nothing of it asked or got."""
        for number, askers in piece.asked.items():
            for asker in askers:
                del asker.pending[piece.block(number)]
        del self._started[piece.index]
        self._loose.pop(piece.index, None)
        self._unstarted ^= self._bits.bit(piece.index)

    def _ask(self, who: _Peer[K], piece: _Piece[K], number: int) -> Block:
        block = piece.block(number)
        who.pending[block] = block
        askers = piece.asked.get(number)
        if askers is None:
            piece.asked[number] = [who]
        else:
            askers.append(who)
        return block

    def _give_up(self, who: _Peer[K], block: Block) -> None:
        del who.pending[block]
        piece = self._started[block.index]
        number = block.begin // self._block_length
        piece.asked[number].remove(who)
        if piece.asked[number]:
            return
        del piece.asked[number]
        piece.free.append(number)
        self._loose[piece.index] = piece
        if not piece.asked and not piece.got:
            self._restart(piece)
