"""Metadata from the clients that give it and to those that ask for it, in two pieces."""

from __future__ import annotations

import asyncio

import pytest

from peerwire.swarm.metadata import fetch_metadata
from peerwire.torrent.metainfo import Metainfo

from .clients import Peerwire
from .magnets import Aria2ByMagnet, PeerwireByMagnet, Spoken, TransmissionByMagnet, many_files
from .process import free_port
from .transfer import transfer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

#: Those with ut_metadata that the normal suite does not drive.
CLIENTS = {"transmission": TransmissionByMagnet, "aria2": Aria2ByMagnet}

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    return many_files(tmp_path_factory.mktemp("many"))


@pytest.mark.parametrize("name", CLIENTS)
def test_metadata_from_a_client(name, client, many, tmp_path):
    metainfo, spoken, port = Metainfo.from_file(many.torrent), Spoken(), free_port()
    with client(name).seed(many.torrent, many.path, port):
        fetching = fetch_metadata(metainfo.info_hash, [(HOST, port)], trace=spoken)
        assert asyncio.run(fetching) == metainfo.info
    rest = len(metainfo.info) - 16384
    assert sorted(spoken.lines) == sorted(
        ["> request 0", "> request 1", "< data 0 16384", f"< data 1 {rest}"]
    )


@pytest.mark.parametrize("name", CLIENTS)
def test_get_by_magnet_from_a_client(name, client, many, jail, tmp_path):
    leecher = PeerwireByMagnet(tmp_path / "peerwire", jail)
    transfer(client(name), leecher, many, tmp_path / "out")


@pytest.mark.parametrize("name", CLIENTS)
def test_seed_to_a_client_by_magnet(name, client, many, jail, tmp_path):
    client(name)  # ends the test where it is missing
    leecher = CLIENTS[name](tmp_path / f"{name}-magnet", jail)
    transfer(Peerwire(tmp_path / "peerwire", jail), leecher, many, tmp_path / "out")
