"""Fetches the .torrent of a magnet link, or of an info-hash, from peers.

Several peers are asked at once, those given and those that the link names, and what they send is
verified. The trackers of the link are kept. Of a v2 or hybrid torrent the piece layers are fetched
as well, from peers that speak v2; where there is none, a hybrid goes without. A file that exists is
only overwritten if it is this very torrent. With --json, docs/reference/metadata.md lists the keys.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..bencode import decode, decode_dict, encode
from ..encryption import Encryption
from ..errors import BencodeError, DownloadFailed, MetainfoError, StorageError
from ..swarm.events import written
from ..swarm.layers import fetch_piece_layers
from ..swarm.metadata import fetch_metadata
from ..torrent.fields import MAX_METAINFO, shown
from ..torrent.metainfo import Metainfo
from ..torrent.metainfo_v2 import MetainfoV2
from . import arguments
from .output import human_bytes
from .portrait import printable
from .subject import Subject

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from .output import Output

EXAMPLE = "peerwire metadata 'magnet:?xt=urn:btih:...' --peer 127.0.0.1:6881 -o found.torrent"

#: Seconds for all of it.
TIMEOUT = 60.0

#: Peers dialled of those that a magnet link names: a stranger may have written it.
MAX_NAMED_PEERS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument(
        "torrent", metavar="MAGNET|INFOHASH", help="a magnet link, or an info-hash of v1 or v2"
    )
    parser.add_argument(
        "--peer",
        metavar="HOST:PORT",
        type=arguments.address,
        action="append",
        default=[],
        help="a peer to ask; may be given again, or left out if a magnet link names some",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.torrent",
        required=True,
        help="what to write; - for standard output",
    )
    parser.add_argument("--force", action="store_true", help="overwrite a file, whatever it is")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=arguments.seconds,
        default=TIMEOUT,
        help=f"the most that all of it may take (default: {TIMEOUT:g})",
    )
    arguments.add_encryption(parser, Encryption.PREFER)


@dataclass(slots=True)
class _Found:
    """What peers have given.

    Attributes:
        info: The info dictionary's bytes.
        known: What it says: its v2 side, if it has one.
        layers: The piece layers of v2.
        missing: Why there are none; None if they are all there, or none is needed.
    """

    info: bytes
    known: Metainfo | MetainfoV2
    layers: dict[bytes, bytes] = field(default_factory=dict)
    missing: str | None = None

    @property
    def v1(self) -> Metainfo | None:
        """Its v1 side, if it has one."""
        return self.known.v1 if isinstance(self.known, MetainfoV2) else self.known

    @property
    def v2(self) -> MetainfoV2 | None:
        """Its v2 side, if it has one."""
        return self.known if isinstance(self.known, MetainfoV2) else None

    def torrent(self, trackers: Sequence[str]) -> bytes:
        """Returns the .torrent (BEP 3, BEP 12, BEP 52); its info is byte for byte what was sent."""
        outer: dict[bytes, bytes] = {b"info": self.info}
        if trackers:
            outer[b"announce"] = encode(trackers[0])
        if len(trackers) > 1:
            outer[b"announce-list"] = encode([[url] for url in trackers])
        if self.layers:
            outer[b"piece layers"] = encode(self.layers)
        return b"d%be" % b"".join(encode(key) + outer[key] for key in sorted(outer))


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    subject = Subject.read(args.torrent)
    peers = list(dict.fromkeys([*args.peer, *subject.peers[:MAX_NAMED_PEERS]]))
    wrong = _wrong_usage(args, subject, peers)
    if wrong is not None:
        out.error(wrong)
        return 2
    path = None if args.output == "-" else Path(args.output)
    if path is not None:
        _check_place(path, subject, force=args.force)
    started = time.monotonic()
    try:
        found = await _fetch(subject, peers, args, out)
    except (DownloadFailed, MetainfoError, BencodeError) as error:
        if out.json:
            out.result({"event": "failed", "error": str(error)}, "")
        raise
    if path is None:
        sys.stdout.buffer.write(found.torrent(subject.trackers))
        sys.stdout.buffer.flush()
    else:
        path.write_bytes(found.torrent(subject.trackers))
    _summarize(found, subject, path, time.monotonic() - started, out)
    if found.missing is None or found.v1 is not None:
        return 0
    out.error(f"without piece layers it is not whole (BEP 52): {found.missing}")
    return 1


def _wrong_usage(
    args: argparse.Namespace, subject: Subject, peers: Sequence[tuple[str, int]]
) -> str | None:
    """Returns what is wrong with what was typed."""
    if subject.version is not None:
        return f"{args.torrent} is a .torrent already"
    if not peers:
        return "there is no peer to ask; name one with --peer HOST:PORT"
    if args.output == "-" and args.json:
        return "with --json, standard output is for the objects; give -o a file"
    if args.output == "-" and sys.stdout.isatty():
        return "a .torrent is not for a terminal; give -o a file, or redirect standard output"
    return None


def _check_place(path: Path, subject: Subject, *, force: bool) -> None:
    """Looks whether the file may be written there, before anybody is asked for anything.

    Raises:
        StorageError, OSError: It may not.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    if path.exists() and not force and _hashes_in(path).isdisjoint(subject.info_hashes):
        raise StorageError(
            f"{path} is there already, and it is another torrent or none; --force overwrites it"
        )


