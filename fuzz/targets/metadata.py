"""The metadata assembler: honest peers and liars, who come and go; only the truth comes out."""

from __future__ import annotations

import hashlib

from peerwire.metadata import Metadata, Verdict, piece_count, piece_size

from ..harness import Script, expect

TRUTH = hashlib.shake_256(b"the info dictionary").digest(33_000)
#: The sizes that peers announce: the right one, and some that are not.
SIZES = (len(TRUTH), len(TRUTH), 1, 16384, 16385, 40_000)
HASHES = (
    (hashlib.sha1(TRUTH).digest(),),
    (hashlib.sha256(TRUTH).digest(),),
    (hashlib.sha1(TRUTH).digest(), hashlib.sha256(TRUTH).digest()),
    (hashlib.sha256(TRUTH).digest()[:20],),
)


def target(data: bytes) -> None:
    """Runs a script of peers."""
    script = Script(data)
    metadata = Metadata[Peer](*HASHES[script.below(len(HASHES))])
    here: list[Peer | None] = [None] * 5
    for _ in range(200):
        if not script or metadata.verified is not None:
            break
        step, place = script.below(4), script.below(len(here))
        peer = here[place]
        if peer is None:
            peer = here[place] = Peer(SIZES[script.below(len(SIZES))])
            metadata.add(peer, peer.size)
        elif step == 0:
            metadata.remove(peer)
            here[place] = None
        elif step == 1:
            picked = metadata.pick(peer, 1 + script.below(3))
            expect(not peer.owes & {*picked}, "asked for twice")
            expect(all(piece < piece_count(peer.size) for piece in picked), "no such piece")
            peer.owes.update(picked)
        elif peer.owes and _received(metadata, peer, lie=step == 3) is Verdict.LIAR:
            metadata.remove(peer)
            here[place] = None
        expect(metadata.verified in (None, TRUTH), "something else than the truth was believed")
        announced = sum(peer.size for peer in here if peer is not None)
        expect(_held(metadata) <= announced, "more is held than peers have announced")


class Peer:
    """One that is here, once: whoever comes back is another."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.owes: set[int] = set()
        self.lied = size != len(TRUTH)


def _received(metadata: Metadata[Peer], peer: Peer, *, lie: bool) -> Verdict:
    """A peer gives the first piece that it owes."""
    piece = min(peer.owes)
    peer.owes.remove(piece)
    block = TRUTH[piece * 16384 :][: piece_size(peer.size, piece)]
    block = block.ljust(piece_size(peer.size, piece), b"?")
    if lie:
        peer.lied = True
        block = bytes((block[0] ^ 1,)) + block[1:]
    verdict = metadata.received(peer, piece, block)
    expect(verdict is not Verdict.LIAR or peer.lied, "an honest peer is called a liar")
    expect(verdict is not Verdict.VERIFIED or metadata.verified == TRUTH, "verified what?")
    return verdict


def _held(metadata: Metadata[Peer]) -> int:
    assemblies = {id(source.assembly): source.assembly for source in metadata._sources.values()}
    shared = {id(assembly): assembly for assembly in metadata._shared.values()}
    return sum(
        len(part) for assembly in (assemblies | shared).values() for part in assembly.parts.values()
    )
