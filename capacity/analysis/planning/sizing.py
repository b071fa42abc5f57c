"""Which size holds a load with headroom, and which sizes over the quarters to come cost least."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from capacity.analysis.limits.demand import Demand
from capacity.analysis.measured.problems import Problem
from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.growth import growth_factor

QUARTER = 3  # months
HOURS = 730  # in a month, as the providers bill it: 8,760 / 12
ROUNDING = 1e-9  # a use that is exactly the room fits, whatever the last digit of the product


@dataclass(frozen=True, slots=True)
class Fit:
    """How a size holds a demand: `used` is the share of each resource's capacity, 0–1, by the high end of the use.

    `fits` is None where it cannot be told, because a capacity in `unknown` is not known and no other is too small.
    `binding` is the resource that is used most, and `size` what was judged.
    """

    size: Size
    fits: bool | None
    used: Mapping[str, float]
    unknown: tuple[str, ...] = ()

    @property
    def binding(self) -> str | None:
        """The resource of which the largest share is used; None where none could be judged."""
        return max(self.used, key=lambda name: self.used[name]) if self.used else None


@dataclass(frozen=True, slots=True)
class Step:
    """The size of one quarter: its number from 0, the fit at the quarter's highest load, and what it costs a month.

    `fit` and `monthly` are None where no size of known price is known to hold the load.
    """

    quarter: int
    fit: Fit | None
    monthly: float | None
    problems: tuple[Problem, ...] = field(default=(), compare=False)


def capacity_of(size: Size, resource: str, threads: float | None = None) -> float | None:
    """How much of a resource a size holds without end, None where it is not known: a burstable one its CPU baseline."""
    if resource == "cpu":
        cores = size.sustained_vcpu
        if cores is None or threads is None or size.vcpu is None:
            return cores
        # A server of one thread runs on one core, of which a burstable size gives it no more than the whole baseline.
        return min(cores, threads * size.servers)
    held = {"memory_gib": size.memory_gib, "connections": size.max_connections, "iops": size.iops}
    return held[resource]


def judge_size(size: Size, demand: Demand) -> Fit:
    """Whether a size keeps the headroom of a demand, by the high end of each use; see `Fit`.

    A use without a high end cannot be judged, and its resource is `unknown`.
    """
    used: dict[str, float] = {}
    unknown = []
    for resource, use in demand.uses.items():
        capacity = capacity_of(size, resource, demand.threads)
        if use.high == 0:
            used[resource] = 0.0
        elif capacity is None or use.high is None or not math.isfinite(use.high):
            unknown.append(resource)
        else:
            used[resource] = use.high / capacity if capacity else math.inf
    too_small = any(share > (1 - demand.headroom) * (1 + ROUNDING) for share in used.values())
    return Fit(size, False if too_small else None if unknown or not used else True, used, tuple(unknown))


def cheapest_fit(sizes: Sequence[Size], demand: Demand) -> Fit | None:
    """The fit of least price; of equal prices the one that is used least. None where no size of known price fits."""
    fits = [each for each in (judge_size(size, demand) for size in sizes) if _eligible(each)]
    return min(fits, key=_order, default=None)


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
    Raises ValueError for prices in more than one currency, a cost below 0 and fewer quarters than one.
    """
    _check_choice(sizes, quarters, change_cost)
    demands = [demand.grown(_highest(quarter, rate)) for quarter in range(quarters)]
    fits = [[each for each in (judge_size(size, asked) for size in sizes) if _eligible(each)] for asked in demands]
    if change_cost == 0:
        path: list[Fit | None] = [min(there, key=_order, default=None) for there in fits]
    else:
        path = _shortest(fits, current, change_cost)
    return [_step(quarter, fit, sizes, demands[quarter]) for quarter, fit in enumerate(path)]


