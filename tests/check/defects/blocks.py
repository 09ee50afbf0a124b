"""What can be wrong with the answers to requests."""

from __future__ import annotations

from peerwire import Cancel, KeepAlive, NotInterested, Piece, Reject, Request

from ..double import BLOCK, Session
from .rows import closes_at, fails, inconclusive, lax, notes, passes


@fails("bep3/choke/1", saying="a peer that it chokes")
class ServesTheChoked(Session):
    """It serves who is choked."""

    def refuse(self, asked):
        return [self.serve(asked)]


@fails("bep3/request/1", saying="does not have its hash")
@fails("bep3/request/2", saying="piece 0 does not have its hash")
@fails(
    *(f"mse/handshake/{n}" for n in (1, 2, 4, 5, 6, 9)),
    "bep3/choke/2",
    saying="does not have the piece's hash",
)
@notes("mse/handshake/3", saying="does not have the piece's hash")
class WrongBytes(Session):
    """Its blocks have a bit flipped."""

    def read(self, asked):
        data = super().read(asked)
        return bytes((data[0] ^ 1,)) + data[1:]


@lax("bep3/request/4", saying="not those of the block")
@lax("bep3/request/5", saying="another one")
class WrongShortBlocks(Session):
    """What is no whole block begins at the wrong place."""

    def read(self, asked):
        begin = asked.begin + (asked.length < BLOCK)
        return super().read(Request(asked.index, begin, asked.length))


@lax("bep3/request/15", saying="not those of the blocks")
class Aligns(Session):
    """It serves the block in which a request begins."""

    def read(self, asked):
        begin = asked.begin - asked.begin % BLOCK
        return super().read(Request(asked.index, begin, asked.length))


@fails("bep3/messages/4", saying="no piece or reject")
class WrongOffset(Session):
    """It tells another offset than was asked for."""

    def serve(self, asked):
        return Piece(asked.index, asked.begin + 1, self.read(asked))


@fails("bep3/request/3", "bep3/messages/4", saying="asked for 12768 bytes, it says")
class WholeBlocks(Session):
    """It fills the last block up."""

    def read(self, asked):
        return super().read(asked).ljust(BLOCK, b"\0")


@fails(*(f"bep3/request/{n}" for n in range(6, 10)), saying="it serves what there is not: ")
@notes("bep3/request/12", saying="it is served")
class ServesAnything(Session):
    """It serves zeros where there is nothing."""

    def refuse(self, asked):
        return [Piece(asked.index, asked.begin, bytes(asked.length % (1 << 20)))]


@fails("bep3/request/8", "bep3/request/10", saying="is answered with")
class ServesWhatThereIs(Session):
    """It cuts off what is too long."""

    def refuse(self, asked):
        known = asked.index < self.meta.num_pieces
        left = self.meta.piece_size(asked.index) - asked.begin if known else 0
        return [self.serve(Request(asked.index, asked.begin, min(left, BLOCK)))] if left > 0 else []


@passes(*(f"bep3/request/{n}" for n in range(6, 11)), saying="closed")
@passes("bep6/reject/3", "bep6/reject/5")
@notes("bep3/request/11", saying="up to 16 KiB; 32 KiB is closed")
@notes("bep3/request/12", saying="it is closed")
class ClosesAtWrong(Session):
    """It closes at a request that it can't serve."""

    def refuse(self, asked):
        self.expect(False)


passes(*(f"bep3/request/{n}" for n in range(6, 11)), saying="ignored")(Session)
notes("bep3/request/11", saying="up to 16 KiB; 32 KiB is ignored")(Session)
notes("bep3/request/12", saying="it is ignored")(Session)
passes("bep3/request/6", saying="rejected")(
    type(
        "RejectsAlways",
        (Session,),
        {"refuse": lambda self, asked: [Reject(asked.index, asked.begin, asked.length)]},
    )
)


@notes("bep3/request/11", saying="up to 32 KiB and more: no piece is longer")
class LongBlocks(Session):
    """It serves up to 128 KiB at once."""

    def longest(self):
        return 8 * BLOCK


@fails("bep3/request/2", saying="once more")
@fails("bep3/cancel/2", saying="it answers 2 times")
@fails("bep6/answer/1", "bep6/answer/2", "bep6/answer/3", saying="has 2 answers")
class AnswersTwice(Session):
    """It answers each request twice."""

    def answer(self, asked):
        return super().answer(asked) * 2


