from __future__ import annotations

import pytest

from peerwire.errors import MetainfoError
from peerwire.torrent.fields import (
    MAX_LENGTH,
    MAX_METAINFO,
    MAX_PATH,
    MAX_PIECE_LENGTH,
    MAX_PIECES,
    read_attr,
    read_int,
    read_name,
    shown,
)


def test_the_bounds_fit_each_other():
    assert MAX_LENGTH == MAX_PIECES * MAX_PIECE_LENGTH
    assert MAX_PIECES * 32 <= MAX_METAINFO


@pytest.mark.parametrize(
    "name", ["a", "a b.txt", ".hidden", "...a", "ä", "CON", "01: a", "x" * MAX_PATH]
)
def test_a_name(name):
    assert read_name(name.encode(), "the name") == name


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "is a string"),
        (5, "is a string"),
        ([b"a"], "is a string"),
        (b"x" * (MAX_PATH + 1), f"has at most {MAX_PATH} bytes"),
        (b"\xff", "is not UTF-8"),
        (b"\xc0\xae\xc0\xae", "is not UTF-8"),
        (b"", "names no file of its own"),
        (b"..", "names no file of its own"),
        (b". .", "names no file of its own"),
        (b"a/b", "path separator"),
        (b"a\\b", "path separator"),
        (b"a\0b", "control character"),
        (b"a\nb", "control character"),
        ("\x85".encode(), "control character"),
        (b"C:", "drive letter"),
        (b"1:a", "drive letter"),
        ("é:a".encode(), "drive letter"),
    ],
)
def test_a_name_that_leads_elsewhere(raw, why):
    with pytest.raises(MetainfoError, match=f"the name.*{why}"):
        read_name(raw, "the name")


def test_a_number():
    assert read_int({b"n": 0}, b"n", "it", 0) == 0
    assert read_int({b"n": MAX_LENGTH}, b"n", "it", 0) == MAX_LENGTH
    assert read_int({b"n": 3}, b"n", "it", 3, 3) == 3


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({}, "the 'n' of it is an integer"),
        ({b"n": b"5"}, "the 'n' of it is an integer"),
        ({b"n": 2}, "the 'n' of it is 2, not 3 to 4"),
        ({b"n": 5}, "the 'n' of it is 5, not 3 to 4"),
    ],
)
def test_a_number_that_is_none_or_out_of_bounds(entry, why):
    with pytest.raises(MetainfoError, match=why):
        read_int(entry, b"n", "it", 3, 4)


@pytest.mark.parametrize(("raw", "attr"), [(b"xp", "xp"), (b"\xffh", "h"), (5, ""), ([], "")])
def test_attributes(raw, attr):
    assert read_attr({b"attr": raw}) == attr
    assert read_attr({}) == ""


def test_a_name_does_not_flood_an_error():
    assert shown("a") == "'a'"
    assert shown(b"\n" * 80) == repr(b"\n" * 80)
    assert shown("a" * 81) == f"'{'a' * 80}'..."
