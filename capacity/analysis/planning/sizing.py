"""Which size holds a load with headroom, and which sizes over the quarters to come cost least."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from capacity.analysis.limits.demand import Demand
from capacity.analysis.measured.validity.problems import Problem
from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.growth import growth_factor
from capacity.analysis.planning.plan_file import QUARTER
from capacity.errors import CapacityError

ROUNDING = 1e-9  # a use that is exactly the room fits, whatever the last digit of the product


@dataclass(frozen=True, slots=True)
class Fit:
    """How a size holds a demand: `used` is the share of each resource's capacity, 0–1, by the high end of the use.

    `fits` is None where it cannot be told, because a capacity is not known and no other is too small.
    `binding` is the resource that is used most, and `size` what was judged.
    """

    size: Size
    fits: bool | None
    used: Mapping[str, float]

    @property
    def binding(self) -> str | None:
        """The resource of which the largest share is used; None where none could be judged."""
        return max(self.used, key=lambda name: self.used[name]) if self.used else None


@dataclass(frozen=True, slots=True)
class Step:
    """The size of one quarter: its number from 0, and the fit at the quarter's highest load.

    `fit` is None where no size of known price is known to hold the load. `problems` speak against the choice.
    """

    quarter: int
    fit: Fit | None
    problems: tuple[Problem, ...]

    @property
    def monthly(self) -> float | None:
        """What it costs a month; None without a size."""
        return None if self.fit is None else self.fit.size.monthly


def judge_size(size: Size, demand: Demand) -> Fit:
    """Whether a size keeps the headroom of a demand, by the high end of each use; see `Fit`.

    A use without a high end cannot be judged.
    """
    cores = size.sustained_vcpu
    if cores is not None and demand.threads is not None:
        # A server of one thread runs on one core, of which a burstable size gives it no more than the whole baseline.
        cores = min(cores, demand.threads * size.servers)
    held = {"cpu": cores, "memory_gib": size.memory_gib, "connections": size.max_connections, "iops": size.iops}
    used: dict[str, float] = {}
    for resource, use in demand.uses.items():
        capacity = held[resource]
        if use.high == 0:
            used[resource] = 0.0
        elif capacity is not None and use.high is not None and math.isfinite(use.high):
            used[resource] = use.high / capacity if capacity else math.inf
    too_small = any(share > (1 - demand.headroom) * (1 + ROUNDING) for share in used.values())
    whole = bool(used) and len(used) == len(demand.uses)
    return Fit(size, False if too_small else whole or None, used)


def cheapest_fit(sizes: Sequence[Size], demand: Demand) -> Fit | None:
    """The fit of least price; of equal prices the one that is used least. None where no size of known price fits."""
    return min(_fits(sizes, demand), key=_order, default=None)


def choose_sizes(
    sizes: Sequence[Size],
    demand: Demand,
    rate: float,
    quarters: int,
    *,
    current: Size | None = None,
    change_cost: float = 0.0,
) -> list[Step]:
    """A size for each quarter that keeps the headroom through it, at the least cost in all, in the price's currency.

    Each quarter is judged by its highest load. Where a change costs nothing the cheapest fit of each quarter is best;
    where each costs `change_cost`, the shortest path over quarters and sizes is, and it may hold a size that is larger
    than need be. A change from `current` counts. A quarter that no size holds stays open, and costs nothing here.
    Raises CapacityError for prices in more than one currency.
    """
    currencies = sorted({size.currency for size in sizes if size.price_per_hour is not None})
    if len(currencies) > 1:
        raise CapacityError(f"prices in {' and '.join(currencies)} cannot be compared; give the sizes of one currency")
    demands = [demand.grown(_highest(quarter, rate)) for quarter in range(quarters)]
    if change_cost == 0:
        path = [cheapest_fit(sizes, asked) for asked in demands]
    else:
        path = _shortest([_fits(sizes, asked) for asked in demands], current, change_cost)
    return [
        Step(quarter, fit, tuple(_problems(sizes, asked, fit)))
        for quarter, (fit, asked) in enumerate(zip(path, demands, strict=True))
    ]


def groups_of(sizes: Sequence[Size], most: int) -> list[Size]:
    """Each size alone, and groups of 2 to `most` equal servers of it, which hold and cost as many times as much."""
    summed = ("vcpu", "memory_gib", "network_gbps", "max_connections", "pooler_clients", "iops", "price_per_hour")
    groups = list(sizes)
    for size in sizes:
        for servers in range(2, most + 1):
            known = {name: value * servers for name in summed if (value := getattr(size, name)) is not None}
            named = {"size": f"{servers} × {size.size}", "servers": servers}
            groups.append(size.model_copy(update=known | named))
    return groups


def _problems(sizes: Sequence[Size], demand: Demand, chosen: Fit | None) -> Iterator[Problem]:
    """What speaks against a choice: credits that end, connections that no size adds, and what is not known."""
    if chosen is not None and chosen.size.burstable:
        yield Problem(
            f"{chosen.size.size} is burstable: it sustains {chosen.size.sustained_vcpu:g} of {chosen.size.vcpu:g} vCPU",
            "it was judged by that, and what a short test shows beyond it is credit that ends",
            "watch its CPU credits, or take a size that is not burstable",
        )
    yield from _connection_bound(sizes, demand)
    without_price = [
        size.size
        for size in sizes
        if size.price_per_hour is None and size.servers == 1 and judge_size(size, demand).fits is not False
    ]
    if without_price:
        yield Problem(
            f"the price of {', '.join(without_price)} is not known",
            "an unknown price is never chosen, though one of them may cost less",
            "add the price with its source to a catalogue of your own",
        )
    if chosen is None:
        yield Problem(
            "no size of known price is known to hold the load with its headroom",
            "the plan has no size for it, and the cost without it is too low",
            "spread the load over more servers, or add larger sizes to the catalogue",
        )


def _connection_bound(sizes: Sequence[Size], demand: Demand) -> Iterator[Problem]:
    """A size that is paid for its connections alone: a pool in front of it costs less and ends the growth."""
    if "connections" not in demand.uses:
        return
    rest = replace(demand, uses={name: use for name, use in demand.uses.items() if name != "connections"})
    enough, whole = cheapest_fit(sizes, rest), cheapest_fit(sizes, demand)
    if enough is None or (whole is not None and _order(whole)[0] <= _order(enough)[0]):
        return
    instead = "no size has enough" if whole is None else f"{whole.size.size} is needed for them alone"
    yield Problem(
        f"connections bind: {instead}, and {enough.size.size} holds the rest",
        "connections grow more slowly than the price of a size, or not at all, so a bigger one does not solve it",
        "put a pooler in transaction mode in front, and lower what each client holds open",
    )


def _highest(quarter: int, rate: float) -> float:
    """The growth at the end of a quarter where the load is highest: the later one, or the earlier where it shrinks."""
    return max(growth_factor(QUARTER * quarter, rate), growth_factor(QUARTER * (quarter + 1), rate))


def _fits(sizes: Sequence[Size], demand: Demand) -> list[Fit]:
    """The sizes of known price that are known to hold a demand."""
    judged = [judge_size(size, demand) for size in sizes if size.price_per_hour is not None]
    return [each for each in judged if each.fits]


def _order(fit: Fit) -> tuple[float, float, str]:
    return round(fit.size.price_per_hour or 0.0, 9), max(fit.used.values()), fit.size.size


Key = tuple[str, str, str] | None
Paths = dict[Key, tuple[float, tuple[Fit | None, ...]]]


def _shortest(fits: Sequence[Sequence[Fit]], current: Size | None, change_cost: float) -> list[Fit | None]:
    """The path of least cost through one fit a quarter, quarters without one left out (Bellman, 1957).

    Of all paths to a fit only two can be the best: the one that has its size already, and the cheapest of all with a
    change.
    """
    best: Paths = {current.key if current else None: (0.0, ())}
    for there in fits:
        if not there:
            best = {key: (cost, (*path, None)) for key, (cost, path) in best.items()}
            continue
        cheapest = min(best, key=lambda key: best[key][0])
        reached: Paths = {}
        for fit in there:
            ways = [key for key in (cheapest, fit.size.key) if key in best]
            costs = {key: best[key][0] + (0.0 if key in (None, fit.size.key) else change_cost) for key in ways}
            way = min(costs, key=lambda key: costs[key])
            reached[fit.size.key] = (costs[way] + (fit.size.monthly or 0.0) * QUARTER, (*best[way][1], fit))
        best = reached
    return list(min(best.values(), key=lambda entry: entry[0])[1])
