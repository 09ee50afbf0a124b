"""Reads capture files, with libpcap.

Libpcap is what tcpdump and Wireshark read with, so whatever they wrote is read: pcap of either
byte order and of micro- or nanoseconds, and pcapng whose interfaces have one link type. It is
bound by cypcap, which is imported when a capture is read and not before.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..errors import PeerWireError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO

__all__ = ["Frame", "is_capture", "piped", "read_capture", "read_head"]

#: How captures begin, in either byte order: pcap, its form with nanoseconds, a form that an old
#: patch wrote, and pcapng, which reads the same in both.
_MAGIC: Final = frozenset(
    magic.to_bytes(4, order)
    for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34, 0x0A0D0D0A)
    for order in ("big", "little")
)


_PCAPNG: Final = b"\n\r\r\n"
_PCAP_HEADER: Final = 24
_BIG_END_FIRST: Final = b"\x1a\x2b\x3c\x4d"
_INTERFACE_BLOCK: Final = 1

#: Bytes of a header that is read ahead: less than a pipe takes.
MAX_HEADER: Final = 16 * 1024


class Frame(NamedTuple):
    """What was captured of one packet.

    Attributes:
        time: When, in seconds since 1970.
        link_type: What it begins with; see `peerwire.capture.packets.LinkType`.
        data: The bytes.
        wire_length: How many there were, of which captures may have kept fewer.
    """

    time: float
    link_type: int
    data: bytes
    wire_length: int


def read_head(file: FileIO) -> bytes:
    """Returns the first four bytes of a file, or all if it has fewer: what `is_capture` needs."""
    head = b""
    while len(head) < 4 and (more := file.read(4 - len(head))):
        head += more
    return head


def is_capture(head: bytes) -> bool:
    """Whether a file that begins like this is a capture."""
    return head[:4] in _MAGIC


def read_capture(path: str) -> Iterator[Frame]:
    """Yields the packets of a capture file.

    Args:
        path: Where it is.

    Raises:
        PeerWireError: It can't be read, or not to its end; or libpcap is not there.
    """
    cypcap = _libpcap()
    try:
        with cypcap.open_offline(path) as capture:
            link_type = int(capture.datalink())
            for header, data in capture:
                yield Frame(header.ts, link_type, data, header.len)
    except cypcap.Error as error:
        raise PeerWireError(f"the capture can't be read (any further): {error.msg}") from error


@contextmanager
def piped(head: bytes, rest: FileIO) -> Iterator[str]:
    """Gives a path at which a stream can be read whose beginning was read already.

    Packets come through as they are written, so that a capture that is under way can be followed.

    Args:
        head: What `read_head` returned.
        rest: What is left.

    Raises:
        PeerWireError: This system has no such paths, or it is no capture.
    """
    if not os.path.isdir("/dev/fd"):
        raise PeerWireError("captures are not read from standard input here; name the file")
    # cypcap opens a capture without letting other threads run: all that is read of it by then
    # has to be in the pipe.
    header = _read_header(head, rest)
    reading, writing = os.pipe()
    os.write(writing, header)
    # A daemon: it may wait for ever for a program that captures.
    threading.Thread(target=_pump, args=(rest, writing), daemon=True).start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)


def _pump(source: FileIO, writing: int) -> None:
    try:
        with open(writing, "wb", buffering=0) as sink:
            shutil.copyfileobj(source, sink)
    except BrokenPipeError:
        pass  # nobody reads it any more


def _read_header(head: bytes, file: FileIO) -> bytes:
    """Returns what libpcap reads of a capture to open it, which begins with `head`."""
    if head != _PCAPNG:
        return head + _read(file, _PCAP_HEADER - len(head))
    # Blocks, each with a type and a length, up to the one that describes an interface. The first
    # tells in which order the bytes of numbers are.
    header = head + _read(file, 8)
    order: Literal["big", "little"] = "big" if header[8:] == _BIG_END_FIRST else "little"
    header += _read(file, int.from_bytes(header[4:8], order) - len(header))
    while True:
        block = _read(file, 8)
        header += block + _read(file, int.from_bytes(block[4:], order) - len(block))
        if int.from_bytes(block[:4], order) == _INTERFACE_BLOCK:
            return header
        if len(header) > MAX_HEADER:
            raise PeerWireError("the capture does not say where it was made; name the file")


def _read(file: FileIO, count: int) -> bytes:
    data = b""
    while len(data) < count <= MAX_HEADER and (more := file.read(count - len(data))):
        data += more
    if len(data) != count:
        raise PeerWireError("the capture ends in its header, or has none that can be")
    return data


def _libpcap() -> Any:
    try:
        return import_module("cypcap")
    except ImportError as error:
        raise PeerWireError(
            "captures are read with libpcap, which cypcap binds: pip install cypcap "
            "(peerwire[cli] brings it where it comes built)"
        ) from error
