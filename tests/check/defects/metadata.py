"""What can be wrong with the answers about metadata (BEP 9)."""

from __future__ import annotations

from peerwire import Extended
from peerwire.bencode import encode

from ..double import UT_METADATA, Session
from .rows import fails, introduces_itself, lax, not_applicable, notes, passes

ALL = [
    *(f"bep9/metadata/{n}" for n in range(1, 12)),
    *(f"bep10/handshake/{n}" for n in (16, 17, 18)),
]
DATA = [f"bep9/metadata/{n}" for n in (2, 3, 4, 6)]

not_applicable(*ALL, saying="does not speak ut_metadata")(introduces_itself(m={}))
not_applicable(*ALL, saying="tells no metadata_size")(introduces_itself(metadata_size=None))
not_applicable("bep9/metadata/1", saying="the bit of BEP 10")(
    type("Plain", (Session,), {"reserved": Session.reserved & 4})
)


def answers(*payloads: bytes) -> type[Session]:
    """Returns a peer that answers all about its metadata with this."""
    kind = type("Answers", (Session,), {"give_metadata": lambda *_: [*payloads]})
    kind.__name__ = f"Answers{payloads[:1]!r}"
    return kind


def told(**values: object) -> bytes:
    return encode(values)


@fails("bep9/metadata/1", saying="where it is")
class WrongSize(Session):
    """Its metadata_size is wrong."""

    def told(self):
        return super().told() | {"metadata_size": len(self.meta.info) + 1}


@fails("bep9/metadata/2", saying="what comes is not the info dictionary")
class WrongMetadata(Session):
    """A bit of its metadata is flipped."""

    def give_metadata(self, piece, header):
        (said,) = super().give_metadata(piece, header)
        return [said[:-1] + bytes((said[-1] ^ 1,))]


@fails("bep9/metadata/3", saying="bytes")
class ShortMetadata(Session):
    """Its pieces of metadata are a byte short."""

    def give_metadata(self, piece, header):
        return [super().give_metadata(piece, header)[0][:-1]]


@fails("bep9/metadata/2", "bep9/metadata/4", saying="total_size is")
class WrongTotal(Session):
    """Its total_size is wrong."""

    def give_metadata(self, piece, header):
        return [told(msg_type=1, piece=piece, total_size=1) + self.meta.info]


@fails(*DATA, "bep9/metadata/7", saying="the id that we gave ut_metadata")
class OwnId(Session):
    """It answers with its own id of ut_metadata."""

    def be_introduced(self, told):
        super().be_introduced(told)
        self.their_m[b"ut_metadata"] = UT_METADATA


fails(*DATA, "bep9/metadata/5", "bep9/metadata/7", saying="does not begin with bencode")(
    answers(b"\xff")
)
fails(*DATA, "bep9/metadata/7", saying="no message comes with the id")(answers())
fails("bep9/metadata/4", saying="a dictionary that has a msg_type")(answers(b"le"))
fails("bep9/metadata/4", saying="a dictionary that has a msg_type")(answers(told(msg_type="1")))
fails("bep9/metadata/4", saying="asked for piece 0, it answers with 5")(
    answers(told(msg_type=1, piece=5))
)
fails(*DATA, saying="a msg_type of 2")(answers(told(msg_type=2, piece=0)))
lax("bep9/metadata/8", saying="a msg_type of 2")(answers(told(msg_type=2, piece=0)))
passes("bep9/metadata/7", saying="reject and reject")(answers(told(msg_type=2, piece=0)))
passes("bep9/metadata/7", saying="data and data")(Session)
fails("bep9/metadata/7", saying="a msg_type of 17")(answers(told(msg_type=17, piece=0)))
notes("bep9/metadata/9", saying="0 times data, 40 times a reject")(
    answers(told(msg_type=2, piece=0))
)
notes("bep9/metadata/9", saying="40 times data")(Session)
notes("bep9/metadata/10", saying="it ignores it")(Session)


@fails("bep9/metadata/5", saying="no message comes with the id")
class NoReject(Session):
    """It does not answer requests for what there is not."""

    def give_metadata(self, piece, header):
        return [] if piece else super().give_metadata(piece, header)


@fails("bep9/metadata/5", saying="a msg_type of 1")
@not_applicable("bep9/metadata/11", saying="a msg_type of 1")
class EmptyData(Session):
    """It says no bytes of what there is not."""

    def give_metadata(self, piece, header):
        return [told(msg_type=1, piece=piece, total_size=len(self.meta.info))]


class Verbose(Session):
    """Its rejects say more than they have to."""

    keys = ()
    behind = b""

    def give_metadata(self, piece, header):
        return [told(msg_type=2, piece=piece, **dict.fromkeys(self.keys, 1)) + self.behind]


lax("bep9/metadata/11", saying="it has the key total_size, too")(
    type("TellsSize", (Verbose,), {"keys": ("total_size",)})
)
lax("bep9/metadata/11", saying="1 bytes are behind its dictionary")(
    type("HasRest", (Verbose,), {"behind": b"x"})
)


class ClosesAtType(Session):
    """It closes at messages of some types."""

    types: tuple[int, ...] = ()

    def take(self, message):
        wrong = [Extended(UT_METADATA, told(msg_type=each, piece=0)) for each in self.types]
        self.expect(message not in wrong)
        super().take(message)


fails("bep9/metadata/6", saying="the connection was")(
    type("Closes17", (ClosesAtType,), {"types": (17,)})
)
notes("bep9/metadata/10", saying="it closes the connection")(
    type("Closes2", (ClosesAtType,), {"types": (2,)})
)


@lax("bep9/metadata/8", saying="no message comes with the id")
class KnowsAllKeys(Session):
    """It ignores requests with keys that it does not know."""

    def give_metadata(self, piece, header):
        return super().give_metadata(piece, header) if len(header) == 2 else []


@lax("bep9/metadata/8", saying="a msg_type of 2")
class RejectsKeys(Session):
    """It rejects requests with keys that it does not know."""

    def give_metadata(self, piece, header):
        reject = told(msg_type=2, piece=piece)
        return super().give_metadata(piece, header) if len(header) == 2 else [reject]


@fails("bep9/metadata/7", saying="no message comes with the id")
@notes("bep9/metadata/9", saying="1 times data, 0 times a reject")
class AnswersOnce(Session):
    """It answers about each piece of metadata once."""

    before = False

    def give_metadata(self, piece, header):
        said, self.before = [] if self.before else super().give_metadata(piece, header), True
        return said
