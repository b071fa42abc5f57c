"""The jobs of a queue as samples: the course of each from the moment it was due to its end."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.manifest import Manifest
from capacity.samples import OUTCOMES, SAMPLE_COLUMNS
from capacity.streams import without_values
from capacity.units import NS_PER_MS

UNNAMED = "no reason was given"
NEVER = "not finished while it was watched"
EARLY_MS = 5  # times are told in whole ms by two clocks whose difference is known to within one or two
OUTCOME_OF = {"completed": "ok", "failed": "error"}
WAITING = ("wait", "paused", "prioritized", "delayed", "waiting-children", "active")  # states of what has not ended
REMOVED, UNKNOWN = "removed", "unknown"  # by others; what events would tell that were missed


def job_ids(samples: pd.DataFrame, manifest: Manifest) -> "pd.Series[str]":
    """The id of the job that each sample of a queue's producer added, null for one that was dropped.

    A producer numbers the jobs of an operation as it sends them. That is the planned order but for those that were
    under way or waiting while a connection was opened again.
    """
    sent = samples[samples["outcome"] != "dropped"].sort_values(["worker", "sent_ns", "seq"])
    codes = sent["operation"].map({name: code for code, name in enumerate(manifest.operations)}).astype(int)
    numbers = sent.groupby(["worker", "operation"], observed=True).cumcount()
    ids = manifest.token + "-" + sent["worker"].astype(str) + "-" + codes.astype(str) + "-" + numbers.astype(str)
    reindexed: pd.Series[str] = ids.reindex(samples.index)
    return reindexed


def job_samples(samples: pd.DataFrame, jobs: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """A sample frame with a row for each job that was to be added, and the columns `attempts`, `job` and `ended`.

    `samples` are the producer's, `jobs` what the queue said of those that finished. A job is scheduled when it was due,
    its intended delay included; sent when its last attempt was started; finished when that ended. So its response time
    is from due to done, its service time the run, and, at the first attempt, its dispatch delay the wait for a worker.
    A job that failed for good is an error, of the queue's reason without the values in it; one that never finished
    while it was watched is a timeout at the end of the recording, until when it waited at least. What was not added
    keeps the producer's outcome, and has not `ended`; what others removed, and what nothing is known of, has no row.
    `attempts` is 0 where that is not known. The queue rounds whole milliseconds down; a moment is read as that
    millisecond's end, so that no time is shown shorter than it was, and none longer by over 1 ms.
    """
    ended = jobs[jobs["outcome"].isin(OUTCOME_OF)].drop(columns="operation").drop_duplicates("job")
    ids = job_ids(samples, manifest)
    apart = jobs.loc[jobs["outcome"].isin([REMOVED, UNKNOWN]) & ~jobs["job"].isin(ended["job"]), "job"]
    samples, ids = samples[~ids.isin(apart)], ids[~ids.isin(apart)]
    both = samples.assign(job=ids).merge(ended, on="job", how="left", suffixes=("", "_job"))
    known = both["outcome_job"].notna().to_numpy()
    origin = manifest.origin_ns
    due = both["scheduled_ns"].to_numpy() + _ns(both["delay_ms"])
    started = np.maximum(_ns(both["started_ms"] + 1) - origin, due)
    finished = np.maximum(_ns(both["finished_ms"] + 1) - origin, started)
    end = max([*samples["finished_ns"], *finished[known]], default=0)
    never = ~known & (both["outcome"] == "ok").to_numpy()
    outcome = both["outcome"].astype(object).where(~never, "timeout").where(~known, both["outcome_job"].map(OUTCOME_OF))
    given = both["reason"].astype(object).where(both["outcome_job"] == "failed")
    reason = given.map({each: without_values(each) or UNNAMED for each in given.dropna().unique()})
    unknown = both["error"].astype(object).where(~never, NEVER)
    frame = both.assign(
        scheduled_ns=due,
        sent_ns=np.maximum(np.where(known, started, np.where(never, end, both["sent_ns"])), due),
        outcome=pd.Categorical(outcome, categories=list(OUTCOMES)),
        error=reason.where(known, unknown),
        attempts=both["attempts"].fillna(0).astype(int),
        ended=known,
    )
    frame["finished_ns"] = np.where(known, finished, np.where(never, end, both["finished_ns"]))
    frame["finished_ns"] = frame["finished_ns"].clip(lower=frame["sent_ns"])
    return frame.astype(SAMPLE_COLUMNS)[[*SAMPLE_COLUMNS, "attempts", "job", "ended"]]


def begun_early(samples: pd.DataFrame, jobs: pd.DataFrame, manifest: Manifest) -> dict[str, float]:
    """The share of each operation's delayed jobs that a worker began before they were due, where there is any.

    Workers tell by their own clock whether a job is due. The time from due to done is then none that somebody waited.
    """
    delayed = jobs[(jobs["delay_ms"] > 0) & (jobs["started_ms"] > 0)].drop_duplicates("job").set_index("job")
    ids = job_ids(samples, manifest).dropna()
    due_ns = samples.loc[ids.index, "scheduled_ns"].to_numpy() + (manifest.origin_unix_ns or 0)
    due_ms = pd.Series(due_ns // NS_PER_MS, index=ids.to_numpy())
    early = delayed["started_ms"] < due_ms.reindex(delayed.index) + delayed["delay_ms"] - EARLY_MS
    shares = early.groupby(delayed["operation"].astype(str)).mean()
    return {str(operation): float(share) for operation, share in shares.items() if share}


def _ns(milliseconds: "pd.Series[float]") -> npt.NDArray[np.int64]:
    whole: npt.NDArray[np.int64] = milliseconds.fillna(0).to_numpy().astype(np.int64)
    return whole * NS_PER_MS
