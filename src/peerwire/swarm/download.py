"""Fetching the pieces of a torrent from any number of peers, and believing none of them."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import MetainfoError, RequestRejected, RequestTimeout, StorageError
from ..limits import BLOCK_LENGTH
from ..torrent.padding import Padding
from .admission import Sender
from .events import PieceCorrupt, PieceVerified
from .evidence import Evidence
from .picker import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..asyncio.peer import Peer
    from ..messages import Piece
    from ..requests import PendingRequest, RequestEnded
    from ..torrent.disk import Disk
    from ..torrent.metainfo import Metainfo
    from .picker import Picker

__all__ = ["Download"]

#: Requests outstanding to a peer of which nothing is known yet, or which lets them time out.
MIN_PIPELINE = 4

#: The most that are: what libtorrent queues of a peer that announces no number of its own.
MAX_PIPELINE = 250

#: Seconds of a peer's rate that are asked for ahead, as libtorrent does.
PIPELINE_SECONDS = 3.0

#: Seconds from the first request of a peer during which its pipeline grows whatever its rate,
#: which is not known before: doubled by every half of it that is answered.
SLOW_START = 5.0

#: How often in a row a peer may let all that it is asked for time out. One that never answers
#: would otherwise be asked for ever, and nobody told that nothing comes.
MAX_STALLS = 3

#: Seconds that a peer has for a piece that is asked of it alone, while others would be free to
#: give it; doubled with each of them, lest nobody ever has enough. libtorrent: 20 for any piece.
PAROLE_SECONDS = 20.0

#: Bytes of whole pieces that may wait for the disk before no more are asked for.
MAX_UNWRITTEN = 64 * 1024 * 1024

#: How often at a time the disk is asked to hash and write, and bytes beyond which it is no more in
#: one go. Each time costs the threads some 60 us of waiting for each other, a quarter of what
#: 256 KiB cost to hash.
WRITERS = 3
WRITE_BYTES = 1024 * 1024

#: Bytes of the memory of written pieces that are kept for the next: new memory has to be cleared
#: by the system first, which costs as much as reading the socket.
MAX_SPARE = 8 * 1024 * 1024


@dataclass(slots=True)
class _Pipeline:
    """How many requests are kept outstanding to one peer, and how it has answered them.

    Attributes:
        depth: How many.
        since: When the first of them was made.
        stalls: How often in a row it has let them time out before that.
        refused: The pieces that it says to have and rejected.
    """

    depth: int = MIN_PIPELINE
    since: float | None = None
    stalls: int = 0
    refused: set[int] = field(default_factory=set)

    def grow(self, rate: float, now: float) -> None:
        """Takes in that half of it was answered, at `rate` bytes a second."""
        depth = min(2 * self.depth, MAX_PIPELINE)
        if self.since is not None and now - self.since > SLOW_START:
            depth = min(depth, int(rate * PIPELINE_SECONDS / BLOCK_LENGTH))
        self.depth = max(MIN_PIPELINE, depth)


@dataclass(slots=True)
class _Parole:
    """How long the peer that a piece is asked of alone may keep it, if others wait for work."""

    until: float
    patience: float = PAROLE_SECONDS


class _Incoming:
    """The bytes of a piece on their way in.

    Whoever is asked for a block first writes it in place, as it comes from the socket. In the
    endgame the same block is asked of others as well: theirs are copied in should they come first.
    Else the last to come would decide what is hashed, and another be blamed for it.
    """

    __slots__ = ("_claimed", "memory")

    def __init__(self, memory: memoryview) -> None:
        self.memory = memory
        self._claimed: set[int] = set()

    def claim(self, begin: int, length: int) -> memoryview | None:
        """Returns where a block may be written as it comes; None if somebody may already."""
        if begin in self._claimed:
            return None
        self._claimed.add(begin)
        return self.memory[begin : begin + length]


class Download:
    """The pieces of one torrent on their way in.

    Args:
        metainfo: The torrent.
        disk: Where verified pieces go.
        picker: What to ask of whom.
        on_verified: Told of each piece that is on disk.
        on_corrupt: Told of each piece whose hash was wrong.
        on_liar: Told of who has sent wrong blocks, in words, too.
        on_useless: Told of each peer that is not worth keeping, and why.
        on_failure: Told of the error, when the disk fails or the torrent contradicts itself.
    """

    def __init__(
        self,
        metainfo: Metainfo,
        disk: Disk,
        picker: Picker[Peer],
        *,
        on_verified: Callable[[PieceVerified], None],
        on_corrupt: Callable[[PieceCorrupt], None],
        on_liar: Callable[[Sender, str], None],
        on_useless: Callable[[Peer, str], None],
        on_failure: Callable[[StorageError | MetainfoError], None],
    ) -> None:
        self._metainfo = metainfo
        self._padding = Padding(metainfo)
        self._disk = disk
        self._picker = picker
        self._on_verified = on_verified
        self._on_corrupt = on_corrupt
        self._on_liar = on_liar
        self._on_useless = on_useless
        self._on_failure = on_failure
        self._incoming: dict[int, _Incoming] = {}
        self._pipelines: dict[Peer, _Pipeline] = {}
        self._evidence: Evidence[Sender] = Evidence()
        self._paroles: dict[int, _Parole] = {}
        self._unwritten = 0
        self._whole: deque[tuple[int, memoryview]] = deque()  # and not yet on their way to disk
        self._spare: list[memoryview] = []  # of one piece each
        self._writes: set[asyncio.Task[None]] = set()
        self._writers = 0  # those of them that will look at `_whole` once more
        self._refilling: asyncio.Handle | None = None  # there once everybody is to be asked
        self._loop = asyncio.get_running_loop()

    @property
    def done(self) -> bool:
        """Whether every piece that is wanted is on disk and verified."""
        return self._picker.done

    def add(self, peer: Peer) -> None:
        """Takes a peer in, with the pieces it has said to have."""
        self._picker.add_peer(peer, peer.peer_pieces)
        self._pipelines[peer] = _Pipeline()

    def remove(self, peer: Peer) -> None:
        """Lets a peer go; what was asked of it is asked of others."""
        del self._pipelines[peer]
        self._picker.remove_peer(peer)
        self._refill_all_soon()

    def peer_has(self, peer: Peer, index: int) -> None:
        """Takes note of a HAVE."""
        self._picker.peer_has(peer, index)
        self._may_want(peer)

    def peer_lost(self, peer: Peer, index: int) -> None:
        """Takes note that the peer has a piece no more (BEP 54)."""
        peer.peer_pieces.discard(index)
        self._picker.peer_lost(peer, index)
        self._pipelines[peer].refused.discard(index)
        if not peer.fast:  # where there are rejects, one comes for each request
            for request in [r for r in peer.requests if r.index == index]:
                peer.cancel(*request.key)
        self.update_interest(peer)

    def peer_announced(self, peer: Peer) -> None:
        """Takes note of a whole new set of pieces."""
        self._pipelines[peer].refused.clear()
        self._picker.replace(peer, peer.peer_pieces)
        self._may_want(peer)

    def choked(self, peer: Peer) -> None:
        """Takes note of a choke: the pipeline begins anew, lest each of a flood costs a whole one.

        Old refusals mean nothing any more. They may have been part of it: Transmission rejects
        what is pending and then chokes.
        """
        self._forget_refusals(peer)
        self._pipelines[peer] = _Pipeline(stalls=self._pipelines[peer].stalls)
        self._may_want(peer)

    def unchoked(self, peer: Peer) -> None:
        """Takes note of an unchoke, with which old refusals mean nothing any more."""
        self._forget_refusals(peer)
        self._may_want(peer)

    def update_interest(self, peer: Peer) -> None:
        """Says whether the peer has something for us (BEP 3: kept up to date at all times)."""
        if peer.closed is not None:
            return
        if self._picker.interesting(peer):
            peer.interested()
            return
        peer.not_interested()
        if self._pipelines[peer].refused:
            self._on_useless(peer, "it rejects the requests for all that it has of use")
        elif _wants_nothing(peer) and (self.done or self._knows_what_it_has(peer)):
            self._on_useless(peer, "neither side has anything that the other wants (BEP 21)")

    def _knows_what_it_has(self, peer: Peer) -> bool:
        """Whether all was taken in that the peer said of its pieces, and it said something.

        A peer's own state is ahead of the messages that are still to be read: Transmission says
        that it wants nothing, and right behind it that it has everything.
        """
        return 0 < self._picker.count(peer) == len(peer.peer_pieces)

    def refill(self, peer: Peer) -> None:
        """Asks the peer for as much as keeps it busy."""
        if self._unwritten >= MAX_UNWRITTEN:
            return  # the disk is behind; `_finish` comes back here
        pipeline = self._pipelines[peer]
        room = min(pipeline.depth, peer.wire.max_requests) - len(peer.requests)
        only = peer.peer_allowed_fast if peer.peer_choking else None
        if room <= 0 or peer.closed is not None or (only is not None and not only):
            return
        for block in self._picker.pick(peer, room, only=only):
            self._ask(peer, block, pipeline)
        if pipeline.since is None and peer.requests:
            pipeline.since = self._loop.time()
        if pipeline.refused:
            self.update_interest(peer)

    def received(self, peer: Peer, piece: Piece) -> None:
        """Takes in a block that was asked for."""
        index, begin, length = piece.index, piece.begin, len(piece.block)
        result = self._picker.received(peer, index, begin)
        if result.new and piece.request is not None and piece.request.into is None:
            self._incoming[index].memory[begin : begin + length] = piece.block
        for other in result.others:
            if other.closed is None:
                other.cancel(index, begin, length)
        if result.whole:
            memory = self._incoming.pop(index).memory
            self._unwritten += len(memory)
            self._whole.append((index, memory))
            if self._writers < WRITERS:
                self._writers += 1
                task = self._loop.create_task(self._write())
                self._writes.add(task)
                task.add_done_callback(self._writes.discard)
        pipeline = self._pipelines[peer]
        pipeline.stalls = 0
        if len(peer.requests) <= pipeline.depth // 2:
            pipeline.grow(peer.download_rate, self._loop.time())
            self.refill(peer)

    def ended(self, peer: Peer, ended: RequestEnded) -> None:
        """Takes in that a block will not come from this peer."""
        self._picker.failed(peer, Block(*ended.request.key))
        if isinstance(ended.error, RequestTimeout):
            self._timed_out(peer, ended.request)
        elif isinstance(ended.error, RequestRejected):
            self._rejected(peer, ended.request)
        self._refill_all_soon()

    def tick(self) -> None:
        """Lets nobody hold a piece up that was corrupt before; call it every few seconds.

        Such a piece is asked of one peer alone, and that may be who made it fail and now dawdles.
        """
        now = self._loop.time()
        for index, parole in self._paroles.items():
            owner = self._picker.owner(index)
            if owner is None or owner.closed is not None or now < parole.until:
                continue
            free = [peer for peer in self._pipelines if _is_free_for(peer, index)]
            if not free:
                continue
            for request in [r for r in owner.requests if r.index == index]:
                owner.cancel(*request.key)
            self._picker.take_away(index)
            parole.patience *= 2
            parole.until = now + parole.patience
            self.refill(max(free, key=lambda peer: peer.downloaded))

    def complaint(self, peer: Peer) -> str:
        """Says why a peer brings nothing, for whoever has waited in vain."""
        pieces = self._picker.count(peer)
        if not pieces:
            return "it has told of no piece that it has"
        if not self._picker.interesting(peer):
            return f"it has {pieces} pieces, and none of the missing"
        if "unchoke" not in peer.wire.messages_received:
            return "it has never unchoked us"
        if not peer.downloaded:
            return "it has answered no request"
        choking = ", and chokes us now" if peer.peer_choking else ""
        return f"it has sent {peer.downloaded} bytes and no more{choking}"

    async def take_padding(self, pieces: Iterable[int]) -> None:
        """Verifies pieces that are all padding, of which nobody is asked for anything (BEP 47)."""
        for index in pieces:
            if not await self._disk.check(index):
                self._on_failure(
                    MetainfoError(
                        f"piece {index} is all padding, and its hash is not that of zeros: the"
                        " torrent contradicts itself (BEP 47), nobody can complete it"
                    )
                )
                return
            self._picker.verified(index)
            self._on_verified(PieceVerified(index))

    async def settle(self) -> None:
        """Waits until every piece that has come is written."""
        if self._writes:
            await asyncio.wait(self._writes)

    def _forget_refusals(self, peer: Peer) -> None:
        refused = self._pipelines[peer].refused
        for index in refused:
            self._picker.peer_has(peer, index)
        refused.clear()

    def _may_want(self, peer: Peer) -> None:
        self.update_interest(peer)
        self.refill(peer)

    def _ask(self, peer: Peer, block: Block, pipeline: _Pipeline) -> None:
        index, begin, length = block
        incoming = self._incoming.get(index)
        if incoming is None:
            incoming = self._incoming[index] = _Incoming(self._memory(index))
        into = incoming.claim(begin, length)
        peer.request_nowait(index, begin, length, into=into, context=pipeline)

    def _timed_out(self, peer: Peer, request: PendingRequest) -> None:
        pipeline = self._pipelines[peer]
        if request.context is not pipeline:
            return  # one more of the same stall
        stalls = pipeline.stalls + 1
        self._pipelines[peer] = _Pipeline(stalls=stalls, refused=pipeline.refused)
        if stalls >= MAX_STALLS:
            self._on_useless(peer, f"it let all requests time out, {stalls} times in a row")

    def _rejected(self, peer: Peer, request: PendingRequest) -> None:
        if peer.peer_choking:
            peer.peer_allowed_fast.discard(request.index)  # as libtorrent does
            return
        pipeline = self._pipelines[peer]
        if request.context is not pipeline:
            return  # one more of those that were too many
        if pipeline.depth > MIN_PIPELINE:
            # Perhaps there were too many at once: anacrolix rejects beyond 1 MiB.
            self._pipelines[peer] = _Pipeline(stalls=pipeline.stalls, refused=pipeline.refused)
        else:
            self._picker.peer_lost(peer, request.index)  # it would be rejected again, for ever
            if request.index in peer.peer_pieces:
                pipeline.refused.add(request.index)

    def _refill_all_soon(self) -> None:
        if self._refilling is None:
            self._refilling = self._loop.call_soon(self._refill_all)

    def _refill_all(self) -> None:
        """Asks everybody, those last who let requests time out or are slow.

        A block that was held up would else go to the same or the next who holds it up.
        """
        self._refilling = None
        for peer in sorted(self._pipelines, key=self._reluctance):
            self.refill(peer)

    def _reluctance(self, peer: Peer) -> tuple[int, float]:
        return self._pipelines[peer].stalls, -peer.download_rate

    async def _write(self) -> None:
        """Verifies and writes whole pieces while there are any, several in one go."""
        try:
            while self._whole:
                await self._write_some()
        except StorageError as error:
            self._on_failure(error)
        finally:
            self._writers -= 1

    async def _write_some(self) -> None:
        pieces, size = [], 0
        while self._whole and size < WRITE_BYTES:
            pieces.append(self._whole.popleft())
            size += len(pieces[-1][1])
        try:
            right = await self._disk.write_pieces(pieces)
        finally:
            held_up = self._unwritten >= MAX_UNWRITTEN
            self._unwritten -= size
        for (index, memory), good in zip(pieces, right, strict=True):
            self._finish(index, memory, good)
            self._recycle(memory)
        if held_up or not all(right):
            self._refill_all_soon()

    def _memory(self, index: int) -> memoryview:
        """Returns memory for a piece: what is asked for will be written over what is in it."""
        size = self._metainfo.piece_size(index)
        if self._spare and len(self._spare[-1]) == size:
            memory = self._spare.pop()
            content = self._padding.content_size(index)
            memory[content:] = bytes(size - content)  # nobody is asked for zeros (BEP 47)
            return memory
        return memoryview(bytearray(size))

    def _recycle(self, memory: memoryview) -> None:
        """Keeps a piece's memory: nobody writes there any more, all its requests are over."""
        size = self._metainfo.piece_length
        if len(memory) == size and (len(self._spare) + 1) * size <= MAX_SPARE:
            self._spare.append(memory)

    def _finish(self, index: int, memory: memoryview, good: bool) -> None:
        """Draws the consequences of what a whole piece turned out to be."""
        if good:
            self._picker.verified(index)
            self._paroles.pop(index, None)
            for pipeline in self._pipelines.values():
                pipeline.refused.discard(index)
            for liar in self._evidence.verified(index, memory):
                self._convict(liar, index)
            self._on_verified(PieceVerified(index))
        else:
            self._corrupt(index, memory)

    def _corrupt(self, index: int, memory: memoryview) -> None:
        """Drops whoever sent all of a piece that is wrong; of several, keeps what will tell who."""
        blame = self._picker.corrupt(index)
        self._paroles.setdefault(index, _Parole(self._loop.time() + PAROLE_SECONDS))
        senders = {block: Sender.of(peer) for block, peer in blame.senders.items()}
        guilty = blame.peers[0] if blame.alone else None
        self._on_corrupt(PieceCorrupt(index, list(blame.peers), guilty))
        if guilty is not None:
            self._convict(Sender.of(guilty), index)
        else:
            self._evidence.corrupt(index, memory, senders)

    def _convict(self, liar: Sender, index: int) -> None:
        self._picker.disown(lambda peer: Sender.of(peer).identity == liar.identity)
        self._on_liar(liar, f"it sent blocks of piece {index} with the wrong hash")
        self._refill_all_soon()


def _is_free_for(peer: Peer, index: int) -> bool:
    """Whether a peer could give a piece, and has nothing else to give."""
    ready = peer.closed is None and not peer.peer_choking
    return ready and index in peer.peer_pieces and not len(peer.requests)


def _wants_nothing(peer: Peer) -> bool:
    told = peer.extended_handshake
    return told is not None and bool(told.upload_only) and not peer.peer_interested
