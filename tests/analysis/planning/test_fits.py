"""Whether a size holds a demand: by the high end of each use, with the headroom, on the server that has most of it."""

from collections.abc import Sequence

import pytest

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.fits import cheapest_fit, groups_of, judge_size
from capacity.analysis.statistics.estimates import Estimate

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


def test_of_equal_prices_the_less_used_is_chosen() -> None:
    fit = cheapest_fit([size("small", 2.0, 1.0), size("large", 8.0, 1.0)], uses(cpu=1.0))
    assert fit is not None and fit.size.size == "large"


def in_pieces(pieces: int, high: float, spread: float = 0.0, threads: float | None = 1) -> Demand:
    """A demand of CPU of which `high` can be cut into so many pieces, and `spread` is on all servers alike."""
    of_pieces, whole = Estimate(high / 2, 0.0, high, 9), high + spread
    return Demand({"cpu": Estimate(whole / 2, 0.0, whole, 9)}, 0.0, threads, {"cpu": [(pieces, of_pieces)]})


@pytest.mark.parametrize(
    ("pieces", "servers", "busiest"),
    [(1, 1, 0.6), (1, 4, 0.6), (2, 2, 0.3), (2, 4, 0.3), (3, 2, 0.4), (4, 3, 0.3), (6, 3, 0.2)],
)
def test_the_server_that_has_most_of_what_is_in_pieces_has_to_hold_it(
    pieces: int, servers: int, busiest: float
) -> None:
    """ceil(pieces / servers) of the pieces, and its share of the rest."""
    group = groups_of([size("one", 1.0, 1.0)], 4)[servers - 1] if servers > 1 else size("one", 1.0, 1.0)
    fit = judge_size(group, in_pieces(pieces, 0.6, spread=0.12))
    assert fit.used["cpu"] == pytest.approx(busiest + 0.12 / servers)


def test_a_queue_in_one_hash_slot_is_held_by_no_number_of_servers() -> None:
    """Of 0.2 vCPU that a cache.t4g.micro sustains it needs 129 %, whether there is one or are four."""
    micro = size("cache.t4g.micro", 2.0, 0.016, burstable=True, baseline_share=0.1)
    groups = groups_of([micro], 4)
    assert [judge_size(each, in_pieces(1, 0.258)).used["cpu"] for each in groups] == pytest.approx([1.29] * 4)
    assert cheapest_fit(groups, in_pieces(1, 0.258)) is None
    spread = cheapest_fit(groups, uses(threads=1, cpu=0.258))
    assert spread is not None and spread.size.servers == 2


def test_pieces_grow_with_the_load_and_can_be_cut_finer() -> None:
    demand = in_pieces(1, 0.6, spread=0.2).grown(2.0)
    assert demand.high_on("cpu", 4) == pytest.approx(4 * 1.2 + 0.4)
    assert demand.cut_into(4).high_on("cpu", 4) == pytest.approx(1.2 + 0.4)
    assert demand.cut_into(1).pieces == demand.pieces


def test_every_resource_is_held_against_its_column() -> None:
    columns = {
        "memory_gib": "memory_gib",
        "connections": "max_connections",
        "pooler_clients": "pooler_clients",
        "network_gbps": "network_gbps",
        "iops": "iops",
        "storage_gib": "storage_gib",
    }
    for resource, column in columns.items():
        assert judge_size(size("x", 2.0, 1.0, **{column: 10.0}), uses(**{resource: 4.0})).used[resource] == 0.4
        assert judge_size(size("x", 2.0, 1.0), uses(**{resource: 4.0})).fits is None


def cheapest_of_all(sizes: Sequence[Size], demand: Demand) -> float | None:
    fits = [each.price_per_hour for each in sizes if judge_size(each, demand).fits]
    return min((price for price in fits if price is not None), default=None)


def test_the_cheapest_is_that_of_all_and_of_those_below_another() -> None:
    sizes = [size(f"s{vcpu}", float(vcpu), 3.0 / (vcpu % 4 + 1), max_connections=50.0 * vcpu) for vcpu in range(1, 9)]
    for cpu in (0.5, 2.5, 4.5, 7.5):
        fit = cheapest_fit(sizes, uses(cpu=cpu, connections=30.0))
        assert fit is not None and fit.size.price_per_hour == cheapest_of_all(sizes, uses(cpu=cpu, connections=30.0))
        assert cheapest_fit(sizes, uses(cpu=cpu), than=fit) is None
    assert cheapest_fit(sizes, uses(cpu=9.0)) is None
