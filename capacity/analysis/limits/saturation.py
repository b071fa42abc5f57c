"""What broke: which resource was saturated at the knee and not yet below it, from gauges on the load's clock."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from capacity.analysis.limits.levels import BATCHES, Floats, Frames, mean_number
from capacity.analysis.measured.redis import MAIN_THREAD, commands_cpu
from capacity.analysis.statistics.estimates import Estimate, ratio
from capacity.manifest import Manifest
from capacity.units import MS_PER_S, NS_PER_S

# Of work and places: at nine tenths, random arrivals wait nine times as long as they are served (M/M/1: ρ / (1 − ρ)).
# Of locks: where half of what is under way waits for one, no other cause can hold up more.
SATURATED = {"work": 0.9, "place": 0.9, "lock": 0.5}
MACHINE = "CPU of the machine"
CPU_OF = {  # the resource of each that has a share of the machine's CPU
    "PostgreSQL": "CPU of PostgreSQL",
    "Redis": "the one thread of Redis",
    "the gateway": "CPU of the gateway's process",
    "the workers": "CPU of the workers' processes",
    "the generator": "CPU of the generator",
}

SLOTS, OWN = "worker slots", "the load's own connections"
# What says how many operations a system serves at once, by what is loaded: the resource, and what is not known without.
SERVES = {
    "postgres": (
        CPU_OF["PostgreSQL"],
        "what PostgreSQL does at once is not known: nobody read the CPU of its processes",
    ),
    "redis": (CPU_OF["Redis"], "what Redis does at once is not known: it did not tell its CPU"),
    "bullmq": (SLOTS, "how many jobs its workers do at once is not known"),
    "http": (CPU_OF["the gateway"], "how many requests the API serves at once is not known"),
}
POOLED = "how many connections the pooler opens to PostgreSQL is not known"

Kind = Literal["work", "lock", "place"]


@dataclass(frozen=True, slots=True)
class Resource:
    """Something of which there are `servers`: what does the work, what locks, or places that work is admitted to.

    What `gauge` reads, times `scale`, is how many of them are busy; without one the samples say it. Where `rises` is
    given it is a counter instead, which rises by so much for each second that one of them is busy.
    `of` is the gauge that says how many there are, where that is not constant.
    """

    name: str
    kind: Kind
    gauge: str
    servers: float = 1.0
    scale: float = 1.0
    rises: float | None = None
    of: str = ""


def resources_of(manifest: Manifest) -> list[Resource]:
    """The resources that a recording's manifest knows of; those whose gauges it has not are not used."""
    system, cpus = manifest.system, float(manifest.machine["cpus"])
    processes, generators = system.get("processes", {}), float(manifest.generators)
    known = [
        Resource(MACHINE, "work", "machine.cpu_share", cpus, cpus),
        Resource(CPU_OF["the generator"], "work", "generator.cpu_share", generators, generators),
        Resource(CPU_OF["PostgreSQL"], "work", "postgres.cpu_s", cpus, rises=1),
        Resource(CPU_OF["Redis"], "work", commands_cpu(manifest) or MAIN_THREAD, rises=1),
        Resource(CPU_OF["the gateway"], "work", "gateway.cpu_s", processes.get("gateway", 1), rises=1),
        Resource(CPU_OF["the workers"], "work", "workers.cpu_s", processes.get("workers", 1), rises=1),
        Resource("disk: sync of the log", "work", "postgres.log_sync_ms", rises=MS_PER_S),
        Resource("locks", "lock", "postgres.lock_waiting", of="postgres.active"),
        Resource("the gateway's pool of connections", "place", "gateway.pool_in_use", of="gateway.pool_limit"),
    ]
    if manifest.slots is not None:
        known.append(Resource(SLOTS, "place", "queue.active", manifest.slots))
    if "max_connections" in system:
        known.append(Resource("connections that PostgreSQL allows", "place", "postgres.connections", _allowed(system)))
    return [*known, Resource(OWN, "place", "", float(manifest.admitted))]


