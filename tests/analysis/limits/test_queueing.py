"""Waiting has published answers, and a backlog is found to grow where more arrives than is served."""

import heapq
import itertools
import math
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from capacity.analysis.limits.queueing import (
    MANY,
    _waiting,
    _within,
    erlang_c,
    highest_arrival_rate,
    servers_needed,
)
from capacity.analysis.statistics.estimates import backlog_slope

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("load", "servers", "waits"), [(1, 2, 1 / 3), (2, 3, 4 / 9), (8, 10, 0.409180), (10, 14, 0.1741319336)]
)
def test_the_probability_of_waiting_is_the_published_one(load: float, servers: int, waits: float) -> None:
    assert erlang_c(load, servers) == pytest.approx(waits, rel=1e-6)


def factorial_sum(load: Fraction, servers: int) -> Fraction:
    """Erlang C as it is defined, in exact fractions."""
    top = load**servers / math.factorial(servers) * servers / (servers - load)
    return top / (sum(load**k / math.factorial(k) for k in range(servers)) + top)


@pytest.mark.parametrize("servers", [1, 2, 3, 7, 20, 60])
def test_it_is_the_sum_of_factorials(servers: int) -> None:
    for percent in (1, 30, 80, 99):
        load = Fraction(servers * percent, 100)
        assert erlang_c(float(load), servers) == pytest.approx(float(factorial_sum(load, servers)), rel=1e-12)


def test_thousands_of_servers_neither_overflow_nor_cancel() -> None:
    """At c = A + β√A the probability nears Halfin and Whitt's (1 + β·Φ(β) / φ(β))⁻¹, here for β = 1: 0.2234."""
    limit = 1 / (1 + 0.8413447 / 0.2419707)
    waits = [erlang_c(load, round(load + math.sqrt(load))) for load in (10_000, 40_000, 90_000)]
    assert waits == pytest.approx([limit] * 3, rel=0.01)
    assert abs(waits[2] - limit) < abs(waits[0] - limit)
    assert erlang_c(1.0, 5000) == 0.0
    assert erlang_c(4999.999999, 5000) == pytest.approx(1.0, abs=1e-5)


def wait_within(rate: float, service_s: float, servers: int, limit_s: float) -> float:
    """P(W <= t) = 1 − C·exp(−(c − A)·t / s), as it is published; 0 where the queue grows for ever."""
    load = rate * service_s
    if load >= servers:
        return 0.0
    return 1 - erlang_c(load, servers) * math.exp(-(servers - load) * limit_s / service_s)


def test_nobody_waits_without_load_and_everybody_at_saturation() -> None:
    assert [erlang_c(load, 3) for load in (0, 3, 30)] == [0.0, 1.0, 1.0]
    assert wait_within(3, 1, 3, 100) == 0.0
    assert wait_within(0, 1, 3, 0) == 1.0


def simulated_waits(rate: float, service_s: float, servers: int, count: int, seed: int) -> np.ndarray[Any, Any]:
    """First come, first served: each arrival takes the server that is free first."""
    draw = np.random.default_rng(seed)
    free = [0.0] * servers
    waits = np.empty(count)
    arrivals = np.cumsum(draw.exponential(1 / rate, count)).tolist()
    for number, (arrival, work) in enumerate(zip(arrivals, draw.exponential(service_s, count).tolist(), strict=True)):
        begin = max(arrival, free[0])
        heapq.heapreplace(free, begin + work)
        waits[number] = begin - arrival
    return waits


@pytest.mark.parametrize(("rate", "servers"), [(1.4, 2), (7.0, 8)])
def test_a_simulated_queue_waits_as_long(rate: float, servers: int) -> None:
    """Of 200,000 arrivals in 50 batches, within four standard errors of their means."""
    waits = simulated_waits(rate, 1.0, servers, 200_000, seed=3)
    for limit in (0.0, 0.5, 2.0):
        means = (waits <= limit).reshape(50, -1).mean(axis=1)
        error = means.std(ddof=1) / math.sqrt(50)
        assert means.mean() == pytest.approx(wait_within(rate, 1.0, servers, limit), abs=4 * error)


def test_a_call_centre_needs_the_published_number_of_agents() -> None:
    """100 calls in 30 minutes of 3 minutes each, 80 % answered within 20 s: 14 (the example of pyworkforce)."""
    assert servers_needed(100 / 1800, 180, 20, 0.8) == 14


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(0, 500), st.floats(0.001, 2), st.floats(0, 2), st.floats(0.01, 0.999))
def test_the_servers_needed_are_the_fewest(rate: float, service_s: float, limit: float, probability: float) -> None:
    servers = servers_needed(rate, service_s, limit, probability)
    assert wait_within(rate, service_s, servers, limit) >= probability
    assert servers == 1 or wait_within(rate, service_s, servers - 1, limit) < probability


@pytest.mark.parametrize("load", [1.0, 7.3, 1000.0, 54_321.7])
def test_the_servers_are_counted_from_the_load_on_as_if_from_the_first(load: float) -> None:
    counted = itertools.islice(_waiting(load), math.floor(load), math.floor(load) + 50)
    begun = itertools.islice(_waiting(load, math.floor(load)), 50)
    assert list(begun) == [(servers, pytest.approx(waits, rel=1e-9)) for servers, waits in counted]


