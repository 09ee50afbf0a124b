"""What one run is to be, and how its processes tell each other."""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource

import peerwire

__all__ = ["HOST", "PATIENCE", "Plan", "allow_files", "dump", "parser"]

HOST = "127.0.0.1"

#: Seconds that an answer may take. On a busy machine it may be seconds; thirty are none.
PATIENCE = 30.0

#: Files that a process has open beside its sockets.
OTHER_FILES = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run.

    Attributes:
        peers: Connections at a time, hostile ones among them.
        seconds: How long they go on, the time to come to full number included.
        hostile: Which share of them is hostile.
        seed: Decides who does what.
        pause: Seconds between two things that a peer says, on average.
        patience: Seconds of silence, or of not reading, that the server puts up with.
        processes: How many share the peers.
        growth: Whether to show what grows, by the line that allocated it; slows the server down.
    """

    peers: int = 2000
    seconds: float = 60.0
    hostile: float = 0.1
    seed: int = 1
    pause: float = 3.0
    patience: float = 10.0
    processes: int = 2
    growth: bool = False

    @property
    def arriving(self) -> float:
        """Seconds over which the first peers arrive."""
        return self.seconds / 4

    @property
    def warm_up(self) -> float:
        """Seconds until everything has happened once, and memory is to grow no more."""
        return self.seconds / 2

    @property
    def server_limits(self) -> peerwire.Limits:
        """Short waits, and little memory for who doesn't read: both are to run out often."""
        return peerwire.Limits(
            handshake_timeout=self.patience,
            idle_timeout=self.patience,
            send_timeout=self.patience,
            write_buffer=64 * 1024,
            max_write_buffer=256 * 1024,
            request_timeout=self.patience,
        )

    @property
    def peer_limits(self) -> peerwire.Limits:
        """Those of a well-behaved peer: it is never silent for too long, and waits for long."""
        return peerwire.Limits(keep_alive=self.patience / 4, handshake_timeout=PATIENCE)

    def hostile_share(self, process: int) -> int:
        """Returns how many hostile peers a process has."""
        return _share(round(self.peers * self.hostile), self.processes, process)

    def peaceful_share(self, process: int) -> int:
        """Returns how many well-behaved peers a process has."""
        return _share(self.peers - round(self.peers * self.hostile), self.processes, process)

    def dump(self) -> str:
        """Returns it as a word for another process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def load(cls, word: str) -> Plan:
        """Reads such a word."""
        return cls(**json.loads(word))


def parser(description: str) -> argparse.ArgumentParser:
    """Returns what reads a plan from a command line."""
    default = Plan()
    parser = argparse.ArgumentParser("python -m bench.soak", description=description)
    parser.add_argument("--peers", type=int, default=default.peers, help="connections at a time")
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--hostile", type=float, default=default.hostile, help="share of them")
    parser.add_argument("--seed", type=int, help="decides who does what; random if left out")
    parser.add_argument(
        "--pause", type=float, default=default.pause, help="seconds between a peer's actions"
    )
    parser.add_argument(
        "--patience", type=float, default=default.patience, help="the server's with silence"
    )
    parser.add_argument(
        "--processes", type=int, default=default.processes, help="that share the peers"
    )
    parser.add_argument(
        "--growth", action="store_true", help="trace allocations and show what grows (slow)"
    )
    parser.add_argument("--json", action="store_true", help="one object with all figures")
    return parser


def allow_files(sockets: int) -> None:
    """Raises this process's limit of open files as far as it is needed.

    Raises:
        SystemExit: It can't be raised so far.
    """
    needed = sockets + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(f"{needed} files have to be open, {hard} may be: ulimit -n -H")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


def dump(what: object) -> None:
    """Tells the process that started this one."""
    print(json.dumps(what), flush=True)


def _share(total: int, processes: int, process: int) -> int:
    return total * (process + 1) // processes - total * process // processes
