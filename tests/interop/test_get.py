"""`peerwire get` from each client."""

from __future__ import annotations

import pytest

from .clients import Peerwire
from .transfer import transfer

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]


def test_get_from_a_client_that_seeds(name, what, client, contents, jail, tmp_path):
    peerwire = Peerwire(tmp_path / "peerwire", jail)
    transfer(client(name), peerwire, contents[what], tmp_path / "out")
