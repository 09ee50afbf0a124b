"""Connections told apart, opened, closed, reset, replaced and forgotten."""

from peerwire.capture.packets import Flags, Segment
from peerwire.capture.reassembly import Gap
from peerwire.capture.streams import End, TcpStreams
from peerwire.state import Role

from .packets import A, B

C = ("10.0.0.3", 1234)
SYN, ACK, FIN, RST = Flags.SYN, Flags.ACK, Flags.FIN, Flags.RST
CLOSED = End("closed")


def said(source, target, data=b"", *, seq=0, ack=0, flags=ACK):
    return Segment(source, target, seq, ack, flags, data, len(data))


def opening(source=A, target=B, seq=0):
    return [
        said(source, target, seq=seq, flags=SYN),
        said(target, source, seq=100, ack=seq + 1, flags=SYN | ACK),
        said(source, target, seq=seq + 1, ack=101),
    ]


def hear(tcp, *segments):
    """(connection, who, what) of all that is told."""
    return [
        (heard.stream.number, str(heard.sender), heard.what)
        for segment in segments
        for heard in tcp.receive(segment)
    ]


def finish(tcp):
    return [(heard.stream.number, str(heard.sender), heard.what) for heard in tcp.finish()]


def test_a_connection_from_beginning_to_end():
    tcp = TcpStreams()
    assert hear(tcp, *opening()) == []
    assert hear(tcp, said(A, B, b"hello", seq=1, ack=101)) == [(0, "initiator", b"hello")]
    assert hear(tcp, said(B, A, b"you", seq=101, ack=6)) == [(0, "responder", b"you")]
    assert hear(tcp, said(A, B, b"bye", seq=6, ack=104, flags=FIN | ACK)) == [
        (0, "initiator", b"bye"),
        (0, "initiator", CLOSED),
    ]
    assert hear(tcp, said(B, A, seq=104, ack=10, flags=FIN | ACK)) == [(0, "responder", CLOSED)]
    assert hear(tcp, said(A, B, seq=10, ack=105), said(B, A, b"?", seq=105)) == []
    assert finish(tcp) == []
    assert tcp.count == 1


def test_who_opened_it_is_told_by_either_syn():
    for first in range(3):
        tcp = TcpStreams()
        hear(tcp, *opening()[first:])
        (heard,) = tcp.receive(said(B, A, b"x", seq=101))
        assert heard.stream.initiator == A
        assert heard.stream.responder == B
        assert heard.stream.whole == (first < 2)
        assert heard.sender is Role.RESPONDER


def test_an_end_that_comes_before_what_is_before_it():
    tcp = TcpStreams()
    hear(tcp, *opening())
    assert hear(tcp, said(A, B, b"two", seq=4, flags=FIN | ACK)) == []
    assert hear(tcp, said(A, B, b"one", seq=1)) == [
        (0, "initiator", b"one"),
        (0, "initiator", b"two"),
        (0, "initiator", CLOSED),
    ]


def test_data_in_the_syn():
    tcp = TcpStreams()
    assert hear(tcp, said(A, B, b"fast", seq=9, flags=SYN)) == [(0, "initiator", b"fast")]
    assert hear(tcp, said(A, B, b"er", seq=14)) == [(0, "initiator", b"er")]


def test_a_reset_ends_both_sides():
    tcp = TcpStreams()
    hear(tcp, *opening())
    hear(tcp, said(A, B, b"late", seq=5))
    assert hear(tcp, said(B, A, seq=101, flags=RST)) == [
        (0, "responder", End("reset the connection")),
        (0, "initiator", Gap(4)),
        (0, "initiator", b"late"),
        (0, "initiator", End("was reset")),
    ]


def test_connections_are_numbered_as_they_come_and_kept_apart():
    tcp = TcpStreams()
    told = hear(tcp, *opening(), *opening(C, B, 500))
    told += hear(tcp, said(C, B, b"c", seq=501), said(A, B, b"a", seq=1))
    assert told == [(1, "initiator", b"c"), (0, "initiator", b"a")]
    assert [what for _, _, what in finish(tcp)] == [End("was there when the capture ended")] * 4


def test_a_syn_that_comes_again_opens_nothing():
    tcp = TcpStreams()
    hear(tcp, *opening(), said(A, B, b"a", seq=1), *opening())
    assert hear(tcp, said(A, B, b"b", seq=2)) == [(0, "initiator", b"b")]


def test_a_syn_that_comes_late_opens_nothing():
    tcp = TcpStreams()
    syn, *rest = opening()
    hear(tcp, rest[0], syn)
    assert hear(tcp, said(A, B, b"a", seq=1)) == [(0, "initiator", b"a")]


def test_ports_that_are_used_again():
    tcp = TcpStreams()
    hear(tcp, *opening(), said(A, B, b"a", seq=1))
    told = hear(tcp, *opening(seq=7000), said(A, B, b"b", seq=7001))
    ended = End("was replaced by another connection of the same ports")
    assert told == [(0, "initiator", ended), (0, "responder", ended), (1, "initiator", b"b")]


def test_connections_that_are_silent_are_forgotten():
    tcp = TcpStreams(max_streams=2)
    hear(tcp, *opening(A), *opening(C))
    hear(tcp, said(A, B, b"a", seq=1))
    told = hear(tcp, *opening(("10.0.0.4", 1)))
    assert told == [
        (1, "initiator", End("was silent for long")),
        (1, "responder", End("was silent for long")),
    ]


def test_what_waits_in_all_connections_is_bounded():
    tcp = TcpStreams(max_held=500)
    hear(tcp, *opening(A), *opening(C))
    assert hear(tcp, said(A, B, b"x" * 100, seq=11), said(C, B, b"y" * 100, seq=11)) == []
    told = hear(tcp, said(C, B, b"z" * 100, seq=211))
    assert told == [(0, "initiator", Gap(10)), (0, "initiator", b"x" * 100)]
    told = hear(tcp, said(C, B, b"z" * 500, seq=411))
    assert told[0] == (1, "initiator", Gap(10))
    assert len(told) == 6
