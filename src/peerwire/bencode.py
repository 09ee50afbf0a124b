"""Bencoding, strictly: one value has exactly one encoding, and only that one is read.

``decode`` reads a whole value, ``decode_prefix`` the value at the front of longer data (BEP 9 puts
raw bytes after one), ``decode_dict`` a dictionary whose values keep the bytes that they were read
from (an info-hash is a hash of such bytes), and ``encode`` writes.

Strings are ``bytes`` and nothing guesses at their text. Nesting is kept on a list of our own, never
on Python's stack, and time and memory are linear in the data. Integers have at most
``MAX_INT_DIGITS`` digits: BEP 3 sets no bound, but no key of any BEP holds more than 64 bits, and
turning digits into a number costs quadratic time.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from .errors import BencodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_DEPTH",
    "MAX_INT_DIGITS",
    "MAX_ITEMS",
    "Value",
    "decode",
    "decode_dict",
    "decode_prefix",
    "encode",
]

#: What decoding gives.
Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

#: Lists and dictionaries inside each other. libtorrent: 100.
MAX_DEPTH = 100
#: Tokens in one value: a torrent of 200,000 files needs nearly as many. libtorrent: 2 million.
MAX_ITEMS = 2_000_000
#: Digits of an integer, its sign not counted: those of 2^64.
MAX_INT_DIGITS = 20

_INT_BOUND = 10**MAX_INT_DIGITS


def decode(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = MAX_DEPTH,
    max_items: int = MAX_ITEMS,
    strict: bool = True,
) -> Value:
    """Decode one value that is all of ``data`` (BEP 3, bencoding).

    Args:
        data: The encoded value.
        max_depth: Most lists and dictionaries inside each other.
        max_items: Most tokens: each integer and string is one, each list and dictionary two (its
            beginning and its end).
        strict: False admits dictionaries whose keys are not in order, which some deployed clients
            send in their extended handshake. Nothing else is relaxed.

    Raises:
        BencodeError: The data breaks a rule or a bound; the message tells which, and where.
        TypeError: ``data`` is not bytes-like.
    """
    data = _as_bytes(data)
    value, end, _ = _parse(data, 0, max_depth, max_items, strict)
    _expect_end(data, end)
    return value


def decode_prefix(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = MAX_DEPTH,
    max_items: int = MAX_ITEMS,
    strict: bool = True,
) -> tuple[Value, int]:
    """Decode the value at the front of ``data``, whatever follows it (BEP 9, data).

    Arguments and errors are those of `decode`.

    Returns:
        The value, and how many bytes of ``data`` it took.
    """
    value, end, _ = _parse(_as_bytes(data), 0, max_depth, max_items, strict)
    return value, end


def decode_dict(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = MAX_DEPTH,
    max_items: int = MAX_ITEMS,
    strict: bool = True,
) -> dict[bytes, tuple[Value, bytes]]:
    """Decode a dictionary that is all of ``data``, each value with its bytes as found there.

    An info-hash is the hash of those bytes, not of the value encoded anew (BEP 3, trackers).
    Arguments and errors are those of `decode`; a value other than a dictionary is an error.
    """
    data = _as_bytes(data)
    if data[:1] != b"d":
        raise _error(0, "not a dictionary, which begins with 'd'")
    items: list[object] = []  # keys and values by turns
    pos, left = 1, max_items - 2
    while data[pos : pos + 1] != b"e":
        key, start, left = _parse(data, pos, max_depth, left, strict, inside=1)
        value, pos, left = _parse(data, start, max_depth, left, strict, inside=1)
        items += (key, (value, data[start:pos]))
    _expect_end(data, pos + 1)
    return _dictionary(items, 0, strict)


def encode(value: object) -> bytes:
    """Encode ``int``, ``bytes``, ``str`` (as UTF-8), lists, tuples and dictionaries (BEP 3).

    ``bytearray`` and ``memoryview`` count as ``bytes``. Keys are ``bytes`` or ``str``, in any
    order: they are written sorted as raw bytes. What `decode` would refuse is not written.

    Raises:
        TypeError: A value of another type, ``bool``, ``float`` and ``None`` among them.
        BencodeError: An integer of more than ``MAX_INT_DIGITS`` digits, a dictionary with the same
            key as ``str`` and as ``bytes``, or nesting deeper than ``MAX_DEPTH`` (a list inside
            itself, for one).
        UnicodeEncodeError: A ``str`` that holds half of a surrogate pair.
    """
    out: list[bytes] = []
    # Each open list or dictionary: what is left of it. The outermost is the value, alone.
    stack: list[Iterator[object]] = [iter((value,))]
    while stack:
        for item in stack[-1]:
            if type(item) is bytes:  # most items, keys among them
                out += (b"%d:" % len(item), item)
                continue
            inner = _encode_item(item, out)
            if inner is not None:
                stack.append(inner)
                if len(stack) > MAX_DEPTH + 1:
                    raise BencodeError(f"nested deeper than {MAX_DEPTH} lists and dictionaries")
                break
        else:
            stack.pop()
            out.append(b"e")
    out.pop()  # the outermost is no list of its own
    return b"".join(out)


def _encode_item(item: object, out: list[bytes]) -> Iterator[object] | None:
    """Append what is known of one item; return what is inside it, if it can hold others."""
    match item:
        case dict():
            out.append(b"d")
            return chain.from_iterable(_sorted_items(item))
        case list() | tuple():
            out.append(b"l")
            return iter(item)
        case bool():
            raise TypeError("bencode has no booleans; write 0 or 1")
        case int():
            if not -_INT_BOUND < item < _INT_BOUND:
                raise BencodeError(f"an integer has at most {MAX_INT_DIGITS} digits")
            out.append(b"i%de" % item)
        case bytes() | bytearray() | memoryview() | str():
            string = _as_string(item)
            out += (b"%d:" % len(string), string)
        case _:
            raise TypeError(f"bencode has no {type(item).__name__}; it has int, bytes, list, dict")
    return None


def _sorted_items(mapping: dict[object, object]) -> list[tuple[bytes, object]]:
    by_key = {
        key if type(key) is bytes else _as_string(key): value for key, value in mapping.items()
    }
    if len(by_key) != len(mapping):
        raise BencodeError("a dictionary holds the same key as str and as bytes")
    return sorted(by_key.items())  # never compares values: the keys differ


def _as_string(text: object) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"a dictionary's keys are bytes or str, not {type(text).__name__}")


def _as_bytes(data: object) -> bytes:
    """The data as ``bytes``, whose slices and searches are the fastest (a copy where it is not)."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"bencode is decoded from bytes, not {type(data).__name__}")
    return data if type(data) is bytes else bytes(data)


