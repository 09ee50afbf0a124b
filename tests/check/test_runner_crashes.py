"""Peers that are gone: after which case is told exactly where it can be, and nowhere else."""

from __future__ import annotations

import asyncio
import functools
import socket
from unittest import mock

import pytest

from peerwire import Reserved
from peerwire.check import MUST, SEED_CASES, Cases, Deviates, Runner, Verdict, probe
from peerwire.check import runner as runner_module
from peerwire.check.runner import ATTEMPTS, COMEBACKS
from peerwire.messages import Unknown

from . import clock
from .double import Double, Session

CRASHING = "bep3/messages/5"


class Crashes(Session):
    """It is gone after a message of an id that it does not know."""

    def take_unknown(self, message):
        if isinstance(message, Unknown):
            self.double.crash()


class Mortal(Double):
    """A double that takes its connections along when it crashes, and may be started again."""

    comes_back = False
    pause = 0.02
    crashes = 0

    def __init__(self, *args):
        super().__init__(*args)
        self.writers = set()

    async def accept(self, reader, writer):
        self.writers.add(writer)
        await super().accept(reader, writer)
        self.writers.discard(writer)

    def crash(self):
        if not self._server.is_serving():
            return
        super().crash()
        self.crashes += 1
        for writer in self.writers:
            writer.transport.abort()
        if self.comes_back:
            self.restarting = asyncio.create_task(self.restart())

    async def dialled(self, *where):
        """Refuses as the kernel does, but where coverage sees it: in no coroutine that waits."""
        if not self._server.is_serving():
            raise ConnectionRefusedError
        return await probe.dial(*where)

    async def restart(self):
        await asyncio.sleep(self.pause)
        self._server = await asyncio.start_server(self.accept, "127.0.0.1", self.port)


class Returning(Mortal):
    comes_back = True


class Lingering(Returning):
    """Its connections end a moment before it takes no others."""

    def crash(self):
        for writer in self.writers:
            writer.transport.abort()
        asyncio.get_running_loop().call_later(0.02, super().crash)


class Abrupt(Returning):
    """It does not crash, but ends connections."""

    def crash(self):
        self.crashes += 1
        for writer in self.writers:
            writer.transport.abort()


class Curt(Abrupt):
    """It ends the next connection, too."""

    async def accept(self, reader, writer):
        if self.crashes == 1:
            self.crashes += 1
            writer.close()
        else:
            await super().accept(reader, writer)


class Cured(Returning):
    """It crashes but once."""

    def crash(self):
        if not self.crashes:
            super().crash()


class Deaf(Returning):
    """After its crash it is there, and answers nobody."""

    async def accept(self, reader, writer):
        if self.crashes:
            writer.close()
        else:
            await super().accept(reader, writer)


def crowd(*kinds, hostile=False):
    """Cases that are asked at the same time: the double crashes of one kind."""
    made = Cases("xx/crowd", "xx", hostile=hostile)
    together = asyncio.Barrier(max(1, len(kinds) - kinds.count("later")))
    for number, kind in enumerate(kinds, 1):
        made.case(number, MUST, rule="r.", does="d", expects="e")(asking(kind, together))
    return made


def asking(kind, together):
    before = False

    async def ask(probe):
        nonlocal before
        await probe.open()
        first, before = not before, True
        if first and kind != "later":
            await together.wait()
        if kind == "crash":
            probe.say(Unknown(99, b""))
        elif kind == "wait" and first:
            await probe.quiet(100)  # until the crash ends it
        await probe.goes_on()

    return ask


def at_once(test):
    """Runs a test without waiting."""

    @functools.wraps(test)
    def run(sample):
        clock.run(test(sample))

    return run


async def ask(sample, kind, these, *, jobs=4, comeback=5.0, dial=None):
    notes, told = [], []
    async with kind.running(sample.meta, sample.content, Crashes) as double:
        where = "127.0.0.1", double.port, sample.subject
        options = {"on_result": told.append, "on_note": notes.append, "comeback": comeback}
        runner = Runner(*where, jobs=jobs, **options)
        with mock.patch.object(runner_module, "dial", dial or double.dialled):
            run = await runner.ask(these)
        assert runner.asked == len(these)
        assert runner.asking == []
    assert [result.case.id for result in run.results] == [case.id for case in these]
    assert told == run.results
    return run, notes


