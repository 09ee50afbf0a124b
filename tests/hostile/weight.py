"""What a connection makes us hold."""

from __future__ import annotations

import gc
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

from .torrent import TORRENT

if TYPE_CHECKING:
    from peerwire import Limits, Wire
    from peerwire.encryption import EncryptedWire

__all__ = ["WEIGHT", "check_counts", "held_bytes", "weight"]

#: Bytes of memory that a wire is allowed, all objects of it together and whatever its peer does:
#: the longest message twice, for it is copied out of where it gathered, and as much for all else.
WEIGHT = 4 * 1024 * 1024

#: What many wires share, and what leads to frames of the test.
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, TracebackType)


def held_bytes(layer: EncryptedWire) -> int:
    """Returns how many bytes of the peer are kept that are not a whole message yet."""
    wire = layer.wire
    shaking = 0 if layer._shaking is None else layer._shaking.held
    return len(wire._held) + wire._framing.held + len(layer._first) + shaking


def check_counts(wire: Wire) -> None:
    """Asserts that nothing a wire counts is over its limit."""
    limits: Limits = wire.limits
    assert len(wire.peer_requests) <= limits.max_peer_requests
    assert len(wire.peer_hash_requests) <= limits.max_peer_hash_requests
    assert len(wire.requests) <= limits.max_requests
    assert len(wire.peer_allowed_fast) <= limits.max_allowed_fast
    assert len(wire.peer_suggested) <= limits.max_allowed_fast
    assert len(wire.messages_received) < 30, "a name each"
    told = wire.extensions.peer
    if told is not None:
        assert len(told.m) <= 255


def weight(*roots: Any) -> int:
    """Returns the bytes of memory of all objects that can be reached from these, each once."""
    seen = {id(TORRENT), id(TORRENT.meta), id(TORRENT.meta.info)}
    found, total = list(roots), 0
    while found:
        thing = found.pop()
        if id(thing) in seen or isinstance(thing, _SHARED):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        found += gc.get_referents(thing)
    return total
