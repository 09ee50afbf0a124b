"""Draws the states of a wire, of who chokes whom, and of a request, as the code has them.

    python scripts/draw_states.py            # writes docs/topics/states-*.svg
    python scripts/draw_states.py --check    # says whether that would change anything

Nothing here says which state follows which: real wires are put into each state, told each thing
that can happen, and looked at. Only where a state is drawn is written down.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable

from drawing import Drawing, finish, wrapped

from peerwire import (
    ConnectionClosed,
    Handshake,
    Interested,
    Limits,
    LocalProtocolError,
    PeerChoked,
    Piece,
    Reject,
    RemoteProtocolError,
    RequestEnded,
    Reserved,
    Role,
    State,
    Wire,
)
from peerwire.messages import Choke, Unchoke

HASH, OTHER = bytes(20), bytes(range(20))
PEER = b"-XX0000-peer-of-ours"
NOW = 1000.0
FAST = Reserved.FAST

Step = Callable[[Wire], object]
Flags = tuple[bool, bool]
Transitions = dict[tuple[str, str], list[str]]


def handshake(info_hash: bytes = HASH, reserved: Reserved = FAST) -> bytes:
    """Returns what a peer says first."""
    return Handshake(info_hash, PEER, reserved).encode()


def new_wire(role: Role, state: State, reserved: Reserved = FAST) -> Wire | None:
    """Returns a wire in a state, or None where that role never is in it."""
    info_hash = None if state is State.DECIDING else HASH
    if role is Role.INITIATOR and info_hash is None:
        return None
    wire = Wire(role, info_hash, bytes(20), num_pieces=1, reserved=reserved, now=NOW)
    if state is not State.HANDSHAKE:
        wire.receive_data(handshake(reserved=reserved), NOW)
    if state is State.CLOSED:
        wire.close()
    wire.events_received()
    assert wire.state is state, "the way into this state has changed"
    return wire


def told(wire: Wire, step: Step) -> str | None:
    """Tells a wire something, and returns what came of it; None if it does not go there."""
    try:
        step(wire)
    except RemoteProtocolError:
        return "a broken rule" if wire.closed and wire.closed.by == "us" else None
    except (LocalProtocolError, ConnectionClosed):
        return None
    return ""


# The life of a wire

LIFE: dict[str, Step] = {
    "the peer's handshake": lambda wire: wire.receive_data(handshake(), NOW),
    "a handshake of another torrent": lambda wire: wire.receive_data(handshake(OTHER), NOW),
    "what is no handshake": lambda wire: wire.receive_data(b"GET / HTTP/1.1\r\n\r\n", NOW),
    "accept()": lambda wire: wire.accept(),
    "refuse()": lambda wire: wire.refuse(),
    "a message that breaks a rule": lambda wire: wire.receive_data(b"\0\0\0\2\0\0", NOW),
    "silence": lambda wire: wire.handle_timer(NOW + Limits().idle_timeout),
    "end of stream": lambda wire: wire.receive_eof(),
    "close()": lambda wire: wire.close(),
}


#: What it is called once the handshakes are done; those without a word are not told there.
AFTERWARDS = {
    "the peer's handshake": "a second handshake",
    "a handshake of another torrent": None,
    "what is no handshake": None,
}


def life() -> Transitions:
    """Each way between two states, and what leads there."""
    found: Transitions = defaultdict(list)
    for state in State:
        for label, step in LIFE.items():
            for role in Role:
                wire = new_wire(role, state)
                if wire is None or told(wire, step) is None or wire.state is state:
                    continue
                way = found[state.name, wire.state.name]
                called = AFTERWARDS.get(label, label) if state is State.OPEN else label
                if called is not None and called not in way:
                    way.append(called)
    # A responder that was not told its torrent begins in the same state, and goes another way.
    wire = Wire(Role.RESPONDER, None, bytes(20), now=NOW)
    wire.receive_data(handshake(), NOW)
    found[State.HANDSHAKE.name, wire.state.name] += [
        "the peer's handshake,",
        "to a responder that",
        "knows no torrent",
    ]
    return dict(found)


def draw_life() -> Drawing:
    """Draws what `life` has found."""
    drawing = Drawing("The states of a wire", 900, 420)
    places = {"HANDSHAKE": (10, 80), "DECIDING": (355, 80), "OPEN": (700, 80), "CLOSED": (355, 325)}
    assert {*places} == {*State.__members__}, "a state has no place in the drawing"
    for name, (x, y) in places.items():
        drawing.box(x, y, 190, 84, "end" if name == "CLOSED" else "box")
        drawing.text(x + 95, y + 26, name, "head", "middle")
        for line, words in enumerate(wrapped(State[name].value, 28)):
            drawing.text(x + 95, y + 46 + 15 * line, words, "faint small", "middle")
    ways: dict[tuple[str, str], tuple[list[tuple[float, float]], tuple[float, float], str]] = {
        ("HANDSHAKE", "OPEN"): ([(105, 80), (250, 10), (650, 10), (795, 80)], (450, 20), "middle"),
        ("HANDSHAKE", "DECIDING"): ([(200, 122), (355, 122)], (275, 140), "middle"),
        ("HANDSHAKE", "CLOSED"): ([(105, 164), (355, 345)], (20, 262), "start"),
        ("DECIDING", "OPEN"): ([(545, 122), (700, 122)], (622, 140), "middle"),
        ("DECIDING", "CLOSED"): ([(450, 164), (450, 325)], (460, 225), "start"),
        ("OPEN", "CLOSED"): ([(795, 164), (545, 345)], (880, 262), "end"),
    }
    found = life()
    assert {*found} == {*ways}, f"a way has no place in the drawing: {set(found) ^ set(ways)}"
    for way, (points, (x, y), anchor) in ways.items():
        drawing.arrow(*points)
        for line, label in enumerate(found[way]):
            drawing.text(x, y + 15 * line, label, "small", anchor)
    return drawing


# Who may ask

ASKING: dict[str, Step] = {
    "send_interested()": lambda wire: wire.send_interested(),
    "send_not_interested()": lambda wire: wire.send_not_interested(),
    "< unchoke": lambda wire: wire.receive_data(Unchoke().encode(), NOW),
    "< choke": lambda wire: wire.receive_data(Choke().encode(), NOW),
}


def in_asking(interested: bool, choked: bool) -> Wire:
    """Returns a wire in one of the four combinations."""
    wire = new_wire(Role.INITIATOR, State.OPEN)
    assert wire is not None
    if interested:
        wire.send_interested()
    if not choked:
        wire.receive_data(Unchoke().encode(), NOW)
    return wire


def asking() -> tuple[dict[Flags, bool], dict[tuple[Flags, str], Flags]]:
    """Whether a request is possible in each combination, and what leads from one to another."""
    may, ways = {}, {}
    for interested in (False, True):
        for choked in (True, False):
            here = interested, choked
            may[here] = may_ask(in_asking(*here))
            for label, step in ASKING.items():
                wire = in_asking(*here)
                step(wire)
                there = wire.am_interested, wire.peer_choking
                if there != here:
                    ways[here, label] = there
    return may, ways


def may_ask(wire: Wire) -> bool:
    """Whether a wire lets a request be made."""
    try:
        wire.send_request(0, 0, 16384)
    except (LocalProtocolError, PeerChoked):
        return False
    return True


def draw_asking() -> Drawing:
    """Draws what `asking` has found."""
    drawing = Drawing("Who may ask for blocks", 900, 290)
    may, ways = asking()
    places = {
        (interested, choked): (120 + 430 * interested, 40 + 170 * (not choked))
        for interested, choked in may
    }
    for here, (x, y) in places.items():
        interested, choked = here
        drawing.box(x, y, 230, 62, "box" if may[here] else "end")
        words = "interested, " if interested else "not interested, "
        words += "choked" if choked else "unchoked"
        drawing.text(x + 115, y + 26, words, "head", "middle")
        may_ask = "we may ask for blocks" if may[here] else "we may not ask"
        drawing.text(x + 115, y + 46, may_ask, "faint small", "middle")
    for (here, label), there in ways.items():
        (x, y), (to_x, to_y) = places[here], places[there]
        if x != to_x:
            shift, up = (16, -6) if to_x > x else (44, 16)
            left, right = (x + 230, to_x) if to_x > x else (x, to_x + 230)
            drawing.arrow((left, y + shift), (right, y + shift))
            drawing.text((left + right) / 2, y + shift + up, label, "mono", "middle")
        else:
            down = to_y > y
            column = x + (70 if down else 160)
            start, end = (y + 62, to_y) if down else (y, to_y + 62)
            drawing.arrow((column, start), (column, end))
            anchor, beside = ("end", -8) if down else ("start", 8)
            drawing.text(column + beside, (start + end) / 2 + 4, label, "mono", anchor)
    return drawing


# A request

ENDS: dict[str, Step] = {
    "the block comes": lambda wire: wire.receive_data(Piece(0, 0, bytes(16384)).encode(), NOW),
    "the peer rejects it": lambda wire: wire.receive_data(Reject(0, 0, 16384).encode(), NOW),
    "the peer chokes us": lambda wire: wire.receive_data(Choke().encode(), NOW),
    "its deadline passes": lambda wire: wire.handle_timer(NOW + 5),
    "send_cancel()": lambda wire: wire.send_cancel(0, 0, 16384),
    "the connection ends": lambda wire: wire.receive_eof(),
}


def request_ends(reserved: Reserved) -> dict[str, str]:
    """What becomes of a request, by what happens."""
    found = {}
    for label, step in ENDS.items():
        wire = new_wire(Role.INITIATOR, State.OPEN, reserved)
        assert wire is not None
        wire.send_interested()
        wire.receive_data(Interested().encode() + Unchoke().encode(), NOW)
        wire.events_received()
        wire.send_request(0, 0, 16384, deadline=NOW + 5)
        try:
            step(wire)
        except RemoteProtocolError:
            found[label] = "RemoteProtocolError: there is no such message without BEP 6"
            continue
        events = wire.events_received()
        ended = [event for event in events if isinstance(event, Piece | RequestEnded)]
        if not ended:
            assert wire.requests, "a request is gone without a word"
            found[label] = "it stays, until it is answered or rejected"
        elif isinstance(ended[0], Piece):
            found[label] = "Piece"
        else:
            found[label] = type(ended[0].error).__name__
            if wire.closed is None and reserved:
                found[label] += ", and a late answer is expected" if _owed(wire) else ""
    return found


def _owed(wire: Wire) -> bool:
    """Whether a block that comes now is let pass, where it could be a violation."""
    try:
        wire.receive_data(Piece(0, 0, bytes(16384)).encode(), NOW)
    except RemoteProtocolError:
        return False
    return True


def draw_request() -> Drawing:
    """Draws what `request_ends` has found."""
    plain, fast = request_ends(Reserved(0)), request_ends(FAST)
    drawing = Drawing("What becomes of a request", 900, 60 + 46 * len(ENDS))
    middle = 30 + 46 * len(ENDS) / 2 + 10
    drawing.box(10, middle - 28, 120, 56)
    drawing.text(70, middle - 2, "asked for", "head", "middle")
    drawing.text(70, middle + 16, "send_request()", "mono", "middle")
    drawing.text(366, 24, "with the fast extension", "faint small")
    drawing.text(655, 24, "without", "faint small")
    for row, label in enumerate(ENDS):
        y = 34 + 46 * row
        drawing.arrow((130, middle), (180, y + 17), (200, y + 17))
        drawing.text(208, y + 21, label, "small")
        for x, width, outcome in ((360, 275, fast[label]), (648, 242, plain[label])):
            drawing.box(x, y, width, 34, "box" if outcome == "Piece" else "inner")
            for line, words in enumerate(wrapped(outcome, 44 if width > 250 else 36)):
                lines = len(wrapped(outcome, 44 if width > 250 else 36))
                drawing.text(x + 10, y + (21 if lines == 1 else 14 + 14 * line), words, "small")
    return drawing


def main() -> int:
    """Writes the drawings, or says whether they are up to date."""
    drawings = {
        "topics/states-wire.svg": str(draw_life()),
        "topics/states-asking.svg": str(draw_asking()),
        "topics/states-request.svg": str(draw_request()),
    }
    return finish(drawings, check="--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
