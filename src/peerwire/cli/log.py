"""The log of what is said on wires: one line or one JSON object for each thing that happens.

All verbs that show messages show them like this, whether they took part in the conversation or
heard it: `Log.trace` makes what a `Wire`, `connect`, `serve` or an `Observer` takes as its trace.
docs/reference/log.md describes the lines and the keys of the objects.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, TextIO

from ..conduct import Finding
from ..errors import ConnectionClosed, ProtocolError
from ..extensions.handshake import ExtendedHandshake
from ..extensions.lt_donthave import DontHave
from ..extensions.overheard import MetadataRequest, readers
from ..extensions.upload_only import UploadOnlyMessage
from ..extensions.ut_holepunch import Connect, Rendezvous, RendezvousFailed
from ..extensions.ut_metadata import MetadataPiece, MetadataReject
from ..extensions.ut_pex import PERIOD, PexMessage
from ..handshake import Handshake, Reserved
from ..messages import (
    AllowedFast,
    Bitfield,
    Cancel,
    Extended,
    Hashes,
    HashReject,
    HashRequest,
    Have,
    Message,
    Piece,
    Port,
    Reject,
    Request,
    Suggest,
    Unknown,
)
from ..observe import ExtendedContent, Lost
from ..receiving import RECEIVERS
from ..swarm.events import written
from ..trace import trace_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ..extensions.compact import Endpoint
    from ..extensions.ut_pex import PexPeer
    from ..state import Mark, Trace
    from .output import Output

__all__ = ["MESSAGE_NAMES", "Connection", "Log", "log_record", "wants_colour"]

#: The names of the messages that a log shows.
MESSAGE_NAMES: Final = (
    "handshake",
    *(kind.name for kind in RECEIVERS),
)

#: What each mark looks like on a terminal: who speaks, what changes, what is late, what is wrong.
_COLOURS: Final[dict[str, str]] = {">": "36", "<": "32", "=": "1", "%": "35", "!": "1;31"}

#: What is wrong and passes, or is nobody's fault.
_MILD: Final = "33"
_MILD_EVENTS: Final = frozenset({"deviation", "lost"})


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that is heard, for a log that has several.

    Attributes:
        initiator: The IP address and port of the side that opened it: what it says has a ``>``.
        responder: Those of the other, whose answers have a ``<``.
        started: When it was first heard, in seconds since 1970.
        whole: Whether it was heard from its beginning.
    """

    initiator: Endpoint
    responder: Endpoint
    started: float
    whole: bool = True

    def __str__(self) -> str:
        late = "" if self.whole else ", begun before it was heard"
        return f"connection {written(self.initiator)} > {written(self.responder)}{late}"


class Log:
    """Writes a log to standard output.

    Args:
        out: Whether as text or as JSON.
        only: The names of the messages to be shown, all if None. What is no message is shown
            in any case.
        colour: Whether the text has colours; None for where it goes to a terminal that wants it.
    """

    def __init__(
        self,
        out: Output,
        *,
        only: Collection[str] | None = None,
        colour: bool | None = None,
    ) -> None:
        self._out = out
        self._only = only
        self._colour = wants_colour(sys.stdout) if colour is None else colour

    def trace(self, label: str = "", *, start: float | None = None) -> Trace:
        """Returns a trace: it writes what happens on one wire.

        Args:
            label: Which wire, where a log has several.
            start: The time that counts as zero; that of the first line if None.
        """
        # A wire judges for itself how often peers may be exchanged: here time flies.
        read = readers(count(step=PERIOD).__next__)

        def write(mark: Mark, what: object, now: float) -> None:
            nonlocal start
            start = now if start is None else start
            told = _unfold(what, read) if type(what) is Extended else what
            self.write(mark, told, now - start, label)

        return write

    def write(self, mark: Mark, what: object, seconds: float, label: str = "") -> None:
        """Writes one thing.

        Args:
            mark: What kind of thing it is.
            what: The message, state, timer or error.
            seconds: When, counted from wherever the log begins.
            label: Which wire.
        """
        if self._only is not None and mark in "<>" and _name(mark, what) not in self._only:
            return
        if self._out.json:
            self._out.result(log_record(mark, what, seconds, label), "")
        else:
            self._out.result({}, self._line(mark, what, seconds, label))

    def _line(self, mark: Mark, what: object, seconds: float, label: str) -> str:
        # A peer may have chosen the text: nothing in it may move the reader's cursor.
        text = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(what).splitlines()))
        line = trace_line(mark, text, seconds, label)
        if not self._colour:
            return line
        colour = _MILD if _name(mark, what) in _MILD_EVENTS else _COLOURS[mark]
        head = line[: len(line) - len(text) - 2]
        return f"\x1b[2m{head}\x1b[0m\x1b[{colour}m{mark} {text}\x1b[0m"


def _unfold(message: Extended, read: Mapping[str, Callable[[bytes], object]]) -> Extended:
    """Returns what a wire sent or received with what it says, where that is known here."""
    reader = ExtendedHandshake.decode if message.label == "handshake" else read.get(message.label)
    if reader is None:
        return message
    try:
        content = reader(message.payload)
    except ValueError:
        return message  # the wire has its own say on that
    return ExtendedContent(message.extended_id, message.payload, message.label, content)


