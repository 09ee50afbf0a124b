"""`peerwire check`: what it asks, what it tells, and what status it ends with."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time

import pytest
from tests.hybrids import v2_torrent

from peerwire import Handshake
from peerwire.check import SEED_CASES
from peerwire.cli.check import chosen

from .conftest import wait_until

HANDSHAKES = "bep3/handshake"


def test_all_cases_are_listed(cli):
    said = cli("check", "--list", "--slow")
    assert said.status == 0
    assert len(said.out.splitlines()) == len(SEED_CASES)
    assert "bep3/handshake/1 " in said.out.splitlines()[0]
    assert "MUST" in said.out.splitlines()[0]


def test_slow_cases_are_left_out_unless_they_are_named():
    slow = [case for case in SEED_CASES if case.slow]
    assert slow
    assert not [case for case in chosen(SEED_CASES, [], slow=False) if case.slow]
    assert chosen(SEED_CASES, [slow[0].id], slow=False) == slow[:1]
    group = [case for case in SEED_CASES if case.group == slow[0].group]
    assert chosen(SEED_CASES, [slow[0].group], slow=True) == group
    assert slow[0] not in chosen(SEED_CASES, [slow[0].group], slow=False)


def test_listed_as_objects(cli):
    records = cli("check", "--list", "--json", "--only", HANDSHAKES).records
    assert {record["id"].rpartition("/")[0] for record in records} == {HANDSHAKES}
    assert records[0].keys() == {
        *("event", "id", "level", "section", "rule", "does", "expects"),
    }


def test_no_such_case(cli):
    said = cli("check", "--list", "--only", "bep3/hand")
    assert said.status == 1
    assert "no case is called bep3/hand" in said.err


@pytest.mark.parametrize(
    "words",
    [[], ["127.0.0.1:1"], ["127.0.0.1", "x.torrent"], ["127.0.0.1:1", "x", "--jobs", "0"]],
    ids=" ".join,
)
def test_wrong_usage(cli, words):
    said = cli("check", *words)
    assert (said.status, said.out) == (2, "")
    assert "Traceback" not in said.err


def test_without_a_torrent_nothing_can_be_judged(cli):
    said = cli("check", "127.0.0.1:1", "ab" * 20)
    assert said.status == 1
    assert "a .torrent is needed" in said.err


def test_nobody_there(cli, sample, dead_port):
    said = cli("check", f"127.0.0.1:{dead_port}", sample.torrent, "--only", "bep3/messages/1")
    assert said.status == 1
    assert "inconclusive bep3/messages/1: not asked: it can't be connected to: nobody" in said.out
    assert "hint: is the peer running" in said.err
    assert "crashed" not in said.out


def test_our_seed(start, cli, sample):
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", "0")
    where = f"127.0.0.1:{seed.port()}"
    cases = ["--only", HANDSHAKES, "--only", "bep3/request", "--jobs", "8"]
    said = cli("check", where, sample.torrent, "--strict", *cases)
    assert said.status == 0, said.out
    groups, _, (summary,) = (said.out.splitlines()[a:b] for a, b in ((0, 2), (2, 3), (3, None)))
    assert [line.split("  ")[0] for line in groups] == ["BEP 3: handshake", "BEP 3: request"]
    assert summary.startswith("peerwire ")
    assert re.search(r": \d+ cases in \d+ s: ", summary)
    assert "fail" not in said.out


def test_each_case_with_what_was_said(start, cli, sample):
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", "0")
    case = ("--only", f"{HANDSHAKES}/2", "--verbose")
    said = cli("check", f"127.0.0.1:{seed.port()}", sample.torrent, *case)
    assert said.out.splitlines()[:2] == [
        f"{'BEP 3: handshake':42} 1 pass",
        "  pass bep3/handshake/2",
    ]
    assert "    | " in said.out
    assert ": 1 case in " in said.out


def test_as_objects(start, cli, sample):
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", "0")
    where = f"127.0.0.1:{seed.port()}"
    case, summary = cli(
        "check", where, sample.torrent, "--json", "--only", f"{HANDSHAKES}/2"
    ).records
    assert case["verdict"] == "pass"
    assert any(" > handshake" in line for line in case["transcript"])
    assert summary["verdicts"]["pass"] == 1
    assert summary["client"].startswith("peerwire")
    json.dumps(summary)


def test_files_of_results(start, cli, sample, tmp_path):
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", "0")
    where = f"127.0.0.1:{seed.port()}"
    earlier, page, junit = tmp_path / "x.jsonl", tmp_path / "x.html", tmp_path / "x.xml"
    only = ("--only", f"{HANDSHAKES}/2")
    earlier.write_text(cli("check", where, sample.torrent, "--json", *only).out)
    files = ("--html", page, "--junit", junit, "--merge", earlier)
    assert cli("check", where, sample.torrent, *only, *files).status == 0
    assert page.read_text().count("<section") == 2
    assert junit.read_text().count("<testcase") == 2
    page.unlink()
    assert cli("check", "--merge", earlier, "--html", page).status == 0
    assert page.read_text().count("<section") == 1
    junit.unlink()
    assert cli("check", "--merge", earlier, "--junit", junit).status == 0
    assert junit.read_text().count("<testcase") == 1


def test_what_is_merged_has_to_be_results(cli, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{}")
    said = cli("check", "--merge", other, "--html", tmp_path / "x.html")
    assert said.status == 1
    assert "other.json: line 1" in said.err


@pytest.mark.parametrize("factor", ["0", "x", "1000"])
def test_a_patience_that_is_none(cli, factor):
    assert cli("check", "--list", "--patience", factor).status == 2


def test_a_leecher_is_given_content(cli, sample):
    said = cli("check", "127.0.0.1:0", sample.torrent, "--leecher")
    assert said.status == 2
    assert "--content PATH" in said.err


def test_a_leecher(start, sample, tmp_path):
    words = ("--leecher", "--content", sample.content, "--only", "bep3/leecher/1", "--json")
    check = start("check", "127.0.0.1:0", sample.torrent, *words)
    wait_until(lambda: "waiting for a leecher" in check.err)
    port = check.err.splitlines()[0].rpartition(":")[2]
    start("get", sample.torrent, "--peer", f"127.0.0.1:{port}", "-o", tmp_path / "out")
    assert check.process.wait(30) == 0
    case, summary = (json.loads(line) for line in check.out.splitlines())
    assert (case["id"], case["verdict"]) == ("bep3/leecher/1", "pass")
    assert summary["client"].startswith("peerwire")


def test_a_leecher_fetches_what_has_a_v1_side(cli, sample, tmp_path):
    torrent = tmp_path / "v2.torrent"
    torrent.write_bytes(v2_torrent(bytes(40_000), 16384, hybrid=False))
    said = cli("check", "127.0.0.1:0", torrent, "--leecher", "--content", sample.content)
    assert said.status == 1
    assert "a v1 side" in said.err


def greet(port, info_hash):
    """Connects as soon as somebody listens, and says a handshake."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as leecher:
                leecher.sendall(Handshake(info_hash, b"-XX0000-says_hello__").encode())
                while leecher.recv(1 << 16):
                    pass
                return
        except OSError:
            time.sleep(0.02)


