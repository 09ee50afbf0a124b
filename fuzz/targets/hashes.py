"""BEP 52's hash messages on a v2 connection: a peer that asks, answers and lies about a tree."""

from __future__ import annotations

from hashlib import sha256

from peerwire.errors import LocalProtocolError, RemoteProtocolError
from peerwire.handshake import Reserved
from peerwire.hash_requests import HashRequestEnded, PendingHashRequest
from peerwire.hashes import HashRange, broken_rule
from peerwire.limits import Limits
from peerwire.messages import Hashes, HashReject, HashRequest
from peerwire.state import State
from peerwire.torrent.hashing import HashServer, layer_requests, leaf_requests, verified
from peerwire.torrent.merkle import MerkleTree, piece_layer, verify
from peerwire.wire import Wire

from ..harness import OUR_ID, PEER_ID, Script, deliver, expect, pipe

#: A file of 21 blocks, the last one short, in pieces of four.
LENGTH, PIECE_LENGTH = 20 * 16384 + 5, 65536
LEAVES = b"".join(sha256(bytes((n,))).digest() for n in range(21))
WHOLE = MerkleTree(LEAVES)
SERVED = MerkleTree.from_piece_layer(
    WHOLE.root, WHOLE.layer(piece_layer(PIECE_LENGTH)), PIECE_LENGTH, LENGTH
)
#: All that anybody who follows the rules asks for.
ASKED = [
    *layer_requests(WHOLE.root, 2, LENGTH),
    *layer_requests(WHOLE.root, 0, LENGTH),
    *(r for n in range(6) for r in leaf_requests(WHOLE.root, LENGTH, PIECE_LENGTH, n)),
]
LIMITS = Limits(max_hash_requests=3, max_peer_hash_requests=3, idle_timeout=1e9, request_timeout=9)


def target(data: bytes) -> None:
    """Runs a script of requests and answers, ours and the peer's."""
    script = Script(data)
    role = bool(script.byte() & 1)
    wire = Wire(
        "initiator" if role else "responder", WHOLE.root, OUR_ID, limits=LIMITS, reserved=NOTHING
    )
    pipe(wire, Wire("responder" if role else "initiator", WHOLE.root, PEER_ID, reserved=NOTHING))
    wire.events_received()
    talk = Talk(wire, script)
    for _ in range(60):
        if not script or wire.state is not State.OPEN:
            break
        STEPS[script.below(len(STEPS))](talk)
        expect(len(wire.hash_requests) <= LIMITS.max_hash_requests, "requests")
        expect(len(wire.peer_hash_requests) <= LIMITS.max_peer_hash_requests, "peer's requests")
    wire.receive_eof()
    talk.take(wire.events_received())
    expect(talk.ended == len(talk.asked), "a hash request has not ended")


NOTHING = Reserved(0)


class Talk:
    """One connection about one tree."""

    def __init__(self, wire: Wire, script: Script) -> None:
        self.wire, self.script = wire, script
        self.server = HashServer([SERVED])
        self.asked: list[PendingHashRequest] = []
        self.ended = 0
        self.now = 0.0

    def hear(self, data: bytes) -> None:
        """The peer says these bytes."""
        self.wire.data_to_send()
        self.take(deliver(self.wire, data, self.now, self.script.byte()))
        # Each request is answered at most once, and rejects are as long as requests.
        expect(len(self.wire.data_to_send()) <= len(data), "the answers are longer")

    def take(self, events: list[object]) -> None:
        """Looks at what has happened."""
        for event in events:
            if isinstance(event, HashRequestEnded):
                self.ended += 1
                expect(event.request in self.asked, "what ended was never asked for")
            if isinstance(event, Hashes):
                self.ended += 1
                expect(event.request in self.asked, "hashes that nobody asked for")
                _check_believed(event)

    def ask(self) -> None:
        """We ask for hashes."""
        deadline = self.now + self.script.byte() if self.script.byte() & 1 else None
        wanted = ASKED[self.script.below(len(ASKED))]
        try:
            self.asked.append(self.wire.send_hash_request(wanted, deadline=deadline))
        except LocalProtocolError:
            return

    def answer(self) -> None:
        """The peer answers, or answers again: truly, or with something changed."""
        if not self.asked:
            return
        wanted = self.asked[self.script.byte() % len(self.asked)].range
        true = _true_answer(wanted)
        change = self.script.below(5)
        if change == 1:
            at = self.script.byte() % len(true)
            true[at] = bytes((true[at][0] ^ 1,)) + true[at][1:]
        elif change == 2:
            true.pop()
        elif change == 3:
            true.append(true[0])
        elif change == 4:
            true.reverse()
        self.hear(Hashes(wanted, true).encode())

    def reject(self) -> None:
        """The peer rejects a request, or rejects it again."""
        if self.asked:
            wanted = self.asked[self.script.byte() % len(self.asked)].range
            self.hear(HashReject(wanted).encode())

    def serve(self) -> None:
        """The peer asks, and we answer all it has asked, or wait with that."""
        answer = self.script.byte() & 1
        root = WHOLE.root if self.script.byte() & 7 else bytes(32)
        numbers = [self.script.below(bound) for bound in (8, 64, 33, 8)]
        if self.script.byte() & 1:
            numbers[2] = 1 << (numbers[2] & 7)
        self.hear(HashRequest(HashRange(root, *numbers)).encode())
        for asked in list(self.wire.peer_hash_requests) if answer else ():
            pieces = self.server.pieces(asked)
            leaves = LEAVES[pieces.start * 4 * 32 : pieces.stop * 4 * 32]
            found = self.server.answer(asked, leaves)
            if found is None:
                self.wire.send_hash_reject(asked)
                continue
            expect(broken_rule(asked, height=WHOLE.height) is None, "it serves what breaks a rule")
            expect(found == _true_answer(asked), "it serves something else than the tree")
            self.wire.send_hashes(asked, found)
        expect(not (answer and self.wire.peer_hash_requests), "a request stays unanswered")

    def noise(self) -> None:
        """The peer sends any payload under one of the three ids."""
        kind, payload = 21 + self.script.below(3), self.script.text()
        self.hear((len(payload) + 1).to_bytes(4) + bytes((kind,)) + payload)

    def wait(self) -> None:
        """Time passes."""
        self.now += self.script.byte()
        self.wire.handle_timer(self.now)
        self.take(self.wire.events_received())
        self.wire.data_to_send()


STEPS = (Talk.ask, Talk.answer, Talk.reject, Talk.serve, Talk.noise, Talk.wait)


def _true_answer(wanted: HashRange) -> list[bytes]:
    return WHOLE.proof(wanted.base_layer, wanted.index, wanted.length, wanted.proof_layers)


def _check_believed(message: Hashes) -> None:
    asked = message.range
    try:
        found = verified(asked, message.hashes, LENGTH)
    except RemoteProtocolError:
        expect(list(message.hashes) != _true_answer(asked), "a true answer is refused")
        return
    start = 32 * asked.index
    true = WHOLE.layer(asked.base_layer)[start : start + 32 * asked.length]
    expect(found == true, "hashes that are not the tree's were believed")
    numbers = (asked.base_layer, asked.index, asked.length, asked.proof_layers)
    verify(WHOLE.root, *numbers, message.hashes, height=WHOLE.height)