def _allowed(system: Mapping[str, Any]) -> float:
    reserved = ("superuser_reserved_connections", "reserved_connections")
    return float(system["max_connections"]) - sum(float(system.get(name) or 0) for name in reserved)


def why_unknown(manifest: Manifest, used: pd.DataFrame) -> str:
    """Why it is not known how many operations the system of a recording serves at once; empty where `used` tells it.

    The load's own connections are servers of no system: an operation on one may wait behind it for something unseen.
    """
    needed, why = SERVES.get(str(manifest.workload.get("target")), ("", ""))
    if needed and needed not in set(used["resource"]):
        return why
    return POOLED if manifest.pooler else ""


def places_of(manifest: Manifest) -> float:
    """How many operations can be in service at once: worker slots, else the load's own connections.

    Infinite of a queue whose workers are others': how many jobs they do at once is not known.
    """
    if manifest.slots is not None:
        return float(manifest.slots)
    return math.inf if manifest.queue is not None else float(manifest.admitted)


def usage(levels: Sequence[Frames]) -> pd.DataFrame:
    """How much of each resource was in use over these recordings of one level, together.

    One row a resource: resource, kind, servers, utilisation (0–1) with low and high, and demand_s, the seconds
    of one of its servers that an operation takes (busy time over operations completed), with its low and high.
    Source of the demand: Denning and Buzen, ACM Computing Surveys 10 (1978).
    """
    columns = ["resource", "kind", "servers", "utilisation", "low", "high", "demand_s", "demand_low_s", "demand_high_s"]
    if not levels:
        return pd.DataFrame(columns=columns)
    done = sum(_completed(each) for each in levels) / math.fsum(each.span_s[1] - each.span_s[0] for each in levels)
    rows = []
    for resource in resources_of(levels[0].manifest):
        pairs = [_busy(resource, each) for each in levels]
        busy, there = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        if len(busy) < 2 or not there.any():
            continue
        used = ratio(busy, there)
        servers = float(there.sum() / len(there)) if resource.of else resource.servers
        demand = _bounds(used, servers / done if done else math.nan)
        rows.append((resource.name, resource.kind, servers, *_bounds(used, 1.0), *demand))
    return pd.DataFrame(rows, columns=columns)


def saturation(below: pd.DataFrame, at: pd.DataFrame) -> pd.DataFrame:
    """The resources ranked by what broke: resource, kind, servers, saturated; at and below, each with low and high.

    And demand_s and demand_s_below, the seconds of it that an operation took; slower where the first is surely more.

    `below` and `at` are `usage` just below the knee and at it. A place fills up behind whatever else is saturated, so
    it comes after what does the work and what locks: it is the cause only where none of those is saturated.
    """
    one, other = (
        used.rename(columns={"utilisation": name, "low": f"{name}_low", "high": f"{name}_high"})
        for name, used in (("at", at), ("below", below))
    )
    both = one.merge(other, on=["resource", "kind"], how="left", suffixes=("", "_below"))
    slower = both["demand_low_s"] > both["demand_high_s_below"]
    saturated = both["at"] >= both["kind"].map(SATURATED)
    both = both.assign(saturated=saturated, place=both["kind"] == "place", slower=slower)
    ranked = both.sort_values(["saturated", "place", "at"], ascending=[False, True, False], kind="stable")
    uses = ["at", "at_low", "at_high", "below", "below_low", "below_high", "demand_s", "demand_s_below", "slower"]
    return ranked[["resource", "kind", "servers", "saturated", *uses]].reset_index(drop=True)


def what_broke(ranked: pd.DataFrame, below: float | None, at: float) -> str:
    """One sentence on a frame of `saturation`, for the levels `below` the knee (None: none held) and `at` it."""
    if not len(ranked):
        return "no gauge was read at the knee, so nothing says what broke"
    first = ranked.iloc[0]
    if not first["saturated"]:
        return (
            f"nothing that was watched was saturated at {at:,.6g}/s; most used was {first['resource']}, "
            f"{_used(first, 'at')}"
        )
    before = "" if below is None or math.isnan(first["below"]) else f", {_used(first, 'below')} at {below:,.6g}/s"
    beside = ranked.iloc[1:]
    others = beside.loc[beside["saturated"] & (beside["kind"] != "place"), "resource"].tolist()
    also = f"; beside it {' and '.join(others)}" if others else ""
    whose = _shares_of_machine(ranked, first) if first["resource"] == MACHINE else _behind(first)
    return f"{first['resource']}: {_used(first, 'at')} in use at {at:,.6g}/s{before}{also}{whose}"


