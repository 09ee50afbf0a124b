"""peerwire against real BitTorrent clients, headless and on loopback only.

`make interop` runs the clients that are on this machine and says which are missing;
`.ci/install-clients` installs them (Debian, as root). PEERWIRE_INTEROP_REQUIRE=NAME,NAME,... turns
a missing client from a skip into a failure.

To run one client by hand, from the root of the checkout:

    python -m tests.interop create PATH OUT.torrent
    python -m tests.interop seed  CLIENT TORRENT CONTENT PORT       until Ctrl-C
    python -m tests.interop leech CLIENT TORRENT OUT_DIR HOST:PORT  until complete

CLIENT is libtorrent, transmission, aria2 or bittorrent-protocol (torrents of one file only). Both
take `--encryption off|prefer|require` and `--home DIR`, where the client's settings and its `log`
are kept.

What to know of each:

- A library preloaded into every client (resources/lo_only.c, built with cc) lets it reach and
  listen on loopback only.
- Transmission takes no peer at 127.0.0.0/8 from a tracker, so it is told 198.51.100.1, which that
  library maps to 127.0.0.1. It unchokes some 10 s after it was told of interest, takes one peer
  per IP address, and leaves out empty files.
- Transmission and aria2 learn of a peer from a tracker only: tracker.py is a small one.
- aria2 always dials with MSE first and in plain after that failed.
- bittorrent-protocol sends its extended handshake before its bitfield or have-all.
"""
