"""Hash requests, and what answers them (BEP 52, peer messages)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ...errors import RemoteProtocolError
from ...handshake import Reserved
from ...hashes import RANGE_LENGTH, HashRange, expected_hashes
from ...messages import Hashes, HashReject, HashRequest, HaveNone, Piece
from ...torrent import merkle
from ..case import INFO, MUST, SHOULD, Cases, Closed, Deviates, Inconclusive, Lax, NotApplicable
from ..probe import Probe, Silent
from .steps import closes_or_goes_on, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...torrent.merkle import MerkleTree
    from ..case import Ask

__all__ = ["CASES", "answer", "met", "named", "of_pieces", "right", "tree_of"]

CASES = Cases("bep52/hashes", "BEP 52, peer messages")
case = CASES.case

#: What a peer of v2 announces. The bit of v2 is left out, as it is of use to hybrids alone.
BITS: Final = Reserved.FAST

#: Hashes that BEP 52 wants nobody to ask for more of.
AT_ONCE: Final = 512

#: The highest number that fits the message.
MAX: Final = 2**32 - 1


def tree_of(probe: Probe) -> MerkleTree:
    """Returns the tree of a file that is longer than two pieces.

    Raises:
        NotApplicable: There is none.
    """
    meta = probe.subject.metainfo_v2
    if meta is None:
        raise NotApplicable("the torrent has no v2 side")
    for file in meta.files:
        if file.length > 2 * meta.piece_length:
            return meta.tree(file)
    raise NotApplicable("no file of the torrent is longer than two pieces")


def v2_hash(probe: Probe) -> bytes:
    """Returns the v2 info-hash as a handshake has it.

    Raises:
        NotApplicable: There is none.
    """
    whole = probe.subject.info_hash_v2
    if whole is None or probe.subject.metainfo_v2 is None:
        raise NotApplicable("the torrent has no v2 side")
    return whole[:20]


async def named(probe: Probe, reserved: Reserved = BITS) -> None:
    """Exchanges handshakes that name the v2 info-hash.

    Raises:
        NotApplicable: The torrent, or the peer, has no v2 side.
        Inconclusive: What comes is no handshake of that.
    """
    info_hash = v2_hash(probe)
    probe.say(probe.greeting(reserved, info_hash))
    try:
        heard = await probe.handshake()
    except Closed as error:
        if probe.subject.version == "hybrid":
            raise NotApplicable(f"it does not serve the v2 info-hash: {error}") from None
        raise Inconclusive(f"not asked: {error}") from error
    except Deviates as error:
        raise Inconclusive(f"not asked: {error}") from error
    if heard.info_hash != info_hash:
        raise Inconclusive(f"not asked: it answers with the info-hash {heard.info_hash.hex()}")
    begin(probe)


def begin(probe: Probe) -> None:
    """Says that we have nothing, where both sides speak BEP 6."""
    assert probe.theirs is not None, "it has answered"
    if Reserved.FAST in probe.theirs.reserved:
        probe.say(HaveNone())


async def met(probe: Probe) -> MerkleTree:
    """Exchanges handshakes that name the v2 info-hash, and returns the tree of a file.

    Raises:
        NotApplicable, Inconclusive: As `tree_of` and `named`.
    """
    tree = tree_of(probe)
    await named(probe)
    return tree


def of_pieces(tree: MerkleTree, index: int = 0, length: int = AT_ONCE) -> HashRange:
    """Returns a range of a file's piece layer with all proof layers, cut to what there is."""
    width = 1 << tree.height - tree.base_layer
    layers = tree.height - tree.base_layer - 1
    return HashRange(tree.root, tree.base_layer, index, min(length, width), layers)


async def answer(probe: Probe, asked: HashRange) -> Hashes | HashReject:
    """Asks for hashes, and returns the answer.

    Raises:
        Deviates: None comes, or it is about something else.
    """
    probe.say(HashRequest(asked))
    came = await probe.wait_for((Hashes, HashReject))
    assert isinstance(came, Hashes | HashReject), "it was waited for"
    if came.range != asked:
        raise Deviates(f"asked for {asked}, it answers {came.range}")
    return came


async def right(probe: Probe, tree: MerkleTree, asked: HashRange) -> Hashes:
    """Asks for hashes of a layer that the .torrent tells, and returns them if they are right.

    Raises:
        Deviates: They are not, or do not come.
    """
    came = await answer(probe, asked)
    if not isinstance(came, Hashes):
        raise Deviates("it rejects the request")
    compare(tree, asked, came)
    return came


