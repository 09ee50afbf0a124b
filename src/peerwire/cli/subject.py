"""The torrent that a verb is about: a .torrent file, a magnet link, or no more than an info-hash.

Whatever it is read from, the verbs ask it the same questions; the answer to some is then None.
"""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..asyncio.server import ServedTorrent
from ..bencode import decode_dict
from ..errors import BencodeError, LocalProtocolError, MetainfoError
from ..handshake import parse_hash20, truncate_v2
from ..torrent.fields import MAX_METAINFO
from ..torrent.magnet import Magnet
from ..torrent.merkle import block_hashes, piece_layer, root
from ..torrent.metainfo import Metainfo
from ..torrent.metainfo_v2 import MetainfoV2

if TYPE_CHECKING:
    import argparse

    from ..bencode import Value
    from ..pieces import PieceSet
    from ..torrent.metainfo_v2 import FileV2

__all__ = ["Subject", "add_subject"]

#: Digits of an info-hash in hex: of v1, or of v2 cut off as a handshake has it; and of v2.
_HASH, _HASH_V2 = 40, 64

#: Characters of a v1 info-hash in base32, as old magnet links have it.
_BASE32 = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A torrent, as far as it is known.

    Attributes:
        info_hash: What a handshake begins with, 20 bytes: v1's, or else the first of v2's.
        info_hash_v2: The v2 info-hash, 32 bytes, where that is known (BEP 52).
        name: What to call it, if it has a name: a stranger's text, with any character in it.
        metainfo: Its v1 side, where there is a .torrent that has one.
        metainfo_v2: Its v2 side, likewise.
        trackers: URLs.
        peers: Host and port of peers that a magnet link names.
    """

    info_hash: bytes
    info_hash_v2: bytes | None = None
    name: str | None = None
    metainfo: Metainfo | None = None
    metainfo_v2: MetainfoV2 | None = None
    trackers: tuple[str, ...] = ()
    peers: tuple[tuple[str, int], ...] = ()

    @classmethod
    def read(cls, text: str) -> Subject:
        """Reads what was typed: a path, a magnet link, or 40 or 64 hex digits.

        A file whose name is a hash is named with a folder, as in ``./HASH``.

        Raises:
            MetainfoError: It is none of these, or the .torrent or link is malformed.
            OSError: The file can't be read.
        """
        if text[:7].lower() == "magnet:":
            return cls._of_magnet(Magnet.parse(text))
        if len(text) in (_BASE32, _HASH, _HASH_V2) and "/" not in text:
            try:
                return cls.of_hash(text)
            except LocalProtocolError:
                pass
        try:
            with open(text, "rb") as file:
                data = file.read(MAX_METAINFO + 1)
        except (FileNotFoundError, ValueError):  # a NUL in a path is a ValueError
            raise MetainfoError(
                f"{text[:100]!r} is no file that is here, no magnet link, and no info-hash, which "
                f"has {_HASH} hex digits, or {_HASH_V2} of a v2 torrent"
            ) from None
        return cls.of_torrent(data)

    @classmethod
    def of_hash(cls, text: str) -> Subject:
        """Reads an info-hash: 40 hex digits or 32 base32 characters; of v2, 64 hex digits.

        Raises:
            LocalProtocolError: It is none.
        """
        if len(text) == _HASH_V2:
            return cls(info_hash=truncate_v2(text), info_hash_v2=bytes.fromhex(text))
        return cls(info_hash=parse_hash20(text))

    @classmethod
    def of_torrent(cls, data: bytes) -> Subject:
        """Reads a .torrent's bytes, of v1, v2 or both.

        Raises:
            MetainfoError: It is malformed.
        """
        if len(data) > MAX_METAINFO:
            raise MetainfoError(f"a .torrent has at most {MAX_METAINFO} bytes")
        info, raw, whole = _look_into(data)
        # Without piece layers, as some tools write a hybrid of a magnet link, v1's hashes serve.
        v2 = MetainfoV2.from_bytes(data) if b"file tree" in info and whole else None
        # Of a hybrid once more, as the other side does not read the trackers.
        v1 = None if v2 is not None and v2.v1 is None else Metainfo.from_bytes(data)
        known = v2 if v1 is None else v1
        assert known is not None, "it has one of the two sides"
        return cls(
            info_hash=known.info_hash[:20],
            info_hash_v2=hashlib.sha256(raw).digest() if b"file tree" in info else None,
            name=known.name,
            metainfo=v1,
            metainfo_v2=v2,
            trackers=() if v1 is None else tuple(url for tier in v1.trackers for url in tier),
        )

    @classmethod
    def _of_magnet(cls, magnet: Magnet) -> Subject:
        return cls(
            info_hash=magnet.wire_info_hash,
            info_hash_v2=magnet.info_hash_v2,
            name=magnet.name or None,
            trackers=magnet.trackers,
            peers=magnet.peers,
        )

    @property
    def info_hashes(self) -> tuple[bytes, ...]:
        """All that a handshake may name it by, 20 bytes each."""
        v2 = () if self.info_hash_v2 is None else (self.info_hash_v2[:20],)
        return tuple(dict.fromkeys((self.info_hash, *v2)))

    @property
    def version(self) -> str | None:
        """Whether it is ``"v1"``, ``"v2"`` or ``"hybrid"``, where that is known for sure."""
        if self.metainfo is None and self.metainfo_v2 is None:
            return None  # what is named by its v1 info-hash may be a hybrid
        if self.info_hash_v2 is None:
            return "v1"
        return "v2" if self.metainfo is None else "hybrid"

    @property
    def num_pieces(self) -> int | None:
        """How many pieces it has."""
        known = self.metainfo or self.metainfo_v2
        return None if known is None else known.num_pieces

    @property
    def served(self) -> dict[bytes, ServedTorrent]:
        """What `serve` is to be told, that peers may name it either way."""
        torrent = ServedTorrent(self.num_pieces, self.info_hash_v2)
        return dict.fromkeys(self.info_hashes, torrent)

    def piece_size(self, index: int) -> int:
        """How many bytes of a piece are content, which is what any peer can be asked for.

        Under v2 a piece ends with its file. A hybrid's v1 side fills it up with zeros.

        Raises:
            IndexError: There is no such piece, or no .torrent that knows of pieces.
        """
        if self.metainfo_v2 is not None:
            file, within = self._file(index)
            return min(self.metainfo_v2.piece_length, file.length - within)
        return self._v1().piece_size(index)

    def shortest_piece(self, pieces: PieceSet) -> int:
        """Returns one of some pieces that takes few blocks to be verified: the end of a file.

        Args:
            pieces: Of this torrent, of which a .torrent is there; at least one.
        """
        if self.metainfo_v2 is None:
            meta = self._v1()
            ends = [(meta.piece_size(meta.num_pieces - 1), meta.num_pieces - 1)]
        else:
            length = self.metainfo_v2.piece_length
            ends = [
                ((file.length - 1) % length + 1, (file.offset + file.length - 1) // length)
                for file in self.metainfo_v2.files
                if file.length
            ]
        _, shortest = min(((size, at) for size, at in ends if at in pieces), default=(0, None))
        return next(iter(pieces)) if shortest is None else shortest

    def verifies(self, index: int, piece: bytes) -> bool:
        """Says whether these bytes are the content of a piece.

        Raises:
            IndexError: As `piece_size`.
        """
        if len(piece) != self.piece_size(index):
            return False
        meta = self.metainfo_v2
        if meta is None:
            digest = hashlib.sha1(piece, usedforsecurity=False).digest()
            return digest == self._v1().piece_hash(index)
        file, within = self._file(index)
        if file.length <= meta.piece_length:
            return root(block_hashes(piece)) == file.pieces_root
        at = within // meta.piece_length * 32
        found = root(block_hashes(piece), piece_layer(meta.piece_length))
        return found == meta.piece_layers[file.pieces_root][at : at + 32]

    def _v1(self) -> Metainfo:
        if self.metainfo is None:
            raise IndexError("without a .torrent no piece is known")
        return self.metainfo

    def _file(self, index: int) -> tuple[FileV2, int]:
        """The file that a piece is of, and where in it the piece begins."""
        assert self.metainfo_v2 is not None, "it has a v2 side"
        begin, files = index * self.metainfo_v2.piece_length, self.metainfo_v2.files
        file = files[bisect.bisect_right(files, begin, key=lambda file: file.offset) - 1]
        if file.offset <= begin < file.offset + file.length:
            return file, begin - file.offset
        raise IndexError(f"piece {index} of {self.metainfo_v2.num_pieces}")


def add_subject(parser: argparse.ArgumentParser) -> None:
    """Adds the argument ``torrent``, which is for `Subject.read`."""
    parser.add_argument(
        "torrent",
        metavar="TORRENT|MAGNET|INFOHASH",
        help="a .torrent file, a magnet link, or an info-hash",
    )


def _look_into(data: bytes) -> tuple[dict[bytes, Value], bytes, bool]:
    """Returns the info dictionary, its bytes, and whether its v2 side, if any, can be relied on.

    Raises:
        MetainfoError: There is none.
    """
    try:
        fields = decode_dict(data, strict=False)
    except BencodeError as error:
        raise MetainfoError(f"not a .torrent: {error}") from error
    info, raw = fields.get(b"info", (None, b""))
    if not isinstance(info, dict):
        raise MetainfoError("not a .torrent: it has no 'info' dictionary (BEP 3)")
    return info, raw, b"piece layers" in fields or b"pieces" not in info
