"""What `peerwire probe` has learnt of a peer: as rows for people, and as an object for scripts."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ..extensions.handshake import shown_name
from ..handshake import Reserved
from ..swarm.events import written
from ..torrent.fields import shown
from .output import human_bytes, human_rate
from .probing import MAX_DEVIATIONS, MODES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..extensions.handshake import ExtendedHandshake
    from ..handshake import Handshake
    from ..pieces import PieceSet
    from .probing import Report

__all__ = ["Row", "bar", "draw", "printable", "record", "rows", "seconds", "unanswered"]

#: What a row means, to its colour.
_COLOURS: Final = {"good": "32", "mild": "33", "bad": "31"}

#: Keys of the extended handshake that are told as they came.
_TOLD: Final = (
    *("p", "yourip", "ipv4", "ipv6", "reqq", "metadata_size", "upload_only", "complete_ago"),
)

#: Cells of a bar of pieces, and what they look like: none, some, all of what a cell stands for.
BAR_WIDTH: Final = 32
_PLAIN: Final = ".+#"
_FANCY: Final = "\N{MIDDLE DOT}\N{MEDIUM SHADE}\N{FULL BLOCK}"

#: Items of a list, characters of a key, and of the name of a client, that people are shown.
LISTED: Final = 20
MAX_KEY: Final = 40
MAX_NAME: Final = 100

#: Narrower than this a text is not wrapped.
_NARROW: Final = 40


class Row(NamedTuple):
    """A line of the table; one without a label goes on with what the row before it is about.

    Attributes:
        label: What it is about.
        text: What there is to say.
        tone: ``"good"``, ``"mild"``, ``"bad"``, or nothing in particular.
    """

    label: str
    text: str
    tone: str = ""


def draw(table: list[Row], *, colour: bool, width: int | None) -> str:
    """Returns the table as text.

    Args:
        table: The rows. Nothing in them can move the reader's cursor, whoever wrote it.
        colour: Whether the tones are to be seen.
        width: Columns to wrap it at; None for not at all.
    """
    indent = max(len(row.label) for row in table) + 2
    lines = []
    for row in table:
        text, room = printable(row.text), (width or 0) - indent
        parts = textwrap.wrap(text, room) if room >= _NARROW else [text]
        label = row.label.ljust(indent)
        for part in parts:
            shown = f"\x1b[{_COLOURS[row.tone]}m{part}\x1b[0m" if colour and row.tone else part
            lines.append(label + shown)
            label = " " * indent
    return "\n".join(lines)


def printable(text: str) -> str:
    """Returns a text without what moves a cursor, which a stranger may have put into it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def seconds(time: float) -> str:
    """Returns a time as people write it."""
    return f"{time:.1f} s" if time >= 1 else f"{1000 * time:.1f} ms"