def verdicts(run):
    return [str(result.verdict) for result in run.results]


@at_once
async def test_one_of_several_that_were_asked_at_once(sample):
    run, notes = await ask(
        sample, Mortal, crowd("wait", "crash", "wait", "later"), jobs=3, comeback=0.0
    )
    assert run.gone == []
    assert sorted(run.suspects) == ["xx/crowd/1", "xx/crowd/2", "xx/crowd/3"]
    assert run.suspects[0] == "xx/crowd/2"  # which spoke last
    assert {*verdicts(run)} == {"inconclusive"}
    names = ", ".join(run.suspects)
    told = f"the peer was gone after one of {names}; the first spoke last"
    assert [result.observed for result in run.results[:3]] == [told] * 3
    assert run.results[3].observed.startswith("not asked: it can't be connected to: ")
    assert run.failed()
    assert len(notes) == 1
    assert "the peer is gone" in notes[0]


@at_once
async def test_a_peer_that_comes_back_is_asked_again_one_by_one(sample):
    run, notes = await ask(sample, Returning, crowd("wait", "crash", "wait", "later"), jobs=3)
    assert run.gone == ["xx/crowd/2"]
    assert run.suspects == []
    assert verdicts(run) == ["pass", "fail", "pass", "pass"]
    assert run.results[1].observed == "the peer was gone after it"
    assert any("Unknown" in line or "id 99" in line for line in run.results[1].transcript)
    assert any(note.startswith("asking one by one: xx/crowd/2, ") for note in notes)
    assert run.failed()


@at_once
async def test_several_cases_that_break_it_are_all_named(sample):
    run, _ = await ask(sample, Returning, crowd("crash", "crash", "wait", "later"), jobs=3)
    assert {*run.gone} == {"xx/crowd/1", "xx/crowd/2"}
    assert verdicts(run) == ["fail", "fail", "pass", "pass"]


@at_once
async def test_what_breaks_it_only_together_with_others_is_not_named(sample):
    run, _ = await ask(sample, Cured, crowd("wait", "crash", "later"), jobs=2)
    assert run.gone == []
    assert run.suspects == ["xx/crowd/2", "xx/crowd/1"]
    assert verdicts(run) == ["pass"] * 3
    assert run.failed()


@at_once
async def test_a_peer_that_comes_back_deaf_is_gone(sample):
    run, _ = await ask(sample, Deaf, crowd("wait", "crash", "later"), jobs=2, comeback=0.5)
    assert len(run.suspects) == 2
    assert verdicts(run) == ["inconclusive"] * 3


@at_once
async def test_one_that_came_too_late_to_be_asked_is_asked_once_it_is_back(sample):
    """The kernel took its connection, and the peer died before it said anything."""
    noticed = asyncio.Event()
    late = Cases("xx/late", "xx")

    @late.case(1, MUST, rule="r.", does="d", expects="e")
    async def crash(probe):
        await probe.ready()
        probe.say(Unknown(99, b""))
        await probe.closes()

    @late.case(2, MUST, rule="r.", does="d", expects="e")
    async def after(probe):
        await probe.open()

    async with Slow.running(sample.meta, sample.content, Crashes) as double:

        async def dial(*where):
            dials.append(where)
            number = len(dials)
            try:
                made = await double.dialled(*where)
            except ConnectionRefusedError:
                noticed.set()
                raise
            if number == 3:  # of the second case
                await noticed.wait()
            return made

        dials = []
        runner = Runner("127.0.0.1", double.port, sample.subject, jobs=2)
        with mock.patch.object(runner_module, "dial", dial):
            run = await runner.ask(late)
    assert run.gone == ["xx/late/1"]
    assert verdicts(run) == ["fail", "pass"]


@at_once
async def test_one_that_is_asked_alone_is_named_at_once(sample):
    run, _ = await ask(sample, Returning, crowd("crash", "later"), jobs=1)
    assert run.gone == ["xx/crowd/1"]
    assert verdicts(run) == ["fail", "pass"]


