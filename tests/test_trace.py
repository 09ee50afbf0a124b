from hypothesis import given
from hypothesis import strategies as st

from peerwire import Wire
from peerwire.messages import Request
from peerwire.trace import TraceLines, trace_line

INFO_HASH = bytes(20)


def test_a_line_is_seconds_mark_and_what():
    assert trace_line(">", Request(3, 16384, 16384), 0.001203) == (
        "  0.001203 > request 3:16384+16384"
    )


def test_a_label_tells_wires_apart():
    assert trace_line("=", "open", 1, "127.0.0.1:6881") == "  1.000000 127.0.0.1:6881 = open"


@given(st.text())
def test_a_line_is_one_line(text):
    assert len(trace_line("!", text, 0.0).splitlines()) == 1


def test_a_wire_writes_what_happens_in_both_directions():
    lines: list[str] = []
    wire = Wire("responder", INFO_HASH, trace=TraceLines(lines.append, label="a"), now=5.0)
    other = Wire("initiator", INFO_HASH)
    wire.receive_data(other.data_to_send(), 5.0)
    wire.send_unchoke()
    other.receive_data(wire.data_to_send(), 5.0)
    other.send_interested()
    wire.receive_data(other.data_to_send(), 7.5)
    marks = [line.split()[2] for line in lines]
    assert marks[:3] == ["<", ">", "="]
    assert lines[-1] == "  2.500000 a < interested"
    assert "  0.000000 a > unchoke" in lines


def test_time_may_start_anywhere():
    lines: list[str] = []
    TraceLines(lines.append, start=10.0)("=", "open", 12.25)
    assert lines == ["  2.250000 = open"]
