"""The runs of jobs as the workers noted them: what was under way when some of them ended, and who took it up again."""

from collections.abc import Container
from dataclasses import dataclass

import pandas as pd

STARTED = "started"
KEY = ["worker", "job", "turn"]


@dataclass(frozen=True, slots=True)
class Retaken:
    """What became of the jobs that were under way on workers when something happened to these.

    `under_way` counts them. `first_ns` and `all_ns` are from that moment until the first of them, and until all of them
    were taken up again or done; None where there was none, or where one never was.
    """

    under_way: int
    first_ns: int | None
    all_ns: int | None


def runs_of(ledger: pd.DataFrame) -> pd.DataFrame:
    """A row for each run of a job: `worker`, `job`, `began_ns`, `ended_ns` (null where it never ended) and `event`.

    `ledger` has the columns of LEDGER_COLUMNS, in the order of time. The n-th end that a worker noted of a job is that
    of its n-th begin.
    """
    plain = ledger[["worker", "job", "event", "at_ns"]].astype({"worker": str, "event": str, "at_ns": "Int64"})
    begun, ended = (part.copy() for part in (plain[plain["event"] == STARTED], plain[plain["event"] != STARTED]))
    for part in (begun, ended):
        part["turn"] = part.groupby(["worker", "job"]).cumcount()
    begun = begun.drop(columns="event").rename(columns={"at_ns": "began_ns"})
    both = begun.merge(ended.rename(columns={"at_ns": "ended_ns"}), on=KEY, how="left")
    return both[["worker", "job", "began_ns", "ended_ns", "event"]]


def begun_again(runs: pd.DataFrame) -> int:
    """How many jobs were begun more than once."""
    return int((runs["job"].value_counts() > 1).sum())


def open_runs(runs: pd.DataFrame, at_ns: int | None = None) -> pd.DataFrame:
    """The runs that were under way at a moment of the workers' clock; without one, those that never ended."""
    if at_ns is None:
        return runs[runs["ended_ns"].isna()]
    return runs[(runs["began_ns"] <= at_ns) & (runs["ended_ns"].isna() | (runs["ended_ns"] > at_ns))]


def retaken(runs: pd.DataFrame, at_ns: int, workers: Container[str]) -> Retaken:
    """What became of the jobs under way on `workers` at a moment of their clock: the next begin or end of each."""
    there = open_runs(runs, at_ns)
    jobs = there.loc[[each in workers for each in there["worker"]], "job"].unique()
    later = pd.concat([runs[["job", name]].rename(columns={name: "at_ns"}) for name in ("began_ns", "ended_ns")])
    later = later[later["job"].isin(jobs) & (later["at_ns"] > at_ns)]
    moments = later.groupby("job")["at_ns"].min() - at_ns
    first = int(moments.min()) if len(moments) else None
    return Retaken(len(jobs), first, int(moments.max()) if len(jobs) and len(moments) == len(jobs) else None)
