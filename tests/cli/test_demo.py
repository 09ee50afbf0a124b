"""peerwire demo."""

from __future__ import annotations

import json

import pytest

from .conftest import run

KEYS = {"bytes", "pieces", "blocks", "seconds", "bytes_per_second", "encryption", "messages"}


def test_for_people(cli):
    said = cli("demo", "--size", "300000")
    assert said.status == 0
    assert said.err == ""
    moved, pieces, time, messages, encrypted = said.out.splitlines()
    assert moved == "moved     293.0 KiB (300000 bytes), every piece verified"
    assert pieces == "pieces    19, in 19 blocks"
    assert time.startswith("time      ")
    assert time.endswith(" MB/s")
    assert messages.startswith("messages  ")
    assert encrypted == "encrypted nothing"
    assert "19 request" in messages
    assert "19 piece" in messages


def test_for_scripts(cli):
    said = cli("demo", "--size", "300000", "--json")
    assert said.status == 0
    (record,) = said.records
    assert record.keys() == KEYS
    assert (record["bytes"], record["pieces"], record["blocks"]) == (300_000, 19, 19)
    assert record["messages"]["request"] == 19
    assert record["seconds"] >= 0


@pytest.mark.parametrize("size", ["1", "1MiB"])
def test_in_a_process_of_its_own(size):
    said = run("demo", "--size", size, "--json")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out).keys() == KEYS


@pytest.mark.parametrize(
    ("policy", "spoken", "words"),
    [
        ("prefer", {"plaintext", "rc4"}, {"the handshake", "all of it, with RC4"}),
        ("require", {"rc4"}, {"all of it, with RC4"}),
    ],
)
def test_encrypted(cli, policy, spoken, words):
    said = cli("demo", "--size", "100000", "--encryption", policy, "--json")
    assert said.records[0]["encryption"] in spoken
    said = cli("demo", "--size", "100000", "--encryption", policy)
    assert said.out.splitlines()[-1] in {f"encrypted {word}" for word in words}


def test_nothing_to_move(cli):
    said = cli("demo", "--size", "0")
    assert said.status == 1
    assert "nothing to transfer" in said.err
    assert said.err.count("\n") == 1


def test_nothing_is_left(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli("demo", "--size", "100000").status == 0
    assert list(tmp_path.iterdir()) == []
