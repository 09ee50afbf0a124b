"""What extensions say to each other, read by a third who takes no part (BEP 10).

An `Extension` of this package is one side of a conversation and answers. Here its messages are only
read, by the same code where that keeps no account of what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ..bencode import decode_prefix
from ..metadata import piece_size
from . import ut_holepunch
from .lt_donthave import LtDontHave
from .upload_only import UploadOnly
from .ut_metadata import MAX_ITEMS, MetadataPiece, MetadataReject, UtMetadata, _Type
from .ut_pex import UtPex

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..bencode import Value

__all__ = ["MetadataMessage", "MetadataRequest", "read_metadata", "readers"]


@dataclass(slots=True)
class MetadataRequest:
    """A piece of the metadata is asked for (BEP 9, request).

    Attributes:
        piece: Which, from 0.
    """

    piece: int

    def __str__(self) -> str:
        return f"metadata request {self.piece}"


MetadataMessage: TypeAlias = MetadataRequest | MetadataPiece | MetadataReject


def readers(clock: Callable[[], float]) -> dict[str, Callable[[bytes], object]]:
    """Returns what reads the messages of one side, by the name of their extension.

    Each takes a payload and returns what it says, or None where the specifications have it
    ignored. It raises `ValueError` for a payload that its extension does not allow.

    Args:
        clock: Says what time it is, in seconds: peer exchange is for once a minute (BEP 11).
    """
    return {
        UtMetadata.name: read_metadata,
        UtPex.name: UtPex(clock).receive,
        ut_holepunch.UtHolepunch.name: ut_holepunch.decode,
        LtDontHave.name: LtDontHave().receive,
        UploadOnly.name: UploadOnly().receive,
    }


def read_metadata(payload: bytes) -> MetadataMessage | None:
    """Reads a message of ut_metadata (BEP 9); None for one of a type that is yet to be defined.

    Raises:
        ValueError: It is none, or a piece is not as long as its place in the whole demands.
    """
    header, end = decode_prefix(payload, max_items=MAX_ITEMS, strict=False)
    if not isinstance(header, dict):
        raise ValueError("a message begins with a dictionary that has a msg_type (BEP 9)")
    match _number(header, b"msg_type"):
        case _Type.REQUEST:
            return MetadataRequest(_number(header, b"piece"))
        case _Type.REJECT:
            return MetadataReject(_number(header, b"piece"))
        case _Type.DATA:
            return _data(header, payload[end:])
    return None


def _data(header: Mapping[bytes, Value], data: bytes) -> MetadataPiece:
    piece, total_size = _number(header, b"piece"), _number(header, b"total_size")
    expected = max(piece_size(total_size, piece), 0)
    if len(data) != expected:
        raise ValueError(
            f"piece {piece} of {total_size} bytes of metadata with {len(data)} bytes, "
            f"it has {expected} (BEP 9, data)"
        )
    return MetadataPiece(piece, total_size, data)


def _number(header: Mapping[bytes, Value], key: bytes) -> int:
    value = header.get(key)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"its {key.decode()} is no number from 0 on (BEP 9)")
    return value
