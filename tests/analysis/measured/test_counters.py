"""Counters are read where they counted all the time, in one server and with one setting; else it is said what broke."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.counters import Counters
from capacity.analysis.measured.sustained import Sustained
from capacity.analysis.statistics.estimates import Estimate
from capacity.manifest import parse_manifest

S = 1_000_000_000
SECONDS = 20
STEADY = {
    "started_s": [1.7e9] * SECONDS,
    "reset_s": [0.0] * SECONDS,
    "io_timed": [1.0] * SECONDS,
    "counted": [1.0] * SECONDS,
    "reads": [100.0 * second for second in range(SECONDS)],
    "read_ms": [250.0 * second for second in range(SECONDS)],
    "deadlocks": [0.0] * SECONDS,
    "blocks_hit": [980.0 * second for second in range(SECONDS)],
    "blocks_read": [380.0 * (second > 9) for second in range(SECONDS)],  # all in one second
}
RESET = [0.0] * 9 + [1.8e9] * 11


def counters(state: str = "complete", leave_out: tuple[str, ...] = (), **changed: list[float]) -> Counters:
    """Those of twenty seconds at a constant load, read in the middle of each and once more at the end."""
    gauges: dict[str, list[float]] = {name: each for name, each in STEADY.items() if name not in leave_out} | changed
    rows = [
        (int((second + 0.5) * S), f"postgres.{name}", value)
        for name, values in gauges.items()
        for second, value in enumerate(values + ([values[-1]] if len(values) == SECONDS else []))
    ]
    frame = pd.DataFrame(rows, columns=["at_ns", "gauge", "value"])
    stages = [{"step": 0, "to": 1, "start_s": 0.0, "end_s": float(SECONDS)}]
    facts: dict[str, Any] = {"stages": stages, "sustained_steps": [0], "state": state}
    inside = frame[frame["at_ns"] <= SECONDS * S]
    samples = pd.DataFrame({"step": []})
    return Counters(Sustained("database", "r", parse_manifest(facts), samples, frame, samples, inside, 20.0, ()))


def test_what_counted_all_the_time_is_what_it_rose_by() -> None:
    steady = counters()
    assert steady.ratio("postgres.read_ms", "postgres.reads").value == pytest.approx(2.5)
    assert steady.per_second("postgres.reads").value == pytest.approx(100)
    assert steady.total("postgres.deadlocks").value == 0


BROKEN = [
    ({"started_s": [1.7e9] * 9 + [1.8e9] * 11}, "PostgreSQL was started anew 9.5 s into the load"),
    ({"reset_s": RESET}, "the server's statistics were reset 9.5 s into the load"),
    ({"io_timed": [1.0] * 9 + [0.0] * 11}, "track_io_timing was changed 9.5 s into the load"),
    (
        {"read_ms": [250.0 * each for each in range(9)] + [0.0] * 11},
        "the counter fell: the server's statistics were reset, or it was started anew",
    ),
    (
        {"read_ms": [250.0 * each for each in range(9)]},
        "PostgreSQL gave no reading of it from 8.5 s of the load on, as where it ends the connection",
    ),
]


@pytest.mark.parametrize(("changed", "why"), BROKEN)
def test_a_series_that_broke_is_not_given_and_its_break_is_named(changed: dict[str, list[float]], why: str) -> None:
    found = counters(**changed).ratio("postgres.read_ms", "postgres.reads")
    assert (found.value, found.low, found.high, found.why) == (None, None, None, why)


def test_no_deadlock_was_seen_is_said_only_of_the_whole_load() -> None:
    why = "the server's statistics were reset 9.5 s into the load"
    assert counters(reset_s=RESET).total("postgres.deadlocks").why == why
    why = "track_counts was changed 9.5 s into the load"
    assert counters(counted=[1.0] * 9 + [0.0] * 11).total("postgres.deadlocks").why == why
    assert counters(deadlocks=[0.0] * 9).total("postgres.deadlocks").value is None


def test_a_load_that_was_broken_off_is_read_as_far_as_it_went() -> None:
    steady = {name: values[:9] for name, values in STEADY.items()}
    assert counters("interrupted", **steady).per_second("postgres.reads").value == pytest.approx(100)


def test_a_recording_that_does_not_say_whether_times_were_taken_has_none_where_all_are_0() -> None:
    old = counters(leave_out=("io_timed",), read_ms=[7.0] * SECONDS).ratio("postgres.read_ms", "postgres.reads")
    assert (old.value, old.why) == (None, "all of its times are 0: track_io_timing was off")
    timed = counters(read_ms=[7.0] * SECONDS).ratio("postgres.read_ms", "postgres.reads")
    assert timed.value == 0


def test_a_share_and_its_interval_lie_within_0_and_1() -> None:
    found = counters().share("postgres.blocks_hit", "postgres.blocks_read")
    assert found.low is not None and found.value == pytest.approx(0.98, abs=1e-3)
    assert (found.low < 0.94, found.high) == (True, 1)
    all_hit = counters(blocks_read=[7.0] * SECONDS).share("postgres.blocks_hit", "postgres.blocks_read")
    assert all_hit == Estimate(1.0, 1.0, 1.0, all_hit.count)


@pytest.mark.parametrize(("everywhere", "said"), [(50.0, ""), (50.2, ""), (200.0, "75 %"), (None, "")])
def test_how_much_of_the_servers_work_was_for_other_databases_is_said(everywhere: float | None, said: str) -> None:
    own = {"commits": [40.0 * each for each in range(SECONDS)], "rollbacks": [10.0 * each for each in range(SECONDS)]}
    more = {} if everywhere is None else {"all_transactions": [everywhere * each for each in range(SECONDS)]}
    note = counters(**own, **more).others()
    assert (said in note) if said else not note


def test_a_rate_counts_the_seconds_in_which_nothing_was_told() -> None:
    """A server that is busy may answer late."""
    table = counters()
    seen = table.part.gauges[~np.isin(table.part.gauges["at_ns"] // S, [5, 6, 7])]
    part = Sustained("d", "r", table.part.manifest, table.part.samples, seen, table.part.samples, seen, 20.0, ())
    assert part.per_second("postgres.reads").value == pytest.approx(100)
