"""What the peers of one process count."""

from __future__ import annotations

import collections

__all__ = ["Tally"]

#: Disturbances that are told; the rest are only counted.
TOLD = 10


class Tally:
    """How peers fared.

    Attributes:
        counts: Of answers to well-behaved peers, by what they were to and how they were.
        attacks: How often each kind of hostile peer was there.
        disturbances: How often something was not as it must be.
        disturbed: The first of them.
    """

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.attacks: collections.Counter[int] = collections.Counter()
        self.disturbances = 0
        self.disturbed: list[str] = []

    def wrong(self, what: str) -> None:
        """Notes something that must not be."""
        self.disturbances += 1
        if len(self.disturbed) < TOLD:
            self.disturbed.append(what)
