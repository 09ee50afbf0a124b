"""What a hostile case is: who says what to us, and what we answer. Data, and nothing that runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from peerwire import Handshake, Limits, Message, RemoteProtocolError
from peerwire.framing import Framing
from peerwire.handshake import HANDSHAKE_LENGTH
from peerwire.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peerwire import ConnectionClosed, Wire

__all__ = [
    "ALL",
    "DIALLED",
    "FETCHING",
    "MAGNETS",
    "SOCKETS",
    "UNBOUND",
    "Act",
    "Case",
    "Ended",
    "Left",
    "Level",
    "Pause",
    "Reply",
    "Row",
    "Scene",
    "Seen",
    "Step",
    "Tolerated",
]


class Level(enum.Enum):
    """Where a case is met: whose code stands between the peer and the application."""

    WIRE = "a wire alone"
    SERVE = "serve"
    SEED = "a seed"
    GET = "a download"
    MAGNET = "a download from a magnet link"


ALL = frozenset({Level.WIRE, Level.SERVE, Level.SEED, Level.GET})
#: Only a side that was dialled can meet it.
DIALLED = frozenset({Level.WIRE, Level.SERVE, Level.SEED})
#: The same, but not in a swarm: the torrent is known less, or more is spoken.
UNBOUND = frozenset({Level.WIRE, Level.SERVE})
#: Only a side that dials and asks for blocks can meet it.
FETCHING = frozenset({Level.WIRE, Level.GET})
#: It takes a socket.
SOCKETS = ALL - {Level.WIRE}
#: Only who has no metadata yet can meet it.
MAGNETS = frozenset({Level.MAGNET})


# What the peer does


@dataclass(frozen=True, slots=True)
class Reply:
    """Says what follows from all that it has heard so far; None to hear more first."""

    make: Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Pause:
    """Does nothing for so many seconds."""

    seconds: float


class Act(enum.Enum):
    """What a peer does that is not saying something."""

    DEAF = "reads nothing from now on"
    CLOSE = "closes the connection"
    SHUTDOWN = "closes its direction of the connection"
    RESET = "resets the connection"


#: Bytes and messages are said in a segment of their own.
Step = bytes | Message | Handshake | Reply | Pause | Act


# What becomes of it


@dataclass(slots=True)
class Seen:
    """What could be seen of a case, on whatever level.

    Attributes:
        heard: All bytes that the peer was sent.
        notes: The lines of the trace that are marked as errors or deviations.
        closed: Who ended the connection and why, if anybody did.
        wire: Our side, where the peer got past the handshake.
    """

    heard: bytes
    notes: list[str]
    closed: ConnectionClosed | None
    wire: Wire | None

    @property
    def messages(self) -> list[Message]:
        """What the peer was told after the handshake."""
        return messages(self.heard)


class Expectation(Protocol):
    """What is expected of a case."""

    def check(self, seen: Seen) -> None:
        """Asserts that it is what was seen."""


@dataclass(frozen=True, slots=True)
class Ended:
    """We end the connection, with this error.

    Attributes:
        error: Its very class.
        rule: A part of the rule that it names.
        says: A part of its message.
    """

    error: type[RemoteProtocolError]
    rule: str
    says: str

    def __str__(self) -> str:
        return f"`{self.error.__name__}`, {self.rule}"

    def check(self, seen: Seen) -> None:
        assert seen.closed is not None, "the connection goes on"
        assert seen.closed.by == "us", seen.closed
        self.check_error(seen.closed.__cause__)

    def check_error(self, error: BaseException | None) -> None:
        assert type(error) is self.error, repr(error)
        assert isinstance(error, RemoteProtocolError)
        assert self.rule in error.rule, error.rule
        assert self.says in str(error), str(error)


@dataclass(frozen=True, slots=True)
class Tolerated:
    """The connection goes on.

    Attributes:
        answers: What the peer is told, among other things.
        note: A part of a line of the trace that says what was let pass.
        state: Attributes of the wire, and what they come to; of a set, how many are in it.
        never: What it is told nothing of the kind of.
    """

    answers: tuple[Message, ...] = ()
    note: str = ""
    state: Mapping[str, int | bool] = field(default_factory=dict)
    never: type[Message] | None = None

    def __str__(self) -> str:
        answers = ", ".join(f"`{answer}`" for answer in self.answers)
        note = f"noted: {self.note}" if self.note else ""
        state = ", ".join(f"{name} {value}" for name, value in self.state.items())
        never = "" if self.never is None else f"no {self.never.name}"
        told = (answers and f"answered {answers}", note, state, never)
        return "; ".join(filter(None, told)) or "ignored"

    def check(self, seen: Seen) -> None:
        assert seen.closed is None, seen.closed
        heard = seen.messages
        for answer in self.answers:
            assert answer in heard, f"no {answer} among {[str(m) for m in heard[-20:]]}"
        assert not any(type(message) is self.never for message in heard)
        assert any(self.note in line for line in seen.notes) or not self.note, seen.notes
        assert seen.wire is not None
        for name, expected in self.state.items():
            value: Any = getattr(seen.wire, name)
            found = value if isinstance(value, int) else len(value)
            assert found == expected, f"{name} is {found}"


@dataclass(frozen=True, slots=True)
class Left:
    """The peer ends the connection, and we say how far it was.

    Attributes:
        reason: A part of it.
        by: Who ended it.
    """

    reason: str
    by: str = "peer"

    def __str__(self) -> str:
        return f"told as closed, {self.reason}"

    def check(self, seen: Seen) -> None:
        assert seen.closed is not None, "the connection goes on"
        assert seen.closed.by == self.by, seen.closed
        assert self.reason in seen.closed.reason, seen.closed


# The table


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table in docs/topics/security.md.

    Attributes:
        key: What the ids of its cases begin with.
        input: What comes.
        answer: What becomes of it.
        bounds: The fields of `Limits` that hold it, or what else does.
        levels: Where it can be met.
    """

    key: str
    input: str
    answer: str
    bounds: tuple[str, ...] = ()
    levels: frozenset[Level] = ALL


@dataclass(frozen=True, slots=True)
class Scene:
    """What our side is like.

    Attributes:
        limits: The bounds it holds its peers to.
        encryption: What it wants of encryption.
        knows_pieces: Whether it knows how many pieces there are.
        v2: Whether the torrent is a v2 one.
        strict: Whether deviations end a connection.
        slow: Whether the application does not get round to this peer's requests.
        undecided: Whether it does not get round to saying if it serves the torrent.
    """

    limits: Limits = DEFAULT_LIMITS
    encryption: str = "off"
    knows_pieces: bool = True
    v2: bool = False
    strict: bool = False
    slow: bool = False
    undecided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that a peer can do to us.

    Attributes:
        id: The key of its row, and what is special about it.
        script: What the peer does, from the moment the connection is there.
        expect: What becomes of it.
        levels: Where it can be met.
        scene: What our side is like.
    """

    id: str
    script: tuple[Step, ...]
    expect: Ended | Tolerated | Left
    levels: frozenset[Level] = ALL
    scene: Scene = Scene()

    @property
    def row(self) -> str:
        """The key of its row."""
        return self.id.partition("/")[0]


def messages(heard: bytes) -> list[Message]:
    """Returns the whole messages after a handshake, blocks copied."""
    found = []
    for message in Framing(1 << 24).receive(heard[HANDSHAKE_LENGTH:]):
        block = getattr(message, "block", None)
        if block is not None:
            message.block = bytes(block)  # type: ignore[attr-defined]
        found.append(message)
    return found
