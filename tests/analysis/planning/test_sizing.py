"""The path of sizes over the quarters is the cheapest there is, and what speaks against a choice is said."""

import itertools
import random
from collections.abc import Sequence

import pytest

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.fits import cheapest_fit, groups_of, judge_size
from capacity.analysis.planning.growth import growth_factor
from capacity.analysis.planning.sizing import Step, choose_sizes
from capacity.analysis.statistics.estimates import Estimate
from capacity.errors import CapacityError

GIVEN = {"service": "ec2", "region": "r", "source": "s", "date": "d"}
GIVEN |= {"currency": "USD", "basis": "b", "price_source": "s", "price_date": "d"}


def size(name: str, vcpu: float | None = None, price: float | None = None, **more: float | bool | str) -> Size:
    return Size(size=name, vcpu=vcpu, price_per_hour=price, **(GIVEN | more))  # type: ignore[arg-type]


def uses(headroom: float = 0.0, threads: float | None = None, **high: float) -> Demand:
    return Demand({name: Estimate(end / 2, 0.0, end, 9) for name, end in high.items()}, headroom, threads)


def test_an_unknown_price_is_never_chosen_and_said_so() -> None:
    sizes = [size("dear", 8.0, 9.0), size("secret", 8.0, None)]
    fit = cheapest_fit(sizes, uses(cpu=1.0))
    assert fit is not None and fit.size.size == "dear"
    (step,) = choose_sizes(sizes, uses(cpu=1.0), 0.0, 1)
    assert [each.seen for each in step.problems] == ["the price of secret is not known"]
    assert cheapest_fit(sizes[1:], uses(cpu=1.0)) is None


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


def piece(high: float, spread: float) -> Demand:
    cpu = {"cpu": Estimate(high / 2, 0.0, high + spread, 9)}
    return Demand(cpu, 0.3, 1, {"cpu": [(1, Estimate(high / 2, 0.0, high, 9))]})


def test_of_what_cannot_be_spread_it_is_said_into_how_many_pieces_to_cut_it() -> None:
    """One core holds 0.7 with its headroom: of 0.9 in one piece no number of servers, of 2 pieces two."""
    groups = groups_of([size("node", 2.0, 1.0)], 8)
    (none,) = choose_sizes(groups, piece(0.9, 0.1), 0.0, 1)
    assert (none.fit, none.why) == (None, "none holds it")
    (problem,) = none.problems
    assert problem.seen == (
        "no server holds what cannot be spread: it uses 91% of the CPU of the largest, of which 70% may be"
    )
    assert problem.why.startswith("a queue of BullMQ has all its keys in one hash slot, and so on one server")
    assert problem.remedy == (
        "cut it into 2, as one queue into 2 of equal load, and give `pieces: 2` in the plan: 2 × node holds that"
    )
    (held,) = choose_sizes(groups, piece(0.6, 0.1), 0.0, 1)
    assert held.fit is not None and held.fit.size.size == "node" and not held.problems


def test_a_dearer_size_for_what_cannot_be_spread_is_said() -> None:
    sizes = [*groups_of([size("small", 0.5, 1.0)], 8), size("large", 1.0, 9.0)]
    (step,) = choose_sizes(sizes, piece(0.6, 0.0), 0.0, 1)
    assert step.fit is not None and step.fit.size.size == "large"
    (problem,) = step.problems
    assert problem.seen == "the cheapest that holds what cannot be spread is large; cut up, 2 × small would do"
    assert problem.remedy.endswith("give `pieces: 2` in the plan: 2 × small holds that")


def test_why_there_is_no_size_is_told_apart() -> None:
    whys = {
        "not measured": ([size("x", 1.0, 1.0)], Demand({}, 0.0)),
        "none holds it": ([size("x", 1.0, 1.0)], uses(cpu=2.0)),
        "none is known to hold it": ([size("x", 1.0, 1.0), size("y", None, 1.0)], uses(cpu=2.0)),
        "price not known": ([size("x", 1.0, 1.0), size("y", 4.0, None)], uses(cpu=2.0)),
    }
    for why, (sizes, demand) in whys.items():
        (step,) = choose_sizes(sizes, demand, 0.0, 1)
        assert (step.fit, step.why) == (None, why)
        assert bool(step.problems) == (why != "not measured")


def test_a_pooler_that_takes_too_few_clients_is_no_way_out() -> None:
    sizes = [size("s", 2.0, 1.0, max_connections=60.0, pooler_clients=200.0)]
    for clients, said in ((150.0, "(that of s takes 200 clients)"), (300.0, "clients, which is too few as well)")):
        (step,) = choose_sizes(sizes, uses(cpu=1.0, connections=clients), 0.0, 1)
        assert said in step.problems[0].remedy


def test_a_volume_grows_without_a_move_and_the_cheapest_that_holds_is_taken() -> None:
    given = {"storage_gib": 20.0, "volume": "20 GiB"}, {"storage_gib": 50.0, "volume": "50 GiB"}
    sizes = [size("db", 4.0, price, **more) for price, more in zip((1.0, 1.1), given, strict=True)]
    steps = choose_sizes(sizes, uses(storage_gib=10.0), 0.15, 3, change_cost=1e6)
    assert [each.fit.size.title for each in steps if each.fit] == ["db + 20 GiB", "db + 50 GiB", "db + 50 GiB"]