def compare(tree: MerkleTree, asked: HashRange, came: Hashes) -> None:
    """Holds hashes against those of the .torrent.

    Raises:
        Deviates: They are not the same.
    """
    count, wanted = len(came.hashes), expected_hashes(asked)
    if count != wanted:
        raise Deviates(
            f"{wanted} hashes answer that, {wanted - asked.length} uncles among them; it sends"
            f" {count}"
        )
    known = tree.proof(asked.base_layer, asked.index, asked.length, asked.proof_layers)
    for number, (theirs, ours) in enumerate(zip(came.hashes, known, strict=True)):
        if theirs != ours:
            what = f"hash {asked.index + number}"
            if number >= asked.length:
                what = f"uncle {number - asked.length}"
            raise Deviates(f"{what} of what it sends is not the one of the .torrent")


def with_room(tree: MerkleTree, layers: int) -> None:
    """Goes on only if the piece layer is that far below the root.

    Raises:
        NotApplicable: It is not.
    """
    if tree.height - tree.base_layer < layers:
        raise NotApplicable(f"no file of the torrent has {(1 << layers - 1) + 1} pieces")


# Right ones


@case(
    1,
    MUST,
    rule="A hash request is answered with hashes or a hash reject.",
    does="asks for hashes of the piece layer of a file, without being interested",
    expects="hashes that lead to the file's root, or a reject",
)
async def are_answered(probe: Probe) -> str:
    tree = await met(probe)
    asked = of_pieces(tree)
    came = await answer(probe, asked)
    if not isinstance(came, Hashes):
        return "it rejects the request"
    compare(tree, asked, came)
    return f"{len(came.hashes)} hashes, which lead to the root"


@case(
    2,
    MUST,
    rule="Hashes of pieces that a peer says it has are there for whoever asks.",
    does="asks for hashes of the piece layer of a file",
    expects="hashes, and no reject",
)
async def are_there(probe: Probe) -> None:
    tree = await met(probe)
    await right(probe, tree, of_pieces(tree))


def refused(change: Callable[[HashRange], HashRange], there: bool) -> Ask:
    """Returns what asks for hashes against the rules, and expects a reject or the end.

    Args:
        change: Makes a range wrong.
        there: Whether there are such hashes all the same, so that to give them harms nobody.
    """

    async def ask(probe: Probe) -> str:
        asked = change(of_pieces(await met(probe)))
        try:
            came = await answer(probe, asked)
        except Closed:
            return "it closes the connection"
        except Silent:
            raise Deviates("the request has no answer") from None
        if not isinstance(came, Hashes):
            return "it rejects the request"
        told = f"it answers with {len(came.hashes)} hashes"
        raise Lax(told) if there else Deviates(told)

    return ask


_POWER = "The length is a power of two, from two on."
_IN_TREE = "A hash request is about hashes that are in the tree."

#: Number, rule, what is done, whether there are such hashes, and how the range is changed.
_WRONG: tuple[tuple[int, str, str, bool, Callable[[HashRange], HashRange]], ...] = (
    (
        3,
        "A hash request is about a file of the torrent.",
        "asks for hashes of a root that nobody knows",
        False,
        lambda asked: replace(asked, pieces_root=os.urandom(32)),
    ),
    (4, _POWER, "asks for three hashes", True, lambda asked: replace(asked, length=3)),
    (5, _POWER, "asks for no hashes", True, lambda asked: replace(asked, length=0)),
    (
        6,
        "The index is a multiple of the length.",
        "asks for two hashes from the first on, counted from zero",
        True,
        lambda asked: replace(asked, index=1, length=2),
    ),
    (
        7,
        _IN_TREE,
        f"asks for hashes of layer {MAX}",
        False,
        lambda asked: replace(asked, base_layer=MAX),
    ),
    (
        8,
        _IN_TREE,
        "asks for hashes past the end of the layer",
        False,
        lambda asked: replace(asked, index=2**20),
    ),
    (
        9,
        _IN_TREE,
        "asks for 2147483648 hashes",
        False,
        lambda asked: replace(asked, length=2**31),
    ),
    (
        10,
        "Proof layers are layers of the tree, and the root has no uncle.",
        f"asks for {MAX} proof layers",
        False,
        lambda asked: replace(asked, proof_layers=MAX),
    ),
    (
        11,
        "Proof layers are layers of the tree, and the root has no uncle.",
        "asks for one proof layer more than there are below the root",
        True,
        lambda asked: replace(asked, length=2, proof_layers=asked.proof_layers + 1),
    ),
    (
        12,
        _IN_TREE,
        "asks for two hashes of the layer of the root, which has one",
        False,
        lambda asked: HashRange(
            asked.pieces_root, asked.base_layer + asked.proof_layers + 1, 0, 2, 0
        ),
    ),
)
for number, rule, does, there, change in _WRONG:
    CASES.case(
        number,
        MUST,
        rule=f"{rule} Each request is answered.",
        does=does,
        expects="a reject, or the end of the connection",
    )(refused(change, there))