def _parse(
    data: bytes, pos: int, max_depth: int, max_items: int, strict: bool, inside: int = 0
) -> tuple[Value, int, int]:
    """Read the value that begins at ``pos``; return it, its end, and the tokens left over.

    It stands ``inside`` so many lists and dictionaries, which count as depth, too.

    A dictionary is gathered as a list of keys and values by turns and becomes one at its end, so
    that its rules cost a few calls a dictionary and not some tests a key.
    """
    size, find = len(data), data.find
    room = max_depth - inside
    # Outside the open list or dictionary `items`: those it stands in, with their first bytes.
    stack: list[tuple[int, list[Value]]] = []
    items: list[Value] = []
    begin = pos
    try:
        for left in range(max_items - 1, -1, -1):
            lead = data[pos]
            if 48 <= lead <= 57:  # a digit: a string
                if data[pos + 1] == 58:  # most strings are shorter than ten bytes
                    start = pos + 2
                    end = start + lead - 48
                else:
                    start = find(b":", pos, pos + MAX_INT_DIGITS + 1) + 1
                    end = start + _length(data, pos, start - 1)
                if end > size:
                    raise _error(pos, f"a string ends at byte {end}, the data at {size}")
                items.append(data[start:end])
                pos = end
            elif lead == 105:  # i
                end = find(b"e", pos, pos + MAX_INT_DIGITS + 3)
                items.append(_integer(data, pos, end))
                pos = end + 1
            elif lead == 100 or lead == 108:  # d, l
                if len(stack) >= room:
                    raise _error(pos, f"nested deeper than {max_depth} lists and dictionaries")
                stack.append((begin, items))
                begin, items = pos, []
                pos += 1
                continue
            elif lead == 101 and stack:  # e
                value: Value = items
                if data[begin] == 100:
                    value = _dictionary(items, begin, strict)
                begin, items = stack.pop()
                items.append(value)
                pos += 1
            else:
                raise _error(pos, f"no value begins with {bytes((lead,))!r}")
            if not stack:
                return items[0], pos, left
    except IndexError:
        raise _error(size, "the data ends inside a value") from None
    raise _error(pos, "more values than the bound on them (max_items)")


