"""Asking one peer who it is, what it has and what it does: the questions of `peerwire probe`.

A peer is asked on one connection, in the clear if it will. How else it can be reached is tried
afterwards, one connection after the other: Transmission has but one peer at an address.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..asyncio.client import connect
from ..encryption import Encryption
from ..errors import (
    ConnectionClosed,
    InfoHashMismatch,
    InvalidHandshake,
    PeerWireError,
    RemoteProtocolError,
    RequestFailed,
)
from ..handshake import HANDSHAKE_LENGTH, Handshake, Reserved, generate_peer_id
from ..limits import BLOCK_LENGTH
from ..messages import Bitfield, Message, Port
from ..mse import CryptoMethod, Initiator
from ..pieces import PieceSet
from ..state import DEFAULT_RESERVED
from ..swarm.events import explained, why

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..asyncio.peer import Peer
    from ..requests import BlockKey
    from ..state import Mark, Trace
    from .subject import Subject

__all__ = ["MODES", "Blocks", "Heard", "Report", "probe", "try_encrypted"]

#: Ways to speak, as `Peer.encryption` calls them, to how they are called in a table.
MODES: Final = {"off": "plain", "plaintext": "MSE, plaintext", "rc4": "MSE, RC4"}

#: What each policy is about. One that leaves it to the peer is asked for the rarest.
_MODE_OF: Final = {Encryption.OFF: "off", Encryption.REQUIRE: "rc4", Encryption.PREFER: "plaintext"}

_METHODS: Final = {"plaintext": CryptoMethod.PLAINTEXT, "rc4": CryptoMethod.RC4}

#: Seconds for a connection and its handshake: what libtorrent gives it.
CONNECT_TIMEOUT = 10.0

#: Seconds to try a way of encryption that is not needed any more.
TRIAL_TIMEOUT = 5.0

#: Seconds for what a peer says of itself right after its handshake. One that has no piece need not
#: say anything, so this is how long its silence lasts.
SETTLE_TIMEOUT = 2.0

#: Seconds without a word of ours before a block is asked for. A peer's system holds an answer back
#: while what it sent before is unacknowledged (Nagle), and ours acknowledges 40 ms late if it has
#: nothing else to send: with libtorrent the time of a request would be that of our system.
STILL = 0.05

#: Seconds for a peer to close its side, before it is left behind.
LEAVE_TIMEOUT = 1.0

#: Seconds that a peer may choke us before the user is told that it is waited for.
PATIENCE_UNTOLD = 1.0

#: Of the time there is, how much goes to the conversation if ways of encryption are to be tried;
#: and of that, how much to waiting, as who chokes us for ever may still allow some pieces.
TALKING: Final = 0.7
WAITING: Final = 0.8

#: Blocks asked for at once, if many are to be fetched.
PIPELINE: Final = 16

#: Bytes read at a time of a peer that is only shaken hands with.
READ: Final = 4096

#: Deviations that are told; a peer may go on and on.
MAX_DEVIATIONS: Final = 10


class Heard:
    """A trace that keeps of a connection what a report needs, and what its wire forgets.

    Args:
        tell: Another trace, which sees everything, too.

    Attributes:
        first: When each kind of message was first sent or received, as in ``"> interested"``.
        handshake: The peer's.
        dht_port: UDP port of its DHT node, if it told one (BEP 5).
        told_pieces: The message with which it first told what it has.
        room: Pieces that its bitfield has room for.
        deviations: What it did that is let pass though no specification allows it.
    """

    def __init__(self, tell: Trace | None = None) -> None:
        self.first: dict[str, float] = {}
        self.handshake: Handshake | None = None
        self.dht_port: int | None = None
        self.told_pieces: str | None = None
        self.room: int | None = None
        self.deviations: list[str] = []
        self._tell = tell
        self._met: set[tuple[Mark, type]] = set()

    def __call__(self, mark: Mark, what: object, now: float) -> None:
        """Takes in what happened."""
        met = (mark, type(what))
        if met not in self._met:  # what is flooded with costs no more than this
            self._met.add(met)
            self._meet(mark, what, now)
        if mark == "!" and isinstance(what, str) and len(self.deviations) < MAX_DEVIATIONS:
            self.deviations.append(what.removeprefix("deviation: "))
        if self._tell is not None:
            self._tell(mark, what, now)

    def between(self, earlier: str, later: str) -> float | None:
        """Returns the seconds between two of `first`; None if one never was."""
        if earlier not in self.first or later not in self.first:
            return None
        return max(0.0, self.first[later] - self.first[earlier])

    def _meet(self, mark: Mark, what: object, now: float) -> None:
        if isinstance(what, Message | Handshake):
            name = what.name if isinstance(what, Message) else "handshake"
            self.first[f"{mark} {name}"] = now
            if mark == "<" and name in _TELL_PIECES:
                self.told_pieces = self.told_pieces or name
        if mark != "<":
            return
        match what:
            case Handshake():
                self.handshake = what
            case Port(port):
                self.dht_port = port
            case Bitfield(bits):
                self.room = 8 * len(bits)


_TELL_PIECES: Final = frozenset({"bitfield", "have", "have all", "have none"})


@dataclass(slots=True)
class Blocks:
    """What became of the blocks that were asked for.

    Attributes:
        asked: How many.
        first: The first of them: piece, begin and length.
        received: Bytes that came.
        failure: Why one of them did not come; nothing was asked for after that.
        seconds: From the first request to the last answer.
        verified: Pieces that came whole and have the right hash.
        corrupt: Pieces that came whole and have not.
    """

    asked: int = 0
    first: BlockKey | None = None
    received: int = 0
    failure: str | None = None
    seconds: float | None = None
    verified: list[int] = field(default_factory=list)
    corrupt: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """What is known of a peer after it was asked.

    Attributes:
        address: Where it was asked.
        subject: About which torrent.
        heard: What it said.
        connect_seconds: How long it took to be connected.
        peer: The peer, whose connection is over; None if it ended with its handshake.
        modes: For each way to speak that was tried, why it does not work, or None if it does.
        patience: Seconds that it was waited for to be unchoked.
        blocks: What it was asked for.
        ended: How the connection ended, if that was not of our will.
        closing: Ends when the connection has; it takes five seconds at the most.
    """

    address: tuple[str, int]
    subject: Subject
    heard: Heard
    connect_seconds: float = 0.0
    peer: Peer | None = None
    modes: dict[str, str | None] = field(default_factory=dict)
    patience: float | None = None
    blocks: Blocks = field(default_factory=Blocks)
    ended: str | None = None
    closing: asyncio.Task[None] | None = None

    def spoken(self, policy: Encryption) -> str:
        """Returns what the connection speaks; as far as it was dialled, if it is over already."""
        return _MODE_OF[policy] if self.peer is None else self.peer.encryption


async def probe(
    address: tuple[str, int],
    subject: Subject,
    *,
    encryption: Encryption | None = None,
    blocks: int = 1,
    timeout: float = 30.0,
    trace: Trace | None = None,
    note: Callable[[str], None],
) -> Report:
    """Asks a peer.

    Args:
        address: Host and port.
        subject: The torrent.
        encryption: How to dial; None for in the clear, or else as the peer wants it, and then to
            try what else works.
        blocks: How many to download at the most.
        timeout: Seconds for all of it.
        trace: Called with (mark, what, now) for everything that happens on the wire.
        note: Told what is being waited for, if that may take long.

    Raises:
        PeerWireError: It did not answer with a handshake. The message tells why not.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    policies = [*_MODE_OF] if encryption is None else [encryption]
    report = await _dial(address, subject, policies, end, trace)
    if report.peer is not None:
        share = TALKING if encryption is None else 1.0
        until = loop.time() + (end - loop.time()) * share
        try:
            await _talk(report.peer, report, blocks, until, note)
        except ConnectionClosed as error:
            report.ended = why(error)
        report.closing = asyncio.create_task(report.peer.close("probed"))
        await asyncio.wait([report.closing], timeout=min(LEAVE_TIMEOUT, end - loop.time()))
    if encryption is None:
        missing = [mode for mode in _METHODS if mode not in report.modes]
        for left, mode in zip(range(len(missing), 0, -1), missing, strict=True):
            seconds = min(TRIAL_TIMEOUT, (end - loop.time()) / left)
            report.modes[mode] = await try_encrypted(address, subject, _METHODS[mode], seconds)
    return report