@at_once
async def test_a_hostile_one_is_named_at_once_and_the_next_asked(sample):
    run, _ = await ask(sample, Returning, crowd("crash", "later", hostile=True))
    assert run.gone == ["xx/crowd/1"]
    assert verdicts(run) == ["fail", "pass"]


@at_once
async def test_a_peer_that_keeps_crashing_is_given_up(sample):
    many = crowd("crash", *["later"] * COMEBACKS)
    for case in many:
        object.__setattr__(case, "ask", many[0].ask)
    run, _ = await ask(sample, Returning, many, jobs=1)
    assert len(run.gone) == COMEBACKS + 1 == len(many)


@at_once
async def test_with_the_cases_of_the_suite(sample):
    these = [case for case in SEED_CASES if case.group == "bep3/messages" and not case.slow]
    run, _ = await ask(sample, Returning, these, dial=probe.dial)
    assert run.gone == [CRASHING]
    bad = {r.case.id: r.verdict for r in run.results if r.verdict is not Verdict.PASS}
    assert bad[CRASHING] is Verdict.FAIL
    assert Verdict.INCONCLUSIVE not in bad.values()


class Slow(Returning):
    """It takes its time to come back."""

    pause = 0.8


class Fading(Returning):
    """It is gone once the case that was asked first is done, and somebody looked after it."""

    accepted = 0
    last = 3  # the first is to be introduced, the second is the case

    async def accept(self, reader, writer):
        self.accepted += 1
        if self.accepted == self.last:
            self.crash()
        await super().accept(reader, writer)


class FadingLater(Fading):
    """After a hostile case it is looked after twice."""

    last = 4


class Wedges(Session):
    """It serves nobody after a message of an id that it does not know."""

    def take_unknown(self, message):
        self.double.wedged = True


class Sulks(Session):
    """It unchokes nobody after a message of an id that it does not know."""

    def take_unknown(self, message):
        self.double.sulks = True

    def take(self, message):
        if not getattr(self.double, "sulks", False):
            super().take(message)


def saying(verdict=None):
    """A hostile case that says what the peer does not know, and comes to this."""
    made = Cases("xx/hostile", "xx", hostile=True)

    @made.case(1, MUST, rule="r.", does="d", expects="e")
    async def ask(probe):
        await probe.ready()
        probe.say(Unknown(99, b""))
        await probe.quiet(1)
        if verdict is not None:
            raise verdict("so")

    return made


async def asked(sample, defects, these, **options):
    async with Double.running(sample.meta, sample.content, *defects) as double:
        return await Runner("127.0.0.1", double.port, sample.subject, **options).ask(these)


@at_once
async def test_it_may_take_some_time_to_come_back(sample):
    run, _ = await ask(sample, Slow, crowd("crash", "later"), jobs=1)
    assert verdicts(run) == ["fail", "pass"]


@at_once
async def test_after_hostile_words_somebody_else_is_served(sample):
    run = await asked(sample, [Wedges], saying())
    assert verdicts(run) == ["fail"]
    assert run.results[0].observed.startswith("the next connection is not served: ")
    assert "the next connection:" in run.results[0].transcript
    assert run.gone == run.suspects == []


@at_once
async def test_a_peer_that_has_no_place_for_the_next_is_not_known_to_serve_it(sample):
    run = await asked(sample, [Sulks], saying())
    assert verdicts(run) == ["inconclusive"]
    assert "chokes us" in run.results[0].observed


@at_once
async def test_what_was_wrong_before_stays_wrong(sample):
    run = await asked(sample, [Sulks], saying(Deviates))
    assert verdicts(run) == ["fail"]


@at_once
async def test_gone_when_nothing_is_asked(sample):
    run, notes = await ask(sample, Fading, crowd("later", "later"), jobs=1)
    assert run.gone == []
    assert run.suspects == ["xx/crowd/1"]
    assert verdicts(run) == ["pass", "pass"]
    assert "some time after xx/crowd/1" in notes[0]
    assert run.failed()


