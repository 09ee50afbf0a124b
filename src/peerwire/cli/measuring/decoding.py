"""Programs that decode what has come, without any socket; and RC4 alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ...framing import Framing
from ...limits import BLOCK_LENGTH, Limits
from ...messages import Have, Request, Unknown
from ...rc4 import PurePythonRC4, rc4
from ...wire import Wire
from .child import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...messages import Buffer

__all__ = ["cipher", "decode_large", "decode_small", "flood"]

INFO_HASH = bytes(range(20))
BLOCKS_A_PIECE = 64

#: Times that a flood is decoded; the last counts, when the interpreter has warmed up.
ROUNDS = 3

#: Requests that a wire gets: as many as may be pending by default. Of more that nobody answers, the
#: garbage collector would be measured.
MAX_PENDING = Limits().max_peer_requests

#: An id that no specification gives away.
_UNKNOWN_ID = 99


def flood(kind: str, count: int, chunk: int, level: str) -> None:
    """Decodes a flood of one kind of message, in chunks.

    Args:
        kind: "have" or "request".
        count: Messages.
        chunk: Bytes at a time.
        level: "wire" for all that a wire does of a message until it is handed out; "framing" for
            the message alone.
    """
    share = count if kind == "have" else min(count, MAX_PENDING)
    data = b"".join(_message(kind, number) for number in range(share))
    for _ in range(ROUNDS):
        receivers = [_receiver(level, share) for _ in range(count // share)]
        started, cpu = time.perf_counter(), time.process_time()
        decoded = 0
        while receivers:  # each is let go before the next
            decoded += _feed(receivers.pop(), data, chunk)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert decoded == count // share * share
    say(messages=decoded, seconds=seconds, cpu=cpu)


def _message(kind: str, number: int) -> bytes:
    if kind == "have":
        return Have(number).encode()
    index, block = divmod(number, BLOCKS_A_PIECE)
    return Request(index, block * BLOCK_LENGTH, BLOCK_LENGTH).encode()


def _receiver(level: str, count: int) -> Callable[[Buffer], int]:
    """Returns what takes bytes in and says how many messages came out."""
    if level == "framing":
        framing = Framing(Limits().max_message)
        return lambda data: sum(map(len, framing.runs(data)))
    peer = Wire("initiator", INFO_HASH)
    wire = Wire("responder", INFO_HASH, num_pieces=count)
    wire.receive_data(peer.data_to_send(), 0.0)
    wire.send_unchoke()
    wire.data_to_send()
    wire.events_received()

    def receive(data: Buffer) -> int:
        wire.receive_data(data, 0.0)
        return len(wire.events_received())

    return receive


def _feed(receive: Callable[[Buffer], int], data: bytes, chunk: int) -> int:
    view = memoryview(data)
    return sum(receive(view[at : at + chunk]) for at in range(0, len(view), chunk))


def decode_small(size: int) -> None:
    """Decodes so many bytes of HAVE, a byte at a time."""
    _decode(Have(0).encode() * (size // 9), chunk=1, times=1)


def decode_large(size: int, chunk: int = 1460, times: int = 50) -> None:
    """Decodes a message of so many bytes in small chunks, so many times."""
    _decode(Unknown(_UNKNOWN_ID, bytes(size - 1)).encode(), chunk, times)


def _decode(data: bytes, chunk: int, times: int) -> None:
    receive = _receiver("framing", 1)
    _feed(receive, data, chunk)
    started = time.perf_counter()
    for _ in range(times):
        _feed(receive, data, chunk)
    say(bytes=len(data) * times, seconds=time.perf_counter() - started)


def cipher(size: int, chunk: int = 256 * 1024, pure: bool = False) -> None:
    """Encrypts so many bytes with RC4, in place; in pure Python if that is asked for."""
    stream = PurePythonRC4(bytes(16)) if pure else rc4(bytes(16))
    data = bytearray(chunk)
    stream.apply(data)
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(size // chunk):
        stream.apply(data)
    say(bytes=size, seconds=time.perf_counter() - started, cpu=time.process_time() - cpu)
