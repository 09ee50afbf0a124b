"""Every policy of ours against every policy of theirs, both ways, with somebody listening in.

`make interop` prints the grid at its end. What a cell says was spoken is what the eavesdropper
could tell, and what `peerwire` says of it has to agree.
"""

from __future__ import annotations

import json

import pytest

from .clients import Peerwire
from .content import Content, digests, make_torrent, write
from .eavesdropper import eavesdropping
from .process import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

POLICIES = ("off", "prefer", "require")

#: A refusal comes at once, or after a client's first try of something else.
REFUSAL_TIMEOUT = 30

#: Client and what it wants of encryption, to what is spoken with our policies in their order; None
#: where they do not meet. Where it leeches, the same, unless that is given.
GRID = {
    ("libtorrent", "require"): {"seeds": (None, "rc4", "rc4")},
    ("libtorrent", "plaintext"): {"seeds": (None, "plaintext", None)},
    ("libtorrent", "off"): {"seeds": ("off", "off", None)},
    # It dials plainly first, unless it was told that the peer can do more.
    ("libtorrent", "default"): {
        "seeds": ("off", "plaintext", "rc4"),
        "leeches": ("off", "off", "rc4"),
    },
    ("transmission", "require"): {"seeds": (None, "rc4", "rc4")},
    # It offers RC4 only, and dials again plainly.
    ("transmission", "prefer"): {"seeds": ("off", "rc4", "rc4")},
    # It dials plainly only. As a seed it selects plaintext, but then takes the initial payload for
    # plain, too, which is RC4 always, and closes; so that we dial again.
    ("transmission", "off"): {
        "seeds": ("off", "off", "rc4"),
        "leeches": ("off", "off", None),
    },
    ("aria2", "require"): {"seeds": (None, "rc4", "rc4")},
    ("aria2", "off"): {"seeds": ("off", "plaintext", "rc4")},
    # A wire alone does not dial again, and as a seed it takes plain peers whatever it is told.
    ("bittorrent-protocol", "require"): {
        "seeds": ("off", "rc4", "rc4"),
        "leeches": (None, "rc4", "rc4"),
    },
    ("bittorrent-protocol", "prefer"): {
        "seeds": ("off", "plaintext", "rc4"),
        "leeches": (None, "plaintext", "rc4"),
    },
    ("bittorrent-protocol", "off"): {"seeds": ("off", "off", None)},
}

CELLS = [
    pytest.param(name, theirs, way, ours, spoken, id=f"{name}-{theirs}-{way}-{ours}")
    for (name, theirs), ways in GRID.items()
    for way in ("seeds", "leeches")
    for ours, spoken in zip(POLICIES, ways.get(way, ways["seeds"]), strict=True)
]


@pytest.fixture(scope="session")
def content(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    path = folder / "small.bin"
    write(path, 300_007, seed=20)
    return Content(path, make_torrent(path, folder / "small.torrent"))


@pytest.mark.parametrize(("name", "theirs", "way", "ours", "spoken"), CELLS)
def test_cell(name, theirs, way, ours, spoken, client, content, jail, tmp_path, record_property):
    record_property("encryption", (name, theirs, way, ours))
    them, us = client(name, theirs), Peerwire(tmp_path / "peerwire", jail, encryption=ours)
    seeder, leecher = (them, us) if way == "seeds" else (us, them)
    port, out = free_port(), tmp_path / "out"
    with (
        seeder.seed(content.torrent, content.path, port) as seeding,
        eavesdropping(port) as overheard,
        leecher.leech(content.torrent, out, ("127.0.0.1", overheard.port)) as download,
    ):
        process = download.process if way == "seeds" else seeding
        if spoken is None:
            download.process.wait_until(
                lambda: refused(way, process, overheard), "refused", REFUSAL_TIMEOUT
            )
        else:
            download.wait()
        said = told(process)
        record_property("spoken", "/".join(sorted(said)))
        used = max(overheard.conversations, key=lambda call: len(call.said) + len(call.answered))
    whole = digests(out / content.path.name) == digests(content.path)
    if spoken is None:
        assert not said
        assert not whole
        return
    assert whole
    assert said == {spoken}
    assert used.spoken(sample(content)) == spoken


def refused(way, process, overheard):
    """Whether whoever was dialled has ended it, and we know."""
    if way == "seeds":
        return any(event["event"] == "dial failed" for event in events(process))
    return any(call.ended_by == "dialled" for call in overheard.conversations)


def told(process):
    """What we say was spoken, with all peers that went as far as a handshake."""
    return {event["encryption"] for event in events(process) if event["event"] == "peer joined"}


def events(process):
    lines = process.output().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"event"')]


def sample(content):
    """Bytes from the middle of the first block."""
    return content.path.read_bytes()[1000:1064]
