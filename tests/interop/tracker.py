"""The smallest HTTP tracker: whoever announces is told of one peer (BEP 3, BEP 23)."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds an announcer is told to wait before it asks again.
INTERVAL = 5

#: Seconds between the server's looks at whether it shall end.
POLL = 0.05


def announce_reply(host: str, port: int) -> bytes:
    peers = socket.inet_aton(host) + struct.pack(">H", port)
    return b"d8:intervali%de12:min intervali%de5:peers%d:%se" % (
        INTERVAL,
        INTERVAL,
        len(peers),
        peers,
    )


@contextmanager
def tracker(host: str, port: int) -> Iterator[str]:
    """Serve on loopback; gives the announce URL that hands out the peer at host and port."""
    body = announce_reply(host, port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: the client's own log has it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/announce"
        finally:
            server.shutdown()
            thread.join()
