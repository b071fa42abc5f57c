"""Which sizes over the quarters to come cost least, and what speaks against each."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from capacity.analysis.limits.demand import Demand
from capacity.analysis.measured.validity.problems import Problem
from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.fits import TITLES, Fit, cheapest_fit, fits_of, judge_size
from capacity.analysis.planning.growth import growth_factor
from capacity.analysis.planning.plan_file import MOST_PIECES, QUARTER
from capacity.errors import CapacityError

NOT_MEASURED = "not measured"
NO_PRICE = "price not known"
NONE_HOLDS = "none holds it"
NONE_KNOWN = "none is known to hold it"
NO_COST = "the plan has no size for it, and the cost is without it"
IN_ONE_SLOT = "a queue of BullMQ has all its keys in one hash slot, and so on one server, however many there are"


@dataclass(frozen=True, slots=True)
class Step:
    """The size of one quarter: its number from 0, and the fit at the quarter's highest load.

    `fit` is None where no size of known price is known to hold the load, and `why` says then why. `problems` speak
    against the choice.
    """

    quarter: int
    fit: Fit | None
    problems: tuple[Problem, ...]
    why: str = ""

    @property
    def monthly(self) -> float | None:
        """What it costs a month; None without a size."""
        return None if self.fit is None else self.fit.size.monthly


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
        path = _shortest([fits_of(sizes, asked) for asked in demands], current, change_cost)
    return [
        Step(quarter, fit, tuple(_problems(sizes, asked, fit)), "" if fit else _why_none(sizes, asked))
        for quarter, (fit, asked) in enumerate(zip(path, demands, strict=True))
    ]


def _why_none(sizes: Sequence[Size], demand: Demand) -> str:
    """Why no size is chosen for a demand."""
    if not demand.uses:
        return NOT_MEASURED
    judged = [judge_size(size, demand) for size in sizes]
    if any(each.fits for each in judged):
        return NO_PRICE
    return NONE_HOLDS if all(each.fits is False for each in judged) else NONE_KNOWN


def _problems(sizes: Sequence[Size], demand: Demand, chosen: Fit | None) -> Iterator[Problem]:
    """What speaks against a choice: credits that end, what no size adds or holds on one server, what is not known."""
    if not demand.uses:
        return
    if chosen is not None and chosen.size.burstable:
        size = chosen.size
        sustains = f"{size.sustained_vcpu:g} of {size.vcpu:g} vCPU" if size.sustained_vcpu else "what is not known"
        judged = "it was judged by that" if "cpu" in chosen.used else "its CPU was not judged"
        yield Problem(
            f"{size.size} is burstable: it sustains {sustains}",
            f"{judged}, and what a short test shows beyond it is credit that ends",
            "watch its CPU credits, or take a size that is not burstable",
        )
    cheapest = cheapest_fit(sizes, demand)
    bound = [*_connection_bound(sizes, demand, cheapest), *_in_one_piece(sizes, demand, cheapest)]
    yield from bound
    without_price = [
        size.size
        for size in sizes
        if size.price_per_hour is None and size.servers == 1 and judge_size(size, demand).fits is not False
    ]
    if without_price:
        yield Problem(
            f"the price of {', '.join(dict.fromkeys(without_price))} is not known",
            "an unknown price is never chosen, though one of them may cost less",
            "add the price with its source to a catalogue of your own",
        )
    if chosen is None and not bound:
        yield Problem(
            "no size of known price is known to hold the load with its headroom",
            NO_COST,
            "spread the load over more servers, or add larger sizes to the catalogue",
        )


def _connection_bound(sizes: Sequence[Size], demand: Demand, whole: Fit | None) -> Iterator[Problem]:
    """A size that is paid for its connections alone: a pool in front of it costs less and ends the growth."""
    if "connections" not in demand.uses:
        return
    rest = replace(demand, uses={name: use for name, use in demand.uses.items() if name != "connections"})
    enough = cheapest_fit(sizes, rest, whole)
    if enough is None:
        return
    instead = "no size has enough" if whole is None else f"{whole.size.title} is needed for them alone"
    clients, takes = demand.uses["connections"].high or 0.0, enough.size.pooler_clients
    few = "" if takes is None or clients <= (1 - demand.headroom) * takes else ", which is too few as well"
    own = "" if takes is None else f" (that of {enough.size.title} takes {takes:,.0f} clients{few})"
    yield Problem(
        f"connections bind: {instead}, and {enough.size.title} holds the rest",
        "connections grow more slowly than the price of a size, or not at all, so a bigger one does not solve it"
        + ("" if whole else f"; {NO_COST}"),
        f"put a pooler in transaction mode in front{own}, and lower what each client holds open",
    )


def _in_one_piece(sizes: Sequence[Size], demand: Demand, whole: Fit | None) -> Iterator[Problem]:
    """A size that is needed, or that there is none, because of what cannot be spread over more servers."""
    free = cheapest_fit(sizes, replace(demand, pieces={}), whole) if demand.pieces else None
    if free is None:
        return
    used = {name: _least_used(sizes, demand, name) for name in demand.pieces}
    most = max(used, key=lambda name: used[name])
    fewest = max(2, math.floor(used[most] / (1 - demand.headroom)))
    tried = ((pieces, cheapest_fit(sizes, demand.cut_into(pieces), whole)) for pieces in range(fewest, MOST_PIECES + 1))
    cut = next(((pieces, fit) for pieces, fit in tried if fit), None)
    remedy = "let it use less, since no number of pieces is enough"
    if cut:
        pieces, fit = cut
        remedy = (
            f"cut it into {pieces}, as one queue into {pieces} of equal load, and give `pieces: {pieces}` in the plan: "
            f"{fit.size.title} holds that"
        )
    if whole is not None:
        seen = (
            f"the cheapest that holds what cannot be spread is {whole.size.title}; cut up, {free.size.title} would do"
        )
        yield Problem(seen, IN_ONE_SLOT, remedy)
        return
    may = f"of which {1 - demand.headroom:.0%} may be"
    seen = (
        f"no server holds what cannot be spread: it uses {used[most]:.0%} of the {TITLES[most]} of the largest, {may}"
    )
    yield Problem(seen, f"{IN_ONE_SLOT}; {NO_COST}", remedy)


def _least_used(sizes: Sequence[Size], demand: Demand, resource: str) -> float:
    """The least share of a resource that any group of servers has used where the most of it is."""
    return min(fit.used[resource] for fit in (judge_size(each, demand) for each in sizes) if resource in fit.used)


def _highest(quarter: int, rate: float) -> float:
    """The growth at the end of a quarter where the load is highest: the later one, or the earlier where it shrinks."""
    return max(growth_factor(QUARTER * quarter, rate), growth_factor(QUARTER * (quarter + 1), rate))


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
