"""npm's bittorrent-protocol beside peerwire: the same programs, see npm.mjs."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.clients.bittorrent_protocol import BittorrentProtocol, node_modules

from peerwire.cli.measuring import contests
from peerwire.cli.measuring.contest import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerwire.cli.measuring.contest import Contest, Figures
    from peerwire.cli.measuring.contests import Sizes

__all__ = ["Npm"]

NAME = "npm"

#: Lets it use OpenSSL's RC4 where node would not; its own is slower.
FLAGS = ["--openssl-legacy-provider", "--expose-gc"]

#: How many fewer of its encrypted handshakes are enough: it makes a few dozen a second.
SLOW = 20


class Npm:
    """Adds npm's contenders and rows to the contests.

    Args:
        script: npm.mjs, beside the packages it imports.
    """

    NAME = BittorrentProtocol.name

    def __init__(self, script: Path) -> None:
        self._script = script

    @classmethod
    @contextlib.contextmanager
    def installed(cls) -> Iterator[Npm]:
        """Gives it for as long as the block runs."""
        with tempfile.TemporaryDirectory(prefix="bench-npm-") as folder:
            # An ES module finds packages beside itself only.
            script = Path(shutil.copy(Path(__file__).with_suffix(".mjs"), folder))
            Path(folder, "node_modules").symlink_to(node_modules())
            yield cls(script)

    def join(self, contest: Contest, sizes: Sizes) -> None:
        """Joins a contest, if it is one for it."""
        joining = {
            "wire": self._wire,
            "rc4": self._encrypted,
            "floods": self._floods,
            "memory": self._memory,
            "handshakes": self._handshakes,
        }
        if contest.name in joining:
            joining[contest.name](contest, sizes)

    def _command(self, name: str, **options: object) -> list[str]:
        return ["node", *FLAGS, str(self._script), name, json.dumps(options)]

    def _move(self, total: int, encryption: str) -> Figures:
        return contests.pair(
            self._command("wire_seed", encryption=encryption),
            lambda port: self._command("wire_leech", port=port, total=total, encryption=encryption),
        )

    def _wire(self, contest: Contest, sizes: Sizes) -> None:
        contest.contenders[NAME] = lambda: self._move(sizes.wire, "off")
        contest.rows[:0] = [
            Row("bulk wire, into=", "rate", "into=", (NAME,), 2.5),
            Row("bulk wire, plain await", "rate", "await", (NAME,), 1.5),
            Row("bulk wire, request_nowait, iterating", "rate", "iterate", (NAME,), 1.5),
        ]
        contest.rows += [
            Row("bulk wire, into=: CPU of the leecher", "cpu", "into=", (NAME,), 1.0),
            Row("bulk wire, into=: CPU of the seeder", "cpu_other", "into=", (NAME,), 1.0),
        ]

    def _encrypted(self, contest: Contest, sizes: Sizes) -> None:
        contest.contenders[NAME] = lambda: self._move(sizes.encrypted, "require")
        contest.rows.insert(0, Row("bulk wire over RC4, into=", "rate", "MSE RC4", (NAME,), 3.0))
        contest.rows += [
            Row("RC4 in place, beside a wire", "rate", "the cipher alone", (NAME,)),
            Row("bulk wire over RC4, into=: CPU of the leecher", "cpu", "MSE RC4", (NAME,), 1.0),
            Row(
                "bulk wire over RC4, into=: CPU of the seeder", "cpu_other", "MSE RC4", (NAME,), 1.0
            ),
        ]

    def _floods(self, contest: Contest, sizes: Sizes) -> None:
        rows = []
        for kind in contests.KINDS:
            for name, chunk in contests.CHUNKS.items():
                command = self._command("flood", kind=kind, count=sizes.messages, chunk=chunk)
                theirs = f"{NAME}, {kind}, {name}"
                contest.contenders[theirs] = partial(contests.flooded, command)
                for level, how in (("framing", "messages alone"), ("wire", "the whole wire")):
                    ours, what = f"{kind}, {name}, {level}", f"{kind.upper()} flood, {name} chunks"
                    rows.append(Row(f"{what}, {how}", "messages", ours, (theirs,), 1.0))
        contest.rows[:0] = rows

    def _memory(self, contest: Contest, sizes: Sizes) -> None:
        command = self._command("idle_serve", count=sizes.peers)
        contest.contenders[NAME] = lambda: contests.remembered(command, sizes.peers)
        contest.rows.append(
            Row("memory of an idle peer", "memory", "peerwire", (NAME,), 1.0),
        )

    def _handshakes(self, contest: Contest, sizes: Sizes) -> None:
        rows = []
        for kind, policy in contests.HANDSHAKES.items():
            theirs = f"{NAME}, {kind}"
            count = sizes.handshakes if policy == "off" else sizes.handshakes // SLOW
            options = {"count": count, "at_a_time": contests.AT_A_TIME}
            contest.contenders[theirs] = partial(self._shake, policy, options)
            rows.append(Row(f"handshakes, {kind}", "handshakes", kind, (theirs,), 1.0))
        contest.rows[:0] = rows

    def _shake(self, policy: str, options: dict[str, int]) -> Figures:
        return contests.shaken(
            self._command("handshake_serve", encryption=policy),
            lambda port: self._command("handshake_dial", port=port, encryption=policy, **options),
        )
