"""One log for whoever takes part and whoever listens: lines, colours, objects."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from peerwire.bencode import encode
from peerwire.cli.log import MESSAGE_NAMES, Connection, Log, log_record, wants_colour
from peerwire.cli.output import Output
from peerwire.conduct import Finding
from peerwire.errors import ConnectionClosed, RemoteProtocolError
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.extensions.lt_donthave import DontHave
from peerwire.extensions.overheard import MetadataRequest
from peerwire.extensions.upload_only import UploadOnly, UploadOnlyMessage
from peerwire.extensions.ut_holepunch import Connect, Rendezvous, RendezvousFailed
from peerwire.extensions.ut_metadata import MetadataPiece, MetadataReject
from peerwire.extensions.ut_pex import PexFlags, PexMessage, PexPeer
from peerwire.handshake import Handshake, Reserved
from peerwire.messages import Extended, Have, KeepAlive, Request
from peerwire.observe import ExtendedContent, Lost
from peerwire.state import Role
from peerwire.wire import Wire

from ..wires import BOTH, EXAMPLES, INFO_HASH, OUR_ID, PEER_ID

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "log.md"

VIOLATION = Finding(Role.INITIATOR, RemoteProtocolError("wrong", rule="BEP 3"))
DEVIATION = Finding(Role.RESPONDER, RemoteProtocolError("odd", rule="BEP 6"), deviation=True)
CLOSED = ConnectionClosed("peer", "end of stream")
CONNECTION = Connection(("127.0.0.1", 5000), ("::1", 6881), 1234.5)
PEX = PexMessage([PexPeer("192.0.2.7", 6881, PexFlags.UTP)], [PexPeer("2001:db8::1", 1)])


def extended(content, label="some"):
    return ExtendedContent(3, b"payload", label, content)


# Lines


def test_lines(capsys):
    log = Log(Output(json=False))
    trace = log.trace("#1")
    trace(">", Request(3, 0, 16384), 10.0)
    trace("!", VIOLATION, 10.25)
    other = log.trace(start=10.0)
    other("=", CONNECTION, 12.0)
    assert capsys.readouterr().out.splitlines() == [
        "  0.000000 #1 > request 3:0+16384",
        "  0.250000 #1 ! violation by the initiator: wrong (BEP 3)",
        "  2.000000 = connection 127.0.0.1:5000 > [::1]:6881",
    ]


def test_only_some_messages(capsys):
    log = Log(Output(json=False), only=["request", "handshake"])
    log.write(">", Request(3, 0, 16384), 0)
    log.write("<", Have(3), 0)
    log.write("<", Handshake(INFO_HASH, OUR_ID), 0)
    log.write("=", "open", 0)
    log.write("!", DEVIATION, 0)
    log.write("%", "late", 0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [">", "<", "=", "!", "%"]


def test_nothing_that_a_peer_says_moves_the_cursor(capsys):
    Log(Output(json=False), colour=False).write("<", Extended(1, b"", "a\x1b[2J\r\nb"), 0)
    assert capsys.readouterr().out == "  0.000000 < extended a\ufffd[2J b, 0 bytes\n"


@pytest.mark.parametrize(
    ("mark", "what", "colour"),
    [
        (">", KeepAlive(), "36"),
        ("<", KeepAlive(), "32"),
        ("=", "open", "1"),
        ("%", "request 1:2+3 timed out", "35"),
        ("!", VIOLATION, "1;31"),
        ("!", CLOSED, "1;31"),
        ("!", DEVIATION, "33"),
        ("!", "deviation: odd", "33"),
        ("!", Lost(Role.INITIATOR, 3, "gone"), "33"),
    ],
)
def test_colours_tell_what_it_is(capsys, mark, what, colour):
    Log(Output(json=False), colour=True).write(mark, what, 1.5, "#7")
    expected = f"\x1b[2m  1.500000 #7 \x1b[0m\x1b[{colour}m{mark} {what}\x1b[0m\n"
    assert capsys.readouterr().out == expected


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "wanted"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (io.StringIO(), {"TERM": "xterm"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
    ],
)
def test_colours_are_for_terminals_that_want_them(monkeypatch, stream, environment, wanted):
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(stream) is wanted


# Objects


@pytest.mark.parametrize(
    ("what", "keys"),
    [
        (
            Handshake(INFO_HASH, OUR_ID, BOTH),
            {
                "event": "handshake",
                "info_hash": INFO_HASH.hex(),
                "peer_id": OUR_ID.hex(),
                "client": "peerwire 0.0.0",
                "reserved": "0000000000100004",
                "extensions": ["fast", "extension"],
            },
        ),
        (VIOLATION, {"event": "violation", "by": "initiator", "rule": "BEP 3"}),
        (DEVIATION, {"event": "deviation", "by": "responder", "rule": "BEP 6"}),
        (Lost(Role.RESPONDER, 7, "gone"), {"event": "lost", "by": "responder", "bytes": 7}),
        (CLOSED, {"event": "closed", "by": "peer", "reason": "end of stream"}),
        (RemoteProtocolError("x", rule="BEP 9"), {"event": "error", "rule": "BEP 9"}),
        ("deviation: odd", {"event": "deviation"}),
        (
            CONNECTION,
            {
                "event": "connection",
                "initiator": "127.0.0.1:5000",
                "responder": "[::1]:6881",
                "started": 1234.5,
                "whole": True,
            },
        ),
    ],
    ids=str,
)
def test_objects(what, keys):
    record = log_record("!", what, 1.23456789, "#1")
    assert record == {"time": 1.234568, "wire": "#1", "mark": "!", "text": str(what)} | keys


MESSAGE_KEYS = {
    "have": {"index": 7},
    "bitfield": {"bytes": 2, "pieces": 3},
    "request": {"index": 1, "begin": 16384, "length": 256},
    "piece": {"index": 1, "begin": 2, "length": 3},
    "cancel": {"index": 1, "begin": 2, "length": 3},
    "port": {"port": 6881},
    "suggest": {"index": 9},
    "reject": {"index": 1, "begin": 2, "length": 3},
    "allowed fast": {"index": 2},
    "extended": {"extension": None, "extended_id": 3, "bytes": 3},
    "unknown": {"id": 99, "bytes": 3},
}
RANGE_KEYS = {
    "pieces_root": bytes(range(32)).hex(),
    "base_layer": 1,
    "index": 4,
    "length": 2,
    "proof_layers": 3,
}
MESSAGE_KEYS |= dict.fromkeys(("hash request", "hash reject"), RANGE_KEYS)
MESSAGE_KEYS |= {"hashes": RANGE_KEYS | {"hashes": 5}}


@pytest.mark.parametrize("message", [message for message, _, _ in EXAMPLES], ids=str)
def test_messages_as_objects(message):
    record = log_record("<", message, 0)
    assert json.loads(json.dumps(record)) == {
        "time": 0,
        "mark": "<",
        "event": message.name,
        "text": str(message),
        **MESSAGE_KEYS.get(message.name, {}),
    }


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (
            ExtendedHandshake({"ut_pex": 1}, p=6881, v="x", unknown={b"e": 0}),
            {"m": {"ut_pex": 1}, "p": 6881, "v": "x", "unknown": ["e"]},
        ),
        (
            PEX,
            {
                "added": [{"ip": "192.0.2.7", "port": 6881, "flags": 4}],
                "dropped": [{"ip": "2001:db8::1", "port": 1, "flags": 0}],
            },
        ),
        (MetadataRequest(1), {"type": "request", "piece": 1}),
        (MetadataReject(1), {"type": "reject", "piece": 1}),
        (
            MetadataPiece(1, 16389, b"block"),
            {"type": "data", "piece": 1, "total_size": 16389, "length": 5},
        ),
        (DontHave(3), {"index": 3}),
        (UploadOnlyMessage(True), {"upload_only": True}),
        (Rendezvous("192.0.2.7", 1), {"type": "rendezvous", "ip": "192.0.2.7", "port": 1}),
        (Connect("192.0.2.7", 1), {"type": "connect", "ip": "192.0.2.7", "port": 1}),
        (
            RendezvousFailed("192.0.2.7", 1, 2),
            {"type": "failed", "ip": "192.0.2.7", "port": 1, "error": 2},
        ),
        ("of one's own", {"text": "of one's own"}),
    ],
    ids=str,
)
def test_what_extensions_say_as_objects(content, keys):
    record = log_record(">", extended(content), 0)
    assert json.loads(json.dumps(record["content"])) == keys
    assert (record["extension"], record["bytes"]) == ("some", 7)


def test_what_is_not_understood_has_no_content():
    assert "content" not in log_record(">", extended(None), 0)


def test_written_as_objects(capsys):
    log = Log(Output(json=True), colour=True)
    log.trace()("<", Have(3), 100.0)
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert record == {
        "time": 0,
        "mark": "<",
        "event": "have",
        "text": "have 3",
        "index": 3,
    }


def test_states_timers_and_errors_as_objects():
    events = [log_record(mark, "x", 0)["event"] for mark in "=%!><"]
    assert events == ["state", "timer", "error", "message", "message"]


# Wires that take part


def test_a_wire_shows_what_extensions_say(capsys):
    trace = Log(Output(json=False)).trace(start=0.0)
    a = Wire("initiator", INFO_HASH, OUR_ID, extensions=[UploadOnly], trace=trace)
    b = Wire("responder", INFO_HASH, PEER_ID, extensions=[UploadOnly])
    for _ in range(3):
        b.receive_data(a.data_to_send(), 0.0)
        a.receive_data(b.data_to_send(), 0.0)
    a.extensions.get(UploadOnly).switch(True)
    lines = capsys.readouterr().out.splitlines()
    shown = [line[11:] for line in lines if "extended" in line and "state" not in line]
    assert any(line.startswith("> extended handshake m=(upload_only=1)") for line in shown)
    assert any(line.startswith("< extended handshake m=(upload_only=1)") for line in shown)
    assert shown[-1] == "> extended upload_only: upload only on"


def test_what_a_wire_refuses_is_shown_as_it_is(capsys):
    trace = Log(Output(json=False)).trace()
    trace("<", Extended(1, b"no", "lt_donthave"), 0.0)
    trace("<", Extended(1, b"no", "xx_chat"), 0.0)
    trace("<", Extended(0, b"no", "handshake"), 0.0)
    for _ in range(20):  # the wire judges how often, and says so itself
        trace("<", Extended(1, encode({}), "ut_pex"), 0.0)
    lines = [line[11:] for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "< extended lt_donthave, 2 bytes",
        "< extended xx_chat, 2 bytes",
        "< extended handshake, 2 bytes",
    ]
    assert {*lines[3:]} == {"< extended ut_pex: pex 0 added, 0 dropped"}


# The reference


def test_the_reference_has_every_event_and_key():
    text = REFERENCE.read_text()
    records = [log_record(">", message, 0) for message, _, _ in EXAMPLES]
    records += [log_record("!", what, 0, "#0") for what in (VIOLATION, DEVIATION, CLOSED)]
    records += [log_record("!", Lost(Role.INITIATOR, 1, ""), 0), log_record("=", CONNECTION, 0)]
    records.append(log_record("<", Handshake(INFO_HASH, OUR_ID, Reserved(0)), 0))
    for record in records:
        missing = [key for key in record if f"`{key}`" not in text]
        assert not missing, record
        assert f"`{record['event']}`" in text
    assert all(f"`{name}`" in text for name in MESSAGE_NAMES)