def _hashes_in(path: Path) -> set[bytes]:
    """The info-hashes of the torrent in a file, 20 bytes each; none if it is not one."""
    with path.open("rb") as file:
        data = file.read(MAX_METAINFO)
    try:
        _, info = decode_dict(data, strict=False)[b"info"]
    except (BencodeError, KeyError):
        return set()
    return {
        hashlib.sha1(info, usedforsecurity=False).digest(),
        hashlib.sha256(info).digest()[:20],
    }


async def _fetch(
    subject: Subject, peers: list[tuple[str, int]], args: argparse.Namespace, out: Output
) -> _Found:
    """Fetches all of it, and tells who was of no use.

    Raises:
        DownloadFailed: Nobody gave the metadata.
        MetainfoError: It has the right hash, and is of no use.
    """
    failures: list[str] = []

    def failed(address: tuple[str, int], reason: str) -> None:
        failures.append(f"{written(address)}: {printable(reason)}")
        if out.json:
            out.result({"event": "peer failed", "address": written(address), "reason": reason}, "")

    end = time.monotonic() + args.timeout
    counted = f"{len(peers)} peer{'s' * (len(peers) != 1)}"
    out.note(f"asking {counted} for the metadata of {subject.info_hash.hex()}")
    info = await fetch_metadata(
        subject.info_hash,
        peers,
        info_hash_v2=subject.info_hash_v2,
        encryption=args.encryption,
        within=args.timeout,
        on_failed=failed,
    )
    _tell(failures, out)
    found = _Found(info, _read(info))
    if found.v2 is not None:
        try:
            found.layers = await fetch_piece_layers(
                found.v2,
                peers,
                encryption=args.encryption,
                within=max(0.0, end - time.monotonic()),
                on_failed=failed,
            )
        except DownloadFailed as error:
            found.missing = str(error)
            return found
    _tell(failures, out)
    return found


def _tell(failures: list[str], out: Output) -> None:
    """Tells people who was of no use, where nothing else does."""
    if not out.json:
        for line in failures:
            out.note(line)
    failures.clear()


def _read(info: bytes) -> Metainfo | MetainfoV2:
    value = decode(info, strict=False)
    if isinstance(value, dict) and b"file tree" in value:
        return MetainfoV2.from_info(info)
    return Metainfo.from_info(info)


def _summarize(
    found: _Found, subject: Subject, path: Path | None, seconds: float, out: Output
) -> None:
    known, v1, v2 = found.known, found.v1, found.v2
    version = "v1" if v2 is None else "v2" if v1 is None else "hybrid"
    files = len([file for file in known.files if not file.pad])
    record = {
        "event": "complete",
        "path": None if path is None else str(path),
        "name": known.name,
        "version": version,
        "info_hash": None if v1 is None else v1.info_hash.hex(),
        "info_hash_v2": None if v2 is None else v2.info_hash.hex(),
        "bytes": known.length,
        "files": files,
        "pieces": known.num_pieces,
        "piece_length": known.piece_length,
        "private": known.private,
        "trackers": list(subject.trackers),
        "metadata_bytes": len(found.info),
        "piece_layers": None if v2 is None else found.missing is None,
        "seconds": round(seconds, 3),
    }
    hashes = [record["info_hash"], record["info_hash_v2"]]
    where = "standard output" if path is None else path
    lines = [
        f"{where}: {printable(shown(known.name))}, {version}, {human_bytes(known.length)} in "
        f"{_counted(files, 'file')}, {_counted(known.num_pieces, 'piece')} of "
        f"{human_bytes(known.piece_length)}",
        *(f"info-hash {value}" for value in hashes if value is not None),
    ]
    if path is None:
        out.note("\n".join(lines))
    else:
        out.result(record, "\n".join(lines))
    if found.missing is not None and v1 is not None and not out.json:
        out.note(f"without piece layers, which its v2 side should have (BEP 52): {found.missing}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
