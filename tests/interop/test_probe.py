"""`peerwire probe` of each client: who it is, what it has and how it can be spoken with."""

from __future__ import annotations

import pytest

from .asking import is_a_seed, probed, works
from .policies import GRID
from .process import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

#: What each says of itself, and which extensions it names.
SAYS = {
    "transmission": ("Transmission ", {"ut_metadata"}),
    "aria2": ("aria2", {"ut_metadata"}),
    "bittorrent-protocol": ("", set()),
}

SEEDS = [(name, wants) for name, wants, way in GRID if way == "seeds" and name in SAYS]


@pytest.mark.parametrize(("client_name", "wants"), SEEDS)
def test_a_client_that_seeds(client, contents, client_name, wants):
    single = contents["single"]
    record = probed(client(client_name, wants), single, free_port(), "--blocks", 2)
    is_a_seed(record, single)
    name, extensions = SAYS[client_name]
    assert record["client"].startswith(name)
    assert (record["extensions"] or {}).keys() >= extensions
    off, _, require = GRID[client_name, wants, "seeds"]
    assert ("off" in works(record)) == (off == "off")
    assert ("rc4" in works(record)) == (require == "rc4")
