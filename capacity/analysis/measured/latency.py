"""Latency of operations: a table with intervals, the course over time, and the whole distribution."""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol, cast

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd

from capacity.analysis.statistics.conventions import QUANTILES
from capacity.analysis.statistics.estimates import Estimate
from capacity.analysis.statistics.percentiles import effective_count_at, minimum_samples, sorted_interval, value_rank
from capacity.samples import OUTCOMES, check_samples, dispatch_delay_ns, response_ns, service_ns
from capacity.units import NS_PER_MS

Clock = Literal["response", "service", "dispatch"]
PLACE, TIME = ":outcome", ":ms"  # columns beside those of a group, which may have any name
NINES = np.arange(1, 101) / 20  # 20 points for each further nine, from p11 to p99.999


class Recorded(Protocol):
    """What holds samples, as a Recording does."""

    @property
    def samples(self) -> pd.DataFrame:
        """A sample frame."""


class Timing(NamedTuple):
    """A time of each operation, the outcomes that have none, and those whose time is only known to be longer."""

    times_ns: "Callable[[pd.DataFrame], pd.Series[int]]"
    absent: frozenset[str]
    censored: frozenset[str]


# A fast refusal must not improve a percentile, so errors have no time. A dropped operation was never sent: it has no
# service time, and its dispatch delay is open; that of a timeout is known.
CLOCKS = {
    "response": Timing(response_ns, frozenset({"error"}), frozenset({"timeout", "dropped"})),
    "service": Timing(service_ns, frozenset({"error", "dropped"}), frozenset({"timeout"})),
    "dispatch": Timing(dispatch_delay_ns, frozenset({"error"}), frozenset({"dropped"})),
}

# Censored operations sort last, as in the table above.
WAITS = """
SELECT scheduled_ns // 1000000000 AS second, arg_min(step, scheduled_ns) AS step,
       count(*) FILTER (outcome <> 'error') AS timed,
       quantile_disc(time_ms, 0.5) FILTER (outcome <> 'error') AS p50_ms,
       quantile_disc(time_ms, 0.99) FILTER (outcome <> 'error') AS p99_ms
FROM (SELECT *, CASE WHEN outcome IN ('timeout', 'dropped') THEN 'infinity'::DOUBLE
                     ELSE (finished_ns - scheduled_ns) / 1e6 END AS time_ms FROM samples)
GROUP BY second
"""
ENDS = """
SELECT finished_ns // 1000000000 AS second, arg_min(step, finished_ns) AS last_step,
       count(*) FILTER (outcome = 'ok') AS ok, count(*) FILTER (outcome <> 'ok') AS failed
FROM samples GROUP BY second
"""


def latency_table(
    samples: pd.DataFrame | Recorded,
    by: str | Sequence[str] | None = "operation",
    quantiles: Sequence[float] = tuple(QUANTILES.values()),
    clock: Clock = "response",
) -> pd.DataFrame:
    """One row a group of `by`: counts, success rate, and percentiles with their intervals.

    Timeouts and drops count as longer than any time seen, so a percentile among them is inf; errors have no time.
    NaN is *not given*: below `minimum_samples`. An infinite high has too few independent samples to be bounded.

    Parameters
    ----------
    samples : DataFrame or Recording
        A sample frame, or what `open_recording` gives.
    by : str, sequence of str or None
        The columns whose values make the groups and the index; None is all in one row.
    quantiles : sequence of float
        0–1.
    clock : "response", "service" or "dispatch"
        What a user waits (finished − scheduled), finished − sent, or sent − scheduled.

    Returns
    -------
    DataFrame
        count (all planned), ok, error, timeout, dropped, success_rate (ok / count), for each quantile p99_ms,
        p99_low_ms, p99_high_ms (0.999 is p99_9_ms), and max_ms, the longest time seen or given up.

    Raises
    ------
    ValueError
        For what is not a sample frame, and for an unknown clock or column.

    References
    ----------
    As for `percentile_interval`; independent samples: Heidelberger and Lewis, Operations Research 32 (1984).

    Examples
    --------
    An operation of 1 ms is due every 10 ms, and the server stalls from 100 to 200 s (Gil Tene's example of
    coordinated omission). From the schedule, half of the users wait long:

    >>> import numpy as np, pandas as pd
    >>> from capacity import latency_table
    >>> number = np.arange(20_000)
    >>> due = number * 10_000_000
    >>> done = np.where(number < 10_000, due, 200_000_000_000) + 1_000_000
    >>> samples = pd.DataFrame({"operation": "GET", "scheduled_ns": due, "sent_ns": due, "finished_ns": done,
    ...     "outcome": "ok", "error": None, "step": 0, "worker": 0, "seq": number})
    >>> latency_table(samples, quantiles=(0.5, 0.75, 0.99)).loc["GET", ["p50_ms", "p75_ms", "p99_ms"]].tolist()
    [1.0, 50001.0, 98001.0]
    """
    times = _timed(samples if isinstance(samples, pd.DataFrame) else samples.samples, by, clock)
    rows = {key: _table_row(group, quantiles, clock) for key, group in _groups(times, by)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_table_columns(quantiles))
    if by is not None and not isinstance(by, str):
        table.index = pd.MultiIndex.from_tuples(cast("list[tuple[Hashable, ...]]", list(rows)), names=list(by))
    elif by is not None:
        table.index.name = by
    return table.astype(dict.fromkeys(["count", *OUTCOMES], "int64"))


