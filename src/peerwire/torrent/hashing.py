"""Asking for the hashes of a v2 torrent's files, and answering who asks (BEP 52, peer messages).

Nothing here talks to a peer. Who has a root and wants the layer below lists what to ask for with
`layer_requests`, or `leaf_requests` for the blocks of one piece, and hands each answer to
`verified`. Who is asked lets a `HashServer` answer. Any list of trees will do for that: those of a
.torrent hold the piece layers, and are lent the leaves of a piece when they are asked for those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import LocalProtocolError
from ..hashes import HashRange, broken_rule, tree_height
from ..limits import BLOCK_LENGTH
from .merkle import piece_layer, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..messages import Buffer
    from .merkle import MerkleTree

__all__ = ["HASHES_AT_ONCE", "HashServer", "layer_requests", "leaf_requests", "verified"]

#: Hashes to ask for in one request: what BEP 52 asks requesters to stop at, 16 KiB.
HASHES_AT_ONCE = 512


def layer_requests(pieces_root: bytes, base_layer: int, length: int) -> Iterator[HashRange]:
    """List the requests for a whole layer of a file's tree (BEP 52, peer messages).

    Args:
        pieces_root: The root of the tree, 32 bytes.
        base_layer: Which layer; `merkle.piece_layer` for the hashes of the pieces, 0 for those of
            the blocks.
        length: Of the file, in bytes.

    Returns:
        Ranges of at most `HASHES_AT_ONCE` hashes, in order, each with the proof that `verified`
        needs. None if the tree is not higher than the layer: then the root is all there is.
    """
    return _requests(pieces_root, length, base_layer, range(_hashes(length, base_layer)))


def leaf_requests(
    pieces_root: bytes, length: int, piece_length: int, index: int
) -> Iterator[HashRange]:
    """List the requests for the hashes of the blocks of one piece (BEP 52, peer messages).

    Args:
        pieces_root: The root of the file's tree, 32 bytes.
        length: Of the file, in bytes.
        piece_length: Bytes.
        index: Which piece of the file, from 0.

    Returns:
        Ranges as `layer_requests` does. They may reach beyond the piece: a range has two hashes,
        a piece perhaps only one.

    Raises:
        MetainfoError: The piece length is none.
        IndexError: The file has no such piece.
    """
    below = piece_layer(piece_length)
    if not 0 <= index < _hashes(length, below):
        raise IndexError(f"piece {index} of {_hashes(length, below)}")
    last = min(index + 1 << below, _hashes(length, 0))
    return _requests(pieces_root, length, 0, range(index << below, last))


def verified(asked: HashRange, hashes: Sequence[bytes], length: int) -> bytes:
    """Check an answer against the root of its file (BEP 52, peer messages).

    Args:
        asked: One of the requests listed here.
        hashes: What answered it.
        length: Of the file, in bytes.

    Returns:
        The hashes of the base layer, 32 bytes each, without padding.

    Raises:
        RemoteProtocolError: They do not lead to the root, or are too many or too few.
    """
    verify(
        asked.pieces_root,
        asked.base_layer,
        asked.index,
        asked.length,
        asked.proof_layers,
        hashes,
        height=tree_height(_hashes(length, 0)),
    )
    real = _hashes(length, asked.base_layer) - asked.index
    return b"".join(hashes[: min(asked.length, real)])


class HashServer:
    """Answers hash requests from the trees of a torrent's files.

    Args:
        trees: One for each file; see `MetainfoV2.trees`.
    """

    def __init__(self, trees: Iterable[MerkleTree]) -> None:
        self._trees = {tree.root: tree for tree in trees}

    def pieces(self, asked: HashRange) -> range:
        """Say which content has to be hashed before a request can be answered.

        Returns:
            Hashes of the lowest layer that the file's tree holds: for the tree of a .torrent,
            pieces of the file. At most one piece or `HASHES_AT_ONCE` blocks: 48 bytes may not cost
            us more. Empty if everything is there, or if the request is to be rejected.
        """
        tree = self._tree(asked)
        # BEP 52: only the leaf and the piece layer have to be supported.
        if tree is None or tree.base_layer == 0 or asked.base_layer != 0:
            return range(0)
        below = tree.base_layer
        if asked.length > max(1 << below, HASHES_AT_ONCE):
            return range(0)
        end = min(asked.index + asked.length, tree.num_leaves)
        return range(asked.index >> below, -(-end >> below))

    def answer(self, asked: HashRange, leaves: Buffer = b"") -> list[bytes] | None:
        """Answer a request.

        Args:
            asked: What was asked for.
            leaves: The block hashes of what `pieces` told, from its first on; see
                `merkle.block_hashes`. They are forgotten afterwards.

        Returns:
            The hashes of a ``hashes`` message. None if the request is to be rejected: it is about
            no file of these, breaks a rule, or asks for hashes that are not there.

        Raises:
            LocalProtocolError: The leaves are not those of the file: the content is not.
            MetainfoError: They are not 32 bytes each.
        """
        tree = self._tree(asked)
        if tree is None:
            return None
        if leaves:
            tree = tree.with_leaves(self.pieces(asked).start, leaves)
        try:
            return tree.proof(asked.base_layer, asked.index, asked.length, asked.proof_layers)
        except LocalProtocolError:
            return None

    def _tree(self, asked: HashRange) -> MerkleTree | None:
        tree = self._trees.get(asked.pieces_root)
        if tree is None or broken_rule(asked, height=tree.height) is not None:
            return None
        return tree


def _hashes(length: int, layer: int) -> int:
    """Hashes of a layer that are not padding."""
    return -(-length // (BLOCK_LENGTH << layer))


def _requests(
    pieces_root: bytes, length: int, base_layer: int, wanted: range
) -> Iterator[HashRange]:
    """The ranges that cover some hashes of a layer."""
    height = tree_height(_hashes(length, 0))
    if height <= base_layer:
        return
    width = 1 << height - base_layer
    at_once = min(HASHES_AT_ONCE, _power_of_two(len(wanted)))
    # Where a whole layer needs no uncles, anacrolix answers only if no proof is asked for.
    proof_layers = 0 if at_once == width else height - base_layer - 1
    for index in range(wanted.start // at_once * at_once, wanted.stop, at_once):
        count = min(at_once, _power_of_two(wanted.stop - index))
        yield HashRange(pieces_root, base_layer, index, count, proof_layers)


def _power_of_two(count: int) -> int:
    """The least that a range may have to hold so many hashes."""
    return max(2, 1 << (count - 1).bit_length())