async def _dial(
    address: tuple[str, int],
    subject: Subject,
    policies: list[Encryption],
    end: float,
    trace: Trace | None,
) -> Report:
    """Connects in the first of some ways that works.

    Raises:
        PeerWireError: None does.
    """
    loop = asyncio.get_running_loop()
    failures: dict[Encryption, PeerWireError] = {}
    for left, policy in zip(range(len(policies), 0, -1), policies, strict=True):
        report = Report(address, subject, Heard(trace))
        seconds = min(CONNECT_TIMEOUT, (end - loop.time()) / left)
        try:
            await _connect(report, policy, seconds)
        except (InvalidHandshake, InfoHashMismatch):
            raise  # it is somebody else, who will not change
        except PeerWireError as error:
            if "> handshake" not in report.heard.first:  # there was no connection to be had
                if isinstance(error.__cause__, TimeoutError):
                    raise PeerWireError("no connection in time") from error.__cause__
                raise
            failures[policy] = error
        else:
            report.modes = {_MODE_OF[each]: _reason(error) for each, error in failures.items()}
            report.modes[report.spoken(policy)] = None
            return report
    raise _unanswered(failures)


async def _connect(report: Report, policy: Encryption, timeout: float) -> None:
    loop, subject, heard = asyncio.get_running_loop(), report.subject, report.heard
    dialled = loop.time()
    try:
        report.peer = await connect(
            *report.address,
            subject.info_hash,
            info_hash_v2=subject.info_hash_v2,
            num_pieces=subject.num_pieces,
            reserved=DEFAULT_RESERVED | Reserved.DHT,  # who is told so tells its own port
            encryption=policy,
            trace=heard,
            timeout=timeout,
        )
    except (InvalidHandshake, InfoHashMismatch):
        raise
    except RemoteProtocolError as error:
        if heard.handshake is None:
            raise
        report.ended = str(error)  # what came right after its handshake was wrong
    report.connect_seconds = heard.first["> handshake"] - dialled


