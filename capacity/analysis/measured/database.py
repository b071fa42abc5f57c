"""What a recording of the database says: the findings of the report's first section."""

from collections.abc import Set
from dataclasses import replace

import numpy as np
import pandas as pd

from capacity.analysis.measured.counters import Counters
from capacity.analysis.measured.failures import AT_LOAD, failure_findings, why_no_time
from capacity.analysis.measured.storage import storage_findings
from capacity.analysis.measured.summary import connection_findings, response_findings
from capacity.analysis.measured.sustained import Sustained, sustained
from capacity.analysis.statistics.estimates import (
    Estimate,
    clustered_proportion,
    exactly,
    explained,
    proportion,
    ratio,
)
from capacity.analysis.statistics.percentiles import median_difference
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.samples import service_ns
from capacity.units import MB, NS_PER_MS, NS_PER_S

SECTION = "database"
NOT_HERE = "not measured: the server's processes are elsewhere or were not read"
NO_MEMORY = "not measured: this machine does not tell what processes share"
SHARED_AT_LEAST = "of what the processes share, the most that one of them had touched"
NOT_CLOSE = "no two looks at who waits were close enough to each other"
COST = "cost of row-level security, median of rounds"
ROUND = 4  # queries, of which two are with row-level security: see `order: cycle` of a workload
PAIRS = 6  # rounds that bound a median of differences


def database_findings(recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest) -> list[Finding]:
    """All findings of one recording of the database probe, given its name, frames and manifest."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    return [
        *response_findings(part),
        *connection_findings(part),
        *_transaction_findings(part),
        *storage_findings(part),
        *_process_findings(part),
        *failure_findings(SECTION, recording, samples, manifest),
    ]


def _transaction_findings(part: Sustained) -> list[Finding]:
    secured = {each["name"] for each in part.manifest.workload["operations"] if each["row_security"]}
    evaluated = part.samples[part.samples["operation"].isin(secured) & (part.samples["outcome"] == "ok")]
    evaluations = exactly(
        len(evaluated) / part.seconds if part.seconds else None, len(evaluated), "no stage had a constant load"
    )
    counters = Counters(part)
    under = part.finding("row_security_rate", evaluations, "/s", "transactions under row-level security")
    return [
        *([under] if secured else []),
        _lock_wait_share(part),
        part.finding("deadlocks", counters.total("postgres.deadlocks"), "", "deadlocks in this database"),
        part.finding(
            "rollbacks", counters.total("postgres.rollbacks"), "", "transactions of this database rolled back"
        ),
    ]


def _lock_wait_share(part: Sustained) -> Finding:
    """The share of transactions that wait for a row; of older recordings, of the busy connections that wait for a lock.

    Waits are those of all clients of the database that began while looks were close to each other, transactions are the
    load's own alone: others beside it make the share larger, and never smaller.
    """
    unread = part.manifest.not_given.get("postgres.row_lock_waits")
    if not unread and "postgres.looked_s" not in set(part.all_gauges["gauge"]):
        return part.finding(
            "lock_wait_share", _waiting_at_looks(part), "%", "busy connections seen waiting for a lock", 100
        )
    waits, looked_s = (part.readings(f"postgres.{name}") for name in ("row_lock_waits", "looked_s"))
    ended = looked_s * int((part.samples["outcome"] != "dropped").sum()) / (part.seconds or 1.0)
    counted = waits * min(1.0, ended.sum() / max(1.0, waits.sum()))  # one transaction may wait for several rows
    found = clustered_proportion(counted, ended) if len(ended) else exactly(None, 0)
    why = unread or (f"no transaction ended {AT_LOAD}" if looked_s.any() else NOT_CLOSE)
    return part.finding("lock_wait_share", explained(found, why), "%", "transactions that waited for a row lock", 100)


def _waiting_at_looks(part: Sustained) -> Estimate:
    """The share of the busy connections that waited for whatever lock, of some looks a second."""
    if why := part.manifest.not_given.get("postgres.looks_busy"):  # a part of the connections may have been seen
        return exactly(None, 0, why)
    waiting, busy = (part.readings(f"postgres.looks_{name}") for name in ("lock_waiting", "busy"))
    if len(busy):
        return explained(clustered_proportion(waiting, busy), f"no look found a busy connection {AT_LOAD}")
    blocked, active = (int(part.readings(f"postgres.{name}").sum()) for name in ("lock_waiting", "active"))
    found = proportion(blocked, max(active, blocked))
    seen = "postgres.active" in set(part.gauges["gauge"])
    return explained(found, f"no look found a busy connection {AT_LOAD}" if seen else part.cause("postgres.looks"))


def _process_findings(part: Sustained) -> list[Finding]:
    """CPU and memory of the server's processes: rates between successive readings, which are not a second apart."""
    read = part.gauges[part.gauges["gauge"] == "postgres.cpu_s"].sort_values("at_ns")
    seldom = f"read too seldom {AT_LOAD}: a rate needs 3 readings, and there are {len(read)}"
    cpu = explained(ratio(np.diff(read["value"]), np.diff(read["at_ns"]) / NS_PER_S), seldom)
    found = part.finding("cpu_share", cpu, "%", "CPU of the server's processes, of one core", 100)
    ever = set(part.all_gauges["gauge"])
    return [replace(found, note=found.note if "postgres.cpu_s" in ever else NOT_HERE), *_memory_findings(part, ever)]


