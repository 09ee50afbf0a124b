"""Programs under test: started in a group of their own, watched, and ended by their pid."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

RESOURCES = Path(__file__).parent / "resources"

#: Seconds between two looks at a condition, and until a program told to end is killed.
POLL = 0.05
GRACE = 5.0


class ClientFailed(Exception):
    """A program ended, or was too slow; carries the end of its log."""


class Process:
    """A running program and its log."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.popen = popen
        self.log = log

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        """What the program has said so far."""
        return self.log.read_text(errors="replace")

    def said(self, line: str) -> bool:
        return line in self.output().splitlines()

    def exited_well(self) -> bool:
        return self.popen.poll() == 0

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 30) -> None:
        """Look until the condition holds.

        Raises:
            ClientFailed: the program ended first, or `timeout` seconds went by.
        """
        deadline = time.monotonic() + timeout
        while True:
            ended = self.popen.poll() is not None  # before the look: its last words still count
            if holds(condition):
                return
            if ended:
                raise self.failure(f"exited with {self.popen.returncode}, was not {what}")
            if time.monotonic() > deadline:
                raise self.failure(f"not {what} after {timeout:.0f} s")
            time.sleep(POLL)

    def failure(self, problem: str) -> ClientFailed:
        tail = "\n".join(self.output().splitlines()[-40:])
        return ClientFailed(f"{self.popen.args}: {problem}; the end of {self.log}:\n{tail}")

    def stop(self) -> None:
        if self.popen.poll() is not None:
            return
        self.popen.terminate()
        try:
            self.popen.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def holds(condition: Callable[[], bool]) -> bool:
    """Whether it holds; a port that does not answer yet is a no."""
    try:
        return condition()
    except (OSError, http.client.HTTPException):
        return False


@contextmanager
def running(command: Sequence[str | Path], home: Path, jail: Path | None) -> Iterator[Process]:
    """Run a program with `home` as its home, working folder and place of its log."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / "log"
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    env |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
    if jail is not None:
        env["LD_PRELOAD"] = str(jail)
    with log.open("wb") as out:
        popen = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=env,
            start_new_session=True,
        )
    process = Process(popen, log)
    try:
        yield process
    finally:
        process.stop()


def compile_jail(into: Path) -> Path:
    """Build the library that keeps a program on loopback (resources/lo_only.c).

    Raises:
        ClientFailed: there is no C compiler, or it does not build.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise ClientFailed("no C compiler (cc) to build the loopback jail with")
    library = into / "lo_only.so"
    source = RESOURCES / "lo_only.c"
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClientFailed(f"{source.name} does not compile: {done.stderr}")
    return library


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int) -> bool:
    """Whether something on this machine accepts TCP on the port, learnt without connecting.

    A look by connecting would take the one place that Transmission has for a peer's address.
    """
    for table in Path("/proc/net/tcp"), Path("/proc/net/tcp6"):
        rows = table.read_text().splitlines()[1:] if table.exists() else []
        for row in rows:
            _, local, _, state, *_ = row.split()
            if state == "0A" and local.endswith(f":{port:04X}"):
                return True
    return False
