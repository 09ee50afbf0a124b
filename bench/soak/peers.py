"""A share of the peers, in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from .hostile import ATTACKS, attack_all
from .peaceful import visit_all
from .plan import allow_files, dump
from .tally import Tally
from .torrent import Torrent
from .watch import Complaints

if TYPE_CHECKING:
    from .plan import Plan

__all__ = ["run"]


async def run(plan: Plan, process: int, port: int) -> None:
    """Lets them come and go from the first line that comes in, and tells how they fared."""
    allow_files(plan.peers)
    complaints = Complaints()
    complaints.install()
    torrent, tally = Torrent(plan.seed), Tally()
    dump({"process": process})
    await asyncio.to_thread(sys.stdin.readline)
    until = asyncio.get_running_loop().time() + plan.seconds
    async with asyncio.TaskGroup() as both:
        for everybody in (visit_all, attack_all):
            both.create_task(everybody(plan, process, port, torrent, tally, until))
    dump(
        {
            "counts": dict(tally.counts),
            "attacks": {ATTACKS[kind].name: count for kind, count in tally.attacks.items()},
            "disturbances": tally.disturbances,
            "disturbed": tally.disturbed,
            "complaints": complaints.kept,
            "complaints in all": complaints.count,
        }
    )