def _unanswered(failures: dict[Encryption, PeerWireError]) -> PeerWireError:
    """Returns why nothing worked, in one error."""
    reasons = {policy: _reason(error) for policy, error in failures.items()}
    if len({*reasons.values()}) > 1:
        told = (f"{MODES[_MODE_OF[policy]]}: {reason}" for policy, reason in reasons.items())
        return PeerWireError("; ".join(told))
    policy, error = failures.popitem()
    if isinstance(error.__cause__, TimeoutError):
        return PeerWireError(reasons[policy])
    return explained(error, Encryption.PREFER if failures else policy)


def _reason(error: PeerWireError) -> str:
    """Returns why somebody did not answer; how long each was waited for differs, and is our own."""
    return "no handshake in time" if isinstance(error.__cause__, TimeoutError) else why(error)


# The conversation


async def _talk(
    peer: Peer, report: Report, blocks: int, until: float, note: Callable[[str], None]
) -> None:
    """Lets the peer say what it has, and asks it for something.

    Raises:
        ConnectionClosed: It ended the connection, or broke a rule.
    """
    loop, heard = asyncio.get_running_loop(), report.heard
    peer.announce(PieceSet(report.subject.num_pieces))
    await _reached(peer, lambda: _settled(peer, heard), min(loop.time() + SETTLE_TIMEOUT, until))
    if not peer.peer_pieces:
        return
    report.patience = WAITING * (until - loop.time())
    waiting = loop.time() + report.patience
    peer.interested()
    soon = min(loop.time() + PATIENCE_UNTOLD, waiting)
    if not await _reached(peer, lambda: not peer.peer_choking, soon):
        note(f"it chokes us; waiting for {waiting - soon:.0f} s at the most")
        await _reached(peer, lambda: not peer.peer_choking, waiting)
    usable = peer.peer_pieces
    if peer.peer_choking:
        usable = usable & peer.peer_allowed_fast
    if usable and blocks:
        await _reached(peer, lambda: False, min(loop.time() + STILL, until))
        wanted = itertools.islice(_requests(report.subject, usable), blocks)
        await _fetch(peer, report.subject, report.blocks, wanted, until)


async def _reached(peer: Peer, condition: Callable[[], bool], until: float) -> bool:
    """Waits for something to be true, and says whether it is.

    Raises:
        ConnectionClosed: The connection ended first.
    """
    left = until - asyncio.get_running_loop().time()
    waiting = asyncio.create_task(peer.wait_until(condition))
    try:
        await asyncio.wait([waiting], timeout=max(0.0, left))
        if waiting.done():
            waiting.result()
        return condition()
    finally:
        waiting.cancel()


def _settled(peer: Peer, heard: Heard) -> bool:
    """Whether a peer has said what it is expected to say of itself."""
    introduced = peer.extended_handshake is not None or not peer.wire.extended
    return introduced and heard.told_pieces is not None


