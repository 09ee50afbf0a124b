"""Any bytes as bencode, against itself and against two independent libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bencode2
import fastbencode

from peerwire.bencode import (
    MAX_DEPTH,
    MAX_INT_DIGITS,
    Value,
    decode,
    decode_dict,
    decode_prefix,
    encode,
)
from peerwire.errors import BencodeError

from ..harness import expect

if TYPE_CHECKING:
    from collections.abc import Callable


def target(data: bytes) -> None:
    """Decodes all of it, its front, as a dictionary, and within small bounds."""
    value, end = _or_none(lambda: decode_prefix(data)) or (None, 0)
    whole = _or_none(lambda: decode(data))
    expect((whole is not None) == (end == len(data) > 0), "decode and decode_prefix disagree")
    if value is not None:
        expect(encode(value) == data[:end], "a value has two encodings")
        expect(decode(memoryview(data)[:end]) == value, "the front of it decodes otherwise alone")
        expect(_depth(value) <= MAX_DEPTH, "nested deeper than the bound")
    _check_dictionary(data, whole)
    _check_lenient(data, whole)
    _check_bounds(data, whole)
    _check_against_others(data, whole)


def _check_dictionary(data: bytes, whole: Value | None) -> None:
    found = _or_none(lambda: decode_dict(data))
    expect((found is not None) == isinstance(whole, dict), "decode_dict and decode disagree")
    if found is not None:
        expect({key: item for key, (item, _) in found.items()} == whole, "other values")
        expect(all(raw in data and decode(raw) == item for item, raw in found.values()), "raw")


def _check_lenient(data: bytes, whole: Value | None) -> None:
    lenient = _or_none(lambda: decode(data, strict=False))
    expect(whole is None or lenient == whole, "leniency changed a value that needs none")
    if lenient is not None:
        expect(decode(encode(lenient)) == lenient, "decode(encode(x)) is not x")
        expect(len(encode(lenient)) == len(data), "leniency allows more than another order")


def _check_bounds(data: bytes, whole: Value | None) -> None:
    bounded = _or_none(lambda: decode(data, max_depth=2, max_items=8))
    expect(bounded in (None, whole), "bounds changed a value")
    if bounded is not None:
        expect(_depth(bounded) <= 2, "max_depth does not hold")
        expect(_tokens(bounded) <= 8, "max_items does not hold")
    elif whole is not None:
        expect(_depth(whole) > 2 or _tokens(whole) > 8, "refused within the bounds")


def _check_against_others(data: bytes, whole: Value | None) -> None:
    """Where two libraries that nobody here wrote agree, we agree with them."""
    if len(data) > 2000 or data.count(b"l") + data.count(b"d") > MAX_DEPTH:
        return  # what they make of nesting is not ours
    ours = None if whole is None else [whole]
    first, second = _of_other(bencode2.bdecode, data), _of_other(vars(fastbencode)["bdecode"], data)
    if first == second != ours and not _over_our_bound(first):
        expect(False, f"we say {ours}, bencode2 and fastbencode both {first}")


def _of_other(decode_other: Callable[[bytes], Any], data: bytes) -> list[Any] | None:
    try:
        return [_as_lists(decode_other(data))]
    except (ValueError, TypeError, OverflowError, IndexError, RecursionError):
        return None


def _as_lists(value: Any) -> Any:
    match value:
        case dict():
            return {key: _as_lists(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_lists(item) for item in value]
    return value


def _over_our_bound(found: list[Any] | None) -> bool:
    """Integers of more digits than any key of any BEP needs are refused on purpose."""
    return found is not None and any(
        isinstance(item, int) and abs(item) >= 10**MAX_INT_DIGITS for item in _items(found)
    )


def _items(value: Any) -> list[Any]:
    """A value and all that is in it, without recursion."""
    found, left = [], [value]
    while left:
        item = left.pop()
        found.append(item)
        left += [*item.values(), *item] if isinstance(item, dict) else []
        left += item if isinstance(item, list) else []
    return found


def _tokens(value: Value) -> int:
    return sum(2 if isinstance(item, dict | list) else 1 for item in _items(value))


def _depth(value: Value) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            inner for item in level for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _or_none(decoding: Callable[[], Any]) -> Any:
    try:
        return decoding()
    except BencodeError:
        return None
