"""The contests that need no other client: peerwire beside sockets, a cipher, and itself."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .child import Child, ours
from .contest import Contest, Figures, Row
from .ours import INFO_HASH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "HANDSHAKES",
    "Sizes",
    "chunks",
    "encrypted",
    "floods",
    "flooded",
    "handshakes",
    "memory",
    "pair",
    "remembered",
    "shaken",
    "startup",
    "wire",
]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a run of each contest takes on.

    Attributes:
        runs: Runs of each contender.
        wire: Bytes in blocks over a connection.
        encrypted: The same over RC4.
        content: Bytes of the torrent to fetch and to serve, a multiple of 1 MiB.
        messages: Of a flood.
        small: Bytes that come one at a time.
        peers: Idle, on one server.
        handshakes: One after the other, 20 at a time.
    """

    runs: int
    wire: int
    encrypted: int
    content: int
    messages: int
    small: int
    peers: int
    handshakes: int


#: What is spoken, to the policy that makes two peers speak it.
HANDSHAKES = {"plain": "off", "MSE plaintext": "prefer", "MSE RC4": "require"}

#: Bytes at a time in which floods come: what a busy and what a slow connection reads.
CHUNKS = {"64 KiB": 65536, "1,460 B": 1460}

#: Bytes that a cipher gets at a time, and how much less of them where it is in pure Python.
CHUNK = 256 * 1024
SLOW = 128

KINDS = ("have", "request")
LARGE = 1024 * 1024
AT_A_TIME = 20


def pair(server: Sequence[str], client: Callable[[int], Sequence[str]]) -> Figures:
    """Runs two programs that move bytes; returns their speed and what it costs each side."""
    with Child(server) as serving:
        port = serving.read()["port"]
        with Child(client(port)) as dialling:
            done = dialling.read()
        served = serving.read()
    size = done["bytes"]
    return {
        "rate": size / done["seconds"],
        "cpu": done["cpu"] / size,
        "cpu_other": served["cpu"] / size,
    }


def wire(sizes: Sizes) -> Contest:
    """Blocks of 16 KiB from process to process, 250 requests under way."""

    def run(how: str, loop: str = "asyncio") -> Figures:
        return pair(
            ours("wire_seed", loop=loop),
            lambda port: ours("wire_leech", port=port, total=sizes.wire, how=how, loop=loop),
        )

    contest = Contest(
        "wire",
        {
            "raw sockets": lambda: pair(
                ours("raw_send", total=4 * sizes.wire),
                lambda port: ours("raw_receive", port=port),
            ),
            "into=": lambda: run("into"),
            "await": lambda: run("await"),
            "iterate": lambda: run("iterate"),
        },
        [
            Row("bulk wire, into=", "rate", "into=", ("raw sockets",), 0.5),
            Row("bulk wire, plain await", "rate", "await", ("raw sockets",)),
            Row("bulk wire, request_nowait, iterating", "rate", "iterate", ("raw sockets",)),
            Row("bulk wire, into=, on uvloop beside asyncio", "rate", "uvloop", ("into=",)),
        ],
    )
    if find_spec("uvloop") is not None:
        contest.contenders["uvloop"] = lambda: run("into", "uvloop")
    return contest


