"""What is typed: sizes, ports, addresses."""

from __future__ import annotations

import argparse

import pytest

from peerwire.cli.arguments import add_encryption, address, port, seconds, size
from peerwire.encryption import Encryption


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("65536", 65536),
        ("64KiB", 65536),
        ("64kib", 65536),
        ("64k", 65536),
        ("64 KB", 65536),
        ("100B", 100),
        ("1.5GiB", 1610612736),
        ("2TiB", 2199023255552),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_a_size(text, value):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "k", "-1", "1e9", "1,5M", "64KiBs", "9" * 400, "1.", "0x10"])
def test_no_size(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no size; write 65536"):
        size(text)


def test_a_port():
    assert [port(text) for text in ("0", "6881", "65535")] == [0, 6881, 65535]


@pytest.mark.parametrize("text", ["", "-1", "65536", "http", "6881.0", "\u0661", "\u00b2"])
def test_no_port(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no port"):
        port(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:6881", ("127.0.0.1", 6881)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:6881", ("::1", 6881)),
    ],
)
def test_an_address(text, value):
    assert address(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "write HOST:PORT"),
        (":6881", "write HOST:PORT"),
        ("[]:6881", "write HOST:PORT"),
        ("", "write HOST:PORT"),
        ("localhost:", "is no port"),
        ("localhost:x", "is no port"),
        ("::1:6881", r"as \[::1\]:6881"),
    ],
)
def test_no_address(text, reason):
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        address(text)


@pytest.mark.parametrize(("text", "value"), [("30", 30.0), ("1.5", 1.5), ("1e-3", 0.001)])
def test_a_time(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e9", "10s", ""])
def test_no_time(text):
    with pytest.raises(argparse.ArgumentTypeError, match="write seconds"):
        seconds(text)


def test_encryption():
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_encryption(parser, Encryption.PREFER)
    assert parser.parse_args([]).encryption == "prefer"
    assert parser.parse_args(["--encryption", "require"]).encryption == "require"
    with pytest.raises(argparse.ArgumentError, match="invalid choice"):
        parser.parse_args(["--encryption", "some"])
