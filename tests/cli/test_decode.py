"""Captures message for message: real sessions, and made ones that are anything but in order."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
from pathlib import Path

import pytest

from peerwire.cli import decode
from peerwire.messages import Have, HaveAll

from ..capture.packets import A, ipv4, pcap, pcapng
from ..capture.spoken import RESPONDER, conversation, packets
from ..wires import INFO_HASH
from .conftest import PEERWIRE

pytest.importorskip("cypcap", reason="cypcap, with which captures are read, is not here")

DATA = Path(__file__).parents[1] / "data" / "captures"
SAID, SHOWN = conversation()
RAW = 101


def capture(tmp_path, frames, link_type=RAW, name="a.pcap"):
    """A capture file of these, a millisecond apart, and its path."""
    path = tmp_path / name
    path.write_bytes(pcap([(1000 + n / 1000, frame) for n, frame in enumerate(frames)], link_type))
    return path


def messages(said):
    """The messages in a log, without when and where."""
    lines = [line[11:].removeprefix("#0 ") for line in said.out.splitlines()]
    return [line for line in lines if line[0] in "<>" and "extended handshake" not in line]


EXPECTED = [line for line in SHOWN if "extended handshake" not in line]


def number(text):
    return int(text, 0) if text else None


@pytest.mark.parametrize("name", ["plain", "metadata", "mse_plain", "v2"])
def test_real_sessions_are_decoded_as_others_decode_them(cli, name):
    """libtorrent, Transmission and aria2; as tshark decodes it, and another splitter for v2."""
    said = cli("decode", DATA / f"{name}.pcap", "--json")
    assert said.status == 0
    connection = next(r for r in said.records if r["event"] == "connection")
    ports = {
        ">": connection["initiator"].split(":")[1],
        "<": connection["responder"].split(":")[1],
    }
    ours = [r for r in said.records if r["mark"] in "<>"]
    with (DATA / f"{name}.tsv").open() as file:
        theirs = [*csv.DictReader(file, delimiter="\t")]
    if not theirs[0]["time"]:  # told for one side after the other
        ours.sort(key=lambda record: record["mark"] != ">")
    assert len(ours) == len(theirs) > 20
    for record, row in zip(ours, theirs, strict=True):
        assert ports[record["mark"]] == row["source"]
        assert record["event"].replace(" ", "_").replace("-", "_") == row["name"]
        assert row["time"] in ("", f"{record['time']:.6f}")
        if row["name"] not in ("hash_request", "hashes"):
            assert record.get("index") == number(row["index"])
            assert record.get("begin") == number(row["begin"])
            assert record.get("length") == number(row["length"] or row["bytes"])
    assert not [r for r in said.records if r["event"] in ("violation", "lost")]


def test_what_is_encrypted_is_said_to_be(cli):
    said = cli("decode", DATA / "mse.pcap")
    assert said.status == 0
    assert "#0 = encrypted, as BitTorrent's MSE looks" in said.out
    assert "encrypted, and perhaps BitTorrent: 1" in said.err


def test_a_conversation(cli, tmp_path):
    said = cli("decode", capture(tmp_path, packets(SAID)))
    assert said.status == 0
    assert messages(said) == EXPECTED
    assert " ! " not in said.out
    assert said.out.splitlines()[0] == ("  0.003000 #0 = connection 10.0.0.1:50000 > 10.0.0.2:6881")
    assert "the initiator closed\n" in said.out
    assert said.err == ("TCP connections: 1; BitTorrent: 1; encrypted, and perhaps BitTorrent: 0\n")


def test_pcapng(cli, tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(pcapng([(n / 1000, frame) for n, frame in enumerate(packets(SAID))], RAW))
    assert messages(cli("decode", path)) == EXPECTED


@pytest.mark.parametrize("seed", range(5))
def test_packets_in_disorder(cli, tmp_path, seed):
    frames = [*packets(SAID, mss=700, isn=2**32 - 10000, close=False)]
    rng = random.Random(seed)
    frames += rng.choices(frames[3:], k=20)
    # Nearly in order: a packet is late by no more than the window of a connection.
    order = sorted(range(len(frames)), key=lambda n: (n % 60) + rng.uniform(0, 12))
    said = cli("decode", capture(tmp_path, [*frames[:3], *(frames[n] for n in order)]))
    for mark in "<>":
        ours = [line for line in messages(said) if line[0] == mark]
        assert ours == [line for line in EXPECTED if line[0] == mark]
    assert " ! " not in said.out


def test_connections_that_are_interleaved(cli, tmp_path):
    several = [[*packets(SAID, source=("10.0.0.7", port))] for port in range(3)]
    frames = [frame for together in zip(*several, strict=True) for frame in together]
    said = cli("decode", capture(tmp_path, frames))
    for number in range(3):
        lines = [line[14:] for line in said.out.splitlines() if f"#{number} " in line]
        assert [line for line in lines if line in EXPECTED] == EXPECTED


FILTERS = [
    (["--stream", 1], ["#1"]),
    (["--stream", 0, "--stream", 2], ["#0", "#2"]),
    (["--port", 50001], ["#1"]),
    (["--port", 6881], ["#0", "#1", "#2"]),
    (["--host", "10.0.0.9"], ["#2"]),
    (["--host", "10.0.0.9", "--port", 50001], []),
]


@pytest.mark.parametrize(("words", "shown"), FILTERS)
def test_only_some_connections(cli, tmp_path, words, shown):
    sources = [A, ("10.0.0.1", 50001), ("10.0.0.9", 50002)]
    frames = [frame for source in sources for frame in packets(SAID, source=source)]
    said = cli("decode", capture(tmp_path, frames), *words)
    assert sorted({line.split()[1] for line in said.out.splitlines()}) == shown
    assert said.status == (0 if shown else 1)


def test_only_some_messages(cli, tmp_path):
    path = capture(tmp_path, packets(SAID))
    said = cli("decode", path, "--message", "have", "--message", "piece")
    assert {line.split()[1] for line in messages(said)} == {"have", "piece"}
    assert " = the initiator closed" in said.out


def test_a_capture_of_the_first_bytes_of_packets(cli, tmp_path):
    """As with tcpdump -s: the blocks are cut off, and only they."""
    path = tmp_path / "a.pcap"
    frames = [*enumerate(packets(SAID, mss=20000))]
    path.write_bytes(pcap([(n, frame[:200], len(frame)) for n, frame in frames], RAW))
    said = cli("decode", path)
    assert messages(said) == EXPECTED
    lost = [line for line in said.out.splitlines() if " ! " in line]
    assert len(lost) == 3
    assert all("part of a block" in line for line in lost)


def test_a_packet_that_was_not_captured(cli, tmp_path):
    frames = [*packets([*SAID, (RESPONDER, HaveAll().encode() * 9000)])]
    said = cli("decode", capture(tmp_path, frames[:5] + frames[6:]))
    assert "bytes are missing: what follows is not told apart" in said.out
    assert "bytes of it were not read" in said.out
    assert said.status == 0
    assert not [line for line in said.out.splitlines() if "violation" in line]


def test_a_capture_that_begins_in_the_middle(cli, tmp_path):
    frames = [*packets(SAID)][3:]
    said = cli("decode", capture(tmp_path, frames))
    assert messages(said) == EXPECTED
    assert "begun before it was heard" in said.out
    said = cli("decode", capture(tmp_path, frames[10:]))
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith("peerwire: no BitTorrent was found\n")


def test_a_capture_that_ends_in_the_middle(cli, tmp_path):
    path = capture(tmp_path, packets(SAID))
    path.write_bytes(path.read_bytes()[:-100])
    said = cli("decode", path)
    assert said.status == 1
    assert messages(said) == EXPECTED
    assert "truncated" in said.err
    assert "was there when the capture ended" in said.out


def test_other_protocols_are_not_shown(cli, tmp_path):
    web = [*packets([(RESPONDER, b"HTTP/1.1 200 OK\r\n" * 20)], source=("10.0.0.1", 80))]
    other = [ipv4(b"a datagram", protocol=17), b"nothing"]
    said = cli("decode", capture(tmp_path, [*web, *other, *packets(SAID)]))
    assert {line.split()[1] for line in said.out.splitlines()} == {"#1"}
    assert "TCP connections: 2; BitTorrent: 1" in said.err


def test_a_link_type_that_is_not_read(cli, tmp_path):
    said = cli("decode", capture(tmp_path, packets(SAID), link_type=127))
    assert said.status == 1
    assert "link type 127 is not one of" in said.err


def test_a_torrent_tells_what_pieces_there_are(cli, tmp_path, sample):
    known = sample.meta.info_hash
    wrong = Have(sample.meta.num_pieces).encode()
    hello = SAID[0][1].replace(INFO_HASH, known), SAID[1][1].replace(INFO_HASH, known)
    said = [(SAID[0][0], hello[0][:68]), (RESPONDER, hello[1][:68] + HaveAll().encode() + wrong)]
    path = capture(tmp_path, packets(said))
    assert " ! " not in cli("decode", path).out
    said = cli("decode", path, "--torrent", sample.torrent, "--json")
    (found,) = [record for record in said.records if record["mark"] == "!"]
    assert found["event"] == "violation"
    assert found["by"] == "responder"


# Raw streams


def one_side(role):
    return b"".join(data for who, data in SAID if who is role)


def test_raw_bytes_of_one_side(cli, tmp_path):
    path = tmp_path / "raw"
    path.write_bytes(one_side(RESPONDER))
    said = cli("decode", path)
    assert said.status == 0
    assert messages(said) == [line.replace("<", ">") for line in EXPECTED if line[0] == "<"]
    assert " ! " not in said.out
    assert said.err == ""


@pytest.mark.parametrize("data", [b"", b"ab", b"\0" * 1000, one_side(RESPONDER)[:50]])
def test_what_is_neither(cli, tmp_path, data):
    path = tmp_path / "raw"
    path.write_bytes(data)
    said = cli("decode", path)
    assert said.status == 1
    assert "no capture (pcap or pcapng), and no raw bytes" in said.err


def test_no_file(cli, tmp_path):
    said = cli("decode", tmp_path / "missing")
    assert said.status == 1
    assert "missing: No such file" in said.err


@pytest.mark.parametrize("kind", ["pcap", "pcapng", "raw"])
def test_standard_input(cli, tmp_path, monkeypatch, kind):
    frames = [(n / 1000, frame) for n, frame in enumerate(packets(SAID))]
    data = {"pcap": pcap(frames, RAW), "pcapng": pcapng(frames, RAW), "raw": one_side(RESPONDER)}
    path = tmp_path / "input"
    path.write_bytes(data[kind])
    with path.open("rb") as file:
        monkeypatch.setattr("sys.stdin", file)
        said = cli("decode", "-")
    assert said.status == 0
    assert len(messages(said)) == (6 if kind == "raw" else len(EXPECTED))


def test_a_capture_under_way_is_shown_as_it_grows(tmp_path):
    data = pcap([(n, frame) for n, frame in enumerate(packets(SAID))], RAW)
    command = [*PEERWIRE, "decode", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(data[:-200])
        process.stdin.flush()
        line = process.stdout.readline()  # while there is more to come
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert b"= connection" in line


def test_ctrl_c_is_as_it_was_afterwards(cli, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    cli("decode", capture(tmp_path, packets(SAID)))
    assert signal.getsignal(signal.SIGINT) is before


def test_what_is_incomplete_is_bounded_in_all(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_HELD", 20_000)
    cut = [*SAID[:-3], (RESPONDER, b"\0\1\0\0" + bytes(15000))]
    frames = [
        frame for port in range(2) for frame in packets(cut, source=("10.0.0.1", port), close=False)
    ]
    said = cli("decode", capture(tmp_path, frames))
    assert "connection #0 is not followed any further" in said.err
    assert "#1 = the responder was there when the capture ended, in the middle" in said.out
    assert "#0 = the responder was there" not in said.out
    assert "BitTorrent: 2" in said.err
