"""Connections to `seed` that are reset in every state, or of which only our half is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct

import pytest

from peerwire import (
    HaveAll,
    HaveNone,
    Interested,
    Piece,
    Request,
    Reserved,
    Unchoke,
)
from peerwire.framing import Framing
from peerwire.handshake import Handshake
from peerwire.mse import CryptoMethod, Initiator

from ..cli.conftest import BLOCK, HOST, run, wait_until
from .conftest import HASTY, open_files

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


class Visitor:
    """Somebody at a socket to the seed, who goes as far as a state and stays there."""

    def __init__(self, sample, port):
        self.sample = sample
        self.framing = Framing(1 << 20)
        self.sock = socket.create_connection((HOST, port), timeout=30)
        self.greeting = Handshake(sample.meta.info_hash, os.urandom(20), Reserved.FAST).encode()

    def say(self, *what):
        self.sock.sendall(b"".join(w if isinstance(w, bytes) else w.encode() for w in what))

    def hear(self, count):
        assert len(self.sock.recv(count, socket.MSG_WAITALL)) == count

    def hear_message(self, kind):
        """Reads up to a message, and what has come with it."""
        while not any(isinstance(message, kind) for message in self.framing.receive(self.some())):
            pass

    def some(self):
        data = self.sock.recv(65536)
        assert data, "it closed the connection"
        return data

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # The states, each on top of the one before it

    def connected(self):
        pass

    def in_its_handshake(self):
        self.say(self.greeting[:40])

    def named_its_torrent(self):
        self.say(self.greeting[:48])

    def greeted(self):
        self.say(self.greeting)
        self.hear(68)
        self.hear_message(HaveAll)

    def in_a_message(self):
        self.greeted()
        self.say(b"\0\0\0\5\4\0")

    def with_nothing(self):
        self.greeted()
        self.say(HaveNone())

    def interested(self):
        self.with_nothing()
        self.say(Interested())
        self.hear_message(Unchoke)

    def asking(self):
        self.interested()
        self.say(*(Request(index, 0, BLOCK) for index in range(10)))

    def served(self):
        self.asking()
        self.hear_message(Piece)

    def in_a_key_exchange(self):
        self.say(self.mse().data_to_send()[:50])

    def in_an_encrypted_handshake(self):
        mse = self.mse()
        self.say(mse.data_to_send())
        self.hear(96)

    def encrypted(self):
        mse = self.mse()
        self.say(mse.data_to_send())
        mse.receive_data(self.sock.recv(96, socket.MSG_WAITALL))
        self.say(mse.data_to_send())
        self.hear(1)

    def mse(self):
        return Initiator(self.sample.meta.info_hash, CryptoMethod.RC4, self.greeting)


STATES = [
    Visitor.connected,
    Visitor.in_its_handshake,
    Visitor.named_its_torrent,
    Visitor.greeted,
    Visitor.in_a_message,
    Visitor.with_nothing,
    Visitor.interested,
    Visitor.asking,
    Visitor.served,
    Visitor.in_a_key_exchange,
    Visitor.in_an_encrypted_handshake,
    Visitor.encrypted,
]


@pytest.fixture
def seeding(start, sample):
    """A seed that is not patient."""
    words = ["seed", sample.torrent, "--content", sample.content, "--port", "0", "--json"]
    return start(*words, command=HASTY)


@pytest.fixture
def at_rest(seeding, sample, tmp_path):
    """Has the seed serve somebody; then, and after the test, it holds the same descriptors."""
    port = seeding.port()
    pid = seeding.process.pid

    def fetch(name):
        words = ["get", sample.torrent, "--peer", f"{HOST}:{port}", "-o", tmp_path / name]
        assert run(*words).status == 0
        assert sample.is_in(tmp_path / name)

    fetch("first")
    wait_until(lambda: connections(pid) == 0)
    before = open_files(pid)
    yield port
    wait_until(lambda: open_files(pid) == before)
    fetch("last")
    wait_until(lambda: open_files(pid) == before)
    assert seeding.end(signal.SIGTERM) == 0
    assert [line for line in seeding.err.splitlines() if "verifying" not in line] == ["stopping"]
    told = [json.loads(line)["event"] for line in seeding.out.splitlines()]
    assert told.count("peer joined") == told.count("peer left")


def connections(pid):
    """How many sockets a process has, beside the one it listens on and its loop's own two."""
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sum(link.startswith("socket:") for link in links) - 3


def test_resets_in_every_state(sample, seeding, at_rest):
    before = open_files(seeding.process.pid)
    for state in STATES:
        for _ in range(5):
            visitor = Visitor(sample, at_rest)
            state(visitor)
            visitor.reset()
        wait_until(lambda: open_files(seeding.process.pid) == before)


def test_visitors_of_whom_only_our_half_is_left(sample, seeding, at_rest):
    """They acknowledge, as a machine does whose program hangs, and neither read nor say a thing.

    Deadlines close every one of them, and not its own end: that comes only afterwards.
    """
    visitors = [Visitor(sample, at_rest) for _ in STATES]
    for visitor, state in zip(visitors, STATES, strict=True):
        state(visitor)
    wait_until(lambda: connections(seeding.process.pid) == 0)
    for visitor in visitors:
        visitor.sock.close()