def _memory_findings(part: Sustained, ever: Set[str]) -> list[Finding]:
    memory, limit = (part.peak(f"postgres.memory_{name}bytes", seldom=True) for name in ("", "limit_"))
    used = exactly(memory.value / limit.value if memory.value and limit.value else None, memory.count, memory.why)
    found = [
        part.finding("memory", memory, "MB", "resident memory of the server's processes, peak", 1 / MB),
        part.finding("memory_utilisation", used, "%", "resident memory of its processes, of the machine's, peak", 100),
    ]
    if "postgres.memory_bytes" not in ever:
        return [replace(each, note=NO_MEMORY if "postgres.cpu_s" in ever else NOT_HERE) for each in found]
    if part.manifest.system["memory_by"] != "PSS":
        return [replace(each, note=each.note or SHARED_AT_LEAST) for each in found]
    return found


def row_security_pairs(samples: pd.DataFrame) -> pd.DataFrame:
    """Service times in ms without and with row-level security, as columns `without` and `with`, a row for each round.

    A round is four successive queries, with-without and without-with: the second query of a pair finds the rows warm,
    so each time is the mean of one taken first and one taken second. Only rounds that succeeded as a whole are kept.
    """
    times = samples.assign(
        round=samples["seq"] // ROUND,
        side=samples["operation"].astype(str).map({"without row security": "without", "with row security": "with"}),
        ms=(service_ns(samples) / NS_PER_MS).where(samples["outcome"] == "ok"),
    )
    whole = times.groupby("round")["ms"].transform("count") == ROUND
    return times[whole].pivot_table(index="round", columns="side", values="ms").reset_index(drop=True)


def row_security_findings(
    recording: str, samples: pd.DataFrame, gauges: pd.DataFrame, manifest: Manifest
) -> list[Finding]:
    """What row-level security costs a query: the median of the differences within interleaved rounds."""
    part = sustained(SECTION, recording, samples, gauges, manifest)
    pairs = row_security_pairs(part.samples)
    found = median_difference(pairs["without"], pairs["with"])
    cost = found if found.value is not None else explained(found, _why_no_cost(part, len(pairs)))
    return [part.finding("row_security_cost", cost, "ms", COST)]


def row_security_left_out(recording: str, why: str) -> Finding:
    """That finding of a recording whose pairs were not measured, with the reason."""
    return Finding(f"{SECTION}.row_security_cost", None, "ms", recording=recording, title=COST, note=why)


def _why_no_cost(part: Sustained, rounds: int) -> str:
    failed = (part.samples["outcome"] != "ok").any()
    if failed:
        return why_no_time(part.samples, PAIRS, rounds)
    return f"needs {PAIRS} whole rounds of {ROUND} queries and has {rounds:,}"
