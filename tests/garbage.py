"""What makes the collection of garbage after each test cheap."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["light"]


@pytest.fixture(autouse=True, scope="module")
def light() -> Iterator[None]:
    """Lets the collection of garbage after each test pass over what was there before all of them.

    That is a hundred thousand objects of modules and cases, and a thousand times to look at them.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
