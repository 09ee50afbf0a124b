"""Pickers whose pieces are of a few blocks each, and peers that answer them."""

import random

from peerwire.pieces import PieceSet
from peerwire.swarm.picker import Picker

from .conftest import BLOCK


def make(num_pieces, blocks=2, *, have=(), seed=1, **options):
    """A picker of pieces that have so many blocks each."""
    return Picker(
        num_pieces,
        lambda index: blocks * BLOCK,
        have=PieceSet(num_pieces, have),
        rng=random.Random(seed),
        **options,
    )


def deliver(picker, peer, blocks):
    """The peer answers; returns what the picker says of each block."""
    return [picker.received(peer, block.index, block.begin) for block in blocks]


def finish(picker, peer):
    """One peer answers everything and every piece is right; returns the pieces as they came."""
    order = []
    while blocks := picker.pick(peer, 3):
        for block in blocks:
            if picker.received(peer, block.index, block.begin).whole:
                picker.verified(block.index)
                order.append(block.index)
    return order
