"""The fields of a .torrent, each judged as it is read (BEP 3, BEP 52).

Whatever a stranger wrote there is held to what its field may be, and an error says which it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import MetainfoError
from ..limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..bencode import Value

__all__ = [
    "MAX_FILES",
    "MAX_LENGTH",
    "MAX_METAINFO",
    "MAX_PATH",
    "MAX_PIECES",
    "MAX_PIECE_LENGTH",
    "read_attr",
    "read_int",
    "read_name",
    "shown",
]

#: Bytes of a .torrent file that are read: as many pieces as there may be take 40 MiB in v1 and
#: 64 MiB in v2, which leaves room for the names.
MAX_METAINFO = 128 * 1024 * 1024
#: Pieces, the bound that a peer's bitfield is held to as well. libtorrent: 2,097,152.
MAX_PIECES = DEFAULT_LIMITS.max_pieces
#: Bytes of a piece. Pieces are checked in memory; torrents in use end at 256 MiB. libtorrent: 512.
MAX_PIECE_LENGTH = 512 * 1024 * 1024
#: Bytes of the content: the most that so many pieces of that length hold.
MAX_LENGTH = MAX_PIECES * MAX_PIECE_LENGTH
#: Files: what 2 million bencode tokens have room for, at nine for a file in a directory.
MAX_FILES = 200_000
#: Bytes of a path, its separators included: no system opens a longer one (Linux: PATH_MAX).
MAX_PATH = 4096

#: What a name may not be, each group with its reason in `_WHY_UNSAFE`.
_UNSAFE = re.compile(r"\A([. ]*)\Z|([/\\])|([\x00-\x1f\x7f-\x9f])|(\A.:)")
_WHY_UNSAFE = (
    # Windows drops dots and spaces at a name's end, which makes '.. ' the directory above.
    "is empty or only dots and spaces, so it names no file of its own",
    "holds a path separator ('/' or '\\')",
    "holds a control character",
    # There any character is one: what it stands for is looked up, and "subst" and others define it.
    "begins with a drive letter, which leads elsewhere on Windows",
)


def read_name(raw: Value | None, which: str) -> str:
    """Read a name that stays in the directory it is put in, on every system.

    Args:
        raw: What was found; None if nothing was.
        which: What to call it in an error; so for the other fields.

    Raises:
        MetainfoError: It is not UTF-8, too long, or leads elsewhere.
    """
    if not isinstance(raw, bytes):
        raise MetainfoError(f"{which} is a string (BEP 3)")
    if len(raw) > MAX_PATH:
        raise MetainfoError(f"{which} has at most {MAX_PATH} bytes")
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        # A guess at the encoding would write names that no other client agrees with.
        raise MetainfoError(f"{which}, {shown(raw)}, is not UTF-8 (BEP 3)") from error
    unsafe = _UNSAFE.search(name)
    if unsafe is not None:
        reason = _WHY_UNSAFE[(unsafe.lastindex or 1) - 1]
        raise MetainfoError(f"{which}, {shown(name)}, {reason}")
    return name


def read_int(
    entry: Mapping[bytes, Value], key: bytes, which: str, least: int, most: int = MAX_LENGTH
) -> int:
    """Read a number from `least` to `most`.

    Raises:
        MetainfoError: It is not there, not an integer, or out of bounds.
    """
    value = entry.get(key)
    if not isinstance(value, int):
        raise MetainfoError(f"the {key.decode()!r} of {which} is an integer (BEP 3)")
    if not least <= value <= most:
        raise MetainfoError(f"the {key.decode()!r} of {which} is {value}, not {least} to {most}")
    return value


def read_attr(entry: Mapping[bytes, Value]) -> str:
    """Read a file's attributes, a letter each (BEP 47); what is no string has none."""
    attr = entry.get(b"attr")
    return attr.decode("ascii", "ignore") if isinstance(attr, bytes) else ""


def shown(name: str | bytes) -> str:
    """Return a name for an error's message, which a stranger's name may not flood."""
    return repr(name) if len(name) <= 80 else f"{name[:80]!r}..."
