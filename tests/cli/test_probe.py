"""`probe` as it is typed: what it takes, what it prints, and its exit status."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from peerwire import Extended, Handshake, HaveAll, Reserved
from peerwire.bencode import encode

from .conftest import HOST, PEERWIRE, TERMINAL, terminal

BITS = Reserved.FAST | Reserved.EXTENSION


@pytest.fixture
def seed(sample, start):
    """The address of `peerwire seed` in a process of its own."""
    running = start("seed", sample.torrent, "--content", sample.content, "--port", 0, "--json")
    return f"{HOST}:{running.port()}"


@pytest.fixture
def saying():
    """Starts a peer that says these bytes to whoever comes, until they leave; its address."""
    with contextlib.ExitStack() as stack:

        def saying(said: bytes) -> str:
            listener = stack.enter_context(socket.create_server((HOST, 0)))

            def talk() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listener.accept()
                        with connection:
                            connection.sendall(said)
                            while connection.recv(65536):
                                pass

            thread = threading.Thread(target=talk, daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"{HOST}:{listener.getsockname()[1]}"

        yield saying


def test_a_seed(cli, sample, seed):
    said = cli("probe", seed, sample.torrent)
    assert (said.status, said.err) == (0, "")
    shown = dict(re.findall(r"^(\S.*?)  +(.*)$", said.out, re.MULTILINE))
    assert shown["peer"] == seed
    assert shown["client"].startswith("peerwire ")
    assert shown["info-hash"] == sample.meta.info_hash.hex()
    assert shown["encryption"] == "plain: works"
    assert "MSE, plaintext: works" in said.out
    assert "MSE, RC4: works" in said.out
    count = sample.meta.num_pieces
    assert shown["pieces"].endswith(f"] {count} of {count}, 100 %")
    assert re.fullmatch(r"piece \d+, bytes 0\+\d+: answered in \d+\.\d ms", shown["request"])
    assert shown["hashes"].startswith("right: piece ")


def test_for_scripts(cli, sample, seed):
    said = cli("probe", seed, sample.torrent, "--json", "--encryption", "require")
    assert (said.status, said.err) == (0, "")
    (record,) = said.records
    assert record["answered"]
    assert record["encryption"] == {"rc4": {"works": True, "reason": None}}
    assert record["pieces"]["all"]
    assert record["request"]["asked"] == len(record["request"]["verified"]) == 1
    assert record["messages"]["piece"] == 1


def test_more_blocks(cli, sample, seed):
    said = cli("probe", seed, sample.torrent, "--json", "--blocks", 1000, "--encryption", "off")
    (record,) = said.records
    assert sorted(record["request"]["verified"]) == [*range(sample.meta.num_pieces)]
    assert record["request"]["bytes"] == sample.meta.length


@pytest.mark.parametrize("kind", ["{}", "magnet:?xt=urn:btih:{}"])
def test_without_a_torrent_nothing_is_downloaded(cli, sample, seed, kind):
    words = ["probe", seed, kind.format(sample.meta.info_hash.hex()), "--json"]
    (record,) = cli(*words, "--encryption", "off").records
    assert record["request"]["asked"] == 0
    assert record["metadata_size"] == len(sample.meta.info)
    assert record["pieces"]["all"]
    (record,) = cli(*words, "--encryption", "off", "--blocks", 1).records
    assert record["request"]["bytes"] == 16384


def test_the_log_comes_first(cli, sample, seed):
    words = ["probe", seed, sample.torrent, "--trace", "--encryption", "off"]
    lines = cli(*words).out.splitlines()
    assert lines[0].startswith("  0.000000 > handshake ")
    assert any(" < piece " in line for line in lines)
    assert lines.index(f"peer           {seed}") > 10
    records = cli(*words, "--json").records
    assert records[0]["event"] == "handshake"
    assert records[-1]["answered"]


def test_nobody_is_there(cli, sample, dead_port):
    said = cli("probe", f"{HOST}:{dead_port}", sample.torrent)
    assert (said.status, said.out) == (1, "")
    assert said.err == f"peerwire: {HOST}:{dead_port}: Connection refused\n"
    said = cli("probe", f"{HOST}:{dead_port}", sample.torrent, "--json")
    assert said.status == 1
    assert said.records == [
        {"address": f"{HOST}:{dead_port}", "answered": False, "error": "Connection refused"}
    ]


def test_a_peer_that_lacks_the_torrent(cli, seed):
    said = cli("probe", seed, "0" * 40)
    assert said.status == 1
    assert "perhaps it lacks this torrent, or is this very client" in said.err


def test_something_else_answers_with_what_could_move_a_cursor(cli, saying):
    said = cli("probe", saying(b"\x1b[2J\x9b1m" * 20), "0" * 40)
    assert said.status == 1
    assert said.err.count("\n") == 1
    assert said.err.rstrip("\n").isprintable()


def test_a_client_whose_name_could_move_a_cursor(cli, saying, sample):
    hello = Handshake(sample.meta.info_hash, b"\x1b[2J" * 5, BITS | 1 << 50).encode()
    named = {"v": "evil\x1b[2J\r\x9b\u202e", "m": {"\x1b]0;x\x07": 9}, "\x1b[1m": 1, "p": "\x1b[1m"}
    said = saying(hello + Extended(0, encode(named)).encode() + HaveAll().encode())
    told = cli("probe", said, sample.torrent, "--timeout", 2, "--encryption", "off")
    assert told.status == 0
    assert all(c.isprintable() for c in told.out.replace("\n", ""))
    assert "evil\ufffd[2J" in told.out
    assert "unknown 0x4000000000000" in told.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nowhere", "0" * 40], "write HOST:PORT"),
        ([f"{HOST}:1"], "TORRENT|MAGNET|INFOHASH"),
        ([f"{HOST}:1", "0" * 40, "--blocks", "4097"], "no number from 0 to 4096"),
        ([f"{HOST}:1", "0" * 40, "--blocks", "-1"], "no number from 0 to 4096"),
        ([f"{HOST}:1", "0" * 40, "--timeout", "0"], "write seconds"),
        ([f"{HOST}:1", "0" * 40, "--encryption", "some"], "invalid choice"),
    ],
)
def test_wrong_usage(cli, words, reason):
    said = cli("probe", *words)
    assert (said.status, said.out) == (2, "")
    assert reason in said.err


def test_no_torrent(cli):
    said = cli("probe", f"{HOST}:1", "nothing.torrent")
    assert said.status == 1
    assert said.err.startswith("peerwire: 'nothing.torrent' is no file that is here")


def test_a_violation_right_after_the_handshake(cli, saying, sample):
    hello = Handshake(sample.meta.info_hash, b"-RW0001-abcdefghijkl", BITS).encode()
    peer = saying(hello + bytes.fromhex("ffffffff"))
    said = cli("probe", peer, sample.torrent, "--encryption", "off")
    assert said.status == 0
    assert re.search(r"^ended  .*4294967295 bytes", said.out, re.MULTILINE)


def test_on_a_terminal(sample, seed):
    ours, theirs = terminal()
    with open(ours, "rb", buffering=0) as screen:
        words = [*PEERWIRE, "probe", seed, str(sample.torrent)]
        running = subprocess.Popen(words, stdout=theirs, stderr=theirs, env=TERMINAL)
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # which is how its end is told
            while part := screen.read(65536):
                said += part
        assert running.wait(30) == 0
    text = said.decode()
    assert "\x1b[32mplain: works\x1b[0m" in text
    assert "\N{FULL BLOCK}" * 3 in text
    assert all(len(re.sub(r"\x1b\[\d+m", "", line)) <= 100 for line in text.splitlines())


def test_it_can_be_interrupted(start):
    with socket.create_server((HOST, 0)) as silent:
        address = f"{HOST}:{silent.getsockname()[1]}"
        running = start("probe", address, "0" * 40, "--encryption", "off")
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            assert running.end(signal.SIGINT) == 130
    assert running.err == "peerwire: interrupted\n"


def test_help_has_an_example(cli):
    assert "peerwire probe 127.0.0.1:6881 debian.torrent" in cli("probe", "--help").out
