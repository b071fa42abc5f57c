"""What failed, and why, by operation and reason over the whole load; and why a figure is not given."""

import re
from collections.abc import Hashable, Mapping, Set
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.operation import FAILURES, operation_slug
from capacity.units import NS_PER_S

# Where no class was noted, the outcome is the reason.
UNNAMED = {"error": "no reason was given", "timeout": "timed out", "dropped": "no free connection"}
AT_LOAD = "in the stages at a constant load"
UNREAD = {  # why a gauge is in no reading, by its name or by what its name begins with
    "gateway.cpu_s": "the gateway's processes are elsewhere or were not read",
    "gateway": "the gateway does not tell it at /metrics",
    "workers": "the workers' processes are elsewhere or were not read",
    "queue.dead": "there is no queue of dead letters, which has the queue's name and -dead",
    "queue": "the queue was not read",
    "postgres": "PostgreSQL gave no reading of it",
    "redis": "Redis gave no reading of it",
    "generator": "the generator noted nothing of it",
}
IDLE = {  # what it means where a counter did not rise
    "postgres.reads": "nothing was read from the disk",
    "postgres.writes": "nothing was written to the disk",
    "postgres.log_syncs": "the log was not synced",
    "postgres.blocks_read": "no block was asked for",
    "gateway.pool_requests_total": "no request asked the gateway's pool for a connection",
}
COLUMNS = ("operation", "reason", "count", "planned", "sustained", "first_s", "last_s", "message")
STATUS = re.compile(r"[1-5]\d\d(, retry after.*)?$")  # of HTTP
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def failures_table(samples: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """One row for each operation and reason of the whole load, the most frequent first; empty where nothing failed.

    Columns: operation, reason (the class of failure), count, planned (all of the operation), sustained (those due in
    the stages at a constant load), first_s and last_s (when the first and the last ended, in seconds from the load's
    begin), message (what the server said of the first one, empty where it was not kept).
    """
    failed = samples.loc[samples["outcome"] != "ok", ["operation", "finished_ns", "step"]].assign(
        reason=reasons_of(samples), sustained=samples["step"].isin(manifest.sustained_steps)
    )
    planned = samples["operation"].astype(str).value_counts()
    rows = [
        (
            str(operation),
            str(reason),
            len(group),
            int(planned[str(operation)]),
            int(group["sustained"].sum()),
            float(group["finished_ns"].min()) / NS_PER_S,
            float(group["finished_ns"].max()) / NS_PER_S,
            manifest.messages.get(str(operation), {}).get(str(reason), ""),
        )
        for (operation, reason), group in failed.groupby(["operation", "reason"], observed=True)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def reasons_of(samples: pd.DataFrame) -> "pd.Series[str]":
    """The reason of each sample that did not succeed."""
    failed = samples[samples["outcome"] != "ok"]
    named = failed["error"].astype(object)
    return named.where(named.notna(), failed["outcome"].astype(object).map(UNNAMED))


def failure_findings(section: str, recording: str, samples: pd.DataFrame, manifest: Manifest) -> list[Finding]:
    """How often each operation failed for each reason in the whole load; none where nothing failed.

    The name is `section.operation.failures.reason`, the value the number, `count` all operations of that name that were
    planned, and the note says the rest. No generator's lateness makes an answer an error: they are never void.
    """
    found, names = [], set[str]()
    for row in failures_table(samples, manifest).to_dict("records"):
        name = f"{section}.{operation_slug(row['operation'])}.{FAILURES}.{reason_slug(row['reason'])}"
        if name in names:  # two reasons that differ in signs alone
            name = f"{name}_{len(names)}"
        names.add(name)
        count, title = float(row["count"]), f"{row['operation']}: {row['reason']}"
        note = failure_note(row, manifest)
        found.append(Finding(name, count, "", count, count, row["planned"], recording, title, note))
    return found


def reason_slug(reason: str) -> str:
    """A reason as a part of a finding's name, as `read_only_sql_transaction_25006`."""
    return operation_slug(HUMP.sub("_", reason)) or "unnamed"


def failure_note(row: Mapping[Hashable, Any], manifest: Manifest) -> str:
    """How many of a row of `failures_table` were at a constant load, from when to when, and what the server said."""
    said = f"; the server says: {row['message']}" if row["message"] else ""
    return f"{row['sustained']:,} at a constant load; {when_text(row, manifest)}{said}"


def when_text(row: Mapping[Hashable, Any], manifest: Manifest) -> str:
    """When a failure was seen first and last, in seconds of the load and by the clock."""
    first, last, begun = row["first_s"], row["last_s"], manifest.origin_unix_ns
    if row["count"] == 1:
        return f"{first:,.1f} s into the load{'' if begun is None else f' ({_clock(begun, first)} UTC)'}"
    clock = "" if begun is None else f" ({_clock(begun, first)} to {_clock(begun, last)} UTC)"
    return f"from {first:,.1f} to {last:,.1f} s of the load{clock}"


def why_unread(manifest: Manifest, ever: Set[str], *gauges: str) -> str:
    """Why one of these gauges was not read, where `ever` are those that were: by what its reader noted, or by its name.

    Empty where all of them were read.
    """
    noted = manifest.not_given
    for name in gauges:
        source = name.partition(".")[0]
        said = [noted.get(name)]
        if name not in ever:
            said += [UNREAD.get(name), noted.get(source), UNREAD.get(source, "nobody read it")]
        if known := next(filter(None, said), ""):
            return known
    return ""


def why_no_time(samples: pd.DataFrame, needed: int, timed: int) -> str:
    """Why a figure that needs so many times has too few in these samples: errors have no time, their reason says why.

    As `all 4,975 answers were 404`, or `needs 299 and has 20: 4,955 of 4,975 failed with 404`.
    """
    total, reasons = len(samples), reasons_of(samples[samples["outcome"] == "error"]).value_counts()
    failed, few = int(reasons.sum()), f"needs {needed:,} and has {timed:,}"
    if not total:
        return f"nothing was due {AT_LOAD}"
    if not failed:
        return few
    first = str(reasons.index[0])
    if failed == total and len(reasons) == 1:
        return f"all {total:,} answers were {first}" if STATUS.match(first) else f"all {total:,} failed with {first}"
    most = f" with {first}" if len(reasons) == 1 else f", {reasons.iloc[0]:,} of them with {first}"
    return f"all {total:,} failed{most}" if failed == total else f"{few}: {failed:,} of {total:,} failed{most}"


def _clock(begun_ns: int, seconds: float) -> str:
    return datetime.fromtimestamp(begun_ns / NS_PER_S + seconds, UTC).strftime("%H:%M:%S")
