"""A libtorrent peer on loopback, in a process of its own: an abort in it ends nothing else.

python tests/libtorrent_peer.py create PATH OUT.torrent --piece-size BYTES  [--pad]
python tests/libtorrent_peer.py seed   TORRENT CONTENT PORT  [--encryption HOW]
python tests/libtorrent_peer.py leech  TORRENT OUT_DIR HOST PORT  [--encryption HOW]
python tests/libtorrent_peer.py idle   TORRENT OUT_DIR HOST PORT  [--encryption HOW]

HOW is off, prefer (RC4), require (RC4 only), plaintext (an encrypted handshake, a plain payload) or
default (libtorrent's own: encrypted or not, and a plain payload where both are offered).

It prints `ready` once it seeds (or, idle, wants nothing and stays connected) and `complete` once it
has everything, then runs until it is ended. Nothing but 127.0.0.1 is listened on or dialled: no
DHT, LSD, UPnP, NAT-PMP or tracker. `--pex` exchanges peers, `--keep` keeps peers that are of no use
but to be told of.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import libtorrent as lt

#: encryption -> (policy, level, whether RC4 is preferred). Policy: 2 disabled, 1 enabled, 0 forced;
#: level 1 is plaintext, 2 RC4, 3 both.
ENCRYPTION = {
    "off": (2, 3, False),
    "prefer": (1, 3, True),
    "require": (0, 2, True),
    "plaintext": (0, 1, False),
    "default": (1, 3, False),
}


def settings(port: int, encryption: str, keep: bool) -> dict[str, object]:
    policy, level, prefer_rc4 = ENCRYPTION[encryption]
    return {
        "listen_interfaces": f"127.0.0.1:{port}",
        "outgoing_interfaces": "127.0.0.1",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_ip_notifier": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
        "in_enc_policy": policy,
        "out_enc_policy": policy,
        "allowed_enc_level": level,
        "prefer_rc4": prefer_rc4,
        # A peer that is not up yet is dialled again at once, not after a minute.
        "min_reconnect_time": 1,
        "max_failcount": 1000,
        "peer_connect_timeout": 5,
        "close_redundant_connections": not keep,
        "dht_bootstrap_nodes": "",
        "alert_mask": lt.alert.category_t.error_notification
        | lt.alert.category_t.status_notification
        | lt.alert.category_t.peer_notification
        | lt.alert.category_t.storage_notification,
    }


def run(params: lt.add_torrent_params, port: int, args: argparse.Namespace, word: str) -> None:
    """Say `word` once there is nothing to fetch and the port open; log until the parent is gone."""
    # 0: none of the default plugins
    session = lt.session(settings(port, args.encryption, args.keep), 0)
    for plugin in ["ut_metadata", *(["ut_pex"] if args.pex else [])]:
        session.add_extension(plugin)
    handle = session.add_torrent(params)
    parent, flushing = os.getppid(), False
    while os.getppid() == parent:
        session.wait_for_alert(100)
        for alert in session.pop_alerts():
            print(alert.what(), alert.message(), flush=True)
            if flushing and isinstance(alert, lt.cache_flushed_alert):
                print(word, flush=True)
        done = args.verb == "idle" or handle.status().is_seeding
        if not flushing and session.is_listening() and done:
            flushing = True
            handle.flush_cache()  # verified, but perhaps not yet written


def load(torrent: str, save_path: Path) -> lt.add_torrent_params:
    params = lt.load_torrent_file(torrent)
    params.trackers = []
    params.save_path = str(save_path)
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    return params


def create(path: Path, out: Path, piece_size: int, pad: bool) -> None:
    """A v1 .torrent of a file or folder, as libtorrent makes it, by sorted paths.

    With `pad` each file begins with a piece, and pad files lie between them (BEP 47).
    """
    files = lt.file_storage()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            files.add_file(str(file.relative_to(path.parent)), file.stat().st_size)
    flags = lt.create_torrent.v1_only | (lt.create_torrent.canonical_files if pad else 0)
    torrent = lt.create_torrent(files, piece_size, flags)
    lt.set_piece_hashes(torrent, str(path.parent))
    out.write_bytes(lt.bencode(torrent.generate()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("create")
    verb.add_argument("path", type=Path)
    verb.add_argument("out", type=Path)
    verb.add_argument("--piece-size", type=int, default=0)
    verb.add_argument("--pad", action="store_true")
    connected = argparse.ArgumentParser(add_help=False)
    connected.add_argument("--encryption", choices=ENCRYPTION, default="off")
    connected.add_argument("--pex", action="store_true")
    connected.add_argument("--keep", action="store_true")
    verb = verbs.add_parser("seed", parents=[connected])
    verb.add_argument("torrent")
    verb.add_argument("content", type=Path)
    verb.add_argument("port", type=int)
    for name in "leech", "idle":
        verb = verbs.add_parser(name, parents=[connected])
        verb.add_argument("torrent")
        verb.add_argument("out", type=Path)
        verb.add_argument("host")
        verb.add_argument("port", type=int)
        verb.add_argument("--listen", type=int, default=0)
    args = parser.parse_args()

    if args.verb == "create":
        create(args.path, args.out, args.piece_size, args.pad)
    elif args.verb == "seed":
        params = load(args.torrent, args.content.absolute().parent)
        run(params, args.port, args, "ready")
    else:
        params = load(args.torrent, args.out)
        params.peers = [(args.host, args.port)]
        if args.verb == "idle":
            params.file_priorities = [0] * params.ti.num_files()
        run(params, args.listen, args, "ready" if args.verb == "idle" else "complete")


if __name__ == "__main__":
    main()
