"""Captures of each format, cut off, piped, and without libpcap."""

import os
import sys
import threading
from contextlib import contextmanager

import pytest

from peerwire import PeerWireError
from peerwire.capture.reading import Frame, is_capture, piped, read_capture, read_head

from .packets import ipv4, pcap, pcapng, tcp

pytest.importorskip("cypcap", reason="cypcap, with which captures are read, is not here")

FRAME = ipv4(tcp(b"data"))
FILES = {
    "pcap": pcap([(1.5, FRAME)], 101),
    "pcap, big end first": pcap([(1.5, FRAME)], 101, ">"),
    "pcapng": pcapng([(1.5, FRAME)], 101),
}


@pytest.fixture(params=FILES)
def path(request, tmp_path):
    path = tmp_path / "capture"
    path.write_bytes(FILES[request.param])
    return path


def test_formats(path):
    (frame,) = read_capture(str(path))
    assert frame == Frame(1.5, frame.link_type, FRAME, len(FRAME))
    assert frame.link_type in (12, 101)


def test_they_are_told_by_how_they_begin(path):
    with path.open("rb", buffering=0) as file:
        head = read_head(file)
    assert len(head) == 4
    assert is_capture(head)
    assert not is_capture(b"\x13Bit")
    assert not is_capture(head[:3])


def test_a_file_may_be_shorter_than_its_head(tmp_path):
    (tmp_path / "short").write_bytes(b"ab")
    with (tmp_path / "short").open("rb", buffering=0) as file:
        assert read_head(file) == b"ab"


def test_a_head_may_come_in_pieces():
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as file:
        os.write(writing, b"ab")
        os.write(writing, b"cdef")
        os.close(writing)
        assert read_head(file) == b"abcd"


@contextmanager
def through_a_pipe(path):
    """A capture whose beginning was read, as a path that can be read but once."""
    before = {*threading.enumerate()}
    with path.open("rb", buffering=0) as file:
        with piped(read_head(file), file) as name:
            yield name
        for thread in {*threading.enumerate()} - before:
            thread.join(20)
            assert not thread.is_alive()


def test_what_of_a_stream_was_read_already_is_not_lost(path):
    with through_a_pipe(path) as name:
        (frame,) = read_capture(name)
    assert frame.data == FRAME


def test_whoever_reads_a_stream_may_stop(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(pcap([(1.5, ipv4(tcp(bytes(60000))))] * 20, 101))
    with through_a_pipe(path) as name:
        frames = read_capture(name)
        assert next(frames).time == 1.5
        frames.close()


NG = pcapng([(1.5, FRAME)], 101)
OTHER = b"\x05\0\0\0\x0c\x40\0\0" + bytes(0x4000) + b"\x0c\x40\0\0"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (FILES["pcap"][:20], "ends in its header"),
        (NG[:10], "ends in its header"),
        (NG[:40], "ends in its header"),
        (NG[:4] + bytes(4) + NG[8:], "ends in its header"),  # a block shorter than its head
        (NG[:4] + b"\xff" * 4 + NG[8:], "ends in its header"),  # and one of 4 GiB
        (NG[:28] + OTHER * 2, "ends in its header"),
        (NG[:28] + OTHER.replace(b"\x40", b"\x20")[:0x200C] * 3, "does not say where"),
    ],
)
def test_a_stream_that_has_no_header(data, why, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(PeerWireError, match=why), through_a_pipe(path):
        pass


def test_big_end_first(tmp_path):
    path = tmp_path / "a"
    section = bytes.fromhex("0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c")
    interface = bytes.fromhex("00000001 00000014 0065 0000 00040000 00000014")
    path.write_bytes(section + interface)
    with through_a_pipe(path) as name:
        assert [*read_capture(name)] == []


def test_a_system_without_such_paths(monkeypatch, path):
    monkeypatch.setattr(os.path, "isdir", lambda path: False)
    with pytest.raises(PeerWireError, match="name the file"), through_a_pipe(path):
        pass


def test_a_capture_that_was_cut_off_is_read_to_where_it_ends(path):
    path.write_bytes(pcap([(1.5, FRAME)] * 2, 101)[:-3])
    frames = read_capture(str(path))
    assert next(frames).data == FRAME
    with pytest.raises(PeerWireError, match="truncated"):
        next(frames)


def test_no_capture(tmp_path):
    (tmp_path / "a").write_bytes(b"nothing of the kind")
    with pytest.raises(PeerWireError, match="can't be read"):
        next(read_capture(str(tmp_path / "a")))


def test_without_libpcap(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "cypcap", None)
    with pytest.raises(PeerWireError, match="pip install"):
        next(read_capture(str(path)))
