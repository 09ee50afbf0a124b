"""Any text as a magnet link, and text put together from what links are made of."""

from __future__ import annotations

import ipaddress
from itertools import pairwise

from peerwire.errors import MetainfoError
from peerwire.torrent.magnet import Magnet

from ..harness import Script, expect

#: What links are made of; a byte of the input stands for one of them, or for itself.
WORDS = (
    "magnet:?",
    "&",
    "xt=urn:btih:",
    "4868b094ecc8b60435671d6aad67403cd2b09513",
    "JBULBFHMZC3AINLHDVVK2Z2AHTJLBFIT",
    "xt=urn:btmh:",
    "1220",
    "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e",
    "xt.1=urn:btih:",
    "dn=",
    "tr=",
    "tr.1=",
    "http%3A%2F%2Ftracker.test%2Fannounce",
    "x.pe=",
    "[2001:db8::1]:6881",
    "192.0.2.1:6881",
    "host.test:1",
    "so=",
    "0,2,4-6",
    "-",
    ",",
    "%",
    "%00",
    "%0d%0a",
    "+",
    "é",
    "\udc80",
    "99999999999",
)


def target(data: bytes) -> None:
    """Parses a link, and what that link is written as."""
    script = Script(data)
    if script.byte() & 1:
        text = "".join(WORDS[b] if b < len(WORDS) else chr(b) for b in script.rest())
    else:
        text = script.rest().decode("utf-8", "surrogateescape")
    try:
        magnet = Magnet.parse(text)
    except MetainfoError as error:
        expect(len(str(error)) < 1000, "a stranger's text floods an error")
        return
    expect(len(magnet.wire_info_hash) == 20, "the info-hash for handshakes")
    expect(magnet.info_hash is not None or len(magnet.info_hash_v2 or b"") == 32, "v2's")
    for url in magnet.trackers:
        expect(url.isascii() and url.isprintable() and " " not in url, f"a tracker: {url!r}")
    for host, port in magnet.peers:
        expect(0 < port < 65536 and host.isascii(), "a peer")
        if ":" in host:
            ipaddress.IPv6Address(host)
        host.encode("idna")  # as a resolver does it: this raises no OSError
    ends = [(files.start, files.stop) for files in magnet.select_only]
    expect(all(a[1] < b[0] for a, b in pairwise(ends)), "ranges are apart")
    for index in {0, *(end for pair in ends for end in pair)}:
        said = any(index in files for files in magnet.select_only) or not ends
        expect(magnet.selects(index) == said, "what is selected")
    written = str(magnet)
    expect(written.isascii() and written.isprintable(), "a link that no URI can be")
    expect(Magnet.parse(written) == magnet, "parse(str(x)) is not x")
    expect(str(Magnet.parse(written)) == written, "it is written otherwise the second time")
