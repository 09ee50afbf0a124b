"""Results for people and for scripts."""

from __future__ import annotations

import platform

from peerwire import __version__
from peerwire.cli.measuring import table
from peerwire.cli.measuring.contest import Result, Row

FAST = Result(Row("bulk", "rate", "ours", ("npm",), 2.5), 1.256, "npm", 0.5, 2.512, 5)
SLOW = Result(Row("bulk, RC4", "rate", "ours", ("npm",), 3.0), 0.2, "npm", 0.1, 2.0, 5)
SMALL = Result(Row("memory", "memory", "ours", (), 8.0), 7.5, runs=3)
JUST_SO = Result(Row("hands", "handshakes", "ours", ("npm",)), 1234.5, "npm", 600.0, 2.0, 5)


def test_for_people():
    assert table.table([FAST, SLOW, SMALL, JUST_SO]).splitlines() == [
        "what       peerwire    beside     ratio  to reach",
        "bulk       1.26 GB/s   npm 0.500  2.51   ≥ 2.5     reached",
        "bulk, RC4  0.200 GB/s  npm 0.100  2.00   ≥ 3       missed",
        "memory     7.50 KiB                      ≤ 8 KiB   reached",
        "hands      1234 /s     npm 600    2.00",
    ]


def test_for_scripts():
    assert table.record(FAST) == {
        "row": "bulk",
        "figure": 1.256,
        "unit": "GB/s",
        "beside": "npm",
        "other": 0.5,
        "ratio": 2.512,
        "mark": 2.5,
        "reached": True,
        "runs": 5,
    }
    assert table.record(SMALL)["other"] is None


def test_the_machine_is_named(monkeypatch):
    monkeypatch.setattr(table, "PACKAGES", ("cryptography", "no-such-package"))
    found = table.machine()
    assert found["peerwire"] == __version__
    assert found["no-such-package"] == "not installed"
    assert "cores" in found["processor"]


def test_a_machine_that_does_not_tell_its_processor(monkeypatch, tmp_path):
    monkeypatch.setattr(table, "CPUINFO", tmp_path / "none")
    assert table.machine()["processor"].startswith(platform.machine())


def test_a_machine_that_tells_its_processor(monkeypatch, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Some 9000\nflags\t: fpu\nmodel name\t: Some 9000\n")
    monkeypatch.setattr(table, "CPUINFO", cpuinfo)
    assert table.machine()["processor"].startswith("Some 9000, ")
