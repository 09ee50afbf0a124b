"""--encryption on every verb that has it: what is spoken, what is said of it, what is refused."""

from __future__ import annotations

import json
import signal

import pytest
from tests.interop.eavesdropper import GREETING, eavesdropping

from peerwire.version import __version__

from .conftest import HOST, wait_until

#: What `demo` says was encrypted, by policy, and where it is not asked, without one.
DEMO = {
    (): ("off", "nothing"),
    ("--encryption", "off"): ("off", "nothing"),
    ("--encryption", "prefer"): ("plaintext", "the handshake"),
    ("--encryption", "require"): ("rc4", "all of it, with RC4"),
}

#: The policies of `seed` and `get`, what they come to, and how people are told.
MEETINGS = {
    (None, None): ("plaintext", ", behind an encrypted handshake"),
    ("off", None): ("off", ""),
    ("require", None): ("rc4", ", encrypted"),
    (None, "off"): ("off", ""),
    (None, "require"): ("rc4", ", encrypted"),
}

#: The policies of `seed` and `get` that do not meet.
STRANGERS = [("off", "require"), ("require", "off")]

CLIENT = f"peerwire {__version__}"


def wanting(policy):
    return () if policy is None else ("--encryption", policy)


@pytest.fixture
def seed(start, sample):
    """Starts `seed` with a policy; returns it, running."""

    def seed(policy, *words):
        words = ("--content", sample.content, "--port", 0, *wanting(policy), *words)
        return start("seed", sample.torrent, *words)

    return seed


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def joined(found):
    return [record["encryption"] for record in found if record["event"] == "peer joined"]


@pytest.mark.parametrize(("words", "told"), DEMO.items())
def test_demo(cli, words, told):
    spoken, text = told
    assert cli("demo", "--size", 100_000, *words, "--json").records[0]["encryption"] == spoken
    assert cli("demo", "--size", 100_000, *words).out.splitlines()[-1] == f"encrypted {text}"


@pytest.mark.parametrize(("policies", "told"), MEETINGS.items())
def test_seed_and_get_for_scripts(cli, seed, sample, tmp_path, policies, told):
    theirs, ours = policies
    seeding = seed(theirs, "--json")
    peer = f"{HOST}:{seeding.port()}"
    words = (*wanting(ours), "--json")
    said = cli("get", sample.torrent, "--peer", peer, "-o", tmp_path / "new", *words)
    assert said.status == 0
    assert joined(said.records) == [told[0]]
    assert sample.is_in(tmp_path / "new")
    assert seeding.end(signal.SIGTERM) == 0
    assert joined(records(seeding.out)) == [told[0]]


@pytest.mark.parametrize(("policies", "told"), MEETINGS.items())
def test_seed_and_get_for_people(cli, seed, sample, tmp_path, policies, told):
    theirs, ours = policies
    seeding = seed(theirs)
    peer = f"{HOST}:{seeding.port()}"
    words = wanting(ours)
    said = cli("get", sample.torrent, "--peer", peer, "-o", tmp_path / "new", *words)
    assert f"connected to {peer}, {CLIENT}{told[1]}" in said.err.splitlines()
    assert seeding.end(signal.SIGTERM) == 0
    (line,) = [line for line in seeding.err.splitlines() if line.startswith("connection from ")]
    assert line.endswith(f", {CLIENT}{told[1]}")


@pytest.mark.parametrize("policies", STRANGERS)
def test_seed_and_get_that_do_not_meet(seed, start, sample, tmp_path, policies):
    theirs, ours = policies
    seeding = seed(theirs, "--json")
    peer, out = f"{HOST}:{seeding.port()}", tmp_path / "new"
    getting = start("get", sample.torrent, "--peer", peer, "-o", out, *wanting(ours), "--json")
    wait_until(lambda: "\n" in getting.out)
    first = records(getting.out)[0]
    assert (first["event"], first["address"]) == ("dial failed", peer)
    assert first["error"]
    assert getting.end(signal.SIGINT) == 130
    assert seeding.end(signal.SIGTERM) == 0
    assert joined(records(getting.out)) == joined(records(seeding.out)) == []
    assert sample.pieces_in(out) == set()


def test_the_metadata_of_a_magnet_link_is_fetched_as_encrypted(cli, seed, sample, tmp_path):
    seeding = seed(None, "--json")
    with eavesdropping(seeding.port()) as overheard:
        link = f"magnet:?xt=urn:btih:{sample.meta.info_hash.hex()}"
        peer = f"{HOST}:{overheard.port}"
        words = ("-o", tmp_path / "new", "--encryption", "require")
        assert cli("get", link, "--peer", peer, *words).status == 0
    metadata, content = overheard.conversations
    for conversation in (metadata, content):
        assert not conversation.said.startswith(GREETING)
        assert b"ut_metadata" not in conversation.said + conversation.answered
    assert sample.is_in(tmp_path / "new")


@pytest.mark.parametrize(
    "words",
    [
        ("demo",),
        ("seed", "any.torrent", "--content", "any"),
        ("get", "any.torrent", "--peer", f"{HOST}:1"),
    ],
    ids=lambda words: words[0],
)
def test_a_policy_that_is_none(cli, words):
    said = cli(*words, "--encryption", "maybe")
    assert (said.status, said.out) == (2, "")
    last = said.err.splitlines()[-1]
    assert "--encryption" in last
    assert "maybe" in last
    assert all(policy in last for policy in ("off", "prefer", "require"))


@pytest.mark.parametrize(
    ("verb", "default"), [("demo", "off"), ("seed", "prefer"), ("get", "prefer")]
)
def test_help_tells_the_policies_and_the_default(cli, verb, default):
    text = " ".join(cli(verb, "--help").out.split())
    assert "--encryption {off,prefer,require}" in text
    assert f"or there is no connection (default: {default})" in text