def latency_row(samples: pd.DataFrame, clock: Clock) -> dict[str, float]:
    """All operations together, as the one row of `latency_table` without groups, which takes five times as long."""
    quantiles = tuple(QUANTILES.values())
    row = _table_row(_timed(samples, None, clock), quantiles, clock)
    return dict(zip(_table_columns(quantiles), row, strict=True))


def p99_ms(samples: pd.DataFrame, clock: Clock = "response") -> float:
    """The p99 of all operations together, in ms; NaN where they are too few."""
    values, _ = _order_statistics(_timed(samples, None, clock), clock)
    rank = value_rank(len(values), 0.99)
    return math.nan if len(values) < minimum_samples(0.99) else float(np.partition(values, rank - 1)[rank - 1])


def _timed(samples: pd.DataFrame, by: str | Sequence[str] | None, clock: str) -> pd.DataFrame:
    """The columns of `by`, the place of the outcome among all, and time_ms, in the order of the schedule."""
    check_samples(samples)
    names = [] if by is None else [by] if isinstance(by, str) else list(by)
    for accepted, given in ((list(CLOCKS), [clock]), (list(samples.columns), names)):
        if unknown := [name for name in given if name not in accepted]:
            raise ValueError(f"latency by {unknown[0]!r} is unknown; accepted are {', '.join(map(str, accepted))}")
    times_ms = CLOCKS[clock].times_ns(samples).to_numpy() / NS_PER_MS
    places = pd.Categorical(samples["outcome"], categories=list(OUTCOMES)).codes
    by_name = {name: samples[name] for name in dict.fromkeys(names)}
    times = pd.DataFrame({**by_name, PLACE: places, TIME: times_ms}, index=samples.index)
    if samples["scheduled_ns"].is_monotonic_increasing:
        return times
    return times.iloc[np.argsort(samples["scheduled_ns"].to_numpy(), kind="stable")]


def _groups(times: pd.DataFrame, by: str | Sequence[str] | None) -> Iterator[tuple[Hashable, pd.DataFrame]]:
    if by is None:
        return iter([("all", times)])
    keys = by if isinstance(by, str) else list(by)
    return iter(times.groupby(keys, observed=True, dropna=False))


def _table_columns(quantiles: Sequence[float]) -> list[str]:
    names = ["p" + f"{quantile * 100:.10g}".replace(".", "_") for quantile in quantiles]
    percentiles = [f"{name}{end}_ms" for name in names for end in ("", "_low", "_high")]
    return ["count", *OUTCOMES, "success_rate", *percentiles, "max_ms"]