@case(
    13,
    MUST,
    rule="After the hashes come their uncles, one of each proof layer that they don't make up.",
    does="asks for two hashes of the piece layer, with all proof layers",
    expects="both, and the uncles up to the root's child",
)
async def uncles(probe: Probe) -> str:
    tree = await met(probe)
    came = await right(probe, tree, of_pieces(tree, length=2))
    return f"2 hashes and {len(came.hashes) - 2} uncles"


@case(
    14,
    MUST,
    rule="Leaves that only fill up the tree are zeros, and what is above them counts as hashes.",
    does="asks for the last two hashes of the piece layer, with all proof layers",
    expects="both, of padding perhaps, and the uncles up to the root's child",
)
async def padding(probe: Probe) -> None:
    tree = await met(probe)
    width = 1 << tree.height - tree.base_layer
    await right(probe, tree, of_pieces(tree, width - 2, 2))


@case(
    15,
    MUST,
    rule="Proof layers are as many as are asked for.",
    does="asks for two hashes in the middle of the piece layer, without proof layers",
    expects="two hashes, and no uncle",
)
async def no_uncles(probe: Probe) -> None:
    tree = await met(probe)
    with_room(tree, 2)
    await right(probe, tree, replace(of_pieces(tree, 2, 2), proof_layers=0))


@case(
    16,
    MUST,
    rule="Layers that follow from the hashes have no uncle, and yet count as proof layers.",
    does="asks for four hashes of the piece layer, with two proof layers",
    expects="four hashes and one uncle",
)
async def counted(probe: Probe) -> None:
    tree = await met(probe)
    with_room(tree, 3)
    await right(probe, tree, replace(of_pieces(tree, 4, 4), proof_layers=2))


@case(
    17,
    MUST,
    rule="Only the leaf and the piece layer have to be supported; each request is answered.",
    does="asks for hashes of the layer above that of the pieces",
    expects="hashes that lead to the file's root, or a reject",
)
async def between(probe: Probe) -> str:
    tree = await met(probe)
    with_room(tree, 2)
    whole = of_pieces(tree, length=2)
    asked = replace(whole, base_layer=whole.base_layer + 1, proof_layers=whole.proof_layers - 1)
    came = await answer(probe, asked)
    if not isinstance(came, Hashes):
        return "it rejects the request"
    compare(tree, asked, came)
    return "it answers with hashes"


@case(
    18,
    MUST,
    rule="Each hash request is answered.",
    does="asks for the hashes of eight pairs of pieces at once",
    expects="as many answers, each about one of the pairs",
)
async def many(probe: Probe) -> str:
    tree = await met(probe)
    pairs = 1 << tree.height - tree.base_layer - 1
    waiting = [of_pieces(tree, 2 * number, 2) for number in range(min(8, pairs))]
    probe.say(*map(HashRequest, waiting))
    rejected, count = 0, len(waiting)
    while waiting:
        try:
            came = await probe.wait_for((Hashes, HashReject))
        except (Silent, Closed) as error:
            told = f"{count - len(waiting)} of {count} requests are answered: {error}"
            raise type(error)(told) from None
        assert isinstance(came, Hashes | HashReject), "it was waited for"
        if came.range not in waiting:
            raise Deviates(f"it answers {came.range}, which is asked for no more")
        waiting.remove(came.range)
        if isinstance(came, Hashes):
            compare(tree, came.range, came)
        else:
            rejected += 1
    return f"{count} requests are answered, {rejected} of them rejected"


@case(
    19,
    SHOULD,
    rule="A reject ends a request, and not the connection.",
    does="asks for hashes of a root that nobody knows, and then of a file",
    expects="a reject, and hashes",
)
async def goes_on_after_a_reject(probe: Probe) -> None:
    tree = await met(probe)
    asked = of_pieces(tree)
    if isinstance(await answer(probe, replace(asked, pieces_root=os.urandom(32))), Hashes):
        raise Deviates("it answers with hashes")
    await right(probe, tree, asked)


# Those of blocks


def of_blocks(tree: MerkleTree) -> HashRange:
    """Returns a range with the hashes of the first blocks: of a piece, or of two if each is one.

    Raises:
        NotApplicable: Each piece is a block, so that these are the hashes of pieces.
    """
    if not tree.base_layer:
        raise NotApplicable("each piece of the torrent is one block")
    return HashRange(tree.root, 0, 0, min(AT_ONCE, 1 << tree.base_layer), tree.height - 1)


