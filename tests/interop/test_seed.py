"""`peerwire seed` to each client."""

from __future__ import annotations

import pytest

from .clients import Peerwire
from .transfer import transfer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]


def test_seed_to_a_client_that_leeches(name, what, client, contents, jail, tmp_path):
    peerwire = Peerwire(tmp_path / "peerwire", jail)
    transfer(peerwire, client(name), contents[what], tmp_path / "out")
