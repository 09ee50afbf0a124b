"""`peerwire metadata` from the clients that give it, in two pieces."""

from __future__ import annotations

import pytest

from .asking import fetched
from .magnets import many_files
from .process import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]


@pytest.mark.parametrize("encryption", ["off", "require"])
@pytest.mark.parametrize("client_name", ["transmission", "aria2"])
def test_a_torrent_from_a_client(client, tmp_path, client_name, encryption):
    content = many_files(tmp_path / "many")
    them = client(client_name, encryption)
    record = fetched(them, content, free_port(), tmp_path / "out.torrent")
    assert (record["version"], record["files"]) == ("v1", 200)
    assert record["metadata_bytes"] > 16384
