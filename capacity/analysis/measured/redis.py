"""What a recording of Redis says: the findings of the report's second section that are Redis's own.

What Redis counts is of the whole server: of all its databases, and all its clients.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from capacity.analysis.measured.failures import failure_findings
from capacity.analysis.measured.summary import connection_findings, response_findings
from capacity.analysis.measured.sustained import Sustained, sustained
from capacity.analysis.statistics.estimates import Estimate, exactly, explained, peak
from capacity.analysis.statistics.percentiles import minimum_samples, percentile_interval
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.units import MB

SECTION = "redis"
AWAY = "generator.reconnection_ms"
UNLIMITED = "maxmemory is not set"
FORGOTTEN = "not given: Redis met too many kinds of error to count them by kind; CONFIG RESETSTAT makes it count again"
COMMANDS = "redis.commands"  # rises at each reading, so that it falls wherever the counters were set back
SET_BACK = "the server's counters were set back in mid-run, by CONFIG RESETSTAT or a restart"
BESIDE = "of the thread that runs the commands; io-threads beside it: {}"
UNTOLD = "of all its threads: recordings of earlier versions do not have the main thread's alone"
PROCESS, MAIN_THREAD = "redis.cpu_s", "redis.main_thread_cpu_s"
# An empty Redis 6.2 to 8.2 or Valkey 8 to 9 is resident with 4 to 12 MB more than it uses: of so much, below 0.2.
ENOUGH_BYTES = 64 * MB
LITTLE = "neither used nor resident beyond that are 64 MB, and of less the process itself decides the ratio"
HEADERS = "libc's allocator puts a header on each block, which is resident, not used, and no fragmentation"
SWAPPED = "less is resident than is used: a part of it was swapped out, or never touched"


def redis_findings(recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest) -> list[Finding]:
    """All findings of one recording of the Redis probe, given its name, frames and manifest."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    failed = failure_findings(SECTION, recording, samples, manifest)
    return [*response_findings(part), *connection_findings(part), *_server_findings(part), *failed]


def _server_findings(part: Sustained) -> list[Finding]:
    memory = part.peak("redis.memory_bytes")
    return [
        part.finding("memory", memory, "MB", "memory used by the server, peak", 1 / MB),
        part.finding("memory_utilisation", _utilisation(part), "%", "memory used of maxmemory, peak", 100),
        _fragmentation(part),
        _cpu_share(part),
        part.finding("evictions", _counted(part, "redis.evictions"), "", "keys evicted, in all databases"),
        _out_of_memory(part),
    ]


def _utilisation(part: Sustained) -> Estimate:
    """The highest share of maxmemory; what does not count towards it, as replicas' buffers, is left out where told."""
    ever = set(part.all_gauges["gauge"])
    used = next((each for each in ("redis.memory_counted_bytes", "redis.memory_bytes") if each in ever), "")
    both = _together(part, used or "redis.memory_bytes", "redis.memory_limit_bytes")
    if (whole := part.peak("redis.memory_bytes")).value is None and len(both):
        return whole
    limited = both[both.iloc[:, 1] > 0]
    found = peak(limited.iloc[:, 0] / limited.iloc[:, 1])
    return explained(found, UNLIMITED if len(both) else part.cause("redis.memory_bytes", "redis.memory_limit_bytes"))


def _fragmentation(part: Sustained) -> Finding:
    """Resident over used memory, of readings in which the data decide it and not the process that holds them."""
    both = _together(part, "redis.memory_bytes", "redis.fragmentation")
    used, ratios = both.iloc[:, 0], both.iloc[:, 1]
    most = peak(ratios[np.maximum(used, used * (ratios - 1)) >= ENOUGH_BYTES])
    if (whole := part.peak("redis.fragmentation")).value is None and len(both):
        most = whole
    elif most.value is None:
        most = exactly(None, len(both), LITTLE if len(both) else part.cause("redis.fragmentation"))
    elif most.value < 1:
        most = exactly(None, most.count, SWAPPED)
    found = part.finding("fragmentation", most, "", "resident over used memory, peak")
    plain = most.value is None or part.manifest.system.get("allocator") != "libc"
    return found if plain else replace(found, note=HEADERS)


def commands_cpu(manifest: Manifest) -> str:
    """The gauge that has the CPU of the one thread that runs the commands; empty where none has.

    A process without io-threads is that thread. Recordings of earlier versions have the process's alone.
    """
    if "io_threads" not in manifest.system:
        return PROCESS
    if MAIN_THREAD not in manifest.not_given:
        return MAIN_THREAD
    return PROCESS if manifest.system["io_threads"] == 1 else ""


def _cpu_share(part: Sustained) -> Finding:
    gauge, threads = commands_cpu(part.manifest), part.manifest.system.get("io_threads")
    why = part.manifest.not_given.get(MAIN_THREAD, UNTOLD)
    if not gauge:
        many = "an unknown number of" if threads is None else threads
        none = exactly(None, 0, f"{why}, and the process has {many} threads for its clients")
        return part.finding("cpu_share", none, "%", "CPU of the server, of one core")
    whose = "main thread" if gauge == MAIN_THREAD else "process"
    found = part.finding("cpu_share", _rate(part, gauge), "%", f"CPU of the server's {whose}, of one core", 100)
    if found.value is None:
        return found
    if gauge == PROCESS:
        return replace(found, note=why)
    return replace(found, note=BESIDE.format(threads - 1)) if threads and threads > 1 else found


def _rate(part: Sustained, gauge: str) -> Estimate:
    """How far a counter rose in a second; none where it fell, as after a restart."""
    return part.whole(part.per_second(gauge), gauge, fell=SET_BACK)


def _counted(part: Sustained, gauge: str) -> Estimate:
    """How far a counter rose over the whole recording; none where the server's counters were set back."""
    return part.whole(part.total(gauge), gauge, COMMANDS, fell=SET_BACK)


def _together(part: Sustained, *names: str) -> pd.DataFrame:
    """What was read of these gauges at once, a column each in their order."""
    wanted = part.gauges[part.gauges["gauge"].isin(names)]
    table = wanted.pivot_table(index="at_ns", columns="gauge", values="value", observed=True)
    return table.reindex(columns=list(names)).dropna()


def _out_of_memory(part: Sustained) -> Finding:
    readings = part.all_gauges.loc[part.all_gauges["gauge"] == "redis.out_of_memory", "value"]
    forgotten = bool(readings.isna().any())
    counted = exactly(None, len(readings)) if forgotten else _counted(part, "redis.out_of_memory")
    found = part.finding("out_of_memory", counted, "", "out-of-memory errors, of all clients")
    return replace(found, note=FORGOTTEN) if forgotten else found


def reconnection_findings(
    recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest
) -> list[Finding]:
    """How long a connection that the server ended was away: from the loss that was noticed to ready for a command."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    away, found = part.readings(AWAY), []
    none = manifest.not_given.get(AWAY, "no connection was ended while it was read")
    for name, quantile in (("p50", 0.5), ("p95", 0.95)):
        needed = f"needs {minimum_samples(quantile):,} and has {len(away):,}"
        estimate = explained(percentile_interval(away, quantile), needed if len(away) else none)
        found.append(part.finding(f"reconnection_{name}", estimate, "ms", f"connection away, {name}"))
    return [*found, part.finding("reconnection_max", explained(peak(away), none), "ms", "connection away, longest")]
