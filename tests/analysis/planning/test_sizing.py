"""Sizes keep the headroom by the high end of the use, and their path over the quarters is the cheapest there is."""

import itertools
import random
from collections.abc import Sequence

import pytest

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.growth import growth_factor
from capacity.analysis.planning.sizing import (
    Step,
    cheapest_fit,
    choose_sizes,
    groups_of,
    judge_size,
)
from capacity.analysis.statistics.estimates import Estimate
from capacity.errors import CapacityError

GIVEN = {"service": "ec2", "region": "r", "source": "s", "date": "d"}
GIVEN |= {"currency": "USD", "basis": "b", "price_source": "s", "price_date": "d"}


def size(name: str, vcpu: float | None = None, price: float | None = None, **more: float | bool | str) -> Size:
    return Size(size=name, vcpu=vcpu, price_per_hour=price, **(GIVEN | more))  # type: ignore[arg-type]


def uses(headroom: float = 0.0, threads: float | None = None, **high: float) -> Demand:
    return Demand({name: Estimate(end / 2, 0.0, end, 9) for name, end in high.items()}, headroom, threads)


def test_the_high_end_of_the_use_must_fit_not_the_value() -> None:
    demand = Demand({"cpu": Estimate(1.0, 0.5, 2.1, 9)}, 0.0)
    assert judge_size(size("two", 2.0, 1.0), demand).fits is False
    assert judge_size(size("four", 4.0, 1.0), demand).fits is True


def test_the_headroom_stays_free_and_a_use_of_exactly_the_rest_fits() -> None:
    assert judge_size(size("x", 10.0, 1.0), uses(0.3, cpu=7.0)).fits is True
    assert judge_size(size("x", 10.0, 1.0), uses(0.3, cpu=7.0 + 1e-6)).fits is False


def test_a_burstable_size_is_judged_by_its_baseline() -> None:
    burst = size("burst", 2.0, 0.01, burstable=True, baseline_share=0.2)
    assert judge_size(burst, uses(cpu=0.4)).fits is True
    assert judge_size(burst, uses(cpu=0.5)).fits is False
    assert judge_size(size("unknown", 2.0, 0.01, burstable=True), uses(cpu=0.1)).fits is None


def test_what_is_not_known_of_a_size_is_neither_enough_nor_too_little() -> None:
    without = size("x", 4.0, 1.0)
    assert judge_size(without, uses(cpu=1.0, iops=10.0)).fits is None
    assert set(judge_size(without, uses(cpu=1.0, iops=10.0)).used) == {"cpu"}
    assert judge_size(without, uses(cpu=9.0, iops=10.0)).fits is False
    assert judge_size(without, uses(cpu=1.0, iops=0.0)).fits is True


def test_a_server_of_one_thread_gains_nothing_from_more_cores() -> None:
    assert judge_size(size("many", 64.0, 1.0), uses(threads=1, cpu=1.1)).fits is False
    (pair,) = [each for each in groups_of([size("one", 4.0, 1.0)], 2) if each.servers == 2]
    assert judge_size(pair, uses(threads=1, cpu=1.1)).fits is True
    assert (pair.vcpu, pair.price_per_hour, pair.size) == (8.0, 2.0, "2 × one")


def test_the_binding_resource_is_the_one_used_most() -> None:
    fit = judge_size(size("x", 4.0, 1.0, max_connections=100.0), uses(cpu=1.0, connections=90.0))
    assert (fit.binding, fit.used["connections"]) == ("connections", 0.9)


def test_an_unknown_price_is_never_chosen_and_said_so() -> None:
    sizes = [size("dear", 8.0, 9.0), size("secret", 8.0, None)]
    fit = cheapest_fit(sizes, uses(cpu=1.0))
    assert fit is not None and fit.size.size == "dear"
    (step,) = choose_sizes(sizes, uses(cpu=1.0), 0.0, 1)
    assert [each.seen for each in step.problems] == ["the price of secret is not known"]
    assert cheapest_fit(sizes[1:], uses(cpu=1.0)) is None


def test_of_equal_prices_the_less_used_is_chosen() -> None:
    fit = cheapest_fit([size("small", 2.0, 1.0), size("large", 8.0, 1.0)], uses(cpu=1.0))
    assert fit is not None and fit.size.size == "large"


def test_a_burstable_choice_warns_of_its_baseline() -> None:
    (step,) = choose_sizes([size("t", 2.0, 1.0, burstable=True, baseline_share=0.4)], uses(cpu=0.5), 0.0, 1)
    assert [each.seen for each in step.problems] == ["t is burstable: it sustains 0.8 of 2 vCPU"]


def test_connections_that_no_size_adds_are_not_solved_by_size() -> None:
    sizes = [size("s", 2.0, 1.0, max_connections=100.0), size("xl", 16.0, 8.0, max_connections=120.0)]
    (paid,) = choose_sizes(sizes, uses(cpu=1.0, connections=110.0), 0.0, 1)
    assert paid.fit is not None and paid.fit.size.size == "xl"
    assert [each.seen for each in paid.problems] == [
        "connections bind: xl is needed for them alone, and s holds the rest"
    ]
    (none,) = choose_sizes(sizes, uses(cpu=1.0, connections=200.0), 0.0, 1)
    assert none.fit is None and none.monthly is None
    assert none.problems[0].seen == "connections bind: no size has enough, and s holds the rest"
    (fine,) = choose_sizes(sizes, uses(cpu=1.0, connections=90.0), 0.0, 1)
    assert not fine.problems


