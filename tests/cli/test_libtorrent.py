"""`create`, `seed` and `get` against libtorrent, the most common client, in both directions."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.interop.clients import Libtorrent, Peerwire
from tests.interop.clients.libtorrent import SCRIPT
from tests.interop.content import PIECE_SIZE, multi, single
from tests.interop.transfer import transfer

from peerwire import bencode

CONTENT = {"single": single, "multi": multi}


@pytest.fixture(params=CONTENT)
def content(request, tmp_path):
    return CONTENT[request.param](tmp_path)


def test_get_from_libtorrent(content, tmp_path):
    transfer(Libtorrent(tmp_path / "lt"), Peerwire(tmp_path / "pw"), content, tmp_path / "out")


def test_seed_to_libtorrent(content, tmp_path):
    transfer(Peerwire(tmp_path / "pw"), Libtorrent(tmp_path / "lt"), content, tmp_path / "out")


def test_create_makes_the_info_dictionary_that_libtorrent_makes(content, tmp_path):
    theirs = tmp_path / "theirs.torrent"
    command = [sys.executable, "-W", "ignore", SCRIPT, "create", content.path, theirs]
    subprocess.run([*command, "--piece-size", str(PIECE_SIZE)], check=True)
    assert info(content.torrent) == info(theirs)


def info(torrent):
    return bencode.decode(torrent.read_bytes())[b"info"]
