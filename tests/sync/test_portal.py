"""The way into the event loop's thread, and what becomes of those who wait at its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from peerwire.sync import portal as module
from peerwire.sync.portal import Portal, Remote, shared_portal


@pytest.fixture
def portal():
    portal = Portal()
    yield portal
    portal.stop()


async def double(number):
    await asyncio.sleep(0)
    return 2 * number


class Box:
    content = 1

    def thread(self):
        return threading.current_thread().name


def test_what_is_called_runs_in_its_thread(portal):
    assert portal.call(lambda: threading.current_thread().name) == "peerwire.sync"
    assert portal.call(double, 21) == 42


def test_an_error_is_that_of_who_called(portal):
    async def fail():
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        portal.call(fail)
    assert portal.call(double, number=1) == 2


def test_the_thread_itself_can_look_but_not_wait(portal):
    assert portal.call(lambda: portal.call(len, "four")) == 4
    for function in (double, lambda number: asyncio.ensure_future(double(number))):
        with pytest.raises(RuntimeError, match="would wait in the thread that has to do it"):
            portal.call(lambda function=function: portal.call(function, 1))


def test_who_is_interrupted_cancels_what_it_waited_for(portal):
    started, ended = threading.Event(), threading.Event()

    async def wait():
        started.set()
        try:
            await asyncio.sleep(1000)
        finally:
            ended.set()

    def interrupt():
        started.wait(10)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        portal.call(wait)
    thread.join()
    assert ended.wait(10)


def test_who_is_interrupted_before_it_began_has_nothing_done(portal, monkeypatch):
    calls = []

    def interrupted(function):
        calls.append(function)
        if len(calls) == 1:
            raise KeyboardInterrupt

    called = []
    with monkeypatch.context() as patch:
        patch.setattr(portal._loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            portal.call(called.append, 1)
    start, cancel = calls
    for function in (cancel, start):  # in whatever order they come
        portal._loop.call_soon_threadsafe(function)
    assert portal.call(len, "22") == 2
    assert called == []


def test_what_waits_when_it_is_stopped_is_cancelled():
    portal = Portal()
    ended = []

    def wait():
        try:
            portal.call(asyncio.sleep, 1000)
        except BaseException as error:
            ended.append(type(error).__name__)

    thread = threading.Thread(target=wait)
    thread.start()
    while not portal.call(lambda: len(asyncio.all_tasks()) > 1):
        time.sleep(0.001)
    portal.stop()
    thread.join(10)
    assert ended == ["CancelledError"]
    portal.stop()


def test_attributes_of_a_remote_object_are_used_in_its_thread(portal):
    box = Box()
    remote = Remote(portal, box)
    assert remote.content == 1
    remote.content = 2
    assert box.content == 2
    assert remote.thread() == "peerwire.sync"


def test_one_is_shared_by_all_of_a_process():
    portals = []
    threads = [threading.Thread(target=lambda: portals.append(shared_portal())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, portals))) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_gets_one_of_its_own():
    code = """
import os, sys
from peerwire.sync.portal import shared_portal
before = shared_portal()
child = os.fork()
if child == 0:
    os._exit(shared_portal() is before or shared_portal().call(len, "123") != 3)
assert os.waitpid(child, 0)[1] == 0, "the child has a thread of its own"
child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
assert shared_portal() is before
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_fork_does(monkeypatch):
    """The same, seen from inside."""
    before = shared_portal()
    monkeypatch.setattr(module, "_shared", None)
    module._forget()  # a process that never had one
    after = shared_portal()
    assert after is not before
    module._forget()
    after.stop()
    assert shared_portal() is not after
    shared_portal().stop()


def test_the_interpreter_ends_though_peers_are_open():
    code = """
import peerwire.sync
def wait(peer):
    for _ in peer: pass
server = peerwire.sync.serve(wait, "127.0.0.1", 0)
peer = peerwire.sync.connect("127.0.0.1", server.port, bytes(20))
print(peer.info_hash.hex())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "00" * 20 + "\n", "")
