"""Reads capture files, with libpcap.

Libpcap is what tcpdump and Wireshark read with, so whatever they wrote is read: pcap of either
byte order and of micro- or nanoseconds, and pcapng whose interfaces have one link type. It is
bound by cypcap, which is imported when a capture is read and not before.
"""

from __future__ import annotations

import os
import shutil
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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


def piped(head: bytes, rest: FileIO) -> str:
    """Returns a path at which a stream can be read whose beginning was read already.

    Packets come through as they are written, so that a capture that is under way can be followed.

    Args:
        head: What was read.
        rest: What is left.

    Raises:
        PeerWireError: This system has no such paths.
    """
    if not os.path.isdir("/dev/fd"):
        raise PeerWireError("captures are not read from standard input here; name the file")
    reading, writing = os.pipe()

    def pump() -> None:
        try:
            with open(writing, "wb", buffering=0) as sink:
                sink.write(head)
                shutil.copyfileobj(rest, sink)
        except BrokenPipeError:
            pass  # nobody reads it any more

    # A daemon: it may wait for ever for a program that captures.
    threading.Thread(target=pump, daemon=True).start()
    return f"/dev/fd/{reading}"


def _libpcap() -> Any:
    try:
        return import_module("cypcap")
    except ImportError as error:
        raise PeerWireError(
            "captures are read with libpcap, which cypcap binds: pip install cypcap "
            "(peerwire[cli] brings it where it comes built)"
        ) from error
