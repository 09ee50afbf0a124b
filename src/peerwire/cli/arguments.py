"""Arguments that more than one verb takes, read from what was typed."""

from __future__ import annotations

import argparse
import math
import re
from decimal import Decimal

from ..encryption import Encryption

__all__ = ["add_encryption", "address", "port", "seconds", "size"]

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def add_encryption(parser: argparse.ArgumentParser, default: Encryption) -> None:
    """Adds ``--encryption``, which says what is wanted of message stream encryption."""
    parser.add_argument(
        "--encryption",
        choices=[policy.value for policy in Encryption],
        default=default.value,
        help="off: nothing is encrypted; prefer: the handshake is, where the peer can; "
        f"require: all of it is, with RC4, or there is no connection (default: {default})",
    )


def size(text: str) -> int:
    """Reads a number of bytes: ``65536``, ``64KiB``, ``64k``, ``1.5GiB``; units are binary."""
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 65536, 64KiB or 1.5GiB")
    return int(Decimal(match[1]) * _UNITS[match[2]])


def seconds(text: str) -> float:
    """Reads a number of seconds above 0, such as ``30`` or ``1.5``; at most a year of them."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 365 * 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds, 30 or 1.5")
    return number


def port(text: str) -> int:
    """Reads a TCP port, 0 to 65535."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is a number from 0 to 65535")
    return int(text)


def address(text: str) -> tuple[str, int]:
    """Reads ``HOST:PORT``; an IPv6 address stands in brackets."""
    host, colon, number = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise argparse.ArgumentTypeError(f"{text!r}: write an IPv6 address as [{host}]:{number}")
    if not colon or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; write HOST:PORT")
    return host, port(number)
