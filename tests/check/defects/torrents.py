"""What cases say where the torrent differs from the usual one."""

from __future__ import annotations

from ..double import UT_METADATA, UT_PEX, Session
from .blocks import LongBlocks
from .rows import fails, not_applicable, notes, passes

# One in which everything is even: no bits, and no bytes, are left over.
not_applicable("bep3/bitfield/3", "bep3/bitfield/10", saying="no spare bits", torrent="even")(
    Session
)
not_applicable("bep3/request/3", saying="last block is a whole one", torrent="even")(Session)

# A single short piece.
not_applicable("bep3/request/4", saying="first piece is too short", torrent="tiny")(Session)
not_applicable("bep3/cancel/3", saying="single piece", torrent="tiny")(Session)
passes("bep3/have/1", "bep6/answer/1", torrent="tiny")(Session)

# Pieces of a single block.
not_applicable("bep3/request/15", saying="a single block", torrent="of small pieces")(Session)

# Pieces of many blocks.
not_applicable("bep3/request/1", saying="one by one", torrent="of long pieces")(Session)
not_applicable("bep3/request/2", saying="in one go", torrent="of long pieces")(Session)
passes("bep3/messages/1", "bep3/choke/3", torrent="of long pieces")(Session)
notes("bep3/request/11", saying="up to 128 KiB", torrent="of long pieces")(LongBlocks)

# Metadata of several pieces.
passes("bep9/metadata/2", saying="2 pieces", torrent="of much metadata")(Session)
passes("bep9/metadata/3", saying="2 pieces", torrent="of much metadata")(Session)
passes("bep9/metadata/5", "bep9/metadata/11", torrent="of much metadata")(Session)
not_applicable("bep9/metadata/2", saying="too long", torrent="of too much metadata")(Session)


class OffersPex(Session):
    """It offers peer exchange for a private torrent."""

    def told(self):
        return super().told() | {"m": {"ut_metadata": UT_METADATA, "ut_pex": UT_PEX}}


passes("bep11/pex/1", torrent="private")(Session)
fails("bep11/pex/1", saying="it offers ut_pex", torrent="private")(OffersPex)
passes("bep11/pex/1", torrent="private")(
    type("HasNoNames", (Session,), {"told": lambda self: {"m": [], "v": "double"}})
)
