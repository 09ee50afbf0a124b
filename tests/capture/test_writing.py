"""What is written is read: by the code here, which reads what others write."""

import io
import ipaddress

import pytest

from peerwire.capture import writing
from peerwire.capture.packets import segment_of
from peerwire.capture.reading import read_capture
from peerwire.capture.streams import End, TcpStreams
from peerwire.capture.writing import CaptureWriter
from peerwire.state import Role

from .packets import A6, B6, A, B

pytest.importorskip("cypcap", reason="cypcap, with which captures are read, is not here")

#: 10.0.0.1 as IPv6, which Python 3.13 writes otherwise than those before it.
MAPPED = str(ipaddress.ip_address("::ffff:10.0.0.1"))

ENDS = [(A, B, A), (A6, B6, A6), (A, B6, (MAPPED, 50000)), (B6, A, B6)]


@pytest.mark.parametrize(("initiator", "responder", "seen"), ENDS)
def test_what_both_sides_said_comes_back(initiator, responder, seen, tmp_path):
    path = tmp_path / "a.pcap"
    big = bytes(range(256)) * 1000
    with path.open("wb") as file:
        stream = CaptureWriter(file).connection(initiator, responder, 1.0)
        stream.data(Role.INITIATOR, b"hello", 1.5)
        stream.data(Role.RESPONDER, memoryview(big), 2.25)
        stream.eof(Role.INITIATOR, 3.0)
        stream.data(Role.RESPONDER, b"more", 3.000001)
        stream.eof(Role.RESPONDER, 4.0)
    tcp, told, times = TcpStreams(), dict.fromkeys(Role, b""), []
    for frame in read_capture(str(path)):
        for heard in tcp.receive(segment_of(frame.link_type, frame.data, frame.wire_length)):
            times.append(round(frame.time, 6))
            assert heard.stream.whole
            assert heard.stream.initiator == seen
            told[heard.sender] += b"" if isinstance(heard.what, End) else heard.what
    assert told == {Role.INITIATOR: b"hello", Role.RESPONDER: big + b"more"}
    assert times[0] == 1.5
    assert times[-2:] == [3.000001, 4.0]
    assert len(times) > len(big) // writing.MAX_SEGMENT


def test_a_second_connection_of_the_same_two_is_another(tmp_path):
    path = tmp_path / "a.pcap"
    with path.open("wb") as file:
        writer = CaptureWriter(file)
        for number in range(3):
            stream = writer.connection(A, B, float(number))
            stream.data(Role.INITIATOR, b"hello %d" % number, number + 0.25)
            stream.eof(Role.INITIATOR, number + 0.5)
            stream.eof(Role.RESPONDER, number + 0.5)
    tcp, told = TcpStreams(), []
    for frame in read_capture(str(path)):
        for heard in tcp.receive(segment_of(frame.link_type, frame.data, frame.wire_length)):
            if not isinstance(heard.what, End):
                told.append(bytes(heard.what))
    assert told == [b"hello 0", b"hello 1", b"hello 2"]


def test_no_address():
    with pytest.raises(ValueError, match="localhost"):
        CaptureWriter(io.BytesIO()).connection(("localhost", 1), B, 0.0)