def groups_of(sizes: Sequence[Size], most: int) -> list[Size]:
    """Each size alone, and groups of 2 to `most` equal servers of it, which hold and cost as many times as much."""
    summed = ("vcpu", "memory_gib", "network_gbps", "max_connections", "pooler_clients", "iops", "price_per_hour")
    groups = list(sizes)
    for size in sizes:
        for servers in range(2, most + 1):
            known = {name: value * servers for name in summed if (value := getattr(size, name)) is not None}
            groups.append(replace(size, size=f"{servers} × {size.size}", servers=servers, **known))
    return groups


def monthly_cost(size: Size) -> float | None:
    """What a size costs in a month of 730 hours; None where its price is not known."""
    return None if size.price_per_hour is None else size.price_per_hour * HOURS


def _step(quarter: int, fit: Fit | None, sizes: Sequence[Size], demand: Demand) -> Step:
    problems = tuple(size_problems(sizes, demand, fit))
    return Step(quarter, fit, None if fit is None else monthly_cost(fit.size), problems)


def size_problems(sizes: Sequence[Size], demand: Demand, chosen: Fit | None) -> Iterator[Problem]:
    """What speaks against a choice: credits that end, connections that no size adds, and what is not known."""
    if chosen is not None and chosen.size.burstable:
        yield Problem(
            f"{chosen.size.size} is burstable: it sustains {chosen.size.sustained_vcpu:g} of {chosen.size.vcpu:g} vCPU",
            "it was judged by that, and what a short test shows beyond it is credit that ends",
            "watch its CPU credits, or take a size that is not burstable",
            void=False,
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
            void=False,
        )
    if chosen is None:
        yield Problem(
            "no size of known price is known to hold the load with its headroom",
            "the plan has no size for it, and the cost without it is too low",
            "spread the load over more servers, or add larger sizes to the catalogue",
            void=False,
        )


def _connection_bound(sizes: Sequence[Size], demand: Demand) -> Iterator[Problem]:
    """A size that is paid for its connections alone: a pool in front of it costs less and ends the growth."""
    if "connections" not in demand.uses:
        return
    rest = replace(demand, uses={name: use for name, use in demand.uses.items() if name != "connections"})
    if not rest.uses:
        return
    enough, whole = cheapest_fit(sizes, rest), cheapest_fit(sizes, demand)
    if enough is None or (whole is not None and _order(whole)[0] <= _order(enough)[0]):
        return
    instead = "no size has enough" if whole is None else f"{whole.size.size} is needed for them alone"
    yield Problem(
        f"connections bind: {instead}, and {enough.size.size} holds the rest",
        "connections grow more slowly than the price of a size, or not at all, so a bigger one does not solve it",
        "put a pooler in transaction mode in front, and lower what each client holds open",
        void=False,
    )


def _highest(quarter: int, rate: float) -> float:
    """The growth at the end of a quarter where the load is highest: the later one, or the earlier where it shrinks."""
    return max(growth_factor(QUARTER * quarter, rate), growth_factor(QUARTER * (quarter + 1), rate))


def _eligible(fit: Fit) -> bool:
    return fit.fits is True and fit.size.price_per_hour is not None


def _order(fit: Fit) -> tuple[float, float, str]:
    price = fit.size.price_per_hour
    return (math.inf if price is None else round(price, 9), max(fit.used.values(), default=0.0), fit.size.size)


def _quarterly(fit: Fit) -> float:
    return (monthly_cost(fit.size) or 0.0) * QUARTER


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
            reached[fit.size.key] = (costs[way] + _quarterly(fit), (*best[way][1], fit))
        best = reached
    return list(min(best.values(), key=lambda entry: entry[0])[1])


def _check_choice(sizes: Sequence[Size], quarters: int, change_cost: float) -> None:
    currencies = sorted({size.currency for size in sizes if size.price_per_hour is not None})
    if len(currencies) > 1:
        raise ValueError(f"prices in {' and '.join(currencies)} cannot be compared; give the sizes of one currency")
    if not 0 <= change_cost < math.inf:
        raise ValueError(f"the cost of a change must be a number from 0 and is {change_cost:g}")
    if quarters < 1:
        raise ValueError(f"sizes are chosen for at least one quarter and got {quarters}")
