"""Which sizes hold a demand with its headroom, alone and as groups of equal servers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from capacity.analysis.limits.demand import Demand
from capacity.analysis.planning.catalog import Size

SUMMED = (
    *("vcpu", "memory_gib", "network_gbps", "max_connections", "pooler_clients", "iops", "storage_gib"),
    "price_per_hour",
)
TITLES = {  # of the resources, in a sentence
    "cpu": "CPU",
    "memory_gib": "memory",
    "connections": "connections",
    "pooler_clients": "pooler clients",
    "network_gbps": "network",
    "iops": "I/O operations",
    "storage_gib": "storage",
}
HELD = {"connections": "max_connections"}  # the column that is a resource's capacity where its name is another
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


def judge_size(size: Size, demand: Demand) -> Fit:
    """Whether a size keeps the headroom of a demand, by the high end of each use; see `Fit`.

    A use without a high end cannot be judged.
    """
    cores = size.sustained_vcpu
    if cores is not None and demand.threads is not None:
        # A server of one thread runs on one core, of which a burstable size gives it no more than the whole baseline.
        cores = min(cores, demand.threads * size.servers)
    used: dict[str, float] = {}
    for resource in demand.uses:
        capacity: float | None = cores if resource == "cpu" else getattr(size, HELD.get(resource, resource))
        high = demand.high_on(resource, size.servers)
        if high == 0:
            used[resource] = 0.0
        elif capacity is not None and high is not None and math.isfinite(high):
            used[resource] = high / capacity if capacity else math.inf
    too_small = any(share > (1 - demand.headroom) * (1 + ROUNDING) for share in used.values())
    whole = bool(used) and len(used) == len(demand.uses)
    return Fit(size, False if too_small else whole or None, used)


def cheapest_fit(sizes: Sequence[Size], demand: Demand, than: Fit | None = None) -> Fit | None:
    """The fit of least price; of equal prices the one that is used least. None where no size of known price fits.

    Where another fit is given it is the cheapest of those that cost less `than` it.
    """
    below = math.inf if than is None else order_of(than)[0]
    best: Fit | None = None
    for size in sorted((each for each in sizes if each.price_per_hour is not None), key=_price):
        if _price(size) >= below or (best is not None and _price(size) > _price(best.size)):
            break
        fit = judge_size(size, demand)
        if fit.fits and (best is None or order_of(fit) < order_of(best)):
            best = fit
    return best


def groups_of(sizes: Sequence[Size], most: int) -> list[Size]:
    """Each size alone, and groups of 2 to `most` equal servers of it, which hold and cost as many times as much."""
    groups = list(sizes)
    for size in sizes:
        for servers in range(2, most + 1):
            known = {name: value * servers for name in SUMMED if (value := getattr(size, name)) is not None}
            named = {"size": f"{servers} × {size.size}", "servers": servers}
            groups.append(size.model_copy(update=known | named))
    return groups


def fits_of(sizes: Sequence[Size], demand: Demand) -> list[Fit]:
    """The sizes of known price that are known to hold a demand, each with the cheapest volume that does."""
    found: dict[tuple[str, str, str], Fit] = {}
    for size in sizes:
        fit = judge_size(size, demand) if size.price_per_hour is not None else None
        if fit and fit.fits and (size.key not in found or order_of(fit) < order_of(found[size.key])):
            found[size.key] = fit
    return list(found.values())


def order_of(fit: Fit) -> tuple[float, float, str]:
    """What of two fits comes first: the cheaper; of equal prices the one that is used least."""
    return _price(fit.size), max(fit.used.values()), fit.size.title


def _price(size: Size) -> float:
    return round(size.price_per_hour or 0.0, 9)
