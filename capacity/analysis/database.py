"""What a recording of the database says: the findings of the report's first section."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from capacity.analysis.estimates import exactly, median_difference, peak, proportion, ratio
from capacity.analysis.summary import Sustained, connection_findings, response_findings, sustained
from capacity.findings import Finding
from capacity.samples import service_ns

SECTION = "database"
NS_PER_MS = 1e6
MB = 1e6


def database_findings(
    recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Mapping[str, Any]
) -> list[Finding]:
    """All findings of one recording of the database probe, given its name, frames and manifest."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    return [
        *response_findings(part),
        *connection_findings(part),
        *_transaction_findings(part),
        *_storage_findings(part),
    ]


def _transaction_findings(part: Sustained) -> list[Finding]:
    secured = {each["name"] for each in part.manifest["workload"]["operations"] if each["row_security"]}
    evaluated = part.samples[part.samples["operation"].isin(secured) & (part.samples["outcome"] == "ok")]
    evaluations = exactly(len(evaluated) / part.seconds if part.seconds else None, len(evaluated))
    blocked = int(part.readings("postgres.lock_waiting").sum())
    busy = int(part.readings("postgres.active").sum())
    waiting = proportion(blocked, max(busy, blocked))
    return [
        part.finding("row_security_rate", evaluations, "/s", "transactions under row-level security"),
        part.finding("lock_wait_share", waiting, "%", "busy connections seen waiting for a lock", 100),
        part.finding("deadlocks", part.total("postgres.deadlocks"), "", "deadlocks"),
        part.finding("rollbacks", part.total("postgres.rollbacks"), "", "transactions rolled back"),
    ]


def _storage_findings(part: Sustained) -> list[Finding]:
    hit, missed = part.rises("postgres.blocks_hit", "postgres.blocks_read")
    reads, read_ms, read_bytes = part.rises("postgres.reads", "postgres.read_ms", "postgres.read_bytes")
    writes, write_ms, write_bytes = part.rises("postgres.writes", "postgres.write_ms", "postgres.write_bytes")
    syncs, sync_ms = part.rises("postgres.log_syncs", "postgres.log_sync_ms")
    seconds = np.ones(len(reads))
    return [
        part.finding("size", peak(part.readings("postgres.size_bytes")), "MB", "size of the database", 1 / MB),
        part.finding("cache_hit_rate", ratio(hit, hit + missed), "%", "blocks found in shared buffers", 100),
        part.finding("disk_read", ratio(read_ms, reads), "ms", "mean time of a read"),
        part.finding("disk_write", ratio(write_ms, writes), "ms", "mean time of a write"),
        part.finding("log_sync", ratio(sync_ms, syncs), "ms", "mean time of a sync of the log"),
        part.finding("disk_throughput", ratio(read_bytes + write_bytes, seconds), "MB/s", "read and written", 1 / MB),
    ]


def row_security_pairs(samples: pd.DataFrame) -> pd.DataFrame:
    """Service times in ms of the k-th query without and with row-level security, as columns `without` and `with`.

    Both queries of a pair are the same and have the same arguments; only pairs that both succeeded are kept.
    """
    times = {}
    for name, operation in (("without", "without row security"), ("with", "with row security")):
        mine = samples[samples["operation"] == operation].sort_values("seq")
        times[name] = (service_ns(mine) / NS_PER_MS).where(mine["outcome"] == "ok").to_numpy(dtype=float)
    shorter = min(len(values) for values in times.values())
    return pd.DataFrame({name: values[:shorter] for name, values in times.items()}).dropna(ignore_index=True)


def row_security_findings(
    recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Mapping[str, Any]
) -> list[Finding]:
    """What row-level security costs a query: the median of the differences within interleaved pairs."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    pairs = row_security_pairs(part.samples)
    cost = median_difference(pairs["without"], pairs["with"])
    return [part.finding("row_security_cost", cost, "ms", "cost of row-level security, median of pairs")]
