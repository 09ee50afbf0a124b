"""`make soak` itself: that a small run of it works, and that each of its verdicts can fail."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

import peerwire

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # where `bench` is, however pytest was started

from bench.soak.hostile import ATTACKS, address  # noqa: E402
from bench.soak.peaceful import visit_all  # noqa: E402
from bench.soak.plan import HOST, Plan  # noqa: E402
from bench.soak.report import Report  # noqa: E402
from bench.soak.server import Seed, extensions  # noqa: E402
from bench.soak.tally import Tally  # noqa: E402
from bench.soak.torrent import Torrent  # noqa: E402
from bench.soak.watch import how_it_ended  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs /proc and 127.0.0.0/8")

MIB = 1024 * 1024


def test_a_small_run():
    """All but the verdict about memory, of which so few peers say nothing."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-m", "bench.soak", "--json"),
            *("--peers", "30", "--hostile", "0.3", "--seed", "1", "--processes", "1"),
            *("--seconds", "3", "--pause", "0.1", "--patience", "3"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["good"] else 1)
    bad = [f"{v['what']}: {v['why']}" for v in told["verdicts"] if not v["good"]]
    assert [verdict for verdict in bad if "memory" not in verdict] == []
    assert told["counts"]["blocks right"] > 0
    assert sum(told["attacks"].values()) > 0
    assert len(told["attacks"]) > 5


def good_report():
    """What the processes of a perfect run would tell."""
    ends = [[HOST, "closed by peer", 50]]
    ends += [[address(number), attack.ends[0], 2] for number, attack in enumerate(ATTACKS)]
    samples = [[second, 100 * MIB, 2000] for second in range(60)]
    server = {
        "connections": 500,
        "ends": ends,
        "samples": samples,
        "moved": {
            f"{what} {way}": 100
            for what in ("messages", "blocks", "bytes")
            for way in ("received", "sent")
        },
        "moved in": 30.0,
        "lag": {"most": 0.1},
        "before": {"bytes": 40 * MIB, "blocks": 1, "connections": 0},
        "warm": {"bytes": 100 * MIB, "blocks": 3, "connections": 2000},
        "end": {"bytes": 104 * MIB, "blocks": 3, "connections": 1000},
        "after": {"bytes": 100 * MIB, "blocks": 1, "connections": 0},
        "outcome": {"right": 3},
        "left": {"files": 0, "tasks": 0},
        "complaints": [],
        "complaints in all": 0,
        "growth": [],
    }
    peers = {
        "counts": {"blocks right": 100},
        "attacks": {attack.name: 1 for attack in ATTACKS},
        "disturbances": 0,
        "disturbed": [],
        "complaints": [],
        "complaints in all": 0,
    }
    return Report(Plan(), server, [peers, copy.deepcopy(peers)])


def test_a_perfect_run_is_good():
    report = good_report()
    assert report.good
    assert not [line for line in report.lines() if "FAIL" in line]
    assert report.memory()["connection"] == 60 * MIB / 2000


def few(report):
    report.server["samples"] = [[at, memory, 1500] for at, memory, _ in report.server["samples"]]


def leak(report):
    report.server["end"]["bytes"] = 106 * MIB


def wrong_error(report):
    report.server["ends"][1][1] = "MessageTooBig: of all things"


def no_error(report):
    del report.server["ends"][3]


def wrong_block(report):
    report.peers[1]["disturbances"] = 1
    report.peers[1]["disturbed"] = ["wrong blocks"]


def no_blocks(report):
    for told in report.peers:
        told["counts"].clear()


def thrown_out(report):
    report.server["ends"].append([HOST, "PeerTimeout: Limits.idle_timeout", 1])


def unanswered(report):
    report.server["outcome"]["missing"] = 1


def uncaught(report):
    report.server["complaints in all"] = 1
    report.server["complaints"] = ["event loop: KeyError"]


def uncaught_among_peers(report):
    report.peers[0]["complaints in all"] = 1


def file_left(report):
    report.server["left"]["files"] = 1


def wire_left(report):
    report.server["left"]["Wire"] = 1


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        (few, "at once"),
        (leak, "memory"),
        (wrong_error, "hostile"),
        (no_error, "hostile"),
        (wrong_block, "well-behaved"),
        (no_blocks, "well-behaved"),
        (thrown_out, "well-behaved"),
        (unanswered, "well-behaved"),
        (uncaught, "nothing is raised"),
        (uncaught_among_peers, "nothing is raised"),
        (file_left, "left"),
        (wire_left, "left"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_each_verdict_can_fail_and_alone(spoil, verdict):
    report = good_report()
    spoil(report)
    assert not report.good
    (bad,) = [each for each in report.verdicts() if not each.good]
    assert verdict in bad.what
    assert [line for line in report.lines() if line.startswith("FAIL")] == [
        f"FAIL {bad.what}: {bad.why}"
    ]


async def test_peers_notice_a_block_that_is_wrong():
    """A server and its peers as in a run, but they do not agree about the content."""
    plan = Plan(peers=3, seconds=1.0, hostile=0, pause=0.01, processes=1)
    served, right, tally = Torrent(1), Torrent(1), Tally()
    right.content = memoryview(bytes(right.length))
    seed = Seed(served, random.Random(1))
    serving = peerwire.serve(
        seed.handle,
        HOST,
        0,
        torrents=served.served,
        extensions=extensions(served, served.metadata),
    )
    until = asyncio.get_running_loop().time() + plan.seconds
    async with serving as server:
        talking = asyncio.create_task(seed.talk(server))
        await visit_all(plan, 0, server.port, right, tally, until)
        talking.cancel()
        await asyncio.wait([talking])
    assert "wrong blocks" in tally.disturbed
    assert tally.counts["blocks right"] == 0


@pytest.mark.parametrize(
    ("by", "cause", "name"),
    [
        ("peer", None, "closed by peer"),
        ("network", OSError("gone"), "closed by network: OSError"),
        ("us", peerwire.MessageTooBig("big", rule="a rule"), "MessageTooBig: a rule"),
        (
            "us",
            peerwire.LocalProtocolError("no", rule="a rule"),
            "closed by us: LocalProtocolError",
        ),
    ],
)
def test_an_end_is_named_by_its_error_and_rule_or_by_who_closed(by, cause, name):
    closed = peerwire.ConnectionClosed(by, "why")
    closed.__cause__ = cause
    assert how_it_ended(closed) == name


def test_a_plan_gives_every_peer_to_one_process():
    plan = Plan(peers=2000, hostile=0.1, processes=3)
    assert sum(plan.hostile_share(process) for process in range(3)) == 200
    assert sum(plan.peaceful_share(process) for process in range(3)) == 1800
    assert Plan.load(plan.dump()) == plan