def test_who_connects_is_asked(cli, sample):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    words = ("--leecher", "--content", sample.content, "--only", "bep3/leecher/1")
    leecher = threading.Thread(target=greet, args=(port, sample.meta.info_hash))
    leecher.start()
    said = cli("check", f"127.0.0.1:{port}", sample.torrent, *words, "--patience", "0.2")
    leecher.join()
    assert "BEP 3: the side that downloads" in said.out
    assert "1 case in" in said.out
    assert "nobody connects" not in said.out
    assert f"waiting for a leecher on 127.0.0.1:{port}" in said.err


def test_what_was_asked_before_an_interrupt_is_told(start, sample, tmp_path):
    seed = start("seed", sample.torrent, "--content", sample.content, "--port", "0")
    where, page = f"127.0.0.1:{seed.port()}", tmp_path / "x.html"
    only = ("--only", HANDSHAKES, "--only", "bep3/messages/6", "--only", "bep6")
    words = (*only, "--jobs", "1", "--html", page, "--json")
    check = start("check", where, sample.torrent, *words)
    wait_until(lambda: '"id": "bep3/handshake/2"' in check.out)
    assert check.end(signal.SIGINT) == 130
    records = [json.loads(line) for line in check.out.splitlines()]
    assert records[-1]["event"] == "summary"
    assert sum(records[-1]["verdicts"].values()) == len(records) - 1
    assert page.read_text().count("<section") == len(records) - 1
    assert "interrupted" in check.err


def test_an_interrupt_before_anything_was_asked(start, sample, tmp_path):
    words = ("--leecher", "--content", sample.content, "--html", tmp_path / "x.html")
    check = start("check", "127.0.0.1:0", sample.torrent, *words)
    wait_until(lambda: "waiting for a leecher" in check.err)
    assert check.end(signal.SIGINT) == 130
    assert check.out.splitlines()[-1].startswith("a peer that does not say who it is: 0 cases in ")