@passes("bep3/request/2", "bep6/answer/1")
class Chatty(Session):
    """It says a keep-alive after each answer."""

    def answer(self, asked):
        return [*super().answer(asked), KeepAlive()]


@notes("bep3/request/13", saying="it serves 1 of 3 and closes")
class MindsRepetition(Session):
    """It closes when the same is asked for again."""

    asked = None

    def answer(self, asked):
        self.expect(asked != self.asked)
        self.asked = asked
        return super().answer(asked)


notes("bep3/request/13", saying="it serves 3 of 3")(Session)
notes("bep3/request/14", saying="in the order asked for")(Session)


class Batches(Session):
    """It looks at all that came before it answers."""

    def segment(self, data):
        messages = list(self.framing.receive(data))
        requests = [each for each in messages if isinstance(each, Request)]
        cancels = [each for each in messages if isinstance(each, Cancel)]
        for message in messages:
            if not isinstance(message, Request):
                self.take(message)
        for request in self.left(requests, cancels):
            self.take(request)

    def left(self, requests, cancels):
        return requests


@notes("bep3/request/14", saying="in another")
class Reversed(Batches):
    """It answers what was asked last first."""

    def left(self, requests, cancels):
        return requests[::-1]


@fails("bep3/cancel/3", saying="no piece or reject within 12 s")
class CancelsAll(Batches):
    """A cancel takes back whatever was asked for."""

    def left(self, requests, cancels):
        return [] if cancels else requests


@passes("bep3/cancel/2", saying="it does not serve the block")
@fails("bep6/answer/2", saying="has 0 answers; 0 came in all")
class ForgetsCancelled(Batches):
    """It says nothing to a request that is cancelled."""

    def left(self, requests, cancels):
        taken_back = [(each.index, each.begin) for each in cancels]
        return [each for each in requests if (each.index, each.begin) not in taken_back]


passes("bep3/cancel/2", saying="it serves the block all the same")(Session)
passes("bep6/answer/2", saying="with a piece")(Session)


@fails("bep6/answer/3", saying="has 0 answers")
class ForgetsTheUninterested(Batches):
    """It answers no request of who wants nothing any more."""

    wanted = True

    def take(self, message):
        self.wanted = not isinstance(message, NotInterested)
        super().take(message)

    def left(self, requests, cancels):
        return requests if self.wanted else []


@fails("bep6/reject/2", "bep6/answer/1", saying="for which nobody asked")
class RejectsTheWrong(Session):
    """It rejects what was not asked for."""

    def answer(self, asked):
        return [Reject(asked.index, asked.begin, asked.length + 1)]


@fails("bep6/answer/1", saying="for which nobody asked")
class ShortBlocks(Session):
    """Its blocks are a byte too short."""

    def read(self, asked):
        return super().read(asked)[:-1]


@fails("bep6/reject/2", saying="has 0 answers; 1 came in all")
class RejectsTheFirst(Session):
    """It rejects the first request only."""

    before = False

    def refuse(self, asked):
        said, self.before = [] if self.before else super().refuse(asked), True
        return said


@passes("bep6/answer/1", "bep6/answer/3")
@lax("bep6/reject/1", saying="no reject within 12 s")
@inconclusive("bep6/reject/2", saying="it rejects nothing")
@lax("bep6/reject/3", "bep6/reject/5", saying="has no answer")
class RejectsNothing(Session):
    """It answers no request that it does not serve."""

    def refuse(self, asked):
        return []


@fails("bep6/answer/1", saying="has 0 answers")
class ServesHalf(Session):
    """It drops all requests but a few, and then ends the connection."""

    served = 0

    def answer(self, asked):
        self.expect(self.served < 8)
        self.served += 1
        return super().answer(asked)


@fails("bep10/handshake/15", saying="of 250 blocks came")
class DropsRequests(ServesHalf):
    """It takes fewer requests than it says."""


@fails("bep6/allowed/3", saying="no piece or reject")
class AllowsInVain(RejectsNothing):
    """It does not serve what it said it would."""

    def answer(self, asked):
        return self.refuse(asked) if self.choking else super().answer(asked)


passes("bep6/allowed/3", saying="with a piece")(Session)
fails("bep3/request/1", saying="the connection was")(closes_at(Request))


@fails("bep3/choke/3", saying="it says reject")
class RejectsAll(Session):
    """It unchokes and then rejects, even where BEP 6 is not agreed on."""

    def answer(self, asked):
        return [Reject(asked.index, asked.begin, asked.length)]
