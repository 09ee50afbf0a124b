"""Which hashes of a file's tree a hash request, hashes or hash reject message means (BEP 52)."""

from __future__ import annotations

import dataclasses
from struct import Struct

from .errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "HASH_LENGTH",
    "MAX_HASHES",
    "MAX_HEIGHT",
    "RANGE_LENGTH",
    "HashRange",
    "broken_rule",
    "check",
    "expected_hashes",
    "tree_height",
]

#: Bytes of a SHA-256.
HASH_LENGTH = 32

#: Hashes of the base layer that one request may ask for. BEP 52 asks requesters to stop at 512;
#: libtorrent asks for the blocks of a whole piece and serves 8192, those of 128 MiB.
MAX_HASHES = 8192

#: The highest layer there is: 2^63 blocks are more than any file has.
MAX_HEIGHT = 63

_RULE = "BEP 52, peer messages, hash request"

_LAYOUT = Struct(">32sIIII")

#: Bytes of a range on the wire: the root and four numbers.
RANGE_LENGTH = _LAYOUT.size


@dataclasses.dataclass(frozen=True, slots=True)
class HashRange:
    """Hashes of one layer of a file's tree, and the proof that they belong there (BEP 52).

    Any five numbers that fit the message are a range; `check` tells whether BEP 52 allows it.

    Attributes:
        pieces_root: Which file: the root of its tree, 32 bytes.
        base_layer: Layers above the leaves; the leaves, one for 16 KiB, are 0.
        index: The first hash, counted in the base layer.
        length: How many hashes of the base layer.
        proof_layers: How many layers above the base layer the proof spans.

    Raises:
        LocalProtocolError: The root is not 32 bytes, or a number does not fit 32 bits.
    """

    pieces_root: bytes
    base_layer: int
    index: int
    length: int
    proof_layers: int

    def __post_init__(self) -> None:
        if len(self.pieces_root) != HASH_LENGTH:
            raise LocalProtocolError(
                f"the pieces root has {HASH_LENGTH} bytes, not {len(self.pieces_root)}",
                rule=_RULE,
            )
        for number in (self.base_layer, self.index, self.length, self.proof_layers):
            if not 0 <= number < 1 << 32:
                raise LocalProtocolError(f"{number} does not fit 32 bits", rule=_RULE)

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> HashRange:
        """Read the 48 bytes with which the payload of each of the three messages begins.

        Raises:
            RemoteProtocolError: They are not 48.
        """
        if len(data) != RANGE_LENGTH:
            raise RemoteProtocolError(
                f"a range of hashes has {RANGE_LENGTH} bytes, not {len(data)}", rule=_RULE
            )
        return cls(*_LAYOUT.unpack(data))

    def encode(self) -> bytes:
        """Returns the 48 bytes."""
        return _LAYOUT.pack(
            self.pieces_root, self.base_layer, self.index, self.length, self.proof_layers
        )

    def __str__(self) -> str:
        return (
            f"layer {self.base_layer} {self.index}+{self.length} proof {self.proof_layers} "
            f"of {self.pieces_root[:4].hex()}"
        )


def tree_height(num_leaves: int) -> int:
    """Returns how many layers a tree has above its leaves: 0 for one leaf, or for none.

    Args:
        num_leaves: Blocks of 16 KiB in the file, the last perhaps shorter. The tree is filled up
            to a power of two (BEP 52, pieces root).
    """
    return max(num_leaves - 1, 0).bit_length()


def check(request: HashRange, *, height: int, max_length: int = MAX_HASHES) -> None:
    """Hold a range to BEP 52's text and to the size of its tree (BEP 52, peer messages).

    Hashes of padding count as part of a layer, as they do on the wire. The root itself is never
    among the proof layers: it has no sibling, and whoever asks knows it.

    Args:
        request: What was asked for.
        height: Of the file's tree; see `tree_height`.
        max_length: The most hashes of the base layer that are served.

    Raises:
        RemoteProtocolError: It breaks a rule; which one, the message says. libtorrent and
            anacrolix answer such a request with a hash reject and stay connected.
    """
    what = broken_rule(request, height=height, max_length=max_length)
    if what is not None:
        raise RemoteProtocolError(f"not a range of hashes: {what}", rule=_RULE)


def broken_rule(
    request: HashRange, *, height: int = MAX_HEIGHT, max_length: int = MAX_HASHES
) -> str | None:
    """Say what `check` would raise; None if nothing.

    Args:
        request: What was asked for.
        height: Of the file's tree; by default of the highest, where the file is not known.
        max_length: The most hashes of the base layer that are served.
    """
    length, index, layer = request.length, request.index, request.base_layer
    if length < 2 or length.bit_count() != 1:
        return f"the length {length} is not a power of two from 2 on"
    if length > max_length:
        return f"the length {length} is above {max_length}"
    if index % length:
        return f"the index {index} is not a multiple of the length {length}"
    if layer >= height:
        return f"layer {layer} has no two hashes in a tree of height {height}"
    if index + length > 1 << height - layer:
        return f"hashes {index}+{length} of a layer of {1 << height - layer}"
    if layer + request.proof_layers >= height:
        return (
            f"{request.proof_layers} proof layers above layer {layer} "
            f"reach the root of a tree of height {height}"
        )
    return None


def expected_hashes(request: HashRange) -> int:
    """Returns how many hashes answer a range that `check` accepts (BEP 52, peer messages).

    They are those of the base layer, then an uncle for each proof layer that does not follow from
    them: 2^k hashes yield the next k layers of their own branch, so the first k - 1 are left out.
    """
    derived = request.length.bit_length() - 2
    return request.length + max(request.proof_layers - derived, 0)
