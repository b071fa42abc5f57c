"""Findings that every part of the system has: response times, success, throughput, and what the server counted."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from capacity.analysis.measured.failures import why_no_time
from capacity.analysis.measured.latency import Clock, latency_table
from capacity.analysis.measured.sustained import Sustained, given
from capacity.analysis.statistics.estimates import (
    exactly,
    explained,
    mean_rate,
)
from capacity.findings import Finding
from capacity.operation import operation_slug
from capacity.units import NS_PER_S

LEAVE_A_CORE = "leave each generator process a core, or stop what else runs on this machine"


def response_findings(part: Sustained) -> list[Finding]:
    """Response times and success of each operation and of all together, and the throughput of what succeeded."""
    found = [each for name, row in rows_of(part.samples) for each in _operation_findings(part, name, row)]
    return [*found, _throughput(part)]


def rows_of(samples: pd.DataFrame, clock: Clock = "response") -> "list[tuple[str, pd.Series[float]]]":
    """The rows of `latency_table` of each operation by name, and of all together as `all`."""
    table = pd.concat([latency_table(samples, clock=clock), latency_table(samples, by=None, clock=clock)])
    return [(str(name), row) for name, row in table.iterrows()]


def samples_of(samples: pd.DataFrame, name: str) -> pd.DataFrame:
    """Those of one operation; `all` is all of them."""
    return samples if name == "all" else samples[samples["operation"] == name]


def prefix_and_title(name: str, together: str = "all operations") -> tuple[str, str]:
    """What an operation's findings begin with in their names, and in their titles; `all` is all of them `together`."""
    return ("", together) if name == "all" else (f"{operation_slug(name)}.", name)


def _operation_findings(part: Sustained, name: str, row: "pd.Series[float]") -> Iterator[Finding]:
    prefix, title = prefix_and_title(name)
    timed, mine = int(row["count"] - row["error"]), samples_of(part.samples, name)
    for each in part.percentiles(row, mine, f"{prefix}response", f"{title},"):
        yield replace(each, count=timed)
    longest = exactly(given(row["max_ms"]), timed, "" if timed else why_no_time(mine, 1, timed))
    yield part.finding(f"{prefix}response_max", longest, "ms", f"{title}, longest")
    not_failed = row["count"] - row["error"]
    yield part.share(f"{prefix}success_rate", row["ok"], row["count"], f"{title}, succeeded", otherwise=not_failed)


def connection_findings(part: Sustained) -> list[Finding]:
    """The workload's pool of connections: in use, idle, refused, exhausted, and the wait for a free one."""
    pool = part.manifest.admitted
    in_use = part.peak("generator.in_use")
    idle = exactly(None if in_use.value is None else pool - in_use.value, in_use.count, in_use.why)
    opened = part.peak(f"{part.manifest.workload['target']}.connections")
    refused = sum(part.manifest.refused.values())
    return [
        part.finding("pool_in_use", in_use, "connections", "connections in use, peak"),
        part.finding("pool_utilisation", in_use, "%", "pool in use, peak", 100 / pool),
        part.finding("connections_idle", idle, "connections", "connections idle, fewest"),
        part.finding("connections_open", opened, "connections", "connections open at the server, peak"),
        part.finding("connections_refused", exactly(refused, pool + refused), "", "connections refused"),
        _exhaustions(part),
        *acquisition_findings(part, "wait for a connection,", ("p50", "p99")),
    ]


def _exhaustions(part: Sustained) -> Finding:
    """How often no connection was free; after a pause of the generator's own it is void, as far as that made them."""
    counted = part.total("generator.exhaustions", but_looks=True)
    after = part.total("generator.exhaustions_after_pause", but_looks=True).value
    found = part.finding("pool_exhaustions", counted, "", "times that no connection was free")
    if not after or found.void is not None or counted.value is None:
        return found
    seen = f"{after:.0f} of {counted.value:.0f} came when the generator itself had paused and sent what was overdue"
    return replace(found, void=seen, remedy=LEAVE_A_CORE, least=counted.value - after, most=counted.value)


def acquisition_findings(part: Sustained, title: str, names: Iterable[str]) -> Iterator[Finding]:
    """How long operations waited for a connection that was free."""
    wait = latency_table(part.samples, by=None, clock="dispatch").iloc[0]
    return part.percentiles(wait, part.samples, "acquisition", title, names)


def _throughput(part: Sustained) -> Finding:
    """Operations that ended ok in each whole second of the first sustained stage to the last."""
    ended = part.all_samples.loc[part.all_samples["outcome"] == "ok", "finished_ns"].to_numpy() / NS_PER_S
    counts = [
        np.histogram(ended, bins=np.arange(math.ceil(span.start_s), math.floor(span.end_s) + 1))[0]
        for span in part.manifest.sustained
        if math.floor(span.end_s) > math.ceil(span.start_s)
    ]
    found = mean_rate(np.concatenate(counts) if counts else [], 1.0)
    rate = explained(found, f"a rate needs two whole seconds at a constant load, and there are {found.count}")
    return part.finding("throughput", rate, "/s", "operations that succeeded, per second")