@at_once
async def test_gone_between_hostile_cases(sample):
    run, _ = await ask(sample, FadingLater, crowd("later", "later", hostile=True))
    assert run.suspects == ["xx/crowd/1"]
    assert verdicts(run) == ["pass", "pass"]


@pytest.mark.parametrize("hostile", [False, True])
def test_nobody_there(sample, hostile):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    notes = []
    runner = Runner("127.0.0.1", port, sample.subject, on_note=notes.append)
    run = clock.run(runner.ask(crowd("later", "later", hostile=hostile)))
    assert (run.gone, run.suspects, run.client, notes) == ([], [], "", [])
    assert verdicts(run) == ["inconclusive"] * 2
    assert run.results[0].observed.startswith("not asked: it can't be connected to: ")
    assert run.failed()


@at_once
async def test_named_by_its_peer_id_where_it_says_nothing_else(sample):
    class Plain(Session):
        reserved = Reserved(0)

    run = await asked(sample, [Plain], crowd("later"))
    assert run.client
    assert run.client != "double"


@at_once
async def test_without_a_name(sample):
    class Mute(Session):
        async def run(self):
            while True:
                await self.more()

    notes = []
    run = await asked(sample, [Mute], crowd("later"), on_note=notes.append)
    assert notes == ["the peer does not shake hands: not asked: no handshake within 12 s"]
    assert run.client == ""
    assert verdicts(run) == ["inconclusive"]


@pytest.mark.parametrize(
    ("failures", "there"), [(1, True), (ATTEMPTS - 1, True), (ATTEMPTS, False)]
)
def test_a_dial_that_only_fails_is_tried_again(sample, monkeypatch, failures, there):
    failing = [TimeoutError()] * failures

    async def dial(*where):
        if failing:
            raise failing.pop()
        return await probe.dial(*where)

    monkeypatch.setattr(runner_module, "dial", dial)
    run = clock.run(asked(sample, [], crowd("later")))
    assert verdicts(run) == ["pass" if there else "inconclusive"]
    if not there:
        assert run.results[0].observed == "not asked: it can't be connected to: nothing answers"


@at_once
async def test_a_crash_that_ends_connections_before_it_refuses_others(sample):
    run, _ = await ask(sample, Lingering, crowd("crash", "later", "later"), jobs=1)
    assert run.gone == ["xx/crowd/1"]
    verdicts = [result.verdict for result in run.results]
    assert verdicts == [Verdict.FAIL, Verdict.PASS, Verdict.PASS]


@pytest.mark.parametrize("kind", [Abrupt, Curt])
def test_a_connection_that_ends_is_no_crash(sample, kind):
    run, notes = clock.run(ask(sample, kind, crowd("crash", "later"), jobs=1))
    assert (run.gone, notes) == ([], [])
    assert [result.verdict for result in run.results] == [Verdict.FAIL, Verdict.PASS]


@at_once
async def test_a_peer_that_says_noise_and_closes_is_there(sample):
    class Noisy(Session):
        async def run(self):
            self.writer.write(b"\xff" * 500)

    closing = Cases("xx/closing", "xx")

    @closing.case(1, MUST, rule="r.", does="d", expects="e")
    async def ask(probe):
        probe.opaque = True
        await probe.closes()

    run = await asked(sample, [Noisy], closing)
    assert verdicts(run) == ["pass"]
    assert run.gone == run.suspects == []


@at_once
async def test_a_peer_that_answers_nobody_any_more_is_told_of_once(sample):
    many = Cases("xx/mute", "xx")
    for number in range(1, 20):

        @many.case(number, MUST, rule="r.", does="d", expects="e")
        async def ask(probe):
            await probe.open()
            probe.say(Unknown(99, b""))
            await probe.quiet(1)

    notes = []
    run = await asked(sample, [Wedges], many, jobs=1, on_note=notes.append)
    assert verdicts(run) == ["pass"] + ["inconclusive"] * 18
    assert notes == ["the peer has not shaken hands in 8 cases; the last was xx/mute/1"]
    notes.clear()
    await asked(sample, [], many, jobs=1, on_note=notes.append)
    assert notes == []
