"""The one shape of a client: is it here, seed this, fetch that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ..process import Process

#: What a client wants of MSE. Each has "off" (of its own, it does not begin it, if it can be told
#: so), "prefer" and "require" (RC4 or nothing); libtorrent has "plaintext" (an encrypted handshake
#: and a plain payload, or nothing) and "default" (what it does untold), too.
Encryption = Literal["off", "prefer", "require", "plaintext", "default"]
Address = tuple[str, int]


@dataclass
class Download:
    """A client that is fetching."""

    process: Process
    is_complete: Callable[[], bool]

    def wait(self, timeout: float = 90) -> None:
        """Until everything is there and verified.

        Raises:
            ClientFailed: the client gave up, or `timeout` seconds went by.
        """
        self.process.wait_until(self.is_complete, "complete", timeout)


@dataclass
class Client(ABC):
    """A BitTorrent client, headless, on 127.0.0.1 only: no DHT, LSD, UPnP, NAT-PMP.

    Attributes:
        home: a folder for its settings, state and log.
        jail: the library to preload that lets it reach loopback only, or None.
        encryption: what it wants of MSE.
        pex: whether it exchanges peers, where that can be told (BEP 11).
    """

    name: ClassVar[str]

    #: It moves torrents of one file only.
    single_file_only: ClassVar[bool] = False

    #: As a leecher it leaves out files of length 0.
    skips_empty_files: ClassVar[bool] = False

    home: Path
    jail: Path | None = None
    encryption: Encryption = field(default="off", kw_only=True)
    pex: bool = field(default=False, kw_only=True)

    @classmethod
    @abstractmethod
    def available(cls) -> str | None:
        """None, or what is missing and how to get it."""

    @abstractmethod
    def seed(self, torrent: Path, content: Path, port: int) -> AbstractContextManager[Process]:
        """Serve the content at 127.0.0.1:port; ready when entered."""

    @abstractmethod
    def leech(
        self, torrent: Path, out_dir: Path, peer: Address
    ) -> AbstractContextManager[Download]:
        """Fetch the content from the peer into a folder, under the torrent's own name."""
