"""A report as a table and as an object."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire import Bitfield, Have, HaveAll, Interested, PieceSet, Reject, Request, Reserved
from peerwire.bencode import encode
from peerwire.cli.portrait import Row, bar, draw, printable, record, rows, seconds, unanswered
from peerwire.cli.probing import Blocks, Heard, Report
from peerwire.cli.subject import Subject
from peerwire.extensions.handshake import ExtendedHandshake
from peerwire.handshake import Handshake
from peerwire.messages import Piece, Port, Unchoke
from peerwire.torrent.metainfo import Metainfo

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "probe.md"

META = Metainfo.from_info(
    encode({"name": "a b", "piece length": 32768, "length": 99_000, "pieces": bytes(20 * 4)})
)
TORRENT = Subject(info_hash=META.info_hash, metainfo=META, name="a b")
HASH_ONLY = Subject(info_hash=META.info_hash)
PEER_ID = b"-LT2110-\x1b[2Jabcdefgh"
EXTENDED = Reserved.FAST | Reserved.EXTENSION


def heard(*said, reserved=EXTENDED, info_hash=META.info_hash):
    """What was sent and received, a second after each other."""
    trace = Heard()
    trace(">", Handshake(bytes(20), bytes(20)), 0.0)
    trace("<", Handshake(info_hash, PEER_ID, reserved), 0.5)
    for now, (mark, what) in enumerate(said, 1):
        trace(mark, what, float(now))
    return trace


def peer(pieces=None, *, v2=False, extended=None, allowed=(), client="libtorrent 2.1.1"):
    """What is looked at of a peer."""
    return SimpleNamespace(
        peer_pieces=PieceSet(4) if pieces is None else pieces,
        v2=v2,
        client=client,
        info_hash=bytes(range(20)),
        extended_handshake=extended,
        peer_allowed_fast=set(allowed),
        wire=SimpleNamespace(messages_received={"have": 2}),
    )


def report(*said, subject=TORRENT, them=None, reserved=EXTENDED, **more):
    trace = heard(*said, reserved=reserved)
    return Report(("127.0.0.1", 6881), subject, trace, 0.002, them or peer(), **more)


def table(told, *, fancy=False):
    """The rows as a dictionary of their lines."""
    found: dict[str, list[str]] = {}
    for row in rows(told, fancy=fancy):
        label = row.label or label  # noqa: F821 - the one before
        found.setdefault(label, []).append(row.text)
    return found


# Drawing


def test_a_table():
    drawn = draw([Row("a", "1"), Row("long", "2", "good"), Row("", "3")], colour=False, width=None)
    assert drawn == "a     1\nlong  2\n      3"


def test_colours():
    drawn = draw(
        [Row("a", "1"), *(Row("b", t, t) for t in ("good", "mild", "bad"))], colour=True, width=None
    )
    assert drawn.splitlines()[0] == "a  1"
    assert re.findall(r"\x1b\[(\d+)m(\w+)\x1b\[0m", drawn) == [
        ("32", "good"),
        ("33", "mild"),
        ("31", "bad"),
    ]


def test_long_lines_are_wrapped_where_there_is_room():
    words = "word " * 20
    drawn = draw([Row("a", words)], colour=False, width=50).splitlines()
    assert all(len(line) <= 50 for line in drawn)
    assert all(line.startswith("   w") for line in drawn[1:])
    assert len(draw([Row("a", words)], colour=False, width=30).splitlines()) == 1


@given(st.text())
def test_nothing_moves_the_cursor(text):
    drawn = draw([Row("a", text)], colour=False, width=60)
    assert all(c.isprintable() or c == "\n" for c in drawn)
    assert printable(text).isprintable()


@pytest.mark.parametrize(("time", "text"), [(0.0123, "12.3 ms"), (1.0, "1.0 s"), (0, "0.0 ms")])
def test_times(time, text):
    assert seconds(time) == text


@pytest.mark.parametrize(
    ("pieces", "count", "drawn"),
    [
        ([], 3, "[...]"),
        ([0, 2], 3, "[#.#]"),
        (range(64), 64, "[" + "#" * 32 + "]"),
        (range(33), 64, "[" + "#" * 16 + "+" + "." * 15 + "]"),
        ([0], 1000, "[+" + "." * 31 + "]"),
        (range(1, 33), 33, "[+" + "#" * 31 + "]"),
    ],
)
def test_a_bar(pieces, count, drawn):
    assert bar(PieceSet(count, pieces), count, fancy=False) == drawn


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_any_bar(drawn_of):
    count, pieces = drawn_of
    cells = bar(PieceSet(count, pieces), count, fancy=False)[1:-1]
    assert len(cells) == min(count, 32)
    assert (set(cells) == {"#"}) == (len(pieces) == count)
    assert (set(cells) == {"."}) == (not pieces)
    missing = bar(PieceSet(count, set(range(count)) - pieces), count, fancy=False)[1:-1]
    assert missing == cells.translate(str.maketrans(".#", "#."))


def test_a_fancy_bar():
    assert bar(PieceSet(2, [1]), 2, fancy=True) == "[\N{MIDDLE DOT}\N{FULL BLOCK}]"


# For people


def test_who_it_is():
    long = table(report(them=peer(extended=ExtendedHandshake(v="v" * 256))))
    assert long["client"] == ["v" * 100]
    told = table(report(them=peer(extended=ExtendedHandshake(v="Client 1"))))
    assert told["peer"] == ["127.0.0.1:6881"]
    assert told["client"] == ["Client 1"]
    assert told["peer id"] == [r"-LT2110-\x1b[2Jabcdefgh, libtorrent 2.1.1"]
    assert told["torrent"] == ["'a b', v1, 4 pieces"]
    assert told["info-hash"] == [META.info_hash.hex()]
    assert told["connection"] == ["connected in 2.0 ms, handshake 500.0 ms later"]


def test_a_torrent_that_is_not_known():
    assert table(report(subject=HASH_ONLY))["torrent"] == ["known by its info-hash only"]


@pytest.mark.parametrize(
    ("v2", "text"),
    [(True, f"v2 from here on, {bytes(range(20)).hex()}"), (False, "v1 from here on")],
)
def test_a_hybrid(v2, text):
    subject = Subject(info_hash=bytes(20), info_hash_v2=bytes(range(32)))
    told = table(report(subject=subject, them=peer(v2=v2)))["info-hash"]
    assert told[0] == bytes(20).hex()
    assert told[1].startswith(text)


def test_encryption():
    modes = {"rc4": None, "off": "it left"}
    told = rows(report(modes=modes, reserved=Reserved(0)), fancy=False)
    assert [row for row in told if row.tone] == [
        Row("encryption", "plain: fails, it left", "bad"),
        Row("", "MSE, RC4: works", "good"),
    ]


def test_reserved_bits():
    assert table(report(reserved=Reserved(0)))["reserved bits"] == ["none"]
    told = table(report(reserved=Reserved.DHT | Reserved.V2 | 1 << 40))["reserved bits"]
    assert told == ["dht, v2, unknown 0x10000000000"]


def test_what_it_tells():
    told = ExtendedHandshake(
        m={"ut_pex": 1, "a\x1b[2J": 0},
        p=6881,
        reqq=500,
        upload_only=True,
        complete_ago=-1,
        unknown={b"e": 1, b"\xff" * 50: 2},
    )
    shown = table(report(("<", Port(7)), them=peer(extended=told)))
    assert shown["extensions"] == ["ut_pex 1, a\ufffd[2J 0"]
    keys = "e, " + "\ufffd" * 40
    assert shown["tells"] == [
        f"p 6881, reqq 500, upload_only yes, complete_ago -1, unknown keys {keys}, DHT port 7"
    ]


def test_what_it_does_not_tell():
    assert table(report())["extensions"] == ["it has not said which"]
    assert "extensions" not in table(report(reserved=Reserved.FAST))
    assert table(report(them=peer(extended=ExtendedHandshake())))["extensions"] == ["none"]
    many = ExtendedHandshake(m={f"x{n}": n for n in range(100)}, upload_only=False)
    assert table(report(them=peer(extended=many)))["extensions"][0].endswith("x19 19 and 80 more")
    assert table(report(them=peer(extended=many)))["tells"] == ["upload_only no"]


@pytest.mark.parametrize(
    ("said", "pieces", "subject", "text"),
    [
        (Bitfield(b"\xa0"), PieceSet(4, [0, 2]), TORRENT, "[#.#.] 2 of 4, 50 %"),
        (HaveAll(), PieceSet.full(4), TORRENT, "[####] 4 of 4, 100 %"),
        (HaveAll(), PieceSet.full(), HASH_ONLY, "all of them"),
        (Bitfield(b"\xa0"), PieceSet(None, [0, 2]), HASH_ONLY, "2 of at most 8"),
        (Have(1), PieceSet(None, [1]), HASH_ONLY, "1"),
    ],
)
def test_pieces(said, pieces, subject, text):
    told = report(("<", said), subject=subject, them=peer(pieces))
    assert table(told)["pieces"] == [text]


def test_no_pieces_told():
    assert table(report())["pieces"] == ["it has not said which"]


def test_interest():
    assert "interest" not in table(report())
    told = report((">", Interested()), ("<", Unchoke()), them=peer(allowed=[3, 1]))
    assert table(told)["interest"] == ["unchoked us after 1.0 s"]
    assert table(told)["allowed fast"] == ["1, 3"]
    told = report(("<", Unchoke()), (">", Interested()))
    assert table(told)["interest"] == ["unchoked us before we were interested"]
    told = report((">", Interested()), patience=7.0)
    assert table(told)["interest"] == ["still chokes us after 7.0 s"]
    told = report((">", Interested()), ended="it left")
    assert "interest" not in table(told)
    assert table(told)["ended"] == ["it left"]


ASKED = (">", Request(3, 0, 100))
CAME = ("<", Piece(3, 0, b""))


@pytest.mark.parametrize(
    ("said", "blocks", "lines"),
    [
        (
            [ASKED, CAME],
            Blocks(1, (3, 0, 100), 100, seconds=1.0, verified=[3]),
            ["piece 3, bytes 0+100: answered in 1.0 s"],
        ),
        (
            [ASKED, CAME],
            Blocks(3, (3, 0, 100), 1_000_000, seconds=2.0, corrupt=[1]),
            ["piece 3, bytes 0+100: answered in 1.0 s", "976.6 KiB in 2.0 s, 0.5 MB/s"],
        ),
        (
            [ASKED, CAME],
            Blocks(2, (3, 0, 100), 100, "piece 4: choked", 2.0),
            [
                "piece 3, bytes 0+100: answered in 1.0 s",
                "100 B in 2.0 s, 0.0 MB/s",
                "piece 4: choked",
            ],
        ),
        (
            [ASKED, ("<", Reject(3, 0, 100))],
            Blocks(1, (3, 0, 100), 0, "piece 3: rejected"),
            ["piece 3: rejected after 1.0 s"],
        ),
        ([ASKED], Blocks(1, (3, 0, 100), 0, "piece 3: late"), ["piece 3: late"]),
    ],
)
def test_a_request(said, blocks, lines):
    assert table(report(*said, blocks=blocks))["request"] == lines


@pytest.mark.parametrize(
    ("blocks", "subject", "lines"),
    [
        (Blocks(1, (3, 0, 100), 1, verified=[3]), TORRENT, ["right: piece 3"]),
        (Blocks(1, (3, 0, 100), 1, corrupt=[3, 1]), TORRENT, ["wrong: pieces 3, 1"]),
        (
            Blocks(1, (3, 0, 100), 1, verified=[0], corrupt=[1]),
            TORRENT,
            ["wrong: piece 1", "right: piece 0"],
        ),
        (
            Blocks(1, (0, 0, 16384), 1),
            TORRENT,
            ["not checked: the piece has 2 blocks, which --blocks 2 asks for"],
        ),
        (Blocks(1, (0, 0, 16384), 1), HASH_ONLY, ["not checked: only a .torrent has them"]),
    ],
)
def test_hashes(blocks, subject, lines):
    assert table(report(blocks=blocks, subject=subject))["hashes"] == lines


def test_trouble():
    refused = ExtendedHandshake(refused=["p: it is a number"] * 20)
    told = report(("!", "deviation: odd"), them=peer(extended=refused))
    assert table(told)["deviations"] == ["odd"] + ["extended handshake, p: it is a number"] * 10


def test_a_connection_that_was_over_at_once():
    told = report((">", Interested()), ended="a rule was broken")
    told.peer = None
    shown = table(told)
    assert shown["ended"] == ["a rule was broken"]
    assert shown["pieces"] == ["it has not said which"]
    assert not {"client", "interest", "request"} & shown.keys()
    assert record(told)["client"] == "libtorrent 2.1.1"


# For scripts


def documented():
    """The keys that the reference lists."""
    lines = REFERENCE.read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    return {key for cell in cells for key in re.findall(r"`([\w.]+)`", cell)}


#: Objects whose keys are names that others have chosen.
OPEN = {"encryption", "extensions", "messages"}


def keys(value, prefix=""):
    found = set()
    for key, inner in value.items():
        found.add(prefix + key)
        if isinstance(inner, dict) and key not in OPEN:
            found |= keys(inner, f"{prefix}{key}.")
    return found


def test_the_reference_lists_the_keys():
    told = report(("<", HaveAll()), them=peer(extended=ExtendedHandshake()))
    assert keys(record(told)) == documented() | {"torrent", "interest", "request"}


def test_all_keys_are_there_whatever_is_known():
    full = record(report(("<", HaveAll()), them=peer(extended=ExtendedHandshake())))
    bare = report(reserved=Reserved(0))
    assert record(bare).keys() == full.keys()
    bare.peer = None
    assert record(bare).keys() == full.keys()
    assert record(bare)["pieces"] is None
    assert record(bare)["extensions"] is None


def test_an_object():
    said = [
        ("<", Bitfield(b"\xa0")),
        (">", Interested()),
        ("<", Unchoke()),
        ASKED,
        CAME,
    ]
    told = report(
        *said,
        them=peer(PieceSet(4, [0, 2]), extended=ExtendedHandshake(m={"a": 1}, v="C", reqq=5)),
        modes={"off": None, "rc4": "it left"},
        blocks=Blocks(1, (3, 0, 100), 100, seconds=0.25, verified=[3]),
    )
    shown = record(told)
    assert (shown["address"], shown["answered"], shown["error"]) == ("127.0.0.1:6881", True, None)
    assert shown["peer_id"] == PEER_ID.hex()
    assert shown["reserved"] == "0000000000100004"
    assert shown["reserved_bits"] == ["fast", "extension"]
    assert (shown["fast"], shown["v2"], shown["v"], shown["reqq"]) == (True, False, "C", 5)
    assert (shown["connect_seconds"], shown["handshake_seconds"]) == (0.002, 0.5)
    assert shown["encryption"] == {
        "off": {"works": True, "reason": None},
        "rc4": {"works": False, "reason": "it left"},
    }
    assert shown["extensions"] == {"a": 1}
    assert shown["pieces"] == {
        "told_by": "bitfield",
        "all": False,
        "count": 2,
        "at_most": 4,
        "bitfield": "a0",
    }
    assert shown["interest"] == {
        "said": True,
        "unchoked": True,
        "seconds": 1.0,
        "allowed_fast": [],
    }
    assert shown["request"] == {
        "asked": 1,
        "piece": 3,
        "seconds": 1.0,
        "rejected_seconds": None,
        "failure": None,
        "bytes": 100,
        "total_seconds": 0.25,
        "verified": [3],
        "corrupt": [],
    }
    assert shown["messages"] == {"have": 2}


@pytest.mark.parametrize(
    ("said", "pieces", "told"),
    [
        (HaveAll(), PieceSet.full(), (True, None, None)),
        (Bitfield(b"\xa0"), PieceSet(None, [0, 2]), (False, 2, 8)),
    ],
)
def test_pieces_of_how_many_is_not_known(said, pieces, told):
    shown = record(report(("<", said), subject=HASH_ONLY, them=peer(pieces)))["pieces"]
    assert (shown["all"], shown["count"], shown["at_most"]) == told
    assert shown["bitfield"] is None


def test_nobody_answered():
    assert unanswered(("::1", 1), "refused") == {
        "address": "[::1]:1",
        "answered": False,
        "error": "refused",
    }