async def of_content(probe: Probe, tree: MerkleTree, came: Hashes | HashReject) -> None:
    """Holds the hashes of blocks against the root of the file.

    Raises:
        Deviates: They don't lead there, or it is a reject.
    """
    if not isinstance(came, Hashes):
        raise Deviates("it rejects the request")
    asked = came.range
    try:
        merkle.verify(
            asked.pieces_root,
            asked.base_layer,
            asked.index,
            asked.length,
            asked.proof_layers,
            came.hashes,
            height=tree.height,
        )
    except RemoteProtocolError as error:
        raise Deviates(str(error)) from error


@case(
    20,
    SHOULD,
    rule="Who has said that it has a piece can give the hashes of its blocks.",
    does="asks for the hashes of the first blocks of a file, once it is unchoked",
    expects="hashes that lead to the file's root",
)
async def blocks(probe: Probe) -> None:
    tree = await met(probe)
    asked = of_blocks(tree)
    await unchoked(probe)
    await of_content(probe, tree, await answer(probe, asked))


@case(
    21,
    MUST,
    rule="Hashes of blocks are not rejected right after a request for one of them that is served.",
    does="asks for a block and for the hashes of it and its neighbours, at once",
    expects="the block, and hashes that lead to the file's root",
)
async def blocks_after_a_block(probe: Probe) -> None:
    tree = await met(probe)
    asked = of_blocks(tree)
    await unchoked(probe)
    block = probe.first_block(first_piece(probe, tree))
    probe.say(block, HashRequest(asked))
    came = await probe.wait_for((Hashes, HashReject))
    assert isinstance(came, Hashes | HashReject), "it was waited for"
    if not any(isinstance(each, Piece) for each in probe.heard):
        try:
            await probe.answer(block)
        except Deviates as error:
            raise Inconclusive(f"not asked: the block is not served: {error}") from error
    await of_content(probe, tree, came)


def first_piece(probe: Probe, tree: MerkleTree) -> int:
    """Returns the first piece of the file that a tree is of."""
    meta = probe.subject.metainfo_v2
    assert meta is not None, "it has a tree"
    (offset, *_) = (file.offset for file in meta.files if file.pieces_root == tree.root)
    return offset // meta.piece_length


async def unchoked(probe: Probe) -> None:
    """Waits to be unchoked.

    Raises:
        Inconclusive: We are not.
    """
    try:
        await probe.unchoked()
    except Deviates as error:
        raise Inconclusive(f"not asked: {error}") from error


# Lengths, and what nobody asked for


def of_length(message_id: int, payload: bytes) -> Ask:
    """Returns what says a message of a length that its id does not have, and waits for the end."""

    async def ask(probe: Probe) -> None:
        await met(probe)
        probe.write(frame(message_id, payload))
        await closes_or_goes_on(probe)

    return ask


_LENGTHS = (
    (22, HashRequest.id, bytes(RANGE_LENGTH - 1), "'hash request' has 48 bytes."),
    (23, HashRequest.id, bytes(RANGE_LENGTH + 1), "'hash request' has 48 bytes."),
    (24, HashReject.id, bytes(RANGE_LENGTH - 1), "'hash reject' has 48 bytes."),
    (25, HashReject.id, bytes(RANGE_LENGTH + 1), "'hash reject' has 48 bytes."),
    (26, Hashes.id, bytes(RANGE_LENGTH - 1), "'hashes' begins as the request does."),
    (27, Hashes.id, bytes(RANGE_LENGTH + 33), "'hashes' has hashes of 32 bytes."),
)
for number, message_id, payload, rule in _LENGTHS:
    CASES.case(
        number,
        SHOULD,
        rule=rule,
        does=f"says a message with the id {message_id} and {len(payload)} bytes",
        expects="the connection is closed, as nothing that follows can be trusted",
    )(of_length(message_id, payload))


def unasked(make: Callable[[MerkleTree], Hashes | HashReject]) -> Ask:
    """Returns what says an answer that nobody asked for, and looks what comes of it."""

    async def ask(probe: Probe) -> str:
        tree = await met(probe)
        probe.say(make(tree))
        try:
            await right(probe, tree, of_pieces(tree))
        except Closed:
            return "it closes the connection"
        return "it ignores it"

    return ask


def _proof(tree: MerkleTree) -> Hashes:
    asked = of_pieces(tree)
    proof = tree.proof(asked.base_layer, asked.index, asked.length, asked.proof_layers)
    return Hashes(asked, proof)


CASES.case(
    28,
    INFO,
    rule="Hashes answer a hash request; what becomes of others is not said.",
    does="says right hashes that nobody asked for, and then asks for them",
    expects="the end of the connection, or hashes",
)(unasked(_proof))

CASES.case(
    29,
    INFO,
    rule="A hash reject answers a hash request; what becomes of others is not said.",
    does="says one that nobody asked for, and then asks for hashes",
    expects="the end of the connection, or hashes",
)(unasked(lambda tree: HashReject(of_pieces(tree))))
