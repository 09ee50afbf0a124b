"""The double as a peer of v2, too: it serves a hybrid of one file by both of its info-hashes.

Its hash trees are its own, so that a mistake in peerwire's is not in both.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import count, pairwise
from typing import TYPE_CHECKING

from peerwire import Handshake, Hashes, HashReject, HashRequest, Message, Reserved

from .double import BLOCK, PEER_ID, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peerwire import HashRange

    from .double import Double, Said


def layers_of(content: bytes) -> list[list[bytes]]:
    """All layers of a file's tree, the leaves first; each filled up to a power of two."""
    leaves = [
        sha256(content[start : start + BLOCK]).digest() for start in range(0, len(content), BLOCK)
    ]
    width = next(1 << n for n in count() if 1 << n >= len(leaves))
    layers = [leaves + [bytes(32)] * (width - len(leaves))]
    while len(layers[-1]) > 1:
        pairs = [*pairwise(layers[-1])][::2]
        layers.append([sha256(left + right).digest() for left, right in pairs])
    return layers


class SessionV2(Session):
    """One connection of a peer without defects.

    Attributes:
        v2: Whether the connection is about the v2 info-hash.
    """

    reserved = Session.reserved | Reserved.V2
    v2 = False

    def __init__(self, double: Double, *streams: object) -> None:
        super().__init__(double, *streams)
        self.layers = layers_of(double.content)
        self.root = self.layers[-1][0]
        self.info_hash = self.meta.info_hash
        self.info_hash_v2 = sha256(self.meta.info).digest()[:20]

    # The handshake

    def hear_handshake(self, data: bytes) -> None:
        self.theirs = Handshake.decode(data)
        self.expect(self.theirs.info_hash in self.named())
        self.v2 = self.theirs.info_hash == self.info_hash_v2 or self.upgrades()

    def named(self) -> tuple[bytes, ...]:
        """What it answers to."""
        return self.info_hash, self.info_hash_v2

    def upgrades(self) -> bool:
        """Whether it goes on with v2, where v1 was named."""
        return Reserved.V2 in self.theirs.reserved

    def greeting(self) -> bytes:
        return Handshake(self.answers_with(), PEER_ID, self.reserved).encode()

    def answers_with(self) -> bytes:
        return self.info_hash_v2 if self.v2 else self.theirs.info_hash

    # Hashes

    def take(self, message: Message) -> None:
        match message:
            case HashRequest(asked):
                self.expect(self.v2)
                self.say(*self.answer_hashes(asked))
            case Hashes() | HashReject():
                self.take_unasked()
            case _:
                super().take(message)

    def take_unasked(self) -> None:
        """An answer to what it never asked."""

    def answer_hashes(self, asked: HashRange) -> list[Said]:
        """What it says to a hash request."""
        if not self.valid(asked):
            return self.refuse_hashes(asked)
        return [Hashes(asked, [*self.base(asked), *self.uncles(asked)])]

    def refuse_hashes(self, asked: HashRange) -> list[Said]:
        return [HashReject(asked)]

    def valid(self, asked: HashRange) -> bool:
        return (
            asked.pieces_root == self.root
            and asked.length in (2 << n for n in range(9))
            and not asked.index % asked.length
            and asked.base_layer + asked.proof_layers < len(self.layers) - 1
            and asked.index + asked.length <= len(self.layers[asked.base_layer])
        )

    def base(self, asked: HashRange) -> list[bytes]:
        return self.layers[asked.base_layer][asked.index : asked.index + asked.length]

    def uncles(self, asked: HashRange) -> Iterator[bytes]:
        for up in range(self.first_uncle(asked), asked.proof_layers + 1):
            yield self.layers[asked.base_layer + up][asked.index >> up ^ 1]

    def first_uncle(self, asked: HashRange) -> int:
        """How far above the base layer the first uncle is: those below follow from the hashes."""
        return asked.length.bit_length() - 1
