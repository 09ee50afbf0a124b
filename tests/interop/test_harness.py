"""The harness itself: the clients in a ring, without peerwire, and the jail they run in."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from .clients import CLIENTS
from .transfer import transfer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

RING = [*CLIENTS, next(iter(CLIENTS))]


@pytest.mark.parametrize(("seeder", "leecher"), list(pairwise(RING)))
def test_each_client_seeds_to_the_next(seeder, leecher, client, contents, tmp_path):
    transfer(client(seeder), client(leecher), contents["single"], tmp_path / "out")


def in_jail(jail, address):
    """The peer address of a UDP socket connected to an address, which sends no packet."""
    program = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "s.connect((sys.argv[1], 9)); print(s.getpeername()[0])"
    )
    command = [sys.executable, "-c", program, address]
    return subprocess.run(command, env={"LD_PRELOAD": str(jail)}, capture_output=True, text=True)


def test_the_jail_lets_nothing_out(jail):
    assert "Network is unreachable" in in_jail(jail, "192.0.2.1").stderr


def test_the_jail_maps_its_alias_to_loopback(jail):
    assert in_jail(jail, "198.51.100.1").stdout == "127.0.0.1\n"
