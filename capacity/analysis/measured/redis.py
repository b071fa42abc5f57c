"""What a recording of Redis says: the findings of the report's second section that are Redis's own."""

from dataclasses import replace

import pandas as pd

from capacity.analysis.measured.failures import failure_findings
from capacity.analysis.measured.summary import connection_findings, response_findings
from capacity.analysis.measured.sustained import Sustained, sustained
from capacity.analysis.statistics.estimates import exactly, explained, peak
from capacity.analysis.statistics.percentiles import minimum_samples, percentile_interval
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.units import MB

SECTION = "redis"
AWAY = "generator.reconnection_ms"
UNLIMITED = "maxmemory is not set"
FORGOTTEN = "not given: Redis met too many kinds of error to count them by kind; CONFIG RESETSTAT makes it count again"


def redis_findings(recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest) -> list[Finding]:
    """All findings of one recording of the Redis probe, given its name, frames and manifest."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    failed = failure_findings(SECTION, recording, samples, manifest)
    return [*response_findings(part), *connection_findings(part), *_server_findings(part), *failed]


def _server_findings(part: Sustained) -> list[Finding]:
    memory, limit = part.peak("redis.memory_bytes"), part.peak("redis.memory_limit_bytes")
    why = memory.why or limit.why or UNLIMITED
    utilisation = exactly(memory.value / limit.value if memory.value and limit.value else None, memory.count, why)
    return [
        part.finding("memory", memory, "MB", "memory used, peak", 1 / MB),
        part.finding("memory_utilisation", utilisation, "%", "memory used of maxmemory, peak", 100),
        part.finding("fragmentation", part.peak("redis.fragmentation"), "", "resident over used memory, peak"),
        part.finding("cpu_share", part.per_second("redis.cpu_s"), "%", "CPU of the server, of one core", 100),
        part.finding("evictions", part.total("redis.evictions"), "", "keys evicted"),
        _out_of_memory(part),
    ]


def _out_of_memory(part: Sustained) -> Finding:
    readings = part.all_gauges.loc[part.all_gauges["gauge"] == "redis.out_of_memory", "value"]
    forgotten = bool(readings.isna().any())
    counted = exactly(None, len(readings)) if forgotten else part.total("redis.out_of_memory")
    found = part.finding("out_of_memory", counted, "", "out-of-memory errors")
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