def bar(pieces: PieceSet, count: int, *, fancy: bool) -> str:
    """Draws which pieces somebody has.

    Args:
        pieces: The pieces.
        count: How many there are, at least one.
        fancy: Whether it is for a terminal that has more than ASCII.
    """
    width = min(BAR_WIDTH, count)
    held = [0] * width
    for index in pieces:
        held[index * width // count] += 1
    begins = [-(-cell * count // width) for cell in range(width + 1)]  # rounded up
    looks = _FANCY if fancy else _PLAIN
    drawn = (
        looks[0 if number == 0 else 2 if number == end - begin else 1]
        for number, (begin, end) in zip(held, pairwise(begins), strict=True)
    )
    return f"[{''.join(drawn)}]"


# For people


def rows(report: Report, *, fancy: bool) -> list[Row]:
    """Returns the table.

    Args:
        report: What is known.
        fancy: Whether it is for a terminal that has more than ASCII.
    """
    handshake = report.heard.handshake
    assert handshake is not None, "there is no report without it"
    return [
        Row("peer", written(report.address)),
        *_identity(report, handshake),
        *_torrent(report),
        *_connection(report),
        *_abilities(report, handshake),
        *_pieces(report, fancy),
        *_interest(report),
        *_blocks(report),
        *_trouble(report),
    ]


def _identity(report: Report, handshake: Handshake) -> Iterator[Row]:
    told = _extended(report)
    if told is not None and told.v:
        yield Row("client", told.v[:MAX_NAME])
    name = repr(handshake.peer_id)[2:-1]
    yield Row("peer id", f"{name}, {handshake.client}")


def _torrent(report: Report) -> Iterator[Row]:
    subject = report.subject
    known = [subject.version, _counted(subject.num_pieces, "piece")]
    name = shown(subject.name) if subject.name else None
    yield Row("torrent", ", ".join(filter(None, [name, *known])) or "known by its info-hash only")
    yield Row("info-hash", subject.info_hash.hex())
    if report.peer is None or len(subject.info_hashes) == 1:
        return
    if report.peer.v2:
        yield Row("", f"v2 from here on, {report.peer.info_hash.hex()}", "good")
    else:
        yield Row("", "v1 from here on: the peer did not take up the offer of v2", "mild")


def _connection(report: Report) -> Iterator[Row]:
    shaking = report.heard.between("> handshake", "< handshake") or 0.0
    text = f"connected in {seconds(report.connect_seconds)}, handshake {seconds(shaking)} later"
    yield Row("connection", text)
    label = "encryption"
    for mode, name in MODES.items():
        if mode not in report.modes:
            continue
        reason = report.modes[mode]
        if reason is None:
            yield Row(label, f"{name}: works", "good")
        else:
            yield Row(label, f"{name}: fails, {reason}", "bad")
        label = ""


def _abilities(report: Report, handshake: Handshake) -> Iterator[Row]:
    names = [*_bits(handshake)]
    unknown = _unknown_bits(handshake)
    if unknown:
        names.append(f"unknown {unknown:#x}")
    yield Row("reserved bits", ", ".join(names) or "none")
    told = _extended(report)
    if told is not None:
        names = [f"{shown_name(name)} {number}" for name, number in told.m.items()]
        yield Row("extensions", _listed(names) or "none")
    elif Reserved.EXTENSION in handshake.reserved:
        yield Row("extensions", "it has not said which", "mild")
    values = {} if told is None else {key: getattr(told, key) for key in _TOLD}
    texts = [f"{key} {_value(value)}" for key, value in values.items() if value is not None]
    if told is not None and told.unknown:
        texts.append("unknown keys " + _listed([key[:MAX_KEY] for key in _unknown_keys(told)]))
    if report.heard.dht_port is not None:
        texts.append(f"DHT port {report.heard.dht_port}")
    if texts:
        yield Row("tells", ", ".join(texts))


def _pieces(report: Report, fancy: bool) -> Iterator[Row]:
    peer, heard, total = report.peer, report.heard, report.subject.num_pieces
    if peer is None or heard.told_pieces is None:
        yield Row("pieces", "it has not said which")
        return
    pieces = peer.peer_pieces
    if total is not None:
        share = 100 * len(pieces) / total
        text = f"{bar(pieces, total, fancy=fancy)} {len(pieces)} of {total}, {share:.3g} %"
    elif pieces.complete:
        text = "all of them"
    else:
        room = "" if heard.room is None else f" of at most {heard.room}"
        text = f"{len(pieces)}{room}"
    yield Row("pieces", text)


def _interest(report: Report) -> Iterator[Row]:
    peer, heard = report.peer, report.heard
    if peer is None or "> interested" not in heard.first:
        return
    waited = heard.between("> interested", "< unchoke")
    if waited is not None:
        when = f"after {seconds(waited)}" if waited else "before we were interested"
        yield Row("interest", f"unchoked us {when}", "good")
    elif report.ended is None:
        yield Row("interest", f"still chokes us after {seconds(report.patience or 0)}", "mild")
    if peer.peer_allowed_fast:
        yield Row("allowed fast", _listed(sorted(peer.peer_allowed_fast)))


def _blocks(report: Report) -> Iterator[Row]:
    blocks, heard = report.blocks, report.heard
    if blocks.first is None:
        return
    waited = heard.between("> request", "< piece")
    if waited is not None:
        index, begin, length = blocks.first
        asked = f"piece {index}, bytes {begin}+{length}"
        yield Row("request", f"{asked}: answered in {seconds(waited)}", "good")
    if blocks.asked > 1 and blocks.seconds is not None:
        rate = human_rate(blocks.received, blocks.seconds)
        yield Row("", f"{human_bytes(blocks.received)} in {seconds(blocks.seconds)}, {rate}")
    if blocks.failure is not None:
        rejected = heard.between("> request", "< reject")
        when = f" after {seconds(rejected)}" if waited is None and rejected is not None else ""
        yield Row("" if blocks.received else "request", blocks.failure + when, "bad")
    if blocks.received:
        yield from _hashes(report)


def _hashes(report: Report) -> Iterator[Row]:
    blocks, subject = report.blocks, report.subject
    if blocks.corrupt:
        yield Row("hashes", f"wrong: {_numbered(blocks.corrupt)}", "bad")
    if blocks.verified:
        yield Row("hashes", f"right: {_numbered(blocks.verified)}", "good")
    if blocks.corrupt or blocks.verified or blocks.first is None:
        return
    if subject.num_pieces is None:
        yield Row("hashes", "not checked: only a .torrent has them")
        return
    size = subject.piece_size(blocks.first[0])
    count = -(-size // blocks.first[2])
    text = f"not checked: the piece has {count} blocks, which --blocks {count} asks for"
    yield Row("hashes", text)


def _trouble(report: Report) -> Iterator[Row]:
    label = "deviations"
    for deviation in _deviations(report):
        yield Row(label, deviation, "mild")
        label = ""
    if report.ended is not None:
        yield Row("ended", report.ended, "bad")


# For scripts


def record(report: Report) -> dict[str, object]:
    """Returns the same as an object. Its keys are always there; what is not known is null."""
    peer, heard, subject, blocks = report.peer, report.heard, report.subject, report.blocks
    handshake, told = heard.handshake, _extended(report)
    assert handshake is not None, "there is no report without it"
    told_by_key = {key: None if told is None else getattr(told, key) for key in _TOLD}
    return {
        **unanswered(report.address, None),
        "answered": True,
        "info_hash": handshake.info_hash.hex(),
        "torrent": {
            "name": subject.name,
            "version": subject.version,
            "num_pieces": subject.num_pieces,
        },
        "client": handshake.client if peer is None else peer.client,
        "peer_id": handshake.peer_id.hex(),
        "peer_id_client": handshake.client,
        "reserved": f"{int(handshake.reserved):016x}",
        "reserved_bits": _bits(handshake),
        "reserved_unknown": f"{_unknown_bits(handshake):016x}",
        "fast": Reserved.FAST in handshake.reserved,
        "v2": None if peer is None else peer.v2,
        "connect_seconds": round(report.connect_seconds, 6),
        "handshake_seconds": _rounded(heard.between("> handshake", "< handshake")),
        "encryption": {
            mode: {"works": reason is None, "reason": reason}
            for mode, reason in report.modes.items()
        },
        "v": None if told is None else told.v,
        "extensions": None if told is None else told.m,
        **told_by_key,
        "unknown_keys": [] if told is None else _unknown_keys(told),
        "dht_port": heard.dht_port,
        "pieces": _pieces_record(report),
        "interest": {
            "said": "> interested" in heard.first,
            "unchoked": "< unchoke" in heard.first,
            "seconds": _rounded(heard.between("> interested", "< unchoke")),
            "allowed_fast": [] if peer is None else sorted(peer.peer_allowed_fast),
        },
        "request": {
            "asked": blocks.asked,
            "piece": blocks.first and blocks.first[0],
            "seconds": _rounded(heard.between("> request", "< piece")),
            "rejected_seconds": _rounded(heard.between("> request", "< reject")),
            "failure": blocks.failure,
            "bytes": blocks.received,
            "total_seconds": _rounded(blocks.seconds),
            "verified": blocks.verified,
            "corrupt": blocks.corrupt,
        },
        "deviations": _deviations(report),
        "messages": {} if peer is None else peer.wire.messages_received,
        "ended": report.ended,
    }


def unanswered(address: tuple[str, int], error: str | None) -> dict[str, object]:
    """Returns what there is of a peer that did not answer."""
    return {"address": written(address), "answered": False, "error": error}


def _pieces_record(report: Report) -> dict[str, object] | None:
    peer, heard, total = report.peer, report.heard, report.subject.num_pieces
    if peer is None or heard.told_pieces is None:
        return None
    pieces = peer.peer_pieces
    countable = total is not None or not pieces.complete
    return {
        "told_by": heard.told_pieces,
        "all": pieces.complete,
        "count": len(pieces) if countable else None,
        "at_most": total if total is not None else heard.room,
        "bitfield": None if total is None else bytes(pieces).hex(),
    }


# For both


def _extended(report: Report) -> ExtendedHandshake | None:
    return None if report.peer is None else report.peer.extended_handshake


def _deviations(report: Report) -> list[str]:
    told = _extended(report)
    refused = [] if told is None else told.refused[:MAX_DEVIATIONS]
    return [*report.heard.deviations, *(f"extended handshake, {what}" for what in refused)]


def _bits(handshake: Handshake) -> list[str]:
    return [str(bit.name).lower() for bit in Reserved if bit in handshake.reserved]


def _unknown_bits(handshake: Handshake) -> int:
    return int(handshake.reserved & ~sum(Reserved))


def _unknown_keys(told: ExtendedHandshake) -> list[str]:
    return [key.decode(errors="replace") for key in told.unknown]


def _value(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _rounded(time: float | None) -> float | None:
    return None if time is None else round(time, 6)


def _listed(items: Sequence[object]) -> str:
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(map(str, items[:LISTED])) + more


def _numbered(pieces: list[int]) -> str:
    return f"piece{'s' * (len(pieces) != 1)} {_listed(pieces)}"


def _counted(count: int | None, what: str) -> str:
    return "" if count is None else f"{count} {what}{'s' * (count != 1)}"