def _table_row(group: pd.DataFrame, quantiles: Sequence[float], clock: str) -> list[float]:
    places = group[PLACE].to_numpy()
    counts = np.bincount(places[places >= 0], minlength=len(OUTCOMES)).tolist()
    values, longest = _order_statistics(group, clock)
    intervals = _intervals(values, quantiles)
    bounds = [math.nan if x is None else x for each in intervals for x in (each.value, each.low, each.high)]
    share = counts[0] / len(group) if len(group) else math.nan
    return [len(group), *counts, share, *bounds, longest]


def _order_statistics(group: pd.DataFrame, clock: str) -> tuple[npt.NDArray[np.float64], float]:
    """The times in ms, those given up as inf, in the group's order; and the longest, whether seen or given up."""
    absent, censored = (_among(outcomes) for outcomes in CLOCKS[clock][1:])
    places, times_ms = group[PLACE].to_numpy(), group[TIME].to_numpy(dtype=float)
    timed = ~absent[places]
    values = times_ms[timed]
    longest = float(values.max()) if len(values) else math.nan
    values[censored[places[timed]]] = math.inf
    return values, longest


def _among(outcomes: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Whether each outcome is one of these, and at the end, where the place −1 looks, that none is not."""
    return np.array([*(each in outcomes for each in OUTCOMES), False])


def _intervals(values: npt.NDArray[np.float64], quantiles: Sequence[float]) -> list[Estimate]:
    """The percentiles of values in time order; no time is below 0, so neither is a bound."""
    ordered = np.sort(values)
    intervals = []
    for quantile in quantiles:
        worth = effective_count_at(values, ordered[value_rank(len(ordered), quantile) - 1]) if len(ordered) else 0.0
        found = sorted_interval(ordered, quantile, effective_count=worth)
        intervals.append(found if found.low is None else replace(found, low=max(0.0, found.low)))
    return intervals


def latency_over_time(samples: pd.DataFrame) -> pd.DataFrame:
    """One row for each second from the first that an operation was due in, empty ones included.

    Columns: second (its start), step (of the first operation due in it), throughput_per_s and errors_per_s (those that
    ended in it ok, and any other way), p50_ms and p99_ms (response times of those *due* in it, so that a stall shows
    when users began to wait). A percentile is NaN in a second with fewer than `minimum_samples`.
    """
    columns = check_samples(samples)[["scheduled_ns", "finished_ns", "step"]]
    with duckdb.connect() as connection:
        connection.register("samples", columns.assign(outcome=samples["outcome"].astype(str)))
        waits, ends = (connection.execute(query).df().set_index("second") for query in (WAITS, ENDS))
    course = waits.join(ends, how="outer")
    if len(course):  # a second in which nothing happened is a row, too
        course = course.reindex(range(int(course.index.min()), int(course.index.max()) + 1))
    return pd.DataFrame(
        {
            "second": course.index.to_numpy(dtype=float),
            "step": course["step"].fillna(course["last_step"]).ffill().to_numpy(dtype="int64"),
            "throughput_per_s": course["ok"].fillna(0).to_numpy(dtype=float),
            "p50_ms": course["p50_ms"].where(course["timed"] >= minimum_samples(0.5)).to_numpy(dtype=float),
            "p99_ms": course["p99_ms"].where(course["timed"] >= minimum_samples(0.99)).to_numpy(dtype=float),
            "errors_per_s": course["failed"].fillna(0).to_numpy(dtype=float),
        }
    )


def latency_distribution(samples: pd.DataFrame) -> pd.DataFrame:
    """The percentile curve of each operation: columns operation, quantile, response_ms, low_ms and high_ms.

    Quantiles are evenly spaced in nines, as far out as `minimum_samples` allows; a censored one is inf.
    """
    points = []
    for name, group in _groups(_timed(samples, "operation", "response"), "operation"):
        values, _ = _order_statistics(group, "response")
        quantiles = [q for q in (1 - 10.0**-NINES).tolist() if minimum_samples(q) <= len(values)]
        found = _intervals(values, quantiles)
        points += [(name, q, each.value, each.low, each.high) for q, each in zip(quantiles, found, strict=True)]
    return pd.DataFrame(points, columns=["operation", "quantile", "response_ms", "low_ms", "high_ms"])
