"""What each message that is received does to its wire: a function each, and a table of them.

A function checks its message, applies it to the wire, and returns whether the application is to
see it. What breaks a rule raises `RemoteProtocolError`. This is the other half of ``wire.py``
and works on the same private state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import HashRequestRejected, PeerChoked, RemoteProtocolError, RequestRejected
from .extensions.lt_donthave import DontHave
from .hash_requests import HashRequestEnded
from .hashes import broken_rule, expected_hashes
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
from .requests import RequestEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .hashes import HashRange
    from .requests import BlockKey
    from .wire import Wire

__all__ = ["RECEIVERS", "check_against_num_pieces", "receive_run"]

Receiver: TypeAlias = "Callable[[Wire, Any], bool]"


def receive_run(wire: Wire, run: Sequence[Message]) -> int:
    """Applies many messages of a kind at once, where that comes to the same.

    A message of a flood costs 0.25 us instead of 0.9. What is not plain is left to the functions
    for one message.

    Args:
        wire: The wire.
        run: Messages of a kind, more than one, that nobody traces.

    Returns:
        How many of them, from the first on, it applied.
    """
    first = run[0]
    receive = _RUNS.get(type(first))
    taken = 0 if receive is None else receive(wire, run)
    if taken:
        wire.last_message = name = first.name
        wire.messages_received[name] = wire.messages_received.get(name, 0) + taken
        wire._peer_chatting = True
    return taken


def _haves(wire: Wire, run: Sequence[Any]) -> int:
    indices = [message.index for message in run]
    if max(indices) >= wire._max_index:
        return 0
    new = wire.peer_pieces.add_new(indices)
    wire._events += run if len(new) == len(run) else [Have(index) for index in new]
    return len(run)


def _pieces(wire: Wire, run: Sequence[Any]) -> int:
    """Takes in blocks up to the first that nobody waits for; returns how many."""
    pending = wire._requests.pending
    for taken, message in enumerate(run):
        block = message.block
        length = len(block)
        request = pending.pop((message.index, message.begin, length), None)
        if request is None:
            return taken
        into = request.into
        if into is None:
            message.block = bytes(block)
        else:
            into[:] = block
            message.block = into
        message.request = request
        wire.downloaded += length
        wire._events.append(message)
    return len(run)


def _requests(wire: Wire, run: Sequence[Any]) -> int:
    if wire.am_choking:
        return 0
    pending, bound = wire._peer_requests.pending, wire._max_index
    longest = min(wire.limits.max_request, wire.limits.max_request_hard)
    asked = {}
    for message in run:
        key = (message.index, message.begin, message.length)
        if message.index >= bound or not 0 < message.length <= longest or key in pending:
            return 0
        asked[key] = message
    if len(asked) < len(run) or len(pending) + len(asked) > wire.limits.max_peer_requests:
        return 0
    pending.update(asked)
    wire._events += run
    return len(run)


#: Those that there are many of.
_RUNS: dict[type[Message], Callable[[Wire, Sequence[Any]], int]] = {
    Have: _haves,
    Piece: _pieces,
    Request: _requests,
}


def _keep_alive(_wire: Wire, _message: KeepAlive) -> bool:
    return True


def _choke(wire: Wire, _message: Choke) -> bool:
    wire.peer_choking = True
    if not wire.fast:  # under BEP 6 each request is rejected, or answered still
        for request in wire._requests.clear():
            wire._events.append(RequestEnded(request, PeerChoked("choked", *request.key)))
    return True


def _unchoke(wire: Wire, _message: Unchoke) -> bool:
    wire.peer_choking = False
    return True


def _interested(wire: Wire, _message: Interested) -> bool:
    wire.peer_interested = True
    return True


def _not_interested(wire: Wire, _message: NotInterested) -> bool:
    wire.peer_interested = False
    return True


def _have(wire: Wire, message: Have) -> bool:
    wire._check_index(message, RemoteProtocolError)
    if message.index in wire.peer_pieces:
        return False  # nothing new; bittorrent-protocol tells it once, too
    wire.peer_pieces.add(message.index)
    return True


def _bitfield(wire: Wire, message: Bitfield) -> bool:
    _check_announcement(wire, message)
    if wire.num_pieces is None and len(message.bits) > (wire.limits.max_pieces + 7) // 8:
        raise RemoteProtocolError(
            f"a bitfield of {len(message.bits)} bytes, where no more than "
            f"{wire.limits.max_pieces} pieces are believed in",
            rule="Limits.max_pieces",
        )
    try:
        wire.peer_pieces = PieceSet.from_bitfield(message.bits, wire.num_pieces)
    except ValueError as cause:
        raise RemoteProtocolError(str(cause), rule="BEP 3, peer messages: bitfield") from cause
    return True


def _have_all(wire: Wire, message: HaveAll) -> bool:
    _check_fast(wire, message)
    _check_announcement(wire, message)
    wire.peer_pieces = PieceSet.full(wire.num_pieces)
    return True


def _have_none(wire: Wire, message: HaveNone) -> bool:
    _check_fast(wire, message)
    _check_announcement(wire, message)
    wire.peer_pieces = PieceSet(wire.num_pieces)
    return True


def _request(wire: Wire, message: Request) -> bool:
    wire._check_index(message, RemoteProtocolError)
    key = (message.index, message.begin, message.length)
    why_not = _why_not_served(wire, key)
    if why_not is None:
        wire._peer_requests.pending[key] = message
        return True
    if wire.trace is not None:  # to write it down costs more than all else
        wire.trace("!", f"{message} not served: {why_not}", wire.now)
    if wire.fast:
        wire._send(Reject(message.index, message.begin, message.length))
    return False


def _why_not_served(wire: Wire, key: BlockKey) -> str | None:
    index, _begin, length = key
    if wire.am_choking and index not in wire.allowed_fast:
        return "choked"
    limits, pending = wire.limits, wire._peer_requests.pending
    if not 0 < length <= limits.max_request or length > limits.max_request_hard:
        longest = min(limits.max_request, limits.max_request_hard)
        return f"blocks of 1 to {longest} bytes are served"
    if key in pending:
        return "asked for already"
    if len(pending) >= limits.max_peer_requests:
        return f"{len(pending)} requests are pending"
    return None


def _piece(wire: Wire, message: Piece) -> bool:
    if not _pieces(wire, (message,)):
        _unasked(wire, message)
    return False  # it has been told


def _unasked(wire: Wire, message: Piece) -> None:
    """A block nobody waits for: the late answer to a cancel, or a violation under BEP 6."""
    length = len(message.block)
    message.block = b""  # a view of memory that will be used again; nobody is to keep it
    wire.wasted += length
    if wire._requests.forgive((message.index, message.begin, length)) or not wire.fast:
        return
    raise RemoteProtocolError(
        f"piece {message.index}:{message.begin}+{length} was not asked for",
        rule="BEP 6: a piece answers a request",
    )


def _cancel(wire: Wire, message: Cancel) -> bool:
    request = wire._peer_requests.get((message.index, message.begin, message.length))
    if request is not None:
        wire._refuse_request(request)  # BEP 6: a cancel is answered, with a piece or a reject
    return True


def _port(_wire: Wire, _message: Port) -> bool:
    return True


def _suggest(wire: Wire, message: Suggest) -> bool:
    _check_fast(wire, message)
    wire._check_index(message, RemoteProtocolError)
    if len(wire.peer_suggested) < wire.limits.max_allowed_fast:
        wire.peer_suggested.add(message.index)
    return True


def _reject(wire: Wire, message: Reject) -> bool:
    _check_fast(wire, message)
    try:
        request = wire._requests.rejected((message.index, message.begin, message.length))
    except KeyError:
        raise RemoteProtocolError(
            f"{message}, which was not asked for",
            rule="BEP 6, reject request",
        ) from None
    if request is not None:
        error = RequestRejected("the peer rejected it", *request.key)
        wire._events.append(RequestEnded(request, error))
    return True


def _allowed_fast(wire: Wire, message: AllowedFast) -> bool:
    _check_fast(wire, message)
    wire._check_index(message, RemoteProtocolError)
    if len(wire.peer_allowed_fast) < wire.limits.max_allowed_fast:
        wire.peer_allowed_fast.add(message.index)
    return True


def _extended(wire: Wire, message: Extended) -> bool:
    if not wire.extended:
        raise RemoteProtocolError(
            f"{message} without the extension protocol, which was not negotiated",
            rule="BEP 10",
        )
    if message.extended_id == 0:
        _extended_handshake(wire, message.payload)
        return False
    extension = wire.extensions.named(message.extended_id)
    if extension is None:
        # libtorrent ends the connection; the others ignore it, and so do we but for saying so.
        wire._deviation(f"{message}, an id we did not give", "BEP 10: ids are the receiver's")
        return True
    event = wire.extensions.receive(extension, message.payload)
    if isinstance(event, DontHave):
        wire._check_index(event, RemoteProtocolError)
        wire.peer_pieces.discard(event.index)
    if event is not None:
        wire._events.append(event)
    return False


def _extended_handshake(wire: Wire, payload: bytes) -> None:
    rule = "BEP 10, handshake message"
    if len(payload) > wire.limits.max_extended_handshake:
        raise RemoteProtocolError(
            f"an extended handshake of {len(payload)} bytes, "
            f"{wire.limits.max_extended_handshake} is the most read",
            rule="Limits.max_extended_handshake",
        )
    try:
        handshake = wire.extensions.receive_handshake(payload)
    except ValueError as cause:
        raise RemoteProtocolError(f"extended handshake: {cause}", rule=rule) from cause
    told = wire.extensions.peer
    if told is not None and told.reqq is not None:
        wire.max_requests = min(told.reqq, wire.limits.max_requests)
    for refused in handshake.refused:
        wire._deviation(f"extended handshake: {refused}", rule)
    wire._events.append(handshake)


def _hash_request(wire: Wire, message: HashRequest) -> bool:
    _check_v2(wire, message)
    why_not = _why_no_hashes(wire, message.range)
    if why_not is None:
        wire.peer_hash_requests[message.range] = message
        return True
    wire._note("!", f"{message} not served: {why_not}")
    wire._send(HashReject(message.range))  # BEP 52: it MUST be answered; libtorrent does the same
    return False


def _why_no_hashes(wire: Wire, asked: HashRange) -> str | None:
    if asked in wire.peer_hash_requests:
        return "asked for already"
    if len(wire.peer_hash_requests) >= wire.limits.max_peer_hash_requests:
        return f"{len(wire.peer_hash_requests)} hash requests are pending"
    return broken_rule(asked)


def _hashes(wire: Wire, message: Hashes) -> bool:
    _check_v2(wire, message)
    request = wire.hash_requests.get(message.range)
    if request is None and not wire.hash_requests.forgive(message.range):
        raise RemoteProtocolError(
            f"{message}, which were not asked for",
            rule="BEP 52, peer messages: hashes answer a hash request",
        )
    if len(message.hashes) != expected_hashes(message.range):
        raise RemoteProtocolError(
            f"{message}, where {expected_hashes(message.range)} answer",
            rule="BEP 52, peer messages: the base layer, then an uncle for each proof layer above "
            "what follows from it",
        )
    message.request = wire.hash_requests.answered(message.range)
    return request is not None  # or it comes too late for whoever asked


def _hash_reject(wire: Wire, message: HashReject) -> bool:
    _check_v2(wire, message)
    try:
        request = wire.hash_requests.rejected(message.range)
    except KeyError:
        raise RemoteProtocolError(
            f"{message}, which was not asked for",
            rule="BEP 52, peer messages: hash reject",
        ) from None
    if request is not None:
        error = HashRequestRejected("the peer rejected it", request.range)
        wire._events.append(HashRequestEnded(request, error))
    return True


def _unknown(_wire: Wire, _message: Unknown) -> bool:
    return True


def check_against_num_pieces(wire: Wire, num_pieces: int) -> None:
    """Judges what the peer said before the piece count was known.

    Raises:
        RemoteProtocolError: It spoke of pieces that do not exist.
    """
    try:
        wire.peer_pieces.set_size(num_pieces)
    except ValueError as cause:
        rule = "BEP 3, peer messages: bitfield and have"
        raise RemoteProtocolError(str(cause), rule=rule) from cause
    if wire.last_message is None:
        return  # nothing yet
    said = [
        *wire._peer_requests,
        *map(AllowedFast, wire.peer_allowed_fast),
        *map(Suggest, wire.peer_suggested),
    ]
    for message in said:
        wire._check_index(message, RemoteProtocolError)


def _check_fast(wire: Wire, message: Message) -> None:
    if not wire.fast:
        raise RemoteProtocolError(
            f"{message} without the fast extension, which was not negotiated",
            rule="BEP 6: the connection is closed",
        )


def _check_v2(wire: Wire, message: Message) -> None:
    if not wire.v2:  # libtorrent closes such a connection as well
        raise RemoteProtocolError(
            f"{message} on a connection that is not about a v2 info-hash",
            rule="BEP 52, upgrade path",
        )


def _check_announcement(wire: Wire, message: Message) -> None:
    # libtorrent and Transmission let a late one replace what they knew; aria2 sends one
    # mid-session to a peer without the fast extension.
    if wire._peer_chatting:
        wire._deviation(
            f"{message} after other messages",
            "BEP 3, peer messages: bitfield is only ever sent as the first message",
        )


#: What is done with a message, by its class.
RECEIVERS: dict[type[Message], Receiver] = {
    KeepAlive: _keep_alive,
    Choke: _choke,
    Unchoke: _unchoke,
    Interested: _interested,
    NotInterested: _not_interested,
    Have: _have,
    Bitfield: _bitfield,
    Request: _request,
    Piece: _piece,
    Cancel: _cancel,
    Port: _port,
    Suggest: _suggest,
    HaveAll: _have_all,
    HaveNone: _have_none,
    Reject: _reject,
    AllowedFast: _allowed_fast,
    Extended: _extended,
    HashRequest: _hash_request,
    Hashes: _hashes,
    HashReject: _hash_reject,
    Unknown: _unknown,
}