def encrypted(sizes: Sizes) -> Contest:
    """The same under each policy of encryption, and RC4 alone."""

    def run(policy: str) -> Figures:
        return pair(
            ours("wire_seed", encryption=policy),
            lambda port: ours(
                "wire_leech", port=port, total=sizes.encrypted, how="into", encryption=policy
            ),
        )

    def cipher(size: int, *, pure: bool) -> Figures:
        with Child(ours("cipher", size=size, chunk=min(size, CHUNK), pure=pure)) as child:
            done = child.read()
        return {"rate": done["bytes"] / done["seconds"], "cpu": done["cpu"] / done["bytes"]}

    alone, slow = "the cipher alone", "RC4 in pure Python"
    return Contest(
        "rc4",
        {
            alone: lambda: cipher(sizes.encrypted, pure=False),
            slow: lambda: cipher(sizes.encrypted // SLOW, pure=True),
            **{kind: partial(run, policy) for kind, policy in HANDSHAKES.items()},
        },
        [
            Row("bulk wire over RC4, into=", "rate", "MSE RC4", (alone,), 0.7),
            Row("bulk wire over RC4, into=, beside plain", "rate", "MSE RC4", ("plain",)),
            Row("bulk wire, MSE plaintext, beside plain", "rate", "MSE plaintext", ("plain",)),
            Row("RC4 in place, beside pure Python", "rate", alone, (slow,)),
        ],
    )


def flooded(command: Sequence[str]) -> Figures:
    """Runs a program that decodes a flood."""
    with Child(command) as child:
        done = child.read()
    return {"messages": done["messages"] / done["seconds"]}


def floods(sizes: Sizes) -> Contest:
    """HAVE and REQUEST decoded, through a whole wire and as messages alone."""
    contest = Contest("floods", {}, [])
    for kind in KINDS:
        for name, chunk in CHUNKS.items():
            for level in ("wire", "framing"):
                options = {"kind": kind, "count": sizes.messages, "chunk": chunk, "level": level}
                command = ours("flood", **options)
                contender = f"{kind}, {name}, {level}"
                contest.contenders[contender] = partial(flooded, command)
        small, large = (f"{kind}, {name}, wire" for name in reversed(CHUNKS))
        contest.rows.append(
            Row(f"{kind.upper()} flood, 1,460 B chunks beside 64 KiB", "messages", small, (large,))
        )
    return contest


def chunks(sizes: Sizes) -> Contest:
    """What comes in small chunks, beside half as much of it: twice the cost is linear."""

    def growth(program: str, size: int) -> Figures:
        seconds = []
        for part in (size // 2, size):
            with Child(ours(program, size=part)) as child:
                seconds.append(child.read()["seconds"])
        return {"growth": seconds[1] / seconds[0]}

    return Contest(
        "chunks",
        {
            "a byte at a time": lambda: growth("decode_small", sizes.small),
            "a large message": lambda: growth("decode_large", LARGE),
        },
        [
            Row("one-byte chunks: cost beside half as many", "growth", "a byte at a time", (), 2.3),
            Row(
                "1 MiB message in 1,460 B chunks: cost beside half of it",
                "growth",
                "a large message",
                (),
                2.3,
            ),
        ],
    )


def remembered(server: Sequence[str], peers: int) -> Figures:
    """Runs a server with idle peers; returns the memory that each of them takes."""
    with Child(server) as serving:
        port = serving.read()["port"]
        command = ours("idle_dial", port=port, count=peers, info_hash=INFO_HASH.hex())
        with Child(command) as dialling:
            dialling.read()
            done = serving.read()
    return {"memory": done["bytes"] / done["peers"]}


def memory(sizes: Sizes) -> Contest:
    """What a server holds for peers that are connected and say nothing."""
    command = ours("idle_serve", count=sizes.peers)
    return Contest(
        "memory",
        {"peerwire": lambda: remembered(command, sizes.peers)},
        [Row(f"memory of an idle peer, {sizes.peers:,} of them", "memory", "peerwire", (), 8.0)],
    )


def shaken(server: Sequence[str], client: Callable[[int], Sequence[str]]) -> Figures:
    """Runs a server, and a client that dials it over and over."""
    with Child(server) as serving:
        port = serving.read()["port"]
        with Child(client(port)) as dialling:
            done = dialling.read()
    return {"handshakes": done["handshakes"] / done["seconds"]}


def handshakes(sizes: Sizes) -> Contest:
    """Handshakes a second, 20 under way at a time."""

    def run(policy: str) -> Figures:
        options = {"encryption": policy, "count": sizes.handshakes, "at_a_time": AT_A_TIME}
        return shaken(
            ours("handshake_serve", encryption=policy, count=sizes.handshakes),
            lambda port: ours("handshake_dial", port=port, **options),
        )

    plain, *encrypted = HANDSHAKES
    return Contest(
        "handshakes",
        {kind: partial(run, policy) for kind, policy in HANDSHAKES.items()},
        [
            Row(f"handshakes, {kind}, beside plain ones", "handshakes", kind, (plain,))
            for kind in encrypted
        ],
    )


def startup(_sizes: Sizes) -> Contest:
    """How long Python takes longer than it does for nothing."""

    def longer(*words: str) -> Figures:
        seconds = []
        for command in (("-c", "pass"), words):
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
        return {"time": seconds[1] - seconds[0]}

    return Contest(
        "startup",
        {
            "import peerwire": lambda: longer("-c", "import peerwire"),
            "peerwire --help": lambda: longer("-m", "peerwire", "--help"),
        },
        [
            Row("import peerwire, beyond bare Python", "time", "import peerwire", (), 40.0),
            Row("peerwire --help, beyond bare Python", "time", "peerwire --help", (), 60.0),
        ],
    )
