"""How fast a total grows."""

from __future__ import annotations

__all__ = ["Rate"]

#: Seconds that a rate looks back: long enough to be steady, short enough to show a stall.
WINDOW = 5.0

#: Seconds between samples; a peer costs at most WINDOW / STEP of them.
STEP = 0.5


class Rate:
    """The speed at which a total has grown over the last seconds.

    Args:
        now: What time it is, in seconds.
    """

    __slots__ = ("_samples", "_start")

    def __init__(self, now: float) -> None:
        self._start = now
        self._samples: list[tuple[float, int]] | None = None  # most peers never move a block

    def sample(self, total: int, now: float) -> None:
        """Notes what the total is; worth calling whenever it changed."""
        samples = self._samples
        if samples is None:
            if not total:
                return
            samples = self._samples = [(self._start, 0)]
        if now - samples[-1][0] < STEP:
            return
        samples.append((now, total))
        while now - samples[1][0] >= WINDOW:
            del samples[0]

    def per_second(self, total: int, now: float) -> float:
        """Returns the growth a second, over the last five seconds or since the start.

        Growth is never spread over less than half a second, so that the first block of a
        connection is no record; nor over the silence before it, so that none after a pause is
        lost.
        """
        self.sample(total, now)
        if self._samples is None:
            return 0.0
        when, before = self._samples[0]  # the last sample before the window
        return (total - before) / min(max(now - when, STEP), WINDOW + STEP)
