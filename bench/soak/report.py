"""What came out of a run, and whether it is good."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from .hostile import ATTACKS, address
from .plan import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .plan import Plan

__all__ = ["Report", "Verdict"]

#: How much memory may grow between the warm-up and the end.
GROWTH = 0.05

#: How many of the peers have to be there at once, at some time.
AT_ONCE = 0.9

#: How connections of well-behaved peers end. One that leaves waits five seconds for a busy server
#: to answer, and then resets; if the server does that to one, the peer tells of it.
PEACEFUL_ENDS = ("closed by peer", "closed by us", "closed by network: ConnectionResetError")

MIB = 1024 * 1024


class Verdict(NamedTuple):
    """One thing that has to be so.

    Attributes:
        what: In words.
        good: Whether it is.
        why: What it was seen by.
    """

    what: str
    good: bool
    why: str


@dataclasses.dataclass
class Report:
    """What the processes of a run told.

    Attributes:
        plan: The run.
        server: What the server's process told.
        peers: What those of the peers told.
    """

    plan: Plan
    server: dict[str, Any]
    peers: Sequence[dict[str, Any]]

    # Figures

    def counts(self) -> dict[str, int]:
        """Returns what well-behaved peers counted."""
        return self._summed("counts")

    def attacks(self) -> dict[str, int]:
        """Returns how often each kind of hostile peer came."""
        return self._summed("attacks")

    def ends(self, *ips: str) -> dict[str, int]:
        """Returns how often connections from these addresses ended in each way."""
        found: collections.Counter[str] = collections.Counter()
        for ip, end, count in self.server["ends"]:
            if not ips or ip in ips:
                found[end] += count
        return dict(found.most_common())

    def memory(self) -> dict[str, float]:
        """Returns bytes in use: before, after the warm-up, at the end, when all had left, and each.

        ``most`` is what the process had at most, garbage and what is free included.
        """
        before, warm, end, after = (self.server[at] for at in ("before", "warm", "end", "after"))
        return {
            "before": before["bytes"],
            "warm": warm["bytes"],
            "end": end["bytes"],
            "after": after["bytes"],
            "most": max(memory for _, memory, _ in self.server["samples"]),
            "connection": (warm["bytes"] - before["bytes"]) / max(1, warm["connections"]),
        }

    def blocks(self) -> dict[str, int]:
        """Returns how many blocks Python had allocated, at the same times."""
        return {at: self.server[at]["blocks"] for at in ("before", "warm", "end", "after")}

    def at_once(self) -> dict[str, float]:
        """Returns how many connections there were at a time, after all had arrived."""
        arrived, leaving = self.plan.arriving, self.plan.seconds
        there = [peers for at, _, peers in self.server["samples"] if arrived < at < leaving]
        return {"median": statistics.median(there or [0]), "most": max(there, default=0)}

    def rates(self) -> dict[str, float]:
        """Returns what the server moved, a second."""
        return {name: n / self.server["moved in"] for name, n in self.server["moved"].items()}

    def _summed(self, key: str) -> dict[str, int]:
        total: collections.Counter[str] = collections.Counter()
        for told in self.peers:
            total.update(told[key])
        return dict(total.most_common())

    # Verdicts

    def verdicts(self) -> list[Verdict]:
        """Returns everything that has to be so."""
        return [
            self._all_there(),
            self._memory_stays(),
            self._hostile_end_as_expected(),
            self._nobody_disturbed(),
            self._nothing_uncaught(),
            self._nothing_left(),
        ]

    def _all_there(self) -> Verdict:
        most = self.at_once()["most"]
        what = f"{self.plan.peers} peers were there at once, or nearly"
        return Verdict(what, most >= self.plan.peers * AT_ONCE, f"{most:.0f} at most")

    def _memory_stays(self) -> Verdict:
        memory = self.memory()
        grown = memory["end"] / memory["warm"] - 1
        warm, end = (self.server[at]["connections"] for at in ("warm", "end"))
        return Verdict(
            f"memory grows by no more than {GROWTH:.0%} after the warm-up",
            grown <= GROWTH,
            f"{grown:+.1%}, with {warm} connections and then {end}",
        )

    def _hostile_end_as_expected(self) -> Verdict:
        problems = []
        attacks = self.attacks()
        for number, attack in enumerate(ATTACKS):
            ends = self.ends(address(number))
            wrong = [f"{n} {end}" for end, n in ends.items() if not end.startswith(attack.ends)]
            if wrong:
                problems.append(f"who {attack.name}: {', '.join(wrong)}")
            came, ended = attacks.get(attack.name, 0), sum(ends.values())
            if came != ended:
                problems.append(f"who {attack.name}: {came} came, {ended} ended")
        return Verdict(
            "every hostile connection ends with the error that it has coming",
            not problems,
            "; ".join(problems)
            or f"{sum(attacks.values())} ends, {len(attacks)} of {len(ATTACKS)} kinds",
        )

    def _nobody_disturbed(self) -> Verdict:
        problems = [text for told in self.peers for text in told["disturbed"]]
        problems += [
            f"{count} {end}"
            for end, count in self.ends(HOST).items()
            if not end.startswith(PEACEFUL_ENDS)
        ]
        outcome = self.server["outcome"]
        problems += [f"{outcome[end]} {end}" for end in ("wrong", "missing") if outcome.get(end)]
        right = sum(count for name, count in self.counts().items() if name.endswith("right"))
        return Verdict(
            "no answer to a well-behaved peer is wrong or missing, and none is disturbed",
            not problems and not any(told["disturbances"] for told in self.peers) and right > 0,
            "; ".join(problems) or f"{right + outcome.get('right', 0)} answers right",
        )

    def _nothing_uncaught(self) -> Verdict:
        told = [self.server, *self.peers]
        count = sum(each["complaints in all"] for each in told)
        seen = "; ".join(text for each in told for text in each["complaints"])
        what = "nothing is raised outside of the tree of errors, nothing logged as a warning"
        return Verdict(what, count == 0, seen or "nothing")

    def _nothing_left(self) -> Verdict:
        left = {name: count for name, count in self.server["left"].items() if count}
        seen = ", ".join(f"{count} {name}" for name, count in left.items())
        what = "once all have left, no file, task or part of a connection is left"
        return Verdict(what, not left, seen or "nothing")

    # To be read

    def as_json(self) -> dict[str, Any]:
        """Returns all figures and verdicts."""
        return {
            "plan": dataclasses.asdict(self.plan),
            "at_once": self.at_once(),
            "connections": self.server["connections"],
            "rates": self.rates(),
            "ends": self.ends(),
            "memory": self.memory(),
            "blocks": self.blocks(),
            "samples": self.server["samples"],
            "lag": self.server["lag"],
            "left": self.server["left"],
            "counts": self.counts(),
            "server_asked": self.server["outcome"],
            "attacks": self.attacks(),
            "verdicts": [verdict._asdict() for verdict in self.verdicts()],
            "good": self.good,
        }

    @property
    def good(self) -> bool:
        """Whether everything is as it has to be."""
        return all(verdict.good for verdict in self.verdicts())

    def lines(self) -> Iterator[str]:
        """Yields all figures and verdicts, to be read."""
        at_once, rates, memory = self.at_once(), self.rates(), self.memory()
        yield f"seed {self.plan.seed}, {self.plan.seconds:g} s"
        yield (
            f"peers at once    median {at_once['median']:.0f}, most {at_once['most']:.0f}; "
            f"connections in all {self.server['connections']}"
        )
        for way in ("received", "sent"):
            yield (
                f"{way:16} {rates[f'messages {way}']:.0f} messages/s, "
                f"{rates[f'blocks {way}']:.0f} blocks/s, {rates[f'bytes {way}'] / MIB:.1f} MiB/s"
            )
        yield f"right answers    {_listed(self.counts())}; to the server: " + _listed(
            self.server["outcome"]
        )
        yield (
            f"memory           {memory['before'] / MIB:.1f} MiB before, "
            f"{memory['warm'] / MIB:.1f} after the warm-up, {memory['end'] / MIB:.1f} at the end, "
            f"{memory['after'] / MIB:.1f} once all had left, {memory['most'] / MIB:.1f} at most; "
            f"{memory['connection'] / 1024:.1f} KiB a connection"
        )
        blocks = self.blocks()
        yield (
            f"objects          {blocks['before']} before, {blocks['warm']} after the warm-up, "
            f"{blocks['end']} at the end, {blocks['after']} once all had left"
        )
        lag = self.server["lag"]
        yield "event loop late  " + ", ".join(f"{k} {v * 1000:.0f} ms" for k, v in lag.items())
        yield "connections by how they ended at the server:"
        for end, count in self.ends().items():
            yield f"  {count:7} {end}"
        for line in self.server["growth"]:
            yield f"  grown: {line}"
        for verdict in self.verdicts():
            yield f"{'ok  ' if verdict.good else 'FAIL'} {verdict.what}: {verdict.why}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
