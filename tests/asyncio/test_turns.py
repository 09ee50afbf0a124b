"""Costly steps, which take turns with all else on the event loop."""

from __future__ import annotations

import asyncio
import gc

import pytest

from peerwire.asyncio.turns import wait_for_turn


class Worker:
    """Notes when its turn comes."""

    def __init__(self, notes, name):
        self.notes = notes
        self.name = name

    def step(self):
        self.notes.append(self.name)

    def fail(self):
        raise RuntimeError(self.name)


@pytest.fixture
def time(monkeypatch):
    """What time it is, as a list of one: it moves when a test moves it."""
    now = [1000.0]
    monkeypatch.setattr("peerwire.asyncio.turns.monotonic", lambda: now[0])
    return now


async def test_one_a_turn_in_their_order_and_all_else_between(time):
    notes = []
    workers = [Worker(notes, name) for name in "abc"]
    for worker in workers:
        wait_for_turn(worker.step)
    for turn in range(5):
        notes.append(turn)
        await asyncio.sleep(0)
    assert notes == [0, "a", 1, "b", 2, "c", 3, 4]
    wait_for_turn(workers[0].step)
    await asyncio.sleep(0)
    assert notes[-1] == "a"


async def test_together_they_may_take_as_long_as_all_else_did(time):
    notes = []

    class Slow(Worker):
        def step(self):
            super().step()
            time[0] += 0.5

    workers = [Slow(notes, name) for name in "abcdefgh"]
    for worker in workers:
        wait_for_turn(worker.step)
    for busy in (0.0, 1.75, 0.25, 0.75):
        time[0] += busy  # all else, before the next turn
        await asyncio.sleep(0)
        notes.append(busy)
    assert notes == ["a", 0.0, "b", "c", "d", "e", 1.75, "f", 0.25, "g", "h", 0.75]


async def test_one_that_comes_during_a_step_waits_for_the_next_turn(time):
    notes = []
    late = Worker(notes, "late")

    class Calling(Worker):
        def step(self):
            super().step()
            wait_for_turn(late.step)

    first = Calling(notes, "first")
    wait_for_turn(first.step)
    await asyncio.sleep(0)
    assert notes == ["first"]
    await asyncio.sleep(0)
    assert notes == ["first", "late"]


async def test_a_step_that_fails_takes_nobody_elses_turn(tidy, time):
    notes = []
    bad, good = Worker(notes, "bad"), Worker(notes, "good")
    wait_for_turn(bad.fail)
    wait_for_turn(good.step)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert notes == ["good"]
    assert [str(complaint["exception"]) for complaint in tidy] == ["bad"]
    tidy.clear()


async def test_what_is_gone_is_not_called(time):
    notes = []
    gone, here = Worker(notes, "gone"), Worker(notes, "here")
    wait_for_turn(gone.step)
    wait_for_turn(here.step)
    del gone
    gc.collect()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert notes == ["here"]


def test_a_loop_that_is_closed_while_steps_wait_does_not_hinder_the_next():
    notes = []
    worker = Worker(notes, "step")

    async def leave():
        wait_for_turn(worker.step)

    async def wait():
        wait_for_turn(worker.step)
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    asyncio.run(wait())
    assert notes[-1] == "step"


@pytest.fixture
def clock():
    """The real one: nothing here waits."""
