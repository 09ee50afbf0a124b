"""A libtorrent peer that knows a magnet link and one peer, and no more; see libtorrent_peer.py.

python tests/libtorrent_magnet.py MAGNET OUT_DIR HOST PORT
"""

from __future__ import annotations

import sys
from argparse import Namespace

import libtorrent as lt

from libtorrent_peer import run


def main(magnet: str, out: str, host: str, port: str) -> None:
    params = lt.parse_magnet_uri(magnet)
    params.save_path = out
    params.peers = [(host, int(port))]
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    run(params, 0, Namespace(verb="leech", encryption="off", pex=False, keep=False), "complete")


if __name__ == "__main__":
    main(*sys.argv[1:])
