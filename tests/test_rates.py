import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.rates import STEP, WINDOW, Rate


def test_nothing_has_no_speed():
    assert Rate(3.0).per_second(0, 3.0) == 0.0
    assert Rate(3.0).per_second(0, 100.0) == 0.0


def test_a_steady_growth_is_its_speed():
    rate = Rate(0.0)
    for tick in range(1, 201):
        rate.sample(100 * tick, tick / 10)
        if tick > 5:
            assert rate.per_second(100 * tick, tick / 10) == pytest.approx(1000)


def test_the_first_block_is_no_record():
    assert Rate(0.0).per_second(16384, 0.0) == 16384 / STEP
    assert Rate(0.0).per_second(16384, 1e-9) == 16384 / STEP


def test_a_young_connection_is_measured_from_its_start():
    rate = Rate(10.0)
    rate.sample(0, 11.0)
    assert rate.per_second(3000, 13.0) == 1000


def test_a_stall_shows():
    rate = Rate(0.0)
    for second in range(20):
        rate.sample(1000 * second, float(second))
    fading = [rate.per_second(19_000, 19.0 + second) for second in range(8)]
    assert fading == sorted(fading, reverse=True)
    assert fading[0] == 1000
    assert fading[-1] == 0


def test_a_burst_after_a_pause_counts_in_full_and_over_the_window():
    rate = Rate(0.0)
    rate.sample(500, 0.5)
    rate.sample(500, 1.0)
    rate.sample(10_500, 100.0)
    assert rate.per_second(10_500, 100.0) == pytest.approx(10_000 / WINDOW, rel=STEP / WINDOW)
    assert rate.per_second(10_500, 103.0) == pytest.approx(10_000 / WINDOW, rel=STEP / WINDOW)
    assert rate.per_second(10_500, 100.0 + WINDOW + STEP) == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 20)), max_size=50))
def test_a_rate_is_between_nothing_and_all_of_it_and_holds_few_samples(steps):
    rate = Rate(0.0)
    total, now = 0, 0.0
    for growth, pause in steps:
        total += growth
        now += pause
        rate.sample(total, now)
        assert 0 <= rate.per_second(total, now) <= total / STEP
        assert len(rate._samples or ()) <= WINDOW / STEP + 2