def _length(data: bytes, pos: int, colon: int) -> int:
    """The length of the string that begins at ``pos``; its digits end at ``colon``, or at none."""
    digits = data[pos:colon] if colon >= 0 else b""
    if not digits.isdigit():
        _refuse_number(data, pos, b":", "a string length")
    if digits[0] == 48 and len(digits) > 1:
        raise _error(pos, "a string length has no leading zeros")
    return int(digits)


def _integer(data: bytes, pos: int, end: int) -> int:
    """The integer whose 'i' is at ``pos`` and whose 'e' at ``end``, or at none."""
    digits = data[pos + 1 : end] if end >= 0 else b""
    magnitude = digits[1:] if digits[:1] == b"-" else digits
    if not magnitude.isdigit() or len(magnitude) > MAX_INT_DIGITS:
        _refuse_number(data, pos + 1, b"e", "an integer")
    if magnitude[0] == 48 and digits != b"0":
        raise _error(pos, "an integer has no leading zeros and no minus before zero")
    return int(digits)


def _dictionary(items: list[Any], begin: int, strict: bool) -> dict[bytes, Any]:
    """The dictionary at ``begin`` from its keys and values by turns."""
    if len(items) % 2:
        raise _error(begin, "a dictionary's last key has no value")
    keys: list[bytes] = items[::2]
    try:
        b"".join(keys)  # takes strings only, and tells sooner than a loop would
    except TypeError:
        raise _error(begin, "a dictionary's keys are strings") from None
    found = dict(zip(keys, items[1::2], strict=True))
    if len(found) != len(keys):
        raise _error(begin, "a dictionary has each of its keys once")
    if strict and sorted(keys) != keys:
        raise _error(begin, "a dictionary's keys are in order, as raw bytes")
    return found


def _expect_end(data: bytes, end: int) -> None:
    if end != len(data):
        raise _error(end, f"{len(data) - end} bytes follow the value")


def _refuse_number(data: bytes, pos: int, mark: bytes, what: str) -> NoReturn:
    """Say what is wrong with the digits at ``pos``, which don't make a number up to ``mark``."""
    head = data[pos : pos + MAX_INT_DIGITS + 2]
    digits = head.removeprefix(b"-")
    rest = digits.lstrip(b"0123456789")
    if len(digits) - len(rest) > MAX_INT_DIGITS:
        raise _error(pos, f"{what} has more than {MAX_INT_DIGITS} digits")
    if not rest:
        raise _error(len(data), f"the data ends inside {what}")
    raise _error(pos, f"{what} is decimal digits and then {mark!r}, not {head!r}")


def _error(pos: int, message: str) -> BencodeError:
    return BencodeError(f"at byte {pos}: {message} (BEP 3, bencoding)")
