"""Whether something else than the load and the servers under test took the CPU of the machine."""

import math

import numpy as np
import pandas as pd

from capacity.analysis.measured.validity.problems import Effect, Problem
from capacity.manifest import Manifest
from capacity.units import NS_PER_S

FULL = 0.9  # of the machine: at nine tenths, what comes at random waits nine times as long as it is served (M/M/1)
NOTED, TOO_MUCH = 0.1, 0.25  # of the machine, taken by others: worth a word; and a quarter of what one concludes
# Whose processes must be seen, by what is loaded, before the rest can be called another's.
SERVERS = {
    "postgres": ("postgres",),
    "redis": ("redis",),
    "bullmq": ("redis", "workers"),
    "http": ("gateway", "workers", "postgres", "redis"),
}
ALL = "machine.cpu_s"  # of all processes, and what the machine's host gave to other machines
OWN = ("gauges", "observer")  # the suite's processes beside the generators


def neighbours_problem(samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest | None) -> Problem | None:
    """What others took of the CPU of the machine while `samples` were due; None where that is little or not known.

    It is known where all CPU time was read, and that of each server under test: one that is elsewhere, or whose
    processes cannot be seen, could be the other. It matters where nothing was left of the machine.
    """
    if manifest is None or not samples.size or not _all_are_seen(gauges, manifest):
        return None
    span = (int(samples["scheduled_ns"].min()), int(samples["scheduled_ns"].max()))
    inside = gauges[gauges["at_ns"].between(*span)]
    roles = (*SERVERS[manifest.workload["target"]], *OWN)
    cores = float(manifest.machine["cpus"])
    busy = _mean(inside, "machine.cpu_share")
    own = [_rate(inside, f"{each}.cpu_s") for each in roles if each not in OWN or _was_read(inside, each)]
    own.append(manifest.generators * _mean(inside, "generator.cpu_share"))
    others = (_rate(inside, ALL) - math.fsum(own)) / cores
    if not others > NOTED:
        return None
    void = others > TOO_MUCH and busy > FULL
    return Problem(
        f"others than the load and the servers under test took {others:.0%} of the machine's CPU, {busy:.0%} of which "
        "was in use",
        "what is measured beside them waits for a core, and the wait is counted as the server's",
        "stop what else runs on this machine, or measure on one of its own",
        void=void,
        effect=Effect.OTHERS,
    )


def _all_are_seen(gauges: pd.DataFrame, manifest: Manifest) -> bool:
    """Whether the CPU of the machine was read, and of all servers; a pooler before a database is a process unseen."""
    needed = SERVERS.get(str(manifest.workload.get("target")))
    if needed is None or not manifest.machine.get("cpus") or (needed == SERVERS["postgres"] and not manifest.prepared):
        return False
    return {ALL, "machine.cpu_share", "generator.cpu_share", *(f"{each}.cpu_s" for each in needed)} <= {
        *gauges["gauge"].unique()
    }


def _mean(gauges: pd.DataFrame, name: str) -> float:
    return float(gauges.loc[gauges["gauge"] == name, "value"].mean())


def _was_read(gauges: pd.DataFrame, role: str) -> bool:
    return int((gauges["gauge"] == f"{role}.cpu_s").sum()) > 1


def _rate(gauges: pd.DataFrame, counter: str) -> float:
    """By how much a counter rose in a second; NaN from fewer than two readings."""
    read = gauges[gauges["gauge"] == counter].sort_values("at_ns")
    if len(read) < 2:
        return math.nan
    return float(np.ptp(read["value"]) / (np.ptp(read["at_ns"]) / NS_PER_S))
