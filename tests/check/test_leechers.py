"""What asks leechers: those that come, that come no more, and that begin with encryption."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

from peerwire.check import LEECHER_CASES, LeecherRunner, Verdict
from peerwire.torrent.storage import Storage

from . import clock
from .leecher_double import Leecher


@asynccontextmanager
async def leeching(sample, *defects, **how):
    """A runner, its port, and a leecher that comes there."""
    with Storage(sample.meta, sample.path.parent) as storage:
        runner = LeecherRunner(sample.subject, storage.read)
        port = await runner.listen("127.0.0.1", 0)
        leecher = asyncio.create_task(Leecher(sample, *defects, **how).run(port))
        try:
            yield runner, port
        finally:
            leecher.cancel()
            await asyncio.wait([leecher])


def asked(sample, cases, *defects, **how):
    """Returns what comes of asking a leecher with these defects."""

    async def ask():
        async with leeching(sample, *defects, **how) as (runner, _):
            return await runner.ask(cases)

    return clock.run(ask())


def named(*names):
    """Returns the cases with these ids, in the order of the suite."""
    return [case for case in LEECHER_CASES if case.id in names]


def told(run, *verdicts):
    return {r.case.id: r.observed for r in run.results if r.verdict in verdicts}


BAD = (Verdict.FAIL, Verdict.NON_STRICT, Verdict.INCONCLUSIVE)


def test_a_leecher_without_defects_passes(sample):
    run = asked(sample, LEECHER_CASES)
    assert told(run, *BAD) == {}
    assert run.count(Verdict.PASS) > 40
    assert {case.rpartition("/")[0] for case in told(run, Verdict.NOT_APPLICABLE)} == {
        "bep9/leecher",
        "mse/leecher",
    }
    assert run.client == "a double 1.0"


def test_one_that_begins_with_encryption_passes(sample):
    run = asked(sample, LEECHER_CASES, encryption={})
    assert told(run, *BAD) == {}
    assert set(told(run, Verdict.NOT_APPLICABLE)) == {f"bep9/leecher/{n}" for n in range(1, 5)}
    (line,) = {line for line in run.results[0].transcript if "encrypted" in line}
    assert line.endswith("encrypted, with rc4 from here on")


def test_nobody_comes(sample):
    async def ask():
        runner = LeecherRunner(sample.subject, lambda *_: b"")
        await runner.listen("127.0.0.1", 0)
        return await runner.ask(LEECHER_CASES[:3])

    run = clock.run(ask())
    assert run.count(Verdict.INCONCLUSIVE) == 3
    assert {each.observed for each in run.results} == {"not asked: nobody connects for 75 s"}
    assert run.failed()
    assert run.client == ""


async def said(sample, *data):
    """What comes of the first case, asked of those who each say something and leave."""
    runner = LeecherRunner(sample.subject, lambda *_: b"")
    port = await runner.listen("127.0.0.1", 0)
    asking = asyncio.create_task(runner.ask(LEECHER_CASES[:1]))
    for each in data:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(each)
        if writer.can_write_eof():
            writer.write_eof()
        await reader.read()
        writer.close()
    (result,) = (await asking).results
    return result


def test_who_begins_with_noise_can_not_be_asked(sample):
    result = clock.run(said(sample, bytes(range(96)) + bytes(600)))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "does not speak encryption" in result.observed


def test_who_says_nothing_is_not_who_is_waited_for(sample):
    result = clock.run(said(sample, b"", b"\x13BitTorrent protocol"))
    assert (result.verdict, result.observed) == (
        Verdict.FAIL,
        "the connection was closed without a handshake",
    )


def test_the_case_after_which_nobody_comes_back_is_named(sample):
    async def ask():
        runner = LeecherRunner(sample.subject, lambda *_: b"")
        port = await runner.listen("127.0.0.1", 0)
        asking = asyncio.create_task(runner.ask(LEECHER_CASES[:2]))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x13BitTorrent protocol")
        writer.close()
        return await asking

    run = clock.run(ask())
    assert run.results[1].observed == "not asked: nobody connects for 75 s after bep3/leecher/1"


def test_one_at_a_time_is_asked(sample):
    async def ask():
        async with leeching(sample) as (runner, port):
            asking = asyncio.create_task(runner.ask(named("bep3/leecher/3")))
            await asyncio.sleep(1)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            came = await reader.read()
            writer.close()
            return came, await asking

    came, run = clock.run(ask())
    assert came == b""
    assert run.count(Verdict.PASS) == 1


def test_who_comes_when_all_is_asked_is_sent_away(sample):
    async def ask():
        runner = LeecherRunner(sample.subject, lambda *_: b"")
        port = await runner.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(1)
        run = await runner.ask([])
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        return run

    assert clock.run(ask()).results == []
