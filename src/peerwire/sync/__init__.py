"""The peers of ``peerwire`` for scripts and notebooks: the same API, without await."""

from .client import connect
from .peer import Peer
from .server import Server, serve

__all__ = ["connect", "serve", "Peer", "Server"]