def all_in_use(ranked: pd.DataFrame) -> str:
    """That the load's own connections were what broke, as a part of a sentence; empty where something else was."""
    first = ranked.iloc[0] if len(ranked) else None
    if first is None or first["resource"] != OWN or not first["saturated"]:
        return ""
    return f"; all {first['servers']:g} of {OWN} were in use"


def _behind(first: "pd.Series[Any]") -> str:
    """What it says that the load's own connections were all in use; empty of other resources, and of a level alone."""
    if first["resource"] != OWN or math.isnan(first["demand_s_below"]):
        return ""
    if not first["slower"]:
        return f"; with more than {first['servers']:g} of them it may hold more"
    took = " and ".join(f"{first[each] * MS_PER_S:,.3g} ms" for each in ("demand_s_below", "demand_s"))
    return f"; what is behind them fills them: an operation took {took}, and what it waited for was not watched"


def _shares_of_machine(ranked: pd.DataFrame, machine: "pd.Series[Any]") -> str:
    """Whose the machine's CPU was, as `; of it PostgreSQL 62 %, the generator 12 %, others 26 %`."""
    of = {name: ranked[ranked["resource"] == resource] for name, resource in CPU_OF.items()}
    cores = {name: float((rows["at"] * rows["servers"]).iloc[0]) for name, rows in of.items() if len(rows)}
    rest = max(0.0, float(machine["at"] * machine["servers"]) - math.fsum(cores.values()))
    parts = [f"{name} {each / machine['servers'] * 100:.0f} %" for name, each in {**cores, "others": rest}.items()]
    return f"; of it {', '.join(parts)}"


def _used(row: "pd.Series[Any]", where: str) -> str:
    low, high = row[f"{where}_low"], row[f"{where}_high"]
    interval = "" if math.isnan(low) or math.isnan(high) else f" ({low * 100:.0f} to {high * 100:.0f})"
    return f"{row[where] * 100:.0f} %{interval}"


def _bounds(estimate: Estimate, scale: float) -> Iterator[float]:
    for each in (estimate.value, estimate.low, estimate.high):
        yield math.nan if each is None else each * scale


def _completed(frames: Frames) -> int:
    begin, end = frames.span_s
    left = frames.operations["finished_ns"] / NS_PER_S
    return int(((frames.operations["outcome"] == "ok") & left.between(begin, end)).sum())


def _busy(resource: Resource, frames: Frames) -> tuple[Floats, Floats]:
    """How much of it was busy in each reading or interval of a level, and how much of it there was."""
    if not resource.gauge:
        sent = frames.sent[frames.sent["outcome"] != "dropped"]
        used = mean_number(sent["sent_ns"], sent["finished_ns"], np.linspace(*frames.span_s, BATCHES + 1))
        return used, np.full(BATCHES, resource.servers)
    times, values = _readings(frames, resource.gauge)
    if resource.rises is not None:
        return np.diff(values), np.diff(times) * resource.servers * resource.rises
    if resource.of:
        _, there = _readings(frames, resource.of)
        size = min(len(values), len(there))
        return np.minimum(values[:size], there[:size]), there[:size]
    return values * resource.scale, np.full(len(values), resource.servers)


def _readings(frames: Frames, gauge: str) -> tuple[Floats, Floats]:
    at_s = frames.gauges["at_ns"] / NS_PER_S
    mine = (frames.gauges["gauge"] == gauge) & at_s.between(*frames.span_s)
    return at_s[mine].to_numpy(dtype=float), frames.gauges["value"][mine].to_numpy(dtype=float)
