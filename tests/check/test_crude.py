"""Peers that can't be asked, or answer nonsense: no case passes for want of an answer."""

from __future__ import annotations

import asyncio
import os

import pytest

from peerwire import (
    Choke,
    Extended,
    Handshake,
    HaveAll,
    Piece,
    Request,
    Reserved,
    Unchoke,
)
from peerwire.bencode import encode
from peerwire.check import INFO, SEED_CASES, Runner, Verdict
from peerwire.framing import Framing

from .clock import run

BITS = Reserved.FAST | Reserved.EXTENSION | Reserved.DHT

KIND = [case for case in SEED_CASES if not case.hostile]

#: What holds of who says a handshake and nothing more.
HANDSHAKE_IS_RIGHT = {
    *(f"bep3/handshake/{n}" for n in (1, 2, 8, 9, 12)),
    *("bep3/bitfield/5", "bep5/port/2"),
}


def greeting(info_hash):
    return Handshake(info_hash, b"-XX0000-crude_peer__", BITS).encode()


async def mute(reader, writer, meta):
    """Says nothing at all."""
    await reader.read()


async def brief(reader, writer, meta):
    """Closes every connection at once."""


async def stuck(reader, writer, meta):
    """Says a handshake, and nothing more."""
    writer.write(greeting(meta.info_hash))
    await reader.read()


async def rude(reader, writer, meta):
    """Says a handshake, and closes when anything else comes."""
    writer.write(greeting(meta.info_hash))
    await reader.readexactly(69)


async def noisy(reader, writer, meta):
    """Says noise."""
    writer.write(os.urandom(5000))
    await reader.read()


async def broken(reader, writer, meta):
    """Says a handshake, and then what is no message."""
    writer.write(greeting(meta.info_hash) + b"\0\0\0\2\0\0")
    await reader.read()


async def wrong(reader, writer, meta):
    """Serves everybody the wrong bytes of the wrong pieces, and introduces itself wrongly."""
    writer.write(greeting(meta.info_hash))
    told = encode({"m": {"ut_metadata": 1, "ut_pex": 1, "lt_donthave": 1}, "reqq": -1, "p": 0})
    for each in (HaveAll(), Unchoke(), Extended(0, told), Choke(), Unchoke()):
        writer.write(each.encode())
    await reader.readexactly(68)
    framing = Framing(1 << 25)
    while data := await reader.read(1 << 16):
        for message in framing.receive(data):
            if isinstance(message, Request):
                writer.write(Piece(message.index, message.begin, b"wrong").encode())
            elif isinstance(message, Extended):
                writer.write(Extended(77, encode({"msg_type": 9, "piece": 3})).encode())


def ask(sample, behave, cases):
    async def accept(reader, writer):
        try:
            await behave(reader, writer, sample.meta)
        except (Exception, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def asked():
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await Runner("127.0.0.1", port, sample.subject, jobs=32).ask(cases)
        finally:
            server.close()

    return run(asked())


@pytest.mark.parametrize("behave", [mute, brief, stuck, rude, noisy, broken, wrong])
def test_no_case_is_broken_by_a_peer_that_is(sample, behave):
    run = ask(sample, behave, KIND)
    assert len(run.results) == len(KIND)
    assert [r.observed for r in run.results if "is broken" in r.observed] == []
    assert run.failed(strict=True)


@pytest.mark.parametrize(
    ("behave", "right"),
    [(mute, set()), (brief, set()), (noisy, set()), (stuck, HANDSHAKE_IS_RIGHT)],
)
def test_who_can_not_be_asked_passes_nothing(sample, behave, right):
    run = ask(sample, behave, KIND)
    assert {r.case.id for r in run.results if r.verdict is Verdict.PASS} <= right


@pytest.mark.parametrize("behave", [mute, brief, rude, noisy, broken])
def test_a_hostile_case_fails_where_nobody_else_is_served(sample, behave):
    run = ask(sample, behave, [case for case in SEED_CASES if case.hostile])
    assert Verdict.PASS not in {r.verdict for r in run.results if r.case.level is not INFO}
    assert run.count(Verdict.FAIL) + run.count(Verdict.INCONCLUSIVE) > 80