def _requests(subject: Subject, pieces: PieceSet) -> Iterator[BlockKey]:
    """Blocks of some pieces, those first that can be verified soonest."""
    if subject.num_pieces is None:  # no more than that each piece has a first block is likely
        held = itertools.count() if pieces.complete else pieces
        yield from ((index, 0, BLOCK_LENGTH) for index in held)
        return
    first = subject.shortest_piece(pieces)
    for index in itertools.chain([first], (index for index in pieces if index != first)):
        size = subject.piece_size(index)
        for begin in range(0, size, BLOCK_LENGTH):
            yield index, begin, min(BLOCK_LENGTH, size - begin)


async def _fetch(
    peer: Peer, subject: Subject, blocks: Blocks, wanted: Iterator[BlockKey], until: float
) -> None:
    """Downloads blocks: the first one alone, that its time means something, then many at once.

    Raises:
        ConnectionClosed: The connection ended first.
    """
    loop = asyncio.get_running_loop()
    pending: deque[tuple[BlockKey, asyncio.Future[bytes]]] = deque()
    started, at_once, piece = loop.time(), 1, bytearray()
    try:
        while True:
            room = min(at_once, peer.wire.max_requests) - len(pending)
            for key in itertools.islice(wanted, max(0, room)):
                left = max(0.0, until - loop.time())
                pending.append((key, peer.request(*key, timeout=left)))
                blocks.first = blocks.first or key
                blocks.asked += 1
            if not pending:
                return
            (index, begin, _), answer = pending.popleft()
            block = await answer
            blocks.seconds = loop.time() - started
            blocks.received += len(block)
            if begin == 0:
                piece = bytearray()
            piece += block
            if subject.num_pieces is not None and len(piece) == subject.piece_size(index):
                right = subject.verifies(index, bytes(piece))
                (blocks.verified if right else blocks.corrupt).append(index)
            at_once = PIPELINE
    except RequestFailed as error:
        blocks.failure = f"piece {error.index}, bytes {error.begin}+{error.length}: {error.reason}"
    finally:
        for _, answer in pending:
            answer.cancel()


# Other ways to speak


async def try_encrypted(
    address: tuple[str, int], subject: Subject, method: CryptoMethod, timeout: float
) -> str | None:
    """Shakes hands with a peer behind message stream encryption, and no more.

    Args:
        address: Host and port.
        subject: The torrent.
        method: What is offered to follow the encrypted handshake, and nothing else.
        timeout: Seconds.

    Returns:
        None if it answered, otherwise why not.
    """
    if timeout <= 0:
        return "not tried, there was no time left"
    try:
        async with asyncio.timeout(timeout) as deadline:
            reader, writer = await asyncio.open_connection(*address)
            try:
                await _shake_hands(reader, writer, subject, method)
            finally:
                writer.transport.abort()
    except RemoteProtocolError as error:
        return str(error)
    except (OSError, EOFError) as error:
        if deadline.expired():
            return f"no answer within {timeout:.1f} s"
        return "it closed the connection" if isinstance(error, _HUNG_UP) else str(error)
    return None


#: What it is when a peer closes a connection, whether or not all was read before.
_HUNG_UP: Final = (EOFError, ConnectionError)


async def _shake_hands(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    subject: Subject,
    method: CryptoMethod,
) -> None:
    """Does so.

    Raises:
        RemoteProtocolError: The peer does not speak as it should.
        OSError, EOFError: It left.
    """
    ours = Handshake(subject.info_hash, generate_peer_id(), DEFAULT_RESERVED)
    hidden = Initiator(subject.info_hash, method, ours.encode())
    while hidden.method is None:
        writer.write(hidden.data_to_send())
        hidden.receive_data(await _read(reader))
    answer, decrypt = hidden.rest, hidden.decryptor()
    while len(answer) < HANDSHAKE_LENGTH:
        data = bytearray(await _read(reader))
        if decrypt is not None:
            decrypt.apply(data)
        answer += data
    theirs = Handshake.decode(answer[:HANDSHAKE_LENGTH])
    if theirs.info_hash not in subject.info_hashes:
        raise InfoHashMismatch(
            f"it answers with the torrent {theirs.info_hash.hex()}", rule="BEP 3, peer protocol"
        )


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(READ)
    if not data:
        raise EOFError
    return data
