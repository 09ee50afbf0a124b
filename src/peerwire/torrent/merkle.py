"""Hash trees: what the blocks of a v2 torrent's files are verified with (BEP 52, pieces root).

Each file has a tree of its own. Its leaves are the SHA-256 of 16 KiB blocks; above each pair of
hashes stands the hash of the two. What is missing to a power of two is padding: leaves of zeros
and whatever follows from them. Layers are counted from the leaves, which are layer 0. Hashes lie
one behind the other in ``bytes``, 32 each, and padding is never stored.
"""

from __future__ import annotations

import copy
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple, Self

from ..errors import LocalProtocolError, MetainfoError, RemoteProtocolError
from ..hashes import HASH_LENGTH, MAX_HEIGHT, HashRange, check, expected_hashes, tree_height
from ..limits import BLOCK_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..messages import Buffer

__all__ = [
    "MAX_HEIGHT",
    "MerkleTree",
    "block_hashes",
    "layer",
    "pad_hash",
    "piece_layer",
    "root",
    "verify",
]

_RULE = "BEP 52, pieces root"


def _pad_hashes() -> tuple[bytes, ...]:
    hashes = [bytes(HASH_LENGTH)]
    for _ in range(MAX_HEIGHT):
        hashes.append(sha256(hashes[-1] * 2).digest())
    return tuple(hashes)


_PADS = _pad_hashes()


def pad_hash(height: int) -> bytes:
    """Returns the hash at a layer under which all leaves are padding; at layer 0, 32 zeros.

    Raises:
        IndexError: The height is not 0 to 63.
    """
    if not 0 <= height <= MAX_HEIGHT:
        raise IndexError(f"a tree has layers 0 to {MAX_HEIGHT}, not {height}")
    return _PADS[height]


def block_hashes(data: Buffer) -> bytes:
    """Hash each block of a file, or of a part of it that begins with a block (BEP 52, pieces root).

    Args:
        data: The bytes; what is left after the last 16 KiB is a shorter block.

    Returns:
        The leaves: 32 bytes for each block.
    """
    view = memoryview(data)
    return b"".join(
        sha256(view[start : start + BLOCK_LENGTH]).digest()
        for start in range(0, len(view), BLOCK_LENGTH)
    )


def layer(leaves: Buffer, height: int) -> bytes:
    """Hash leaves up to a layer (BEP 52, metainfo files, piece layers).

    Args:
        leaves: 32 bytes for each block of a file, or of a part of it that begins where a hash of
            the layer does.
        height: Which layer; see `piece_layer`.

    Returns:
        32 bytes for each hash of the layer that covers a byte of the file: what a .torrent
        has in its ``piece layers``.

    Raises:
        MetainfoError: The leaves are not 32 bytes each.
        IndexError: The height is not 0 to 63.
    """
    _check_hashes(leaves)
    pad_hash(height)
    return _climb(bytes(leaves), 0, height)


