"""Whom to unchoke: those who give most, and everybody in turn (BEP 3, choking)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["DEFAULT_SLOTS", "OPTIMISTIC_SECONDS", "RECHOKE_SECONDS", "Candidate", "Choker"]

#: How many interested peers are unchoked at once, one of them optimistically. webtorrent: 10.
DEFAULT_SLOTS = 10

#: Who is choked changes no faster than this, lest choking flutters (BEP 3).
RECHOKE_SECONDS = 10.0

#: How long the optimistic unchoke stays with one peer (BEP 3).
OPTIMISTIC_SECONDS = 30.0

#: The first place in the rotation is so many times as likely for a newcomer as any other (BEP 3).
NEWCOMER_WEIGHT = 3

#: A timer of ten seconds that rings this early still counts as ten.
_SLACK = 0.5

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Candidate(Generic[K]):
    """A peer, as far as choking cares.

    Attributes:
        key: Whatever names it.
        interested: Whether it wants something of us.
        download_rate: What it gives us, in bytes a second.
        upload_rate: What it takes from us, in bytes a second.
        connected_at: When it came, on the clock of `Choker.rechoke`.
        unchoked: Whether we unchoke it now.
        home: Where it is. Of those at one place only the fastest competes with all others, the
            next fastest after everybody's fastest, and so on: else who opens twenty connections
            from one address has twenty slots. All are at one place if it is left out.
    """

    key: K
    interested: bool
    download_rate: float
    upload_rate: float
    connected_at: float
    unchoked: bool
    home: str = ""


class Choker(Generic[K]):
    """Decides who is unchoked, by the algorithm that BEP 3 describes.

    Every ten seconds the interested peers with the best rate are unchoked: what they give while
    this side downloads, what they take once it seeds. A peer that is not interested but faster
    than one of them is unchoked beside them; should it become interested, the slowest goes. One
    slot is optimistic: it goes round among the interested peers that the rates leave out, thirty
    seconds each, so that nobody starves and newcomers get a chance to show what they give.

    Args:
        slots: How many interested peers are unchoked at once, the optimistic one included.
        rng: Breaks ties and places newcomers in the rotation.

    Raises:
        ValueError: There is no slot.
    """

    def __init__(self, slots: int = DEFAULT_SLOTS, *, rng: random.Random | None = None) -> None:
        if slots < 1:
            raise ValueError(f"{slots} slots unchoke nobody: there has to be one at least")
        self._slots = slots
        self._rng = rng if rng is not None else random.Random()
        self._rotation: list[K] = []  # whose turn it is next comes first
        self._optimistic: K | None = None
        self._rotated_at = 0.0
        self._round_at: float | None = None

    def rechoke(self, now: float, peers: Iterable[Candidate[K]], *, seeding: bool) -> set[K]:
        """Decide who is to be unchoked from now on.

        Call it every `RECHOKE_SECONDS`, and besides whenever a peer joins, leaves, or changes its
        interest. In between it only gives free slots away, and takes a slot back when a faster
        peer has become interested.

        Args:
            now: The time, in seconds on any steady clock.
            peers: All connected peers.
            seeding: Whether this side has all it wants.

        Returns:
            The keys of those to unchoke; all others are to be choked.
        """
        ranked = self._ranked(peers, seeding=seeding)
        self._enrol(ranked)
        if self._round_at is not None and now - self._round_at < RECHOKE_SECONDS - _SLACK:
            return self._adjusted(ranked)
        self._round_at = now
        self._rotate(now, ranked)
        return self._winners(ranked, seeding=seeding)

    def _ranked(self, peers: Iterable[Candidate[K]], *, seeding: bool) -> list[Candidate[K]]:
        """Best rate first; of equals those already unchoked, then at random; place by place."""
        ranked = sorted(peers, key=lambda peer: peer.connected_at)
        self._rng.shuffle(ranked)
        ranked.sort(key=lambda peer: (_rate(peer, seeding=seeding), peer.unchoked), reverse=True)
        faster: Counter[str] = Counter()  # at each place, of those that come later
        places = []
        for peer in ranked:
            places.append(faster[peer.home])
            faster[peer.home] += 1
        order = sorted(range(len(ranked)), key=places.__getitem__)
        return [ranked[number] for number in order]

    def _enrol(self, ranked: list[Candidate[K]]) -> None:
        """Give newcomers a place in the rotation, and take those who left out of it."""
        here = {peer.key for peer in ranked}
        self._rotation = [key for key in self._rotation if key in here]
        here.difference_update(self._rotation)
        for peer in sorted(ranked, key=lambda peer: peer.connected_at):
            if peer.key in here:
                place = self._rng.randrange(len(self._rotation) + NEWCOMER_WEIGHT)
                self._rotation.insert(max(0, place - NEWCOMER_WEIGHT + 1), peer.key)

    def _rotate(self, now: float, ranked: list[Candidate[K]]) -> None:
        """Pass the optimistic unchoke on when its time is over, or its peer has no use for it."""
        interested = [peer.key for peer in ranked if peer.interested]
        overdue = now - self._rotated_at >= OPTIMISTIC_SECONDS - _SLACK
        if self._optimistic in interested and not overdue:
            return
        left_out = set(interested[self._slots - 1 :])
        self._optimistic = next((key for key in self._rotation if key in left_out), None)
        self._rotated_at = now
        if self._optimistic is not None:
            self._rotation.remove(self._optimistic)
            self._rotation.append(self._optimistic)

    def _winners(self, ranked: list[Candidate[K]], *, seeding: bool) -> set[K]:
        chosen: set[K] = set()
        free = self._slots
        if self._optimistic is not None:
            chosen.add(self._optimistic)
            free -= 1
        for peer in ranked:
            if not free:
                break
            if peer.interested and peer.key not in chosen:
                chosen.add(peer.key)
                free -= 1
            elif _rate(peer, seeding=seeding) > 0:
                chosen.add(peer.key)
        return chosen

    def _adjusted(self, ranked: list[Candidate[K]]) -> set[K]:
        """Leave all as it is, but for slots that are free or given twice."""
        chosen = {peer.key for peer in ranked if peer.unchoked}
        interested = [peer for peer in ranked if peer.interested]
        free = self._slots - sum(peer.unchoked for peer in interested)
        for peer in interested:
            if free > 0 and not peer.unchoked:
                chosen.add(peer.key)
                free -= 1
        for peer in reversed(interested):
            if free < 0 and peer.unchoked and peer.key != self._optimistic:
                chosen.remove(peer.key)
                free += 1
        return chosen


def _rate(peer: Candidate[K], *, seeding: bool) -> float:
    return peer.upload_rate if seeding else peer.download_rate
