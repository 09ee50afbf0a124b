"""Hash requests and the upgrade of hybrids (BEP 52)."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from ...errors import LocalProtocolError, RemoteProtocolError
from ...handshake import Reserved
from ...hashes import HashRange
from ...messages import Hashes, HashReject, HashRequest
from ...torrent import merkle
from ..case import INFO, MUST, Cases, Closed, Deviates, NotApplicable
from ..probe import Probe, Silent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...torrent.merkle import MerkleTree
    from ..case import Ask

__all__ = ["CASES"]

CASES = Cases("bep52/hashes", "BEP 52, peer messages")
UPGRADE = Cases("bep52/upgrade", "BEP 52, upgrade path")
case = CASES.case


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


async def met(probe: Probe) -> tuple[MerkleTree, HashRange]:
    """Meets the peer by the v2 info-hash, and returns a tree and a range of its piece layer.

    Raises:
        NotApplicable: The torrent, or the peer, has no v2 side.
    """
    tree = tree_of(probe)
    v2 = probe.subject.info_hash_v2
    assert v2 is not None, "it has a tree"
    bits = Reserved.FAST | Reserved.V2
    probe.say(probe.greeting(bits, v2[:20]))
    try:
        await probe.handshake()
    except Closed:
        raise NotApplicable("it does not serve the v2 info-hash") from None
    length = min(512, 1 << max(1, tree.height - tree.base_layer))
    layers = tree.height - tree.base_layer - 1
    return tree, HashRange(tree.root, tree.base_layer, 0, length, layers)


@case(
    1,
    MUST,
    rule="A hash request is answered with hashes or a hash reject.",
    does="asks for hashes of the piece layer of a file, without being interested",
    expects="hashes that lead to the file's root, or a reject",
)
async def are_answered(probe: Probe) -> str:
    tree, asked = await met(probe)
    probe.say(HashRequest(asked))
    came = await probe.wait_for((Hashes, HashReject))
    if not isinstance(came, Hashes):
        return "it rejects the request"
    if came.range != asked:
        raise Deviates(f"asked for {asked}, it answers {came.range}")
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
    except (RemoteProtocolError, LocalProtocolError) as error:
        raise Deviates(str(error)) from error
    return f"{len(came.hashes)} hashes, which lead to the root"


@case(
    2,
    MUST,
    rule="Hashes of pieces that a peer says it has are there for whoever asks.",
    does="asks for hashes of the piece layer of a file",
    expects="hashes, and no reject",
)
async def are_there(probe: Probe) -> None:
    _, asked = await met(probe)
    probe.say(HashRequest(asked))
    if not isinstance(await probe.wait_for((Hashes, HashReject)), Hashes):
        raise Deviates("it rejects the request")


def refused(change: Callable[[HashRange], HashRange]) -> Ask:
    """Returns what asks for hashes that there are not, and expects a reject or the end."""

    async def ask(probe: Probe) -> str:
        _, asked = await met(probe)
        wrong = change(asked)
        probe.say(HashRequest(wrong))
        try:
            came = await probe.wait_for((Hashes, HashReject))
        except Closed:
            return "it closes the connection"
        except Silent:
            raise Deviates("the request has no answer") from None
        if isinstance(came, Hashes):
            raise Deviates("it answers with hashes")
        if came != HashReject(wrong):
            raise Deviates(f"it says {came}, for {wrong}")
        return "it rejects the request"

    return ask


_WRONG: tuple[tuple[str, str, Callable[[HashRange], HashRange]], ...] = (
    (
        "A hash request is about a file of the torrent.",
        "asks for hashes of a root that nobody knows",
        lambda asked: dataclasses.replace(asked, pieces_root=os.urandom(32)),
    ),
    (
        "The length is a power of two, from two on.",
        "asks for three hashes",
        lambda asked: dataclasses.replace(asked, length=3),
    ),
    (
        "The length is a power of two, from two on.",
        "asks for no hashes",
        lambda asked: dataclasses.replace(asked, length=0),
    ),
    (
        "The index is a multiple of the length.",
        "asks for two hashes from the first on, counted from zero",
        lambda asked: dataclasses.replace(asked, index=1, length=2),
    ),
    (
        "A hash request is about hashes that are in the tree.",
        "asks for hashes of layer 4294967295",
        lambda asked: dataclasses.replace(asked, base_layer=2**32 - 1),
    ),
    (
        "A hash request is about hashes that are in the tree.",
        "asks for hashes past the end of the layer",
        lambda asked: dataclasses.replace(asked, index=2**20),
    ),
)
for number, (rule, does, change) in enumerate(_WRONG, 3):
    CASES.case(
        number,
        MUST,
        rule=f"{rule} Each request is answered.",
        does=does,
        expects="a reject, or the end of the connection",
    )(refused(change))


@UPGRADE.case(
    1,
    INFO,
    rule="Who is offered the upgrade of a hybrid may answer with the v2 info-hash.",
    does="says a handshake with the v1 info-hash and the bit of v2",
    expects="a handshake with one of both info-hashes",
)
async def offered(probe: Probe) -> str:
    if probe.subject.version != "hybrid":
        raise NotApplicable("the torrent is no hybrid")
    probe.say(probe.greeting(Reserved.V2))
    heard = await probe.handshake()
    return "it stays with v1" if heard.info_hash == probe.info_hash else "it goes on with v2"


@UPGRADE.case(
    2,
    MUST,
    rule="Who is not offered the upgrade goes on with the info-hash that was named.",
    does="says a handshake with the v1 info-hash, without the bit of v2",
    expects="a handshake with the v1 info-hash",
)
async def not_offered(probe: Probe) -> None:
    if probe.subject.version != "hybrid":
        raise NotApplicable("the torrent is no hybrid")
    probe.say(probe.greeting())
    if (await probe.handshake()).info_hash != probe.info_hash:
        raise Deviates("it goes on with v2")


@UPGRADE.case(
    3,
    INFO,
    section="BEP 52, peer messages",
    rule="Hash messages are of v2: on a connection that is not, nobody says them.",
    does="asks for hashes on a connection of v1",
    expects="the end of the connection, a reject, or nothing",
)
async def without_v2(probe: Probe) -> str:
    if probe.subject.version == "v2":
        raise NotApplicable("the torrent is of v2 only")
    await probe.open()
    probe.say(HashRequest(HashRange(bytes(32), 0, 0, 2, 0)))
    try:
        came = await probe.wait_for((Hashes, HashReject))
    except Closed:
        return "it closes the connection"
    except Silent:
        return "it ignores the request"
    if isinstance(came, Hashes):
        return "it answers with hashes of a file that there is not"
    return "it rejects the request"


CASES += UPGRADE
