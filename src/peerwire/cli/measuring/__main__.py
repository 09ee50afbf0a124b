"""One program of a measurement: ``python -m peerwire.cli.measuring NAME OPTIONS``.

Options are a JSON object. It talks in lines of JSON: a server says its ``port`` first, and each
program says what it measured.
"""

from __future__ import annotations

import faulthandler
import json
import sys

from . import bare, decoding, floor, ours

__all__ = ["main"]

#: Seconds after which a program ends, whatever has become of those that it waits for.
TIMEOUT = 900.0

PROGRAMS = {
    program.__name__: program
    for program in (
        bare.raw_send,
        bare.raw_receive,
        bare.bare_seed,
        bare.bare_leech,
        floor.bare_get,
        bare.idle_dial,
        decoding.flood,
        decoding.decode_small,
        decoding.decode_large,
        decoding.cipher,
        ours.wire_seed,
        ours.wire_leech,
        ours.idle_serve,
        ours.handshake_serve,
        ours.handshake_dial,
    )
}


def main(name: str, options: str) -> None:
    """Runs a program with its options."""
    faulthandler.dump_traceback_later(TIMEOUT, exit=True)
    try:
        PROGRAMS[name](**json.loads(options))
    finally:
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
