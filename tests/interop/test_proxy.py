"""`peerwire proxy` between two clients that nobody here wrote, for a whole download."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from peerwire.capture.packets import segment_of
from peerwire.capture.reading import read_capture
from peerwire.capture.streams import TcpStreams
from peerwire.cli import main

from .content import digests
from .eavesdropper import eavesdropping
from .process import free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .process import Process

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

HOST = "127.0.0.1"

PLAIN = [
    ("transmission", "libtorrent"),
    ("libtorrent", "transmission"),
    ("libtorrent", "aria2"),
    ("aria2", "libtorrent"),
    ("bittorrent-protocol", "libtorrent"),
]

#: Who seeds, who leeches, what both want of encryption, and what is then spoken.
ENCRYPTED = [
    ("transmission", "libtorrent", "require", "rc4"),
    ("libtorrent", "transmission", "require", "rc4"),
    ("libtorrent", "libtorrent", "plaintext", "plaintext"),
    ("libtorrent", "aria2", "require", "rc4"),
    ("bittorrent-protocol", "libtorrent", "require", "rc4"),
]


@contextmanager
def proxy(home, target, *words) -> Iterator[tuple[Process, int]]:
    """Run it; gives its port, too."""
    port = free_port()
    command = [sys.executable, "-m", "peerwire", "proxy", "--json", "--listen", f"{HOST}:{port}"]
    with running([*command, "--to", f"{HOST}:{target}", *words], home, None) as process:
        process.wait_until(lambda: '"listening"' in process.output(), "listening")
        yield process, port


def records(process):
    return [json.loads(line) for line in process.output().splitlines() if line[0] == "{"]


def count(process, event):
    return sum(record["event"] == event for record in records(process))


def settled(process):
    """Whether all connections are over that were opened."""
    return 0 < count(process, "connection") == count(process, "over")


def download(seeder, leecher, content, out, passed):
    """Moves the content; `passed` gives the port to fetch from, for that of the seeder."""
    port = free_port()
    with ExitStack() as stack:
        stack.enter_context(seeder.seed(content.torrent, content.path, port))
        through, proxies = passed(stack, port)
        with leecher.leech(content.torrent, out, (HOST, through)) as fetching:
            fetching.wait()
        for process in proxies:
            process.wait_until(lambda process=process: settled(process), "at rest")
    assert digests(out / content.path.name) == digests(content.path)


@pytest.mark.parametrize(("seeds", "leeches"), PLAIN)
def test_not_a_byte_is_changed(seeds, leeches, client, contents, tmp_path):
    ends, processes = [], []

    def passed(stack, port):
        # No torrent is named: what aria2 tries first, encrypted, is to pass as it is, too.
        ends.append(stack.enter_context(eavesdropping(port)))
        process, port = stack.enter_context(proxy(tmp_path / "proxy", ends[0].port))
        processes.append(process)
        ends.append(stack.enter_context(eavesdropping(port)))
        return ends[1].port, processes

    content = contents["single"]
    download(client(seeds), client(leeches), content, tmp_path / "out", passed)
    far, near = (end.conversations for end in ends)
    assert len(near) == len(far) > 0
    for one, other in zip(near, far, strict=True):
        assert one.said == other.said
        assert one.answered == other.answered
    told = records(processes[0])
    size = content.path.stat().st_size
    marks = [record["mark"] for record in told if record["event"] == "piece"]
    lengths = {
        (record["index"], record["begin"]): record["length"]
        for record in told
        if record["event"] == "piece"
    }
    assert set(marks) == {"<"}
    assert sum(lengths.values()) == size
    summary = told[-1]
    assert summary["event"] == "summary"
    assert summary["initiator_bytes"] == sum(len(one.said) for one in near)
    assert summary["responder_bytes"] == sum(len(one.answered) for one in near)
    assert summary["violations"] == 0


@pytest.mark.parametrize(("seeds", "leeches", "encryption", "spoken"), ENCRYPTED)
def test_what_is_encrypted_is_read_and_unchanged(
    seeds, leeches, encryption, spoken, client, contents, tmp_path, capsys
):
    """Two of them in a row: the second reads what the first has passed on."""
    content, processes = contents["single"], []
    files = [tmp_path / f"{name}.pcap" for name in ("first", "second")]

    def passed(stack, port):
        for path in reversed(files):
            words = ["--write", path, content.torrent]
            process, port = stack.enter_context(proxy(tmp_path / path.stem, port, *words))
            processes.insert(0, process)
        return port, processes

    seeder = client(seeds, encryption)
    leecher = client(leeches, encryption) if seeds != leeches else twin(client, leeches, encryption)
    download(seeder, leecher, content, tmp_path / "out", passed)
    first, second = (said(path) for path in files)
    assert first == second
    assert sum(map(len, first.values())) > content.path.stat().st_size
    for process, path in zip(processes, files, strict=True):
        told = records(process)
        over = [record for record in told if record["event"] == "over"]
        assert spoken in {record["decrypted"] for record in over}
        assert told[-1]["violations"] == 0
        assert same(told) == same(decoded(path, content, capsys))


def twin(client, name, encryption):
    """A second client of a kind, with a home of its own."""
    other = client(name, encryption)
    other.home = other.home.with_name(f"{name}-too")
    return other


def said(path):
    """What each side of each connection of a capture has said, in bytes."""
    streams, kept = TcpStreams(), {}
    for frame in read_capture(str(path)):
        segment = segment_of(frame.link_type, frame.data, frame.wire_length)
        for heard in streams.receive(segment):
            if isinstance(heard.what, bytes):
                key = (heard.stream.number, heard.sender)
                kept[key] = kept.get(key, b"") + heard.what
    return kept


def decoded(path, content, capsys):
    capsys.readouterr()
    assert main(["decode", str(path), "--torrent", str(content.torrent), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def same(told):
    """A log without what a capture does not have, or has in other words."""
    return [
        (record["wire"], record["time"], record["mark"], record["text"])
        for record in told
        if record["mark"] != "=" or record["text"].startswith("open")
    ]