def test_a_great_many_servers_are_not_counted_one_by_one() -> None:
    """As many as 1.5e38 jobs a second need, which is what a load that doubles for ten years comes to."""
    assert servers_needed(1e30, 1.0, 0.1, 0.99) >= 1e30
    for probability in (0.5, 0.9, 0.99, 0.99999):
        for limit in (0.0, 0.001, 1.0):
            below, above = (servers_needed(rate, 1.0, limit, probability) for rate in (MANY, math.nextafter(MANY, 2e6)))
            assert above == pytest.approx(below, rel=4e-6)  # one is counted, and one is the limit of many
    assert servers_needed(5e6, 1.0, 0.0, 0.99) < servers_needed(5e6, 1.0, 0.0, 0.999)


def test_a_million_servers_are_found_in_a_thousand_steps() -> None:
    """At β = 1 of Halfin and Whitt 22.34 % wait, so c is near A + √A; a what-if may ask for as many."""
    with patch("capacity.analysis.limits.queueing._within", wraps=_within) as tried:
        assert servers_needed(1e6, 1.0, 0.0, 1 - 0.2234) == pytest.approx(1e6 + 1e3, abs=2)
    assert tried.call_count < 1100


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.integers(1, 300), st.floats(0.001, 2), st.floats(0, 2), st.floats(0.01, 0.999))
def test_the_highest_rate_is_the_last_that_holds(
    servers: int, service_s: float, limit: float, probability: float
) -> None:
    rate = highest_arrival_rate(service_s, servers, limit, probability)
    assert wait_within(rate * (1 - 1e-9), service_s, servers, limit) >= probability
    assert wait_within(rate * (1 + 1e-9) + 1e-12, service_s, servers, limit) < probability


def test_one_server_has_a_knee_in_closed_form() -> None:
    """M/M/1: P(wait <= 0) = 1 − ρ, so that nine in ten start at once up to a tenth of the capacity."""
    assert highest_arrival_rate(0.01, 1, 0.0, 0.9) == pytest.approx(10.0, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: erlang_c(-1, 2), "the offered load must be a number from 0 and is -1"),
        (lambda: erlang_c(math.nan, 2), "the offered load must be a number from 0 and is nan"),
        (lambda: erlang_c(1, 0), "the servers must be a whole number from 1 and are 0"),
        (lambda: highest_arrival_rate(1, 1.5, 1, 0.9), "the servers must be a whole number from 1 and are 1.5"),
        (lambda: servers_needed(1, math.inf, 1, 0.9), "the service time must be a number from 0 and is inf"),
        (lambda: servers_needed(1, 1, -1, 0.9), "the wait limit must be a number from 0 and is -1"),
        (
            lambda: servers_needed(1, 1, 1, 1.0),
            "the probability must lie between 0 and 1, both excluded, and is 1",
        ),
        (
            lambda: highest_arrival_rate(0, 1, 1, 0.9),
            "the service time is 0 s, which any arrival rate meets; give the one that was measured",
        ),
    ],
)
def test_what_no_queue_can_have_is_refused_in_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        call()
    assert str(refused.value) == message


def random_walk(arrivals: float, served: float, seconds: int, draw: np.random.Generator) -> np.ndarray[Any, Any]:
    """The depth of a queue at the end of every second, which never falls below 0."""
    depth, depths = 0, []
    for change in draw.poisson(arrivals, seconds) - draw.poisson(served, seconds):
        depth = max(0, depth + int(change))
        depths.append(depth)
    return np.array(depths)


def test_a_backlog_that_grows_is_found_to_grow_at_its_rate() -> None:
    draw, at = np.random.default_rng(8), np.arange(300)
    slopes = [backlog_slope(at, 5000 + random_walk(110, 100, 300, draw)) for _ in range(300)]
    bounds = [(each.low or 0.0, each.high or 0.0) for each in slopes]
    assert np.mean([low > 0 for low, _ in bounds]) == 1.0
    assert np.mean([low <= 10 <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.035)


@pytest.mark.parametrize("arrivals", [50, 90, 99])
def test_a_stable_backlog_is_not_found_to_grow(arrivals: float) -> None:
    draw, at = np.random.default_rng(9), np.arange(300)
    runs = [random_walk(arrivals, 100, 2300, draw)[2000:] for _ in range(200)]
    grows = [(backlog_slope(at, depths).low or 0.0) > 0 for depths in runs]
    assert np.mean(grows) <= 0.05


def test_least_squares_over_the_depths_would_find_growth_that_is_not() -> None:
    """Why it is the changes that are looked at: successive depths at 99 % load are alike for minutes."""
    draw, at = np.random.default_rng(9), np.arange(300)
    lines = [stats.linregress(at, random_walk(99, 100, 2300, draw)[2000:]) for _ in range(200)]
    assert np.mean([line.slope > 1.97 * line.stderr for line in lines]) >= 0.3


def test_the_slope_is_of_the_time_that_passed() -> None:
    slope = backlog_slope([0, 1, 5, 6, 20], [7, 9, 17, 19, 47])
    assert (slope.value, slope.count) == (2.0, 5)
    assert slope.low == pytest.approx(2.0)
    assert slope.high == pytest.approx(2.0)
    assert backlog_slope([0, 10], [5, 7]).value is None
    with pytest.raises(ValueError, match=r"^the two series must be equally long and have 2 and 1 values$"):
        backlog_slope([0, 1], [3])
