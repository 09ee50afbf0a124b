"""Captures as `peerwire decode` reads them, and as Wireshark's own dissector does."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from peerwire import messages
from peerwire.capture.writing import CaptureWriter
from peerwire.cli import main
from peerwire.state import Role
from peerwire.wire import Wire

pytestmark = [pytest.mark.interop, pytest.mark.timeout(100)]

DATA = Path(__file__).parents[1] / "data" / "captures"

TSHARK = shutil.which("tshark")

#: Names by id, as far as Wireshark knows them: the hash messages (BEP 52) it does not.
NAMES = {
    str(kind.id): kind.name
    for kind in (getattr(messages, name) for name in messages.__all__)
    if isinstance(getattr(kind, "id", None), int) and not kind.name.startswith("hash")
}

FIELDS = [
    "frame.time_relative",
    "tcp.stream",
    "tcp.srcport",
    "bittorrent.info_hash",
    "bittorrent.msg.type",
    "bittorrent.piece.index",
    "bittorrent.piece.begin",
]


def tshark(path, ports):
    """(time, connection, port, name) of each message, and all indices and offsets by side.

    A keep-alive has no field there. Ports are told, lest one is taken for another protocol's.
    """
    if TSHARK is None:
        pytest.skip("tshark: not installed (apt-get install tshark)")
    command = [TSHARK, "-r", path, "-Y", "bittorrent", "-o", "tcp.reassemble_out_of_order:TRUE"]
    for port in ports:
        command += ["-d", f"tcp.port=={port},bittorrent"]
    command += ["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    told, numbers = [], {}
    for line in done.stdout.splitlines():
        time, stream, port, hello, types, *places = line.split("\t")
        where = (f"{float(time):.6f}", int(stream), int(port))
        names = ["handshake"] * bool(hello) + [NAMES[kind] for kind in types.split(";") if kind]
        told += [(*where, name) for name in names]
        side = numbers.setdefault(where[1:], ([], []))
        for found, kept in zip(places, side, strict=True):
            kept += [int(number, 0) for number in filter(None, found.split(";"))]
    return told, numbers


def peerwire(path, capsys):
    """The same, of `peerwire decode`."""
    capsys.readouterr()
    assert main(["decode", str(path), "--json"]) == 0
    told, numbers, ports = [], {}, {}
    for record in map(json.loads, capsys.readouterr().out.splitlines()):
        stream = int(record["wire"][1:])
        if record["event"] == "connection":
            ends = (record["initiator"], record["responder"])
            ports[stream] = [int(end.rpartition(":")[2]) for end in ends]
        if record["mark"] in "<>" and record["event"] != "keep-alive":
            side = (stream, ports[stream]["><".index(record["mark"])])
            told.append((f"{record['time']:.6f}", *side, record["event"]))
            for key, kept in zip(
                ("index", "begin"), numbers.setdefault(side, ([], [])), strict=True
            ):
                kept += [record[key]] if key in record else []
    return told, numbers, {port for both in ports.values() for port in both}


def compare(path, capsys, *, count):
    ours, numbers, ports = peerwire(path, capsys)
    theirs, their_numbers = tshark(path, ports)
    assert ours == theirs
    assert numbers == their_numbers
    assert len(ours) == count


@pytest.mark.parametrize(("name", "count"), [("plain", 26), ("metadata", 38), ("mse_plain", 43)])
def test_sessions_of_real_clients(name, count, capsys):
    compare(DATA / f"{name}.pcap", capsys, count=count)


ENDS = [(("10.0.0.1", 50000), ("10.0.0.2", 6881)), (("fe80::1", 50000), ("2001:db8::2", 9))]


def conversation():
    """(who, bytes) of a short download between two wires."""
    a = Wire("initiator", bytes(range(20)), num_pieces=40)
    b = Wire("responder", bytes(range(20)), num_pieces=40)
    said = []

    def deliver():
        for _ in range(5):
            for role, one, other in zip(Role, (a, b), (b, a), strict=True):
                if data := one.data_to_send():
                    said.append((role, data))
                    other.receive_data(data, 0.0)

    deliver()
    b.send_bitfield(bytes([255] * 5))
    b.send_allowed_fast(7)
    b.send_unchoke()
    a.send_have_none()
    a.send_interested()
    deliver()
    for index in range(4):
        a.send_request(index, 0, 16384)
    deliver()
    for index in range(3):
        b.send_piece(index, 0, random.Random(index).randbytes(16384))
        deliver()
        a.send_have(index)
    b.send_reject(3, 0, 16384)
    a.send_keep_alive()
    a.send_not_interested()
    b.send_port(6881)
    deliver()
    return said


#: Messages in it, but for the keep-alive.
COUNT = 22


def write(path, said, ends=ENDS[0]):
    """A capture of a connection, and its records."""
    with path.open("wb") as file:
        stream = CaptureWriter(file).connection(*ends, 1000.0)
        for number, (role, data) in enumerate(said):
            stream.data(role, data, 1000.0 + number)
        for role in Role:
            stream.eof(role, 2000.0)
    return records(path.read_bytes())


def records(data):
    """The records of a capture in the classic format."""
    found, at = [], 24
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at + 8 : at + 12])
        found.append(data[at:end])
        at = end
    return found


def small(said, size=1000):
    """The same, said in smaller parts: a packet for each."""
    return [
        (role, data[start : start + size])
        for role, data in said
        for start in range(0, len(data), size)
    ]


# A handshake in more than one packet is none to Wireshark, so the smallest size is its length.
@pytest.mark.parametrize("ends", ENDS, ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("size", [68, 1000, 30000])
def test_wires_of_our_own(ends, size, capsys, tmp_path):
    path = tmp_path / "a.pcap"
    write(path, small(conversation(), size), ends)
    compare(path, capsys, count=COUNT)


def test_the_newer_format(capsys, tmp_path):
    if shutil.which("editcap") is None:
        pytest.skip("editcap: not installed (it comes with tshark)")
    path, newer = tmp_path / "a.pcap", tmp_path / "a.pcapng"
    write(path, conversation())
    subprocess.run(["editcap", "-F", "pcapng", path, newer], check=True, timeout=60)
    compare(newer, capsys, count=COUNT)


def rewrite(path, found):
    """Leaves these records, with a time that goes on."""
    head = path.read_bytes()[:24]
    times = ((1000 + n // 1000).to_bytes(4) + (n % 1000 * 1000).to_bytes(4) for n in range(10**6))
    path.write_bytes(
        head + b"".join(time + record[8:] for time, record in zip(times, found, strict=False))
    )


def test_connections_that_are_interleaved(capsys, tmp_path):
    path = tmp_path / "a.pcap"
    said = small(conversation())
    several = [write(path, said, ((f"10.0.0.{n}", 50000 + n), ENDS[0][1])) for n in range(3, 6)]
    rewrite(path, [record for together in zip(*several, strict=True) for record in together])
    compare(path, capsys, count=3 * COUNT)


@pytest.mark.parametrize("seed", range(4))
def test_packets_that_come_late_and_again(seed, capsys, tmp_path):
    path = tmp_path / "a.pcap"
    found = write(path, small(conversation()))
    rng = random.Random(seed)
    for _ in range(5):
        at = rng.randrange(12, len(found) - 6)
        found.insert(at + 2, found.pop(at))
        found.insert(at + 3, found[at])
    rewrite(path, found)
    compare(path, capsys, count=COUNT)
