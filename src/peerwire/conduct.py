"""Whether two sides of a connection keep the rules, judged by a third who sees both.

A third sees a message somewhere on its way, not when it was written or read. Messages that cross
are no violation, so a side is held only to what holds wherever one looks: a choke binds once it has
surely arrived, a cancelled request may be answered still, and what the other side never said can't
have been known. Where not all that a side said was seen, nothing is judged by it.

`Conduct` keeps what each side said and has a function for each message, as ``receiving.py`` has for
a wire that takes part.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .errors import RemoteProtocolError
from .extensions.handshake import ExtendedHandshake
from .extensions.lt_donthave import DontHave
from .extensions.overheard import MetadataRequest
from .extensions.ut_metadata import MetadataPiece, MetadataReject
from .handshake import Handshake, Reserved
from .hash_requests import OutgoingHashRequests, PendingHashRequest
from .hashes import broken_rule, expected_hashes
from .limits import BLOCK_LENGTH
from .messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Choke,
    Extended,
    Hashes,
    HashReject,
    HashRequest,
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
    Suggest,
    Unchoke,
    Unknown,
)
from .pieces import PieceSet
from .requests import OutgoingRequests, PendingRequest
from .state import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from .limits import Limits

__all__ = ["Conduct", "Finding", "Side"]

#: Seconds in which what was on its way has surely arrived.
CROSSING: Final = 10.0

#: Pieces of metadata remembered as asked for: those of the 4 MiB that are believed in.
MAX_METADATA_REQUESTS: Final = 256

#: What may come before the pieces that a side has: it tells nothing, or (BEP 10) comes at once.
_ASIDES: Final = frozenset({KeepAlive, Extended})

_ANNOUNCEMENTS: Final = frozenset({Bitfield, HaveAll, HaveNone})

_FAST: Final = frozenset({Suggest, HaveAll, HaveNone, Reject, AllowedFast})


class Finding:
    """A rule that a side did not keep.

    Attributes:
        by: Which side.
        error: What it did, and where the rule stands; what ends a wire that takes part.
        deviation: Whether deployed clients let it pass.
    """

    __slots__ = ("by", "deviation", "error")

    def __init__(self, by: Role, error: RemoteProtocolError, *, deviation: bool = False) -> None:
        self.by = by
        self.error = error
        self.deviation = deviation

    @property
    def rule(self) -> str:
        """Where the rule stands, for instance ``"BEP 3, peer messages"``."""
        return self.error.rule

    def __str__(self) -> str:
        kind = "deviation" if self.deviation else "violation"
        return f"{kind} by the {self.by}: {self.error}"


class Side:
    """What one side of a connection has said.

    Attributes:
        role: Which side.
        handshake: How it began; None while it has not, or if that was not seen.
        extended: All of its extended handshakes; None before the first.
        names: The extensions that it gave ids to, by id (BEP 10). One that it switched off stays,
            as messages may be under way.
        pieces: What it says it has.
        lost: Whether something that it said was not seen, and never will be.
        behind: Whether something that it said is yet to be seen.
    """

    def __init__(self, role: Role, limits: Limits) -> None:
        self.role = role
        self.handshake: Handshake | None = None
        self.extended: ExtendedHandshake | None = None
        self.names: dict[int, str] = {}
        self.pieces = PieceSet()
        self.lost = False
        self.behind = False
        self.chatting = False  # whether it said what is not an aside
        self.interested = False
        self.choking_since = -math.inf  # inf while it does not choke
        self.allowed_fast: set[int] = set()  # what it lets the other side ask for
        self.requests = OutgoingRequests(limits.max_peer_requests)
        self.hash_requests = OutgoingHashRequests(limits.max_peer_hash_requests)
        self.metadata_requests: set[int] = set()
        self.over_reqq = False

    @property
    def seen(self) -> bool:
        """Whether all that it said so far was seen."""
        return self.handshake is not None and not self.lost and not self.behind

    def announced(self, bit: Reserved) -> bool:
        """Whether its handshake has this bit."""
        return self.handshake is not None and bit in self.handshake.reserved


class Conduct:
    """Judges what both sides say.

    Args:
        limits: How much is remembered, and `Limits.max_pieces`.

    Attributes:
        sides: By role.
        num_pieces: Piece count of the torrent, when it is known.
    """

    def __init__(self, limits: Limits) -> None:
        self.sides = {role: Side(role, limits) for role in Role}
        self._limits = limits
        self.num_pieces: int | None = None
        self._at_most: int | None = None  # pieces, by the length of a bitfield
        self._now = 0.0
        self._found: list[Finding] = []

    def other(self, side: Side) -> Side:
        """Returns the side that the other talks to."""
        return self.sides[Role.RESPONDER if side.role is Role.INITIATOR else Role.INITIATOR]

    @property
    def begun(self) -> bool:
        """Whether both handshakes were seen."""
        return all(side.handshake is not None for side in self.sides.values())

    def negotiated(self, bit: Reserved) -> bool:
        """Whether both handshakes have this bit."""
        return all(side.announced(bit) for side in self.sides.values())

    # What is said; each returns what is wrong with it

    def handshake(self, by: Side, handshake: Handshake) -> list[Finding]:
        """Takes in how a side begins."""
        by.handshake = handshake
        other = self.other(by).handshake
        if other is None:
            return []
        if other.peer_id == handshake.peer_id:
            self._deviation(
                by,
                "both sides have the same peer id: a connection of a client to itself",
                "BEP 3, peer protocol: peer id",
            )
        upgraded = self.sides[Role.INITIATOR].announced(Reserved.V2)  # BEP 52, upgrade path
        if other.info_hash != handshake.info_hash and not upgraded:
            self._violation(
                by,
                f"info-hash {handshake.info_hash.hex()}, where the other side says "
                f"{other.info_hash.hex()}",
                "BEP 3, peer protocol: both sides name the same torrent",
            )
        return self._take()

    def message(self, by: Side, message: Message, now: float) -> list[Finding]:
        """Takes in a message; the handshake and the messages of extensions are told apart."""
        self._now = now
        kind = type(message)
        if kind in _FAST and self.begun and not self.negotiated(Reserved.FAST):
            self._violation(
                by,
                f"{message} without the fast extension, which was not negotiated",
                "BEP 6: the connection is closed",
            )
        if kind not in _ASIDES:
            self._check_order(by, message)
            by.chatting = True
        _JUDGES[kind](self, by, message)
        return self._take()

    def extended_handshake(self, by: Side, payload: bytes) -> ExtendedHandshake | None:
        """Takes in an extended handshake and returns it; None where it is none.

        What is wrong with it is in what the next call of `message` returns.
        """
        rule = "BEP 10, handshake message"
        if len(payload) > self._limits.max_extended_handshake:
            text = f"an extended handshake of {len(payload)} bytes"
            self._violation(by, text, "Limits.max_extended_handshake")
            return None
        try:
            handshake = ExtendedHandshake.decode(payload)
        except ValueError as cause:
            self._violation(by, f"extended handshake: {cause}", rule)
            return None
        for refused in handshake.refused:
            self._deviation(by, f"extended handshake: {refused}", rule)
        by.names.update((number, name) for name, number in handshake.m.items() if number)
        if by.extended is None:
            by.extended = ExtendedHandshake()
        by.extended.update(handshake)
        return handshake

    def content(self, by: Side, content: object) -> None:
        """Takes in what a message of an extension says."""
        to = self.other(by)
        match content:
            case MetadataRequest(piece) if len(by.metadata_requests) < MAX_METADATA_REQUESTS:
                by.metadata_requests.add(piece)
            case MetadataPiece(piece) | MetadataReject(piece):
                full = len(to.metadata_requests) == MAX_METADATA_REQUESTS
                if piece not in to.metadata_requests and to.seen and not full:
                    self._violation(by, f"{content}, which was not asked for", "BEP 9, data")
                to.metadata_requests.discard(piece)
            case DontHave(index):
                self._check_index(by, content, index)

    def malformed(self, by: Side, text: str, rule: str) -> None:
        """Takes in that a message of an extension is none."""
        self._violation(by, text, rule)

    # A function for each message

    def _nothing(self, by: Side, message: Message) -> None:
        pass

    def _choke(self, by: Side, _message: Choke) -> None:
        by.choking_since = min(by.choking_since, self._now)
        if self.begun and self.negotiated(Reserved.FAST):
            return  # BEP 6: each request is rejected, or answered still
        to = self.other(by)
        for request in [*to.requests]:
            to.requests.abandon(request.key, owed=True)

    def _unchoke(self, by: Side, _message: Unchoke) -> None:
        by.choking_since = math.inf

    def _interested(self, by: Side, _message: Interested) -> None:
        by.interested = True

    def _not_interested(self, by: Side, _message: NotInterested) -> None:
        by.interested = False

    def _have(self, by: Side, message: Have) -> None:
        if self._check_index(by, message, message.index):
            by.pieces.add(message.index)

    def _bitfield(self, by: Side, message: Bitfield) -> None:
        rule = "BEP 3, peer messages: bitfield"
        width, count = len(message.bits), self.num_pieces
        if count is None and width > (self._limits.max_pieces + 7) // 8:
            self._violation(by, f"a bitfield of {width} bytes", "Limits.max_pieces")
            return
        if count is None and self._at_most not in (None, 8 * width):
            text = f"a bitfield of {width} bytes, where the other side's has {self._at_most // 8}"
            self._violation(by, text, rule)
            return
        try:
            by.pieces = PieceSet.from_bitfield(message.bits, count)
        except ValueError as cause:
            self._violation(by, str(cause), rule)
            return
        self._at_most = 8 * width

    def _have_all(self, by: Side, _message: HaveAll) -> None:
        by.pieces = PieceSet.full(self.num_pieces)

    def _have_none(self, by: Side, _message: HaveNone) -> None:
        by.pieces = PieceSet(self.num_pieces)

    def _request(self, by: Side, message: Request) -> None:
        key = (message.index, message.begin, message.length)
        to = self.other(by)
        self._check_length(by, message)
        if self._check_index(by, message, message.index) and message.index not in to.allowed_fast:
            self._check_leave(by, to, message)
        if key in by.requests or len(by.requests) >= self._limits.max_peer_requests:
            # Asked twice, it may be answered twice; and no more than so many are remembered.
            oldest = key if key in by.requests else next(iter(by.requests)).key
            by.requests.abandon(oldest, owed=True)
        by.requests.add(PendingRequest(*key))
        self._check_reqq(by, to)

    def _check_length(self, by: Side, message: Request) -> None:
        if not 0 < message.length <= self._limits.max_request_hard:
            self._violation(
                by,
                f"{message}; no client serves that",
                "BEP 3, peer messages: request, and Limits.max_request_hard",
            )
        elif message.length > BLOCK_LENGTH:
            self._deviation(
                by,
                f"{message} is for more than 16 KiB, at which some clients close",
                "BEP 3, peer messages: request",
            )

    def _check_leave(self, by: Side, to: Side, message: Request) -> None:
        """Whether the other side lets it ask for this, as far as it can know."""
        if not by.interested:
            self._deviation(
                by,
                f"{message} without being interested",
                "BEP 3, peer protocol: interest state must be kept up to date",
            )
        if not to.seen:
            return
        if self._now - to.choking_since > CROSSING:
            text = f"{message} while choked"
            self._violation(by, text, "BEP 3, peer protocol: one side is not choking")
        if message.index not in to.pieces:
            self._deviation(
                by,
                f"{message}, a piece that the other side did not say it has",
                "BEP 3, peer messages: bitfield and have",
            )

    def _check_reqq(self, by: Side, to: Side) -> None:
        reqq = None if to.extended is None else to.extended.reqq
        over = reqq is not None and to.seen and len(by.requests) > reqq
        if over and not by.over_reqq:  # once, until it has come down again
            self._deviation(
                by,
                f"{len(by.requests)} requests are outstanding, the other side queues {reqq}",
                "BEP 10, handshake message: reqq",
            )
        by.over_reqq = over

    def _piece(self, by: Side, message: Piece) -> None:
        self._check_index(by, message, message.index)
        key = (message.index, message.begin, len(message.block))
        text = f"{message}, which was not asked for"
        if not self._answers(by, key):
            if self.negotiated(Reserved.FAST):
                self._violation(by, text, "BEP 6: a piece answers a request")
            else:
                self._deviation(by, text, "BEP 3, peer messages: piece")

    def _cancel(self, by: Side, message: Cancel) -> None:
        by.requests.abandon((message.index, message.begin, message.length), owed=True)

    def _port(self, by: Side, message: Port) -> None:
        to = self.other(by)
        if to.handshake is not None and not to.announced(Reserved.DHT):
            self._deviation(
                by,
                f"{message} to a side that has no DHT node",
                "BEP 5, BitTorrent protocol extension",
            )

    def _suggest(self, by: Side, message: Suggest) -> None:
        self._check_index(by, message, message.index)

    def _reject(self, by: Side, message: Reject) -> None:
        if not self._answers(by, (message.index, message.begin, message.length)):
            text = f"{message}, which was not asked for"
            self._violation(by, text, "BEP 6, reject request")

    def _allowed_fast(self, by: Side, message: AllowedFast) -> None:
        known = self._check_index(by, message, message.index)
        if known and len(by.allowed_fast) < self._limits.max_allowed_fast:
            by.allowed_fast.add(message.index)

    def _extended(self, by: Side, message: Extended) -> None:
        if self.begun and not self.negotiated(Reserved.EXTENSION):
            text = f"{message} without the extension protocol, which was not negotiated"
            self._violation(by, text, "BEP 10")
        elif message.extended_id and not message.label and self.other(by).seen:
            text = f"{message}, an id that the other side did not give"
            self._deviation(by, text, "BEP 10: ids are the receiver's")

    def _hash_request(self, by: Side, message: HashRequest) -> None:
        broken = broken_rule(message.range)
        if broken is not None:
            text = f"{message}: {broken}"
            self._deviation(by, text, "BEP 52, peer messages, hash request")
        requests = by.hash_requests
        if message.range in requests or len(requests) >= self._limits.max_peer_hash_requests:
            oldest = message.range if message.range in requests else next(iter(requests)).key
            requests.abandon(oldest, owed=True)
        requests.add(PendingHashRequest(message.range))

    def _hashes(self, by: Side, message: Hashes) -> None:
        self._hash_answer(by, message)
        if len(message.hashes) != expected_hashes(message.range):
            text = f"{message}, where {expected_hashes(message.range)} answer"
            self._violation(by, text, "BEP 52, peer messages, hashes")

    def _hash_answer(self, by: Side, message: Hashes | HashReject) -> None:
        to = self.other(by)
        try:
            to.hash_requests.rejected(message.range)
        except KeyError:
            if to.seen:
                text = f"{message}, which was not asked for"
                self._violation(by, text, f"BEP 52, peer messages, {message.name}")

    def _unknown(self, by: Side, message: Unknown) -> None:
        self._deviation(by, f"{message}, which no specification has", "BEP 3, peer messages")

    # Inside

    def _check_order(self, by: Side, message: Message) -> None:
        announces = type(message) in _ANNOUNCEMENTS
        if announces and by.chatting:
            self._deviation(
                by,
                f"{message} after other messages",
                "BEP 3, peer messages: bitfield is only ever sent as the first message",
            )
        elif not announces and not by.chatting and self.negotiated(Reserved.FAST):
            self._deviation(
                by,
                f"{message} before what pieces it has",
                "BEP 6, have all/have none: one of them or a bitfield follows the handshake",
            )

    def _check_index(self, by: Side, what: object, index: int) -> bool:
        """Whether the torrent has this piece, as far as can be told."""
        known = self.num_pieces if self.num_pieces is not None else self._at_most
        if index < (self._limits.max_pieces if known is None else known):
            return True
        if known is None:
            self._violation(by, f"{what}", "Limits.max_pieces")
        else:
            at_most = "" if self.num_pieces is not None else "at most "
            self._violation(
                by,
                f"{what} in a torrent of {at_most}{known} pieces",
                "BEP 3, peer messages: an index is below the piece count",
            )
        return False

    def _answers(self, by: Side, key: tuple[int, int, int]) -> bool:
        """Whether the other side asked for this, or may have."""
        to = self.other(by)
        try:
            to.requests.rejected(key)
        except KeyError:
            return not to.seen
        return True

    def _violation(self, by: Side, text: str, rule: str) -> None:
        self._found.append(Finding(by.role, RemoteProtocolError(text, rule=rule)))

    def _deviation(self, by: Side, text: str, rule: str) -> None:
        error = RemoteProtocolError(text, rule=rule)
        self._found.append(Finding(by.role, error, deviation=True))

    def _take(self) -> list[Finding]:
        found, self._found = self._found, []
        return found


_Judge: TypeAlias = "Callable[[Conduct, Side, Any], None]"

_JUDGES: dict[type[Message], _Judge] = {
    KeepAlive: Conduct._nothing,
    Choke: Conduct._choke,
    Unchoke: Conduct._unchoke,
    Interested: Conduct._interested,
    NotInterested: Conduct._not_interested,
    Have: Conduct._have,
    Bitfield: Conduct._bitfield,
    HaveAll: Conduct._have_all,
    HaveNone: Conduct._have_none,
    Request: Conduct._request,
    Piece: Conduct._piece,
    Cancel: Conduct._cancel,
    Port: Conduct._port,
    Suggest: Conduct._suggest,
    Reject: Conduct._reject,
    AllowedFast: Conduct._allowed_fast,
    Extended: Conduct._extended,
    HashRequest: Conduct._hash_request,
    Hashes: Conduct._hashes,
    HashReject: Conduct._hash_answer,
    Unknown: Conduct._unknown,
}
