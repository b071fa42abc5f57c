"""The breaker opens above the limit, lets one trial through after the cooldown, and never holds a call back."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from capacity.system.application.breaker import Breaker, BreakerOpenError, State


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def is_refused(breaker: Breaker) -> bool:
    try:
        with breaker.admitted():
            return False
    except BreakerOpenError:
        return True


def fail_within(breaker: Breaker) -> None:
    with pytest.raises(ZeroDivisionError), breaker.admitted():
        raise ZeroDivisionError


def test_it_opens_above_a_depth_of_ten_thousand_and_not_at_it(breaker: Breaker) -> None:
    breaker.observe(10_000)
    assert breaker.state is State.CLOSED
    assert not is_refused(breaker)
    breaker.observe(10_001)
    assert breaker.state is State.OPEN


def test_while_open_every_call_is_refused_and_counted_even_when_the_queue_is_short_again(
    breaker: Breaker, clock: Clock
) -> None:
    breaker.observe(10_001)
    breaker.observe(0)
    for second in range(30):
        clock.now = second
        assert is_refused(breaker)
    assert breaker.refusals == 30


def test_after_the_cooldown_one_trial_closes_it(breaker: Breaker, clock: Clock) -> None:
    breaker.observe(10_001)
    breaker.observe(9_999)
    clock.now = 30.0
    with breaker.admitted():
        assert breaker.state is State.TRIAL
        assert is_refused(breaker)
    assert breaker.state is State.CLOSED
    assert not is_refused(breaker)


@pytest.mark.parametrize("depth", [10_000, 10_001, None], ids=["at the limit", "above it", "unknown"])
def test_a_trial_that_succeeds_while_the_depth_is_not_below_the_limit_opens_it_again(
    breaker: Breaker, clock: Clock, depth: int | None
) -> None:
    breaker.observe(10_001)
    breaker.observe(depth)
    clock.now = 31.0
    assert not is_refused(breaker)
    assert breaker.state is State.OPEN
    clock.now = 60.9
    assert is_refused(breaker)
    clock.now = 61.0
    assert not is_refused(breaker)


def test_a_trial_that_fails_opens_it_again_for_a_whole_cooldown(breaker: Breaker, clock: Clock) -> None:
    breaker.observe(10_001)
    breaker.observe(0)
    clock.now = 30.0
    fail_within(breaker)
    clock.now = 59.9
    assert is_refused(breaker)
    clock.now = 60.0
    assert not is_refused(breaker)
    assert breaker.state is State.CLOSED


def test_an_unknown_depth_and_failing_calls_leave_a_closed_breaker_closed(breaker: Breaker) -> None:
    breaker.observe(None)
    for _ in range(100):
        fail_within(breaker)
    assert breaker.state is State.CLOSED


def test_a_call_that_was_let_through_before_it_opened_does_not_close_it(breaker: Breaker) -> None:
    with breaker.admitted():
        breaker.observe(10_001)
        breaker.observe(0)
    assert breaker.state is State.OPEN


def test_of_many_threads_at_the_end_of_the_cooldown_one_is_the_trial(breaker: Breaker, clock: Clock) -> None:
    breaker.observe(10_001)
    breaker.observe(0)
    clock.now = 30.0
    barrier, ended = threading.Barrier(50), threading.Event()

    def call() -> bool:
        barrier.wait()
        try:
            with breaker.admitted():
                return ended.wait(5)
        except BreakerOpenError:
            if breaker.refusals == 49:
                ended.set()
            return False

    with ThreadPoolExecutor(50) as threads:
        outcomes = list(threads.map(lambda _: call(), range(50)))
    assert (outcomes.count(True), breaker.refusals, breaker.state) == (1, 49, State.CLOSED)


def seconds_in_threads(breaker: Breaker) -> float:
    barrier = threading.Barrier(20)

    def call(_: int) -> tuple[float, float]:
        barrier.wait()
        began = time.perf_counter()
        with breaker.admitted():
            time.sleep(0.05)
        return began, time.perf_counter()

    with ThreadPoolExecutor(20) as threads:
        began, ended = zip(*threads.map(call, range(20)), strict=True)
    return max(ended) - min(began)


def seconds_in_a_loop(breaker: Breaker) -> float:
    async def call() -> None:
        with breaker.admitted():
            await asyncio.sleep(0.05)

    async def calls() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(20)))
        return time.perf_counter() - began

    return asyncio.run(calls())


@pytest.mark.parametrize("seconds", [seconds_in_threads, seconds_in_a_loop])
def test_twenty_concurrent_calls_of_50_ms_end_within_60_ms(
    breaker: Breaker, seconds: Callable[[Breaker], float]
) -> None:
    """A machine that is busy with something else delays some rounds; a lock that is held delays each to a second."""
    assert any(seconds(breaker) < 0.06 for _ in range(20))


def test_a_call_through_a_closed_breaker_costs_microseconds(breaker: Breaker) -> None:
    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(1000):
            with breaker.admitted():
                pass
        return (time.perf_counter() - began) / 1000

    assert min(seconds() for _ in range(5)) < 10e-6
