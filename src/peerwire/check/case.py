"""What a case of the conformance suite is, and what can be said of a peer after it.

A case is a rule, by specification and section, and a function that asks one peer about it. The
function returns when the peer keeps the rule, and raises one of the judgements when it does not, or
when that can't be told.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from ..errors import PeerWireError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .probe import Probe

__all__ = [
    "DEADLINE",
    "INFO",
    "MUST",
    "SHOULD",
    "Ask",
    "Case",
    "Cases",
    "Closed",
    "Deviates",
    "Inconclusive",
    "Judgement",
    "Lax",
    "Level",
    "NotApplicable",
    "Result",
    "Verdict",
]

#: Seconds that a case may take, waiting for a place among those who are unchoked included.
DEADLINE: Final = 60.0

#: What asks a peer: it returns what is worth a note, or None.
Ask: TypeAlias = "Callable[[Probe], Awaitable[str | None]]"


class Level(enum.Enum):
    """How binding a rule is."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    INFO = "INFO"
    """No rule: what the peer does is noted, as others may want to know it."""

    def __str__(self) -> str:
        return self.value


MUST: Final = Level.MUST
SHOULD: Final = Level.SHOULD
INFO: Final = Level.INFO


class Verdict(enum.Enum):
    """What is said of a peer after a case."""

    PASS = "pass"
    NON_STRICT = "non-strict"
    """It departs from what it should do, or from the letter in a way that harms nobody."""
    FAIL = "fail"
    INFO = "info"
    NOT_APPLICABLE = "not applicable"
    """It does not announce the feature, or the torrent has nothing to ask it with."""
    INCONCLUSIVE = "inconclusive"
    """It could not be asked."""

    def __str__(self) -> str:
        return self.value


class Judgement(PeerWireError):
    """Ends a case, with what was observed."""

    def verdict(self, level: Level) -> Verdict:
        """Returns what it comes to in a case of this level."""
        raise NotImplementedError


class Deviates(Judgement):
    """The peer does not keep the rule."""

    def verdict(self, level: Level) -> Verdict:  # noqa: D102 - said by the base class, as below
        return {MUST: Verdict.FAIL, SHOULD: Verdict.NON_STRICT, INFO: Verdict.INFO}[level]


class Closed(Deviates):
    """The peer ended the connection, where it should have gone on."""


class Lax(Judgement):
    """The peer does not keep the rule to the letter, and nobody is the worse for it."""

    def verdict(self, level: Level) -> Verdict:  # noqa: D102
        return Verdict.INFO if level is INFO else Verdict.NON_STRICT


class NotApplicable(Judgement):
    """The rule is about something that the peer, or the torrent, does not have."""

    def verdict(self, level: Level) -> Verdict:  # noqa: D102
        return Verdict.NOT_APPLICABLE


class Inconclusive(Judgement):
    """The peer could not be asked."""

    def verdict(self, level: Level) -> Verdict:  # noqa: D102
        return Verdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One rule, and how a peer is asked about it.

    Attributes:
        id: Specification, section and number: ``bep3/handshake/3``. It never changes its meaning.
        level: How binding the rule is.
        section: Where it stands: ``BEP 3, peer protocol``.
        rule: What it says, in our words.
        does: What the case does.
        expects: What is then expected of the peer.
        ask: Does it.
        deadline: Seconds that it may take.
        hostile: Whether it does what no peer does that means well. The peer then has to serve the
            next connection, too.
        slow: Whether it takes minutes, so that it is left out unless it is asked for.
        encrypted: Whether it answers the encrypted handshake itself, if a leecher begins with one.
    """

    id: str
    level: Level
    section: str
    rule: str
    does: str
    expects: str
    ask: Ask
    deadline: float = DEADLINE
    hostile: bool = False
    slow: bool = False
    encrypted: bool = False

    @property
    def group(self) -> str:
        """What it is listed under: its id without the number."""
        return self.id.rpartition("/")[0]


class _Decorator(Protocol):
    def __call__(self, ask: Ask) -> Ask: ...


class Cases(list[Case]):
    """Cases in the order in which they are told, each added by a decorator.

    Args:
        group: What their ids begin with: ``bep3/handshake``.
        section: Where their rules stand, unless they say something else.
        hostile: As in `Case`, of all of them.
        encrypted: As in `Case`, of all of them.
    """

    def __init__(
        self, group: str, section: str, *, hostile: bool = False, encrypted: bool = False
    ) -> None:
        super().__init__()
        self._group = group
        self._section = section
        self._hostile = hostile
        self._encrypted = encrypted

    def case(
        self,
        number: int,
        level: Level,
        *,
        rule: str,
        does: str,
        expects: str,
        section: str | None = None,
        slow: bool = False,
        deadline: float = DEADLINE,
    ) -> _Decorator:
        """Returns what adds the function that it decorates.

        Raises:
            ValueError: The number is taken.
        """
        identity = f"{self._group}/{number}"
        if any(case.id == identity for case in self):
            raise ValueError(f"there is a case {identity} already")

        def add(ask: Ask) -> Ask:
            case = Case(
                id=identity,
                level=level,
                section=section or self._section,
                rule=rule,
                does=does,
                expects=expects,
                ask=ask,
                deadline=deadline,
                hostile=self._hostile,
                slow=slow,
                encrypted=self._encrypted,
            )
            self.append(case)
            return ask

        return add


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a case.

    Attributes:
        case: Which.
        verdict: What is said of the peer.
        observed: What it did, in a sentence; empty if that is what was expected.
        seconds: How long it took.
        transcript: What was said on the connection, a line each.
    """

    case: Case
    verdict: Verdict
    observed: str = ""
    seconds: float = 0.0
    transcript: list[str] = field(default_factory=list)

    def record(self) -> dict[str, object]:
        """Returns it as an object with stable keys."""
        case = self.case
        return {
            "event": "case",
            "id": case.id,
            "level": str(case.level),
            "section": case.section,
            "rule": case.rule,
            "does": case.does,
            "expects": case.expects,
            "verdict": str(self.verdict),
            "observed": self.observed,
            "seconds": round(self.seconds, 3),
            "transcript": self.transcript,
        }
