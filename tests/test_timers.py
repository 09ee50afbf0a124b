import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import PeerTimeout
from peerwire.limits import Limits
from peerwire.timers import Timers

LIMITS = Limits(handshake_timeout=10, idle_timeout=120, keep_alive=60)
moments = st.floats(0, 1e9, allow_subnormal=False)


def test_a_handshake_has_its_deadline():
    timers = Timers(LIMITS, 5.0)
    assert timers.handshake_deadline == 15.0
    timers.check_handshake(14.9, 67)
    with pytest.raises(PeerTimeout, match="within 10 s, 67 bytes of it came") as error:
        timers.check_handshake(15.0, 67)
    assert error.value.rule == "Limits.handshake_timeout"


def test_a_peer_may_be_silent_for_so_long():
    timers = Timers(LIMITS, 5.0)
    timers.opened(10.0)
    assert timers.next(keep_alive=False) == 130.0
    timers.check_idle(129.9)
    timers.last_message_at = 50.0
    assert timers.next(keep_alive=False) == 170.0
    timers.check_idle(169.9)
    with pytest.raises(PeerTimeout, match=r"no message for 120 s; .* keep-alives") as error:
        timers.check_idle(170.0)
    assert "BEP 3, keepalives" in error.value.rule
    assert "Limits.idle_timeout" in error.value.rule


@given(moments, st.floats(1e-3, 1e4))
def test_who_is_woken_for_silence_finds_it(start, timeout):
    timers = Timers(Limits(idle_timeout=timeout), start)
    with pytest.raises(PeerTimeout):
        timers.check_idle(timers.next(keep_alive=False))


def test_we_look_twice_a_period_whether_we_were_silent():
    timers = Timers(LIMITS, 0.0)
    timers.opened(10.0)
    assert timers.next(keep_alive=True) == 40.0
    assert not timers.keep_alive_due(39.9)
    timers.sent_since_tick = True
    assert not timers.keep_alive_due(40.0)
    assert timers.next(keep_alive=True) == 70.0
    assert timers.keep_alive_due(70.0)
    assert timers.next(keep_alive=True) == 100.0


def test_the_end_of_patience_may_come_before_a_look():
    timers = Timers(Limits(idle_timeout=5, keep_alive=60), 0.0)
    assert timers.next(keep_alive=True) == 5.0


@given(moments, st.lists(st.floats(0, 100), max_size=50))
def test_we_are_never_silent_for_longer_than_the_period(start, pauses):
    timers = Timers(LIMITS, start)
    sends = [start]
    now = start

    def wait_until(then):
        nonlocal now
        while (tick := timers.next(keep_alive=True)) <= then:
            assert tick > now
            now = tick
            timers.last_message_at = now
            if timers.keep_alive_due(now):
                timers.sent_since_tick = True
                sends.append(now)
        now = then

    for pause in pauses:
        wait_until(now + pause)
        timers.sent_since_tick = True
        sends.append(now)
    wait_until(now + 1000)
    sends.append(now)
    for before, after in pairwise(sends):
        assert after - before <= LIMITS.keep_alive + 1e-6


def test_the_silence_of_a_peer_that_is_held_back_is_not_its_own():
    timers = Timers(Limits(idle_timeout=120.0, keep_alive=60.0), 0.0)
    timers.held_back = True
    timers.check_idle(1000.0)
    assert timers.next(keep_alive=False) == math.inf
    assert timers.next(keep_alive=True) == 30.0
    timers.held_back = False
    with pytest.raises(PeerTimeout, match="no message for 120 s"):
        timers.check_idle(1000.0)