def root(leaves: Buffer, height: int | None = None) -> bytes:
    """Hash leaves up to the root of their tree (BEP 52, pieces root).

    A piece has a root as well, to be compared with its hash in the piece layer:
    ``root(block_hashes(piece), piece_layer(piece_length))``.

    Args:
        leaves: 32 bytes for each block.
        height: Of the tree; by default the least that has room for the leaves.

    Raises:
        MetainfoError: There are no leaves, or too many for the height, or they are not 32 bytes
            each. An empty file has no tree.
        IndexError: The height is not 0 to 63.
    """
    needed = tree_height(len(leaves) // HASH_LENGTH)
    height = needed if height is None else height
    if not leaves or height < needed:
        raise MetainfoError(
            f"{len(leaves) // HASH_LENGTH} leaves have no tree of height {height}; "
            f"it takes 1 to 2^{height} (BEP 52, pieces root)"
        )
    return layer(leaves, height)


def piece_layer(piece_length: int) -> int:
    """Returns the layer whose hashes cover a piece each (BEP 52, metainfo files, piece layers).

    Raises:
        MetainfoError: The piece length is not a power of two from 16 KiB on.
    """
    if piece_length < BLOCK_LENGTH or piece_length.bit_count() != 1:
        raise MetainfoError(
            f"a v2 piece length is a power of two from {BLOCK_LENGTH} on, not {piece_length} "
            "(BEP 52, info dictionary)"
        )
    return tree_height(piece_length // BLOCK_LENGTH)


def verify(
    root: bytes,
    base_layer: int,
    index: int,
    length: int,
    proof_layers: int,
    hashes: Sequence[bytes],
    *,
    height: int,
) -> None:
    """Check the hashes that a peer sent against the root of a file (BEP 52, peer messages).

    A single piece can be checked as well: give its hash as the root, `piece_layer` as the height,
    and the index as counted in the piece.

    Args:
        root: What is known to be right, 32 bytes.
        base_layer: As in the request and the answer, which have to agree; so the next three.
        index: The first hash, counted in the base layer.
        length: How many hashes of the base layer.
        proof_layers: ``height - base_layer - 1``, or anything less if the range is a whole layer.
        hashes: What was sent: the base layer's, then the uncles from the lowest to the highest.
        height: Of the tree below `root`; see `tree_height`.

    Raises:
        RemoteProtocolError: The range breaks a rule, or the hashes are too many, too few, or wrong.
        LocalProtocolError: The proof layers end below the root's children, so nothing can be told;
            or the root is not 32 bytes.
    """
    request = HashRange(root, base_layer, index, length, proof_layers)
    check(request, height=height, max_length=1 << height)
    span = tree_height(length)
    if max(span, proof_layers + 1) != height - base_layer:
        raise LocalProtocolError(
            f"hashes of layer {base_layer} with {proof_layers} proof layers prove nothing; "
            f"ask for {height - base_layer - 1}",
            rule=_RULE,
        )
    if len(hashes) != expected_hashes(request) or any(len(each) != HASH_LENGTH for each in hashes):
        raise RemoteProtocolError(
            f"{len(hashes)} hashes answer a range of {expected_hashes(request)}, 32 bytes each",
            rule=_RULE,
        )
    node = _climb(b"".join(hashes[:length]), base_layer, base_layer + span)
    if _join(node, index >> span, hashes[length:]) != root:
        raise RemoteProtocolError(
            f"hashes {index}+{length} of layer {base_layer} do not lead to the root {root.hex()}",
            rule=_RULE,
        )


class _Stretch(NamedTuple):
    """What is held of a layer: the hashes from `first` on."""

    first: int
    hashes: bytes


class MerkleTree:
    """The tree of one file, or of it all layers from some layer on (BEP 52, pieces root).

    It costs 64 bytes for each hash of the base layer, whatever the padding.

    Args:
        hashes: The base layer without padding, 32 bytes each.
        base_layer: The lowest layer held; the leaves are 0.
        num_leaves: Blocks of 16 KiB in the file; needed if the base layer is not the leaves.

    Attributes:
        base_layer: The lowest layer held.
        num_leaves: Blocks of 16 KiB in the file.
        height: The layer of the root.
        root: The hash of the whole file, its ``pieces root``.

    Raises:
        MetainfoError: The hashes are not as many as the file has in that layer, or the file is
            empty, which has no tree.
    """

    __slots__ = ("_layers", "base_layer", "height", "num_leaves", "root")

    def __init__(
        self, hashes: Buffer, *, base_layer: int = 0, num_leaves: int | None = None
    ) -> None:
        _check_hashes(hashes)
        count = len(hashes) // HASH_LENGTH
        self.base_layer = base_layer
        self.num_leaves = count if num_leaves is None else num_leaves
        self.height = tree_height(self.num_leaves)
        if not 0 <= base_layer <= self.height or count == 0 or count != self._count(base_layer):
            raise MetainfoError(
                f"{count} hashes are not layer {base_layer} of a file of {self.num_leaves} blocks "
                "of 16 KiB (BEP 52, piece layers)"
            )
        self._layers = _stretches(_Stretch(0, bytes(hashes)), base_layer, self.height)
        self.root = self._layers[-1].hashes

    @classmethod
    def from_piece_layer(cls, root: bytes, layer: Buffer, piece_length: int, length: int) -> Self:
        """Make the tree of a file from a .torrent (BEP 52, metainfo files, piece layers).

        Args:
            root: The file's ``pieces root``.
            layer: What ``piece layers`` has for it: 32 bytes for each piece; nothing for a file
                that is not longer than a piece, of which the root alone is known.
            piece_length: Bytes.
            length: Of the file, in bytes.

        Raises:
            MetainfoError: The layer has not one hash for each piece, or leads to another root; the
                root is not 32 bytes; the piece length is none; or the file is empty.
        """
        base_layer = piece_layer(piece_length)
        num_leaves = -(-length // BLOCK_LENGTH)
        if length <= piece_length:
            if layer:
                raise MetainfoError(
                    f"a file of {length} bytes is not longer than a piece, "
                    "so it has no piece layer (BEP 52, piece layers)"
                )
            return cls(root, base_layer=tree_height(num_leaves), num_leaves=num_leaves)
        tree = cls(layer, base_layer=base_layer, num_leaves=num_leaves)
        if tree.root != root:
            raise MetainfoError(
                f"a piece layer leads to the root {tree.root.hex()}, "
                f"not to the file's {root[:HASH_LENGTH].hex()} (BEP 52, piece layers)"
            )
        return tree

    def layer(self, height: int) -> bytes:
        """Returns the hashes of a layer without padding, 32 bytes each.

        Raises:
            IndexError: The layer is not held, or not all of it.
        """
        if self.base_layer <= height <= self.height:
            stretch = self._layers[height - self.base_layer]
            if len(stretch.hashes) == self._count(height) * HASH_LENGTH:
                return stretch.hashes
        raise IndexError(f"layer {height} of a tree that holds {self.base_layer} to {self.height}")

    def proof(self, base_layer: int, index: int, length: int, proof_layers: int) -> list[bytes]:
        """Answer a hash request (BEP 52, peer messages, hashes).

        Any length goes that the tree has room for; how much is served is for `hashes.check`.

        Returns:
            `length` hashes of the base layer, then the uncles from the lowest to the highest:
            what a ``hashes`` message carries, in its order.

        Raises:
            RemoteProtocolError: The range breaks a rule.
            LocalProtocolError: The tree does not hold those hashes; see `with_leaves`.
        """
        request = HashRange(self.root, base_layer, index, length, proof_layers)
        check(request, height=self.height, max_length=1 << self.height)
        uncles = (
            self._hash(base_layer + up, index >> up ^ 1)
            for up in range(tree_height(length), proof_layers + 1)
        )
        return [
            *(self._hash(base_layer, at) for at in range(index, index + length)),
            *uncles,
        ]

    def with_leaves(self, first: int, leaves: Buffer) -> Self:
        """Make a tree that holds some of the layers below as well, to answer requests for them.

        A seeder keeps the piece layer, hashes a piece when its blocks are asked for, answers,
        and forgets the tree made here, which shares what this one holds.

        Args:
            first: Which hash of the base layer the leaves begin under: for a tree of a .torrent,
                the index of a piece in the file.
            leaves: 32 bytes for each block of one or more whole pieces, the file's last as short
                as it is.

        Raises:
            LocalProtocolError: They do not lead to the hashes held: the content is not the file's.
            MetainfoError: They are not 32 bytes each.
        """
        _check_hashes(leaves)
        stretch = _Stretch(first << self.base_layer, bytes(leaves))
        below = _stretches(stretch, 0, self.base_layer)
        found, held = below.pop(), self._layers[0]
        start = (first - held.first) * HASH_LENGTH
        end = start + len(found.hashes)
        if start < 0 or not leaves or held.hashes[start:end] != found.hashes:
            raise LocalProtocolError(
                f"{len(leaves) // HASH_LENGTH} leaves do not lead to the hash {first} of layer "
                f"{self.base_layer}: the content is not the file's",
                rule=_RULE,
            )
        tree = copy.copy(self)
        tree.base_layer = 0
        tree._layers = below + self._layers
        return tree

    def _count(self, height: int) -> int:
        """Hashes of a layer that are not padding."""
        return -(-self.num_leaves >> height)

    def _hash(self, height: int, index: int) -> bytes:
        if index >= self._count(height):
            return _PADS[height]
        if height >= self.base_layer:
            first, hashes = self._layers[height - self.base_layer]
            start = (index - first) * HASH_LENGTH
            if 0 <= start < len(hashes):
                return hashes[start : start + HASH_LENGTH]
        raise LocalProtocolError(
            f"hash {index} of layer {height} is not held, layer {self.base_layer} is the lowest; "
            "hash the content, or reject the request",
            rule=_RULE,
        )


def _check_hashes(hashes: Buffer) -> None:
    if len(hashes) % HASH_LENGTH:
        raise MetainfoError(f"hashes have {HASH_LENGTH} bytes each; {len(hashes)} are no multiple")


def _parents(hashes: bytes, height: int) -> bytes:
    """The layer above. An odd hash is paired with the padding of its own layer, `height`."""
    if len(hashes) % (2 * HASH_LENGTH):
        hashes += _PADS[height]
    view = memoryview(hashes)
    return b"".join(
        sha256(view[start : start + 2 * HASH_LENGTH]).digest()
        for start in range(0, len(view), 2 * HASH_LENGTH)
    )


def _climb(hashes: bytes, height: int, top: int) -> bytes:
    for below in range(height, top):
        hashes = _parents(hashes, below)
    return hashes


def _join(node: bytes, index: int, uncles: Iterable[bytes]) -> bytes:
    """Climb from one hash with the sibling of each on the way."""
    for uncle in uncles:
        node = sha256(uncle + node if index & 1 else node + uncle).digest()
        index >>= 1
    return node


def _stretches(lowest: _Stretch, height: int, top: int) -> list[_Stretch]:
    """The layers from one to another, both included, as far as they follow from the lowest."""
    stretches = [lowest]
    for below in range(height, top):
        first, hashes = stretches[-1]
        stretches.append(_Stretch(first >> 1, _parents(hashes, below)))
    return stretches
