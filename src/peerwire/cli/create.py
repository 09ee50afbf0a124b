"""Makes a .torrent of a file or folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import arguments
from .output import human_bytes
from .transfer import hash_content

if TYPE_CHECKING:
    import argparse

    from .output import Output

EXAMPLE = "peerwire create holiday/ -o holiday.torrent --private"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this verb takes."""
    parser.add_argument("path", metavar="PATH", type=Path, help="the file or folder")
    parser.add_argument(
        "-o", "--output", metavar="OUT.torrent", type=Path, required=True, help="what to write"
    )
    parser.add_argument(
        "--piece-size",
        metavar="N",
        type=arguments.size,
        help="a power of two from 16KiB up (default: by the size of the content)",
    )
    parser.add_argument("--private", action="store_true", help="peers from trackers only (BEP 27)")
    parser.add_argument(
        "--tracker", metavar="URL", action="append", default=[], help="may be given again"
    )
    parser.add_argument("--v1", action="store_true", help="a BitTorrent v1 torrent (the default)")


async def run(args: argparse.Namespace, out: Output) -> int:
    """Runs the verb."""
    metainfo = await hash_content(
        args.path,
        out,
        piece_length=args.piece_size,
        private=args.private,
        trackers=args.tracker,
    )
    args.output.write_bytes(metainfo.to_bytes())
    record = {
        "path": str(args.output),
        "name": metainfo.name,
        "info_hash": metainfo.info_hash.hex(),
        "bytes": metainfo.length,
        "files": len(metainfo.files),
        "pieces": metainfo.num_pieces,
        "piece_length": metainfo.piece_length,
        "private": metainfo.private,
    }
    text = (
        f"{args.output}: {human_bytes(metainfo.length)} in {record['files']} files, "
        f"{metainfo.num_pieces} pieces of {human_bytes(metainfo.piece_length)}\n"
        f"info-hash {record['info_hash']}"
    )
    out.result(record, text)
    return 0
