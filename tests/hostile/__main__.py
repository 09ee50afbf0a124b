"""Writes the table of hostile cases into docs/topics/security.md: ``python -m tests.hostile``."""

from .cases import CASES
from .table import DOCUMENT, update

update()
print(f"{len(CASES)} cases written into {DOCUMENT}")
