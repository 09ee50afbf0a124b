"""Transmission: transmission-daemon, driven over its RPC."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..process import ClientFailed, Process, free_port, listening, running
from ..tracker import tracker
from .base import Address, Client, Download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Stands for 127.0.0.1, which Transmission takes from no tracker ("martian"); the jail maps it.
ALIAS = "198.51.100.1"

ENCRYPTION = {"off": 0, "prefer": 1, "require": 2}
QUEUED_TO_SEED, SEEDING = 5, 6
LOCAL_ERROR = 3  # the lesser ones are a tracker's, and pass
SESSION = "X-Transmission-Session-Id"


class Rpc:
    """The daemon's JSON calls; it hands out a session id with its first refusal."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers: dict[str, str] = {}

    def __call__(self, method: str, **arguments: Any) -> dict[str, Any]:
        response, body = self._post({"method": method, "arguments": arguments})
        if response.status == http.client.CONFLICT:
            self.headers = {SESSION: response.headers[SESSION]}
            response, body = self._post({"method": method, "arguments": arguments})
        reply = json.loads(body)
        if reply["result"] != "success":
            raise ClientFailed(f"transmission: {method}: {reply['result']}")
        return dict(reply["arguments"])

    def _post(self, call: dict[str, Any]) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", "/transmission/rpc", json.dumps(call), self.headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


class Transmission(Client):
    name = "transmission"
    skips_empty_files = True

    @classmethod
    def available(cls) -> str | None:
        if shutil.which("transmission-daemon") is None:
            return "no transmission-daemon on PATH: .ci/install-clients installs it"
        return None

    @contextmanager
    def seed(self, torrent: Path, content: Path, port: int) -> Iterator[Process]:
        with self._daemon(port) as (process, rpc):
            self._add(rpc, torrent, content.parent, trackers=[])
            process.wait_until(lambda: whole(rpc) and listening(port), "seeding")
            yield process

    @contextmanager
    def leech(self, torrent: Path, out_dir: Path, peer: Address) -> Iterator[Download]:
        _, port = peer
        with tracker(ALIAS, port) as announce, self._daemon(free_port()) as (process, rpc):
            self._add(rpc, torrent, out_dir, trackers=[announce])
            yield Download(process, lambda: whole(rpc))

    @contextmanager
    def _daemon(self, port: int) -> Iterator[tuple[Process, Rpc]]:
        rpc_port = free_port()
        self.home.mkdir(parents=True, exist_ok=True)
        settings = self._settings(port, rpc_port)
        (self.home / "settings.json").write_text(json.dumps(settings))
        command = ["transmission-daemon", "--foreground", "--config-dir", self.home]
        with running(command, self.home, self.jail) as process:
            rpc = Rpc(rpc_port)
            process.wait_until(lambda: bool(rpc("session-get")), "answering its RPC")
            yield process, rpc

    def _settings(self, port: int, rpc_port: int) -> dict[str, object]:
        return {
            "bind-address-ipv4": "127.0.0.1",
            "bind-address-ipv6": "::1",
            "blocklist-enabled": False,
            "dht-enabled": False,
            "encryption": ENCRYPTION[self.encryption],
            "incomplete-dir-enabled": False,
            "lpd-enabled": False,
            "peer-port": port,
            "peer-port-random-on-start": False,
            "pex-enabled": self.pex,
            "port-forwarding-enabled": False,
            "preallocation": 0,
            "ratio-limit-enabled": False,
            "rpc-authentication-required": False,
            "rpc-bind-address": "127.0.0.1",
            "rpc-port": rpc_port,
            "scrape-paused-torrents-enabled": False,
            "upload-slots-per-torrent": 64,
            "utp-enabled": False,
        }

    @staticmethod
    def _add(rpc: Rpc, torrent: Path, folder: Path, trackers: list[str]) -> None:
        metainfo = base64.b64encode(torrent.read_bytes()).decode()
        added = rpc("torrent-add", metainfo=metainfo, **{"download-dir": str(folder)}, paused=True)
        ids = [added["torrent-added"]["id"]]
        if trackers:
            rpc("torrent-set", ids=ids, trackerAdd=trackers)
        rpc("torrent-start", ids=ids)


def whole(rpc: Rpc) -> bool:
    """Whether the one torrent is all there; raises ClientFailed if it cannot become so."""
    fields = ["status", "leftUntilDone", "error", "errorString"]
    (torrent,) = rpc("torrent-get", fields=fields)["torrents"]
    if torrent["error"] == LOCAL_ERROR:
        raise ClientFailed(f"transmission: {torrent['errorString']}")
    return torrent["leftUntilDone"] == 0 and torrent["status"] in (QUEUED_TO_SEED, SEEDING)
