"""Writes that each ask for a job: when they were made beside an outage of the queue, and which came back to it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from capacity.units import MS_PER_S

MOMENTS = ("pending", "away", "later", "between")
ROUNDING_MS = 1.0  # the queue's clock has whole milliseconds


@dataclass(frozen=True, slots=True)
class Outage:
    """When a queue's server was ended, when it was gone, when it was started, and when it answered again, in ns."""

    ended_ns: int
    gone_ns: int
    started_ns: int
    back_ns: int

    def __post_init__(self) -> None:
        if not self.ended_ns <= self.gone_ns <= self.started_ns <= self.back_ns:
            raise ValueError(f"the moments of an outage must be in their order and are {self}")


def when_written(sent: pd.DataFrame, outage: Outage) -> "pd.Series[str]":
    """The moment of each operation of a sample frame, one of MOMENTS.

    pending: answered before the server was ended, so the queue had its job. away: sent and answered while there was no
    server. later: sent when it answered again. between: all others, whose jobs it may have or not.
    """
    begun, ended = sent["sent_ns"].to_numpy(), sent["finished_ns"].to_numpy()
    away = (begun > outage.gone_ns) & (ended < outage.started_ns)
    cases = [ended < outage.ended_ns, away, begun > outage.back_ns]
    return pd.Series(np.select(cases, MOMENTS[:3], MOMENTS[3]), index=sent.index, dtype=str)


def enqueued_again(
    created_ms: "pd.Series[float]", queued_ms: "pd.Series[float]", older_than_s: float
) -> "pd.Series[bool]":
    """Whether the queue has a job from the reconciler and not from the write: that passes over what is younger.

    `created_ms` is when the job was written and `queued_ms` when the queue was given it, NaN where it has none.
    """
    return queued_ms - created_ms > older_than_s * MS_PER_S - ROUNDING_MS