def wants_colour(stream: TextIO) -> bool:
    """Whether text with colours may be written there: to a terminal, and nobody has refused it."""
    refused = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    return stream.isatty() and not refused


def log_record(mark: Mark, what: object, seconds: float, label: str = "") -> dict[str, object]:
    """Returns one thing as an object with stable keys; bytes are told by their number.

    Args:
        mark: What kind of thing it is.
        what: The message, state, timer or error.
        seconds: When.
        label: Which wire; left out if empty.
    """
    record: dict[str, object] = {"time": round(seconds, 6)}
    if label:
        record["wire"] = label
    record |= {"mark": mark, "event": _name(mark, what), "text": " ".join(str(what).splitlines())}
    return record | _details(what)


def _name(mark: Mark, what: object) -> str:
    """What kind of thing it is, in a word or two."""
    match what:
        case Message():
            return what.name
        case Handshake():
            return "handshake"
        case Finding():
            return "deviation" if what.deviation else "violation"
        case Lost():
            return "lost"
        case Connection():
            return "connection"
        case ConnectionClosed():
            return "closed"
        case str() if what.startswith("deviation"):
            return "deviation"
    return {"=": "state", "%": "timer", "!": "error"}.get(mark, "message")


def _details(what: object) -> dict[str, object]:
    match what:
        case Handshake(info_hash, peer_id, reserved):
            return {
                "info_hash": info_hash.hex(),
                "peer_id": peer_id.hex(),
                "client": what.client,
                "reserved": f"{int(reserved):016x}",
                "extensions": [str(bit.name).lower() for bit in Reserved if bit in reserved],
            }
        case Have(index) | Suggest(index) | AllowedFast(index):
            return {"index": index}
        case Request(index, begin, length) | Cancel(index, begin, length):
            return {"index": index, "begin": begin, "length": length}
        case Reject(index, begin, length):
            return {"index": index, "begin": begin, "length": length}
        case Piece(index, begin, block):
            return {"index": index, "begin": begin, "length": len(block)}
        case Bitfield(bits):
            return {"bytes": len(bits), "pieces": int.from_bytes(bits).bit_count()}
        case Port(port):
            return {"port": port}
        case Extended():
            return _extended(what)
        case HashRequest() | HashReject() | Hashes():
            return _hashes(what)
        case Unknown(number, payload):
            return {"id": number, "bytes": len(payload)}
        case Finding():
            return {"by": str(what.by), "rule": what.rule}
        case Lost(by, count, _):
            return {"by": str(by), "bytes": count}
        case Connection(initiator, responder, started, whole):
            return {
                "initiator": written(initiator),
                "responder": written(responder),
                "started": round(started, 6),
                "whole": whole,
            }
        case ConnectionClosed():
            return {"by": what.by, "reason": what.reason}
        case ProtocolError():
            return {"rule": what.rule}
    return {}


def _hashes(message: HashRequest | HashReject | Hashes) -> dict[str, object]:
    asked = message.range
    record: dict[str, object] = {
        "pieces_root": asked.pieces_root.hex(),
        "base_layer": asked.base_layer,
        "index": asked.index,
        "length": asked.length,
        "proof_layers": asked.proof_layers,
    }
    return record | ({"hashes": len(message.hashes)} if isinstance(message, Hashes) else {})


def _extended(message: Extended) -> dict[str, object]:
    record: dict[str, object] = {
        "extension": message.label or None,
        "extended_id": message.extended_id,
        "bytes": len(message.payload),
    }
    if not isinstance(message, ExtendedContent) or message.content is None:
        return record
    return record | {"content": _content(message.content)}


#: The keys of an extended handshake that are told where they are there.
_TOLD: Final = (
    *("p", "v", "yourip", "ipv4", "ipv6", "reqq", "metadata_size", "upload_only", "complete_ago"),
)


def _content(content: object) -> dict[str, object]:
    match content:
        case ExtendedHandshake():
            values = {key: getattr(content, key) for key in _TOLD}
            known = {key: value for key, value in values.items() if value is not None}
            unknown = [key.decode(errors="replace") for key in content.unknown]
            return {"m": content.m, **known, "unknown": unknown}
        case PexMessage(added, dropped):
            return {"added": _endpoints(added), "dropped": _endpoints(dropped)}
        case MetadataRequest(piece):
            return {"type": "request", "piece": piece}
        case MetadataReject(piece):
            return {"type": "reject", "piece": piece}
        case MetadataPiece(piece, total_size, data):
            return {"type": "data", "piece": piece, "total_size": total_size, "length": len(data)}
        case DontHave(index):
            return {"index": index}
        case UploadOnlyMessage(on):
            return {"upload_only": on}
        case Rendezvous() | Connect():
            return {"type": type(content).__name__.lower(), "ip": content.ip, "port": content.port}
        case RendezvousFailed():
            error = int(content.error)
            return {"type": "failed", "ip": content.ip, "port": content.port, "error": error}
    return {"text": str(content)}  # of an extension of one's own


def _endpoints(peers: Iterable[PexPeer]) -> list[dict[str, object]]:
    return [{"ip": peer.ip, "port": peer.port, "flags": int(peer.flags)} for peer in peers]
