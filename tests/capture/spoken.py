"""Captures of what wires say to each other."""

from __future__ import annotations

import random

from peerwire.capture.packets import Flags
from peerwire.messages import Have, KeepAlive
from peerwire.state import Role
from peerwire.wire import Wire

from ..wires import INFO_HASH, OUR_ID, PEER_ID
from .packets import A, B, ipv4, tcp

INITIATOR, RESPONDER = Role
NUM_PIECES = 40


def conversation():
    """(who, bytes) of a short download between two wires, and the lines of the initiator's log."""
    lines = []

    def trace(mark, what, now):
        lines.append(f"{mark} {what}")

    a = Wire("initiator", INFO_HASH, OUR_ID, num_pieces=NUM_PIECES, trace=trace)
    b = Wire("responder", INFO_HASH, PEER_ID, num_pieces=NUM_PIECES)
    said = []

    def deliver():
        for _ in range(10):
            for role, one, other in ((INITIATOR, a, b), (RESPONDER, b, a)):
                if data := one.data_to_send():
                    said.append((role, data))
                    other.receive_data(data, 0.0)

    deliver()
    b.send_bitfield(bytes([255] * 5))
    b.send_unchoke()
    a.send_have_none()
    a.send_interested()
    deliver()
    for index in range(3):
        a.send_request(index, 0, 16384)
    deliver()
    for index in range(3):
        b.send_piece(index, 0, random.Random(index).randbytes(16384))
        deliver()
        a.send_have(index)
    a.send_keep_alive()
    deliver()
    shown = [line for line in lines if line[0] in "<>"]
    assert f"> {Have(2)}" in shown
    assert f"> {KeepAlive()}" in shown
    return said, shown


def packets(said, *, mss=1400, source=A, target=B, isn=0, close=True):
    """The packets of a connection in which this is said, in order."""
    ends = {INITIATOR: (source, target), RESPONDER: (target, source)}
    seq = {INITIATOR: isn, RESPONDER: 77}

    def packet(role, data=b"", flags=Flags.ACK):
        (host, port), (other_host, other_port) = ends[role]
        other = seq[RESPONDER if role is INITIATOR else INITIATOR]
        segment = tcp(data, seq=seq[role], ack=other, flags=flags, ports=(port, other_port))
        seq[role] = (seq[role] + len(data) + bool(flags & (Flags.SYN | Flags.FIN))) % 2**32
        return ipv4(segment, source=host, target=other_host)

    yield packet(INITIATOR, flags=Flags.SYN)
    yield packet(RESPONDER, flags=Flags.SYN | Flags.ACK)
    yield packet(INITIATOR)
    for role, data in said:
        for start in range(0, len(data), mss):
            yield packet(role, data[start : start + mss])
    if close:
        yield packet(INITIATOR, flags=Flags.FIN | Flags.ACK)
        yield packet(RESPONDER, flags=Flags.FIN | Flags.ACK)