def test_supabase_connections_plateau_while_the_price_grows() -> None:
    """From 8XL to 16XL the price doubles for ten connections more."""
    sizes = [size("8XL", 32.0, 2.562, max_connections=490.0), size("16XL", 64.0, 5.12, max_connections=500.0)]
    (step,) = choose_sizes(sizes, uses(cpu=8.0, connections=495.0), 0.0, 1)
    assert [each.seen for each in step.problems] == [
        "connections bind: 16XL is needed for them alone, and 8XL holds the rest"
    ]


def test_each_quarter_is_judged_by_its_highest_load() -> None:
    """At 15 % a month the load of the first quarter's end is 1.52 times its start: 1.3 cores do not fit two then."""
    steps = choose_sizes([size("two", 2.0, 1.0), size("four", 4.0, 2.0)], uses(cpu=1.32), 0.15, 2)
    assert [each.fit.size.size for each in steps if each.fit] == ["four", "four"]
    shrinking = choose_sizes([size("one", 1.0, 0.5), size("two", 2.0, 1.0)], uses(cpu=1.2), -0.10, 3)
    assert [each.fit.size.size for each in shrinking if each.fit] == ["two", "one", "one"]


def test_a_change_that_costs_more_than_it_saves_is_not_made() -> None:
    sizes = [size("small", 2.0, 1.0), size("large", 8.0, 1.5)]
    demand = uses(cpu=1.5)
    free = choose_sizes(sizes, demand, 0.15, 2)
    assert [each.fit.size.size for each in free if each.fit] == ["large", "large"]
    demand = uses(cpu=1.3)
    assert [each.fit.size.size for each in choose_sizes(sizes, demand, 0.15, 2) if each.fit] == ["small", "large"]
    kept = choose_sizes(sizes, demand, 0.15, 2, change_cost=2000.0)
    assert [each.fit.size.size for each in kept if each.fit] == ["large", "large"]
    again = choose_sizes(sizes, demand, 0.15, 2, change_cost=1000.0, current=sizes[0])
    assert [each.fit.size.size for each in again if each.fit] == ["small", "large"]


def cost_of(path: Sequence[Size | None], current: Size | None, cost: float) -> float:
    """What the sizes of some quarters cost in all, with each change of size."""
    total, last = 0.0, current
    for each in path:
        if each is None:
            continue
        total += 3 * (each.monthly or 0.0)
        total += cost if last is not None and last.key != each.key else 0.0
        last = each
    return total


def brute_force(
    sizes: Sequence[Size], demand: Demand, rate: float, quarters: int, *, cost: float, current: Size | None
) -> float:
    """The least cost over every sequence of sizes that keep the headroom, written as slowly as it is said."""
    allowed = []
    for quarter in range(quarters):
        highest = max(growth_factor(3 * quarter, rate), growth_factor(3 * quarter + 3, rate))
        fits = [
            each for each in sizes if judge_size(each, demand.grown(highest)).fits and each.price_per_hour is not None
        ]
        allowed.append(fits or [None])
    return min(cost_of(path, current, cost) for path in itertools.product(*allowed))


@pytest.mark.parametrize("seed", range(40))
def test_the_path_costs_as_little_as_the_best_of_all_paths(seed: int) -> None:
    draw = random.Random(seed)
    sizes = [
        size(
            f"s{number}",
            draw.choice([1.0, 2.0, 4.0, 8.0]),
            draw.choice([None, round(draw.uniform(0.1, 3.0), 2)]),
            max_connections=float(draw.choice([50, 100, 400])),
        )
        for number in range(draw.randint(1, 5))
    ]
    demand = uses(draw.choice([0.0, 0.3]), cpu=draw.uniform(0.2, 3.0), connections=draw.uniform(10, 120))
    rate, quarters = draw.uniform(-0.2, 0.3), draw.randint(1, 5)
    current = draw.choice([None, *sizes])
    for cost in (0.0, draw.uniform(0, 4000.0)):
        steps = choose_sizes(sizes, demand, rate, quarters, current=current, change_cost=cost)
        expected = brute_force(sizes, demand, rate, quarters, cost=cost, current=current)
        path = [each.fit.size if each.fit else None for each in steps]
        assert cost_of(path, current, cost) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        kept = [judge_size(each.fit.size, demand.grown(highest(each, rate))).fits for each in steps if each.fit]
        assert all(kept)


def highest(step: Step, rate: float) -> float:
    return max(growth_factor(3 * step.quarter, rate), growth_factor(3 * step.quarter + 3, rate))


def test_what_cannot_be_compared_is_refused() -> None:
    mixed = [size("a", 1.0, 1.0), size("b", 1.0, 1.0, currency="EUR")]
    with pytest.raises(
        CapacityError, match=r"^prices in EUR and USD cannot be compared; give the sizes of one currency$"
    ):
        choose_sizes(mixed, uses(cpu=1.0), 0.1, 1)
