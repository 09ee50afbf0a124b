"""What a case is to say of a peer with a defect."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from peerwire.check import Verdict

from ..double import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from peerwire import Message

P = TypeVar("P", bound=type[Session])


class Row(NamedTuple):
    """One case, asked of one peer."""

    case: str
    peer: type[Session]
    verdict: Verdict
    saying: str
    torrent: str

    def __str__(self) -> str:
        torrent = "" if self.torrent == "usual" else f"-{self.torrent}"
        return f"{self.case}-{self.peer.__name__}{torrent}"


#: All of them.
ROWS: list[Row] = []


def shows(
    verdict: Verdict, *cases: str, saying: str = "", torrent: str = "usual"
) -> Callable[[P], P]:
    """Adds rows for the peer that it decorates.

    Args:
        verdict: What these cases come to.
        cases: Their ids.
        saying: What is in the words of what was observed.
        torrent: The name of a sample.
    """

    def add(peer: P) -> P:
        ROWS.extend(Row(case, peer, verdict, saying, torrent) for case in cases)
        return peer

    return add


passes = partial(shows, Verdict.PASS)
notes = partial(shows, Verdict.INFO)
fails = partial(shows, Verdict.FAIL)
lax = partial(shows, Verdict.NON_STRICT)
not_applicable = partial(shows, Verdict.NOT_APPLICABLE)
inconclusive = partial(shows, Verdict.INCONCLUSIVE)


def closes_at(
    *kinds: type[Message], where: Callable[[Message], bool] = lambda _: True
) -> type[Session]:
    """Returns a peer that ends the connection at messages of a kind."""

    class Closes(Session):
        def take(self, message):
            self.expect(not (isinstance(message, kinds) and where(message)))
            super().take(message)

    Closes.__name__ = "ClosesAt" + "".join(kind.__name__ for kind in kinds)
    return Closes


def introduces_itself(**told: object) -> type[Session]:
    """Returns a peer whose extended handshake has these values; None for none."""

    class Introduces(Session):
        def told(self):
            values = super().told() | told
            return {key: value for key, value in values.items() if value is not None}

    Introduces.__name__ = "Tells" + "".join(told)
    return Introduces


def says_first(*said: bytes | Message) -> type[Session]:
    """Returns a peer that begins with these messages, and nothing else."""

    class Says(Session):
        def opening(self):
            return [*said]

    Says.__name__ = "SaysFirst" + "".join(type(each).__name__ for each in said)
    return Says
