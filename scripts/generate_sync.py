"""Writes the classes of ``peerwire.sync`` after those of ``peerwire.asyncio``.

What can be waited for there waits here. Run by ``make generate``; a test compares what it writes
with what is committed.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parent.parent
ASYNC = ROOT / "src/peerwire/asyncio"
SYNC = ROOT / "src/peerwire/sync"

HEADER = '''"""{doc}"""

# Written after {sources} by scripts/generate_sync.py: `make generate`.

from __future__ import annotations

'''

#: What only makes sense in the thread of the event loop.
LEFT_OUT = {"wire", "extension"}

#: Live views of what that thread changes, and copies of them in their place: type and expression.
COPIES = {
    "peer_pieces": ("PieceSet", "{}.copy()"),
    "peer_allowed_fast": ("set[int]", "{}.copy()"),
    "requests": ("list[PendingRequest]", "list({})"),
    "peer_requests": ("list[Request]", "list({})"),
    "hash_requests": ("list[PendingHashRequest]", "list({})"),
    "peer_hash_requests": ("list[HashRequest]", "list({})"),
    "peers": ("set[Peer]", "{{Peer(self._portal, each) for each in {}}}"),
}

#: Words of the documentation that are otherwise without await.
WORDS = {
    "Asks for a block; await the result for it. Cancelling it cancels the request.": (
        "Asks for a block and waits for it."
    ),
    "The request is under way when this returns, so that many can be made before the first is\n"
    "awaited. Each has a deadline of its own.": (
        "Each request has a deadline of its own. To have many under way at a time, see\n"
        "`request_nowait`."
    ),
    "From the await: the": "The",
    "From the await: this": "This",
    "Sent when this returns, unless the peer took the request back meanwhile. Awaiting the\n"
    "result waits until the peer has read enough, like `drain`.": (
        "Unless the peer took the request back meanwhile. Waits until the peer has read enough,\n"
        "like `drain`."
    ),
    "Asks for hashes of a v2 file's tree; await the result for them (BEP 52).": (
        "Asks for hashes of a v2 file's tree and waits for them (BEP 52)."
    ),
    "Answers a hash request of the peer (BEP 52). Awaited, it waits like `respond`.": (
        "Answers a hash request of the peer (BEP 52), and waits like `respond`."
    ),
    "Connects to a peer: ``async with connect(...) as peer`` or ``peer = await connect(...)``.": (
        "Connects to a peer, to be used in a ``with`` statement or closed in the end."
    ),
    "Listens for peers: ``async with serve(...) as server`` or ``server = await serve(...)``.": (
        "Listens for peers, to be used in a ``with`` statement or closed in the end."
    ),
    "in a task of its own. The\n    connection": "in a thread of its own. The\n    connection",
    "A handler sees its iteration end. After five seconds it is cancelled. A handler may call\n"
    "this, too; its own end is not waited for.": (
        "A handler sees its iteration end. After five seconds its end is no longer waited for."
    ),
}


def main() -> None:
    """Writes the modules."""
    for name, text in generate().items():
        (SYNC / name).write_text(text)


def generate() -> dict[str, str]:
    """Returns the modules by their file names."""
    status, peer, client, server = (
        ast.parse((ASYNC / f"{name}.py").read_text())
        for name in ("status", "peer", "client", "server")
    )
    return {
        "peer.py": _peer_module(_class(status, "PeerStatus"), _class(peer, "Peer")),
        "client.py": _client_module(_class(client, "connect")),
        "server.py": _server_module(_class(server, "Server"), _class(server, "serve")),
    }


def _peer_module(status: ast.ClassDef, peer: ast.ClassDef) -> str:
    imports = '''\
from typing import TYPE_CHECKING, Literal, cast, overload

from .base import SyncPeer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..errors import ConnectionClosed
    from ..extensions.base import Extension
    from ..extensions.handshake import ExtendedHandshake
    from ..handshake import Handshake, Reserved
    from ..hash_requests import PendingHashRequest
    from ..hashes import HashRange
    from ..messages import Buffer, HashRequest, Request
    from ..pieces import PieceSet
    from ..requests import PendingRequest
    from ..stats import WireStats

__all__ = ["Peer"]


class Peer(SyncPeer):
    """The peer at the other end of a connection; `peerwire.Peer` for code that waits.

    Made by `connect` and `serve`, once both handshakes are done. It may be used by any thread.
    Iterating over it yields the messages it sends, in order, until the connection ends: quietly
    when either side closed it, with `ConnectionClosed` when it failed. What is told of its pieces
    and requests is a copy.
    """
'''
    body = _methods(status, "_peer") + _methods(peer, "_peer")
    doc = "A peer whose methods wait."
    return HEADER.format(doc=doc, sources="asyncio/status.py and peer.py") + imports + body


def _client_module(connect: ast.ClassDef) -> str:
    imports = """\
from typing import TYPE_CHECKING

from ..asyncio import client
from ..encryption import Encryption
from ..limits import DEFAULT_LIMITS, Limits
from ..state import DEFAULT_RESERVED
from .peer import Peer
from .portal import shared_portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..extensions.base import Extension
    from ..handshake import Reserved
    from ..state import Trace

__all__ = ["connect"]


