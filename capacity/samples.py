"""The sample frame: one row an operation, three clocks and an outcome."""

from enum import IntEnum
from typing import TYPE_CHECKING

import pyarrow as pa

from capacity.streams import GAUGE_SCHEMA, JOB_SCHEMA, SAMPLES_ON_DISK

if TYPE_CHECKING:  # the processes that measure need the outcomes alone, and pandas takes a second to load
    import pandas as pd


class Outcome(IntEnum):
    """How an operation ended; the values are the codes in a recording's stream.

    `DROPPED` was planned and never sent, because no connection became free within the time limit.
    """

    OK = 0
    ERROR = 1
    TIMEOUT = 2
    DROPPED = 3


OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome)

SAMPLE_COLUMNS = {
    "operation": "category",  # name of the workload's operation
    "scheduled_ns": "int64",  # when it was due, from the recording's start
    "sent_ns": "int64",  # when it was sent; for a dropped one, when it was given up
    "finished_ns": "int64",  # when its answer was complete, or when it was given up
    "outcome": "category",  # one of OUTCOMES
    "error": "category",  # the class of failure; null when ok
    "step": "int32",  # which stage of the shape (load level)
    "worker": "int32",  # which generator process
    "seq": "int64",  # contiguous per worker, in planned order
}


def check_samples(samples: "pd.DataFrame") -> "pd.DataFrame":
    """Return `samples` unchanged when it is a sample frame.

    Raises ValueError naming the first missing column, unknown outcome or clock that runs backwards.
    """
    missing = [name for name in SAMPLE_COLUMNS if name not in samples.columns]
    if missing:
        raise ValueError(
            f"a sample frame needs the column {missing[0]!r} and got {', '.join(map(str, samples.columns)) or 'none'}; "
            f"accepted are {', '.join(SAMPLE_COLUMNS)}"
        )
    outcomes = samples["outcome"]
    if set(getattr(outcomes.dtype, "categories", [None])) <= set(OUTCOMES):  # nothing else can be in it
        unknown = set[str]()
    else:
        unknown = set(outcomes.dropna().unique()) - set(OUTCOMES)
    if unknown:
        raise ValueError(f"unknown outcome {sorted(unknown)[0]!r} in the samples; accepted are {', '.join(OUTCOMES)}")
    due, sent, finished = (samples[name].to_numpy() for name in ("scheduled_ns", "sent_ns", "finished_ns"))
    backwards = (sent < due) | (finished < sent)
    if backwards.any():
        row = int(backwards.argmax())
        raise ValueError(
            f"sample {row} has scheduled, sent and finished times out of order; "
            "each sample needs scheduled_ns <= sent_ns <= finished_ns"
        )
    return samples


def response_ns(samples: "pd.DataFrame") -> "pd.Series[int]":
    """Finished − scheduled: what a user waits, in nanoseconds."""
    return samples["finished_ns"] - samples["scheduled_ns"]


def service_ns(samples: "pd.DataFrame") -> "pd.Series[int]":
    """Finished − sent: what the server took, in nanoseconds."""
    return samples["finished_ns"] - samples["sent_ns"]


def dispatch_delay_ns(samples: "pd.DataFrame") -> "pd.Series[int]":
    """Sent − scheduled: the share of the generator and of the wait for a free connection, in nanoseconds."""
    return samples["sent_ns"] - samples["scheduled_ns"]


def samples_frame(tables: list[pa.Table]) -> "pd.DataFrame":
    """The samples of tables of `SAMPLES_ON_DISK`, ordered by worker and sequence."""
    joined = pa.concat_tables(tables) if tables else SAMPLES_ON_DISK.empty_table()
    frame: pd.DataFrame = joined.unify_dictionaries().to_pandas()
    for name in ("operation", "outcome", "error"):
        frame[name] = frame[name].astype("category")
    frame = frame.astype(SAMPLE_COLUMNS)[list(SAMPLE_COLUMNS)]
    return frame.sort_values(["worker", "seq"], kind="stable", ignore_index=True)


def gauges_frame(tables: list[pa.Table]) -> "pd.DataFrame":
    """The readings of tables of `GAUGE_SCHEMA`, ordered by time."""
    joined = pa.concat_tables(tables) if tables else GAUGE_SCHEMA.empty_table()
    frame: pd.DataFrame = joined.to_pandas()
    frame["gauge"] = frame["gauge"].astype("category")
    return frame.sort_values("at_ns", kind="stable", ignore_index=True)


def jobs_frame(tables: list[pa.Table]) -> "pd.DataFrame":
    """The jobs of tables of `JOB_SCHEMA`."""
    joined = pa.concat_tables(tables) if tables else JOB_SCHEMA.empty_table()
    frame: pd.DataFrame = joined.to_pandas()
    return frame.astype({"operation": "category", "outcome": "category"})


def ledger_frame(tables: list[pa.Table]) -> "pd.DataFrame | None":
    """What workers noted, of tables of `LEDGER_SCHEMA`; None where there is none."""
    if not tables:
        return None
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame.astype(dict.fromkeys(("event", "type", "reason", "worker"), "category"))