"""
    making = _function("connect", connect, "Peer", {})
    call = _call(_init(connect), "client.connect", {})
    body = f"    portal = shared_portal()\n    return Peer(portal, portal.call({call}))\n"
    doc = "Dialling a peer, and waiting for it."
    return HEADER.format(doc=doc, sources="asyncio/client.py") + imports + making + body


def _server_module(server: ast.ClassDef, serve: ast.ClassDef) -> str:
    imports = '''\
from typing import TYPE_CHECKING

from ..asyncio import server
from ..encryption import Encryption
from ..limits import DEFAULT_LIMITS, Limits
from ..state import DEFAULT_RESERVED
from .base import SyncServer
from .peer import Peer
from .portal import shared_portal
from .threads import in_threads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping

    from ..asyncio.server import ServedTorrent
    from ..extensions.base import Extension
    from ..handshake import Reserved
    from ..state import Trace

__all__ = ["Server", "serve"]


class Server(SyncServer):
    """Accepts peers until it is closed. Made by `serve`."""

    @property
    def peers(self) -> set[Peer]:
        """The peers that are being handled now."""
        return self._portal.call(
            lambda: {Peer(self._portal, each) for each in self._server.peers}
        )

    @property
    def peer_id(self) -> bytes:
        """Our peer id, 20 bytes."""
        return self._server.peer_id
'''
    body = _methods(server, "_server")
    handler = {"handler": "Callable[[Peer], None]"}
    making = "\n\n" + _function("serve", serve, "Server", handler)
    call = _call(_init(serve), "server.serve", {"handler": "in_threads(portal, handler)"})
    making += f"    portal = shared_portal()\n    return Server(portal, portal.call({call}))\n"
    doc = "Accepting peers, a thread for each."
    return HEADER.format(doc=doc, sources="asyncio/server.py") + imports + body + making


# Classes


def _class(tree: ast.Module, name: str) -> ast.ClassDef:
    return next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)


def _methods(of: ast.ClassDef, target: str) -> str:
    public = [
        node
        for node in of.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and node.name not in LEFT_OUT
    ]
    overloaded = {node.name for node in public if "overload" in ast.dump(node)}
    return "".join(
        "\n" + textwrap.indent(_method(node, f"self.{target}", node.name in overloaded), "    ")
        for node in public
    )


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef, target: str, overloaded: bool) -> str:
    decorators = [ast.unparse(each) for each in node.decorator_list]
    head = "".join(f"@{each}\n" for each in decorators)
    returns, copy = COPIES.get(node.name, (_waited_for(node), "{}"))
    head += f"def {node.name}({ast.unparse(node.args)}) -> {returns}:"
    if "overload" in decorators:
        return f"{head} ...\n"
    attribute = f"{target}.{node.name}"
    if f"{node.name}.setter" in decorators:
        value = node.args.args[1].arg
        does = f"self._portal.call(setattr, {target}, {node.name!r}, {value})"
    elif "property" in decorators:
        does = f"return self._portal.call(lambda: {copy.format(attribute)})"
    else:
        if overloaded:  # no overload takes what all of them together do
            attribute = f'cast("Callable[..., Awaitable[{returns}]]", {attribute})'
        does = f"return self._portal.call({_call(node, attribute, {})})"
    doc = "" if f"{node.name}.setter" in decorators else _doc(node)
    return f"{head}\n{doc}    {does}\n"


def _waited_for(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The type of what is there once it was awaited."""
    assert node.returns is not None, f"{node.name} says what it returns"
    text = ast.unparse(node.returns)
    for wrapper in ("asyncio.Future[", "Awaitable["):
        text = " | ".join(
            part.removeprefix(wrapper)[:-1] if part.startswith(wrapper) else part
            for part in text.split(" | ")
        )
    return text


# Functions


def _init(of: ast.ClassDef) -> ast.FunctionDef:
    return next(n for n in of.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")


def _function(name: str, of: ast.ClassDef, returns: str, types: dict[str, str]) -> str:
    init = _init(of)
    arguments = ast.parse(f"def f({ast.unparse(init.args)}): ...").body[0].args
    arguments.args = [each for each in arguments.args if each.arg != "self"]
    for each in arguments.args:
        if each.arg in types:
            each.annotation = ast.parse(types[each.arg], mode="eval").body
    return f"def {name}({ast.unparse(arguments)}) -> {returns}:\n{_doc(of)}"


def _call(node: ast.FunctionDef | ast.AsyncFunctionDef, of: str, by: dict[str, str]) -> str:
    """A call with the arguments that a function was given."""
    positional = [by.get(each.arg, each.arg) for each in node.args.args if each.arg != "self"]
    named = [f"{each.arg}={each.arg}" for each in node.args.kwonlyargs]
    return ", ".join([of, *positional, *named])


def _doc(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    doc = ast.get_docstring(node)
    assert doc is not None, f"{node.name} is public and says what it is for"
    for before, after in WORDS.items():
        doc = doc.replace(before, after)
    end = "\n" if "\n" in doc else ""
    return textwrap.indent(f'"""{doc}{end}"""\n', "    ", lambda line: bool(line.strip()))


if __name__ == "__main__":
    sys.exit(main())
