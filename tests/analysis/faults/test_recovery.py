"""What a fault did is counted and timed as constructed: known answers, limit cases, and a plain loop as oracle."""

import math
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.faults.recovery import (
    Drain,
    FaultSpan,
    backlog,
    drain,
    drain_seconds,
    fates,
    recovery,
    recovery_findings,
    restored_ns,
)
from capacity.analysis.statistics.percentiles import value_rank
from capacity.samples import OUTCOMES, SAMPLE_COLUMNS, check_samples

MS, S = 1_000_000, 1_000_000_000
USUAL_MS = 5.0
FAULT = FaultSpan(5 * S, 8 * S, 100.0)


def samples(scheduled_s: "np.ndarray", response_ms: "np.ndarray", outcome: "np.ndarray") -> pd.DataFrame:
    due = np.round(np.asarray(scheduled_s) * S).astype(np.int64)
    frame = pd.DataFrame(
        {
            "operation": "op",
            "scheduled_ns": due,
            "sent_ns": due,
            "finished_ns": due + np.round(np.asarray(response_ms) * MS).astype(np.int64),
            "outcome": pd.Categorical(outcome, categories=list(OUTCOMES)),
            "error": None,
            "step": 0,
            "worker": 0,
            "seq": np.arange(len(due)),
        }
    )
    return check_samples(frame.astype(SAMPLE_COLUMNS))


def even(seconds: float = 20.0, rate: float = 100.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operations at even distances, all answered as usual."""
    due = np.arange(round(seconds * rate)) / rate
    return due, np.full(len(due), USUAL_MS), np.full(len(due), "ok", dtype=object)


def refusing() -> pd.DataFrame:
    """What is due in the fault is refused 1 ms later; half a second after it answers take 300 ms."""
    due, response, outcome = even()
    inside = (due >= 5) & (due < 8)
    response[inside], outcome[inside] = 1.0, "error"
    response[(due >= 8) & (due < 8.5)] = 300.0
    return samples(due, response, outcome)


def test_a_server_that_refuses_is_seen_at_once_and_counted_whole() -> None:
    found = recovery(refusing(), FAULT)
    assert found.detected_ms == 1.0
    assert found.during == Counter(served=0, late=0, failed=300, lost=0)
    assert found.during.total() == 300


def test_the_first_success_is_the_first_good_answer_after_the_end_however_late() -> None:
    assert recovery(refusing(), FAULT).first_success_ms == 300.0


def test_it_is_restored_when_no_later_window_has_too_many_bad_answers() -> None:
    found = recovery(refusing(), FAULT)
    # Of the 100 operations in a window 5 may be bad, so the last bad window begins with the sixth last late one.
    assert found.restored_ms == pytest.approx(450.0)


def test_a_stall_is_detected_when_the_limit_of_the_first_operation_passes() -> None:
    due, response, outcome = even()
    inside = (due >= 5) & (due < 8)
    response[inside] = (8 - due[inside]) * 1000 + USUAL_MS
    found = recovery(samples(due, response, outcome), FAULT)
    assert found.detected_ms == 100.0
    assert found.first_success_ms == USUAL_MS
    assert found.restored_ms == 0.0
    assert found.during == Counter(served=9, late=291, failed=0, lost=0)
    assert found.drain == Drain(usual=1, peak=301, left=301, seconds=pytest.approx(0.005))


def test_what_was_under_way_when_the_fault_began_is_touched_by_it() -> None:
    due, response, outcome = even()
    last = np.flatnonzero(due < 5)[-1]
    response[last], outcome[last] = 15.0, "error"
    found = recovery(samples(due, response, outcome), FAULT)
    assert found.during["failed"] == 1
    assert found.detected_ms == pytest.approx(5.0)


def test_time_outs_and_what_was_never_sent_are_lost() -> None:
    due, response, outcome = even()
    inside = np.flatnonzero((due >= 5) & (due < 8))
    outcome[inside[:100]], outcome[inside[100:]] = "timeout", "dropped"
    response[inside] = 1000.0
    found = recovery(samples(due, response, outcome), FAULT)
    assert found.during == Counter(served=0, late=0, failed=0, lost=300)
    assert found.detected_ms == 100.0


def test_a_system_that_never_recovers_has_no_moments() -> None:
    due, response, outcome = even()
    outcome[due >= 5] = "error"
    found = recovery(samples(due, response, outcome), FAULT)
    assert found.first_success_ms is None
    assert found.restored_ms is None
    names = {each.name: each for each in recovery_findings("x", "rec", found)}
    restored = names["failover.x.restored"]
    assert (restored.value, restored.note) == (None, "it did not come within the recording")
    assert (names["failover.x.failed"].value, names["failover.x.failed"].high) == (300, 300)


def test_a_fault_that_nobody_felt_is_not_detected() -> None:
    found = recovery(samples(*even()), FAULT)
    assert found.detected_ms is None
    assert found.restored_ms == 0.0
    assert found.first_success_ms == USUAL_MS
    assert found.during == Counter(served=300, late=0, failed=0, lost=0)
    assert found.drain.seconds == 0.0


def test_a_bad_answer_long_after_the_fault_is_no_sign_of_it_but_puts_off_the_recovery() -> None:
    due, response, outcome = even()
    outcome[(due >= 15) & (due < 15.1)] = "error"
    found = recovery(samples(due, response, outcome), FAULT)
    assert found.detected_ms is None
    assert found.restored_ms == pytest.approx(7050.0)


def test_a_few_bad_answers_within_the_share_do_not_put_it_off() -> None:
    due, response, outcome = even()
    outcome[(due >= 15) & (due < 15.05)] = "error"
    assert recovery(samples(due, response, outcome), FAULT).restored_ms == 0.0


def test_a_recording_that_ends_with_the_fault_does_not_show_a_recovery() -> None:
    found = recovery(samples(*even(seconds=8.0)), FAULT)
    assert found.restored_ms is None
    assert found.first_success_ms is None
    short = recovery(samples(*even(seconds=8.9)), FAULT)
    assert short.restored_ms is None
    assert short.first_success_ms is not None


def test_a_fault_from_the_very_begin_has_no_usual_backlog() -> None:
    found = recovery(samples(*even()), FaultSpan(0, 2 * S, 100.0))
    assert found.drain.usual == 0
    assert found.during.total() == 200


def test_a_fault_of_no_length_touches_what_is_under_way() -> None:
    found = recovery(samples(*even()), FaultSpan(5 * S + 2 * MS, 5 * S + 2 * MS, 100.0))
    assert found.during.total() == 1


def test_no_samples_give_no_moments_and_no_counts() -> None:
    found = recovery(samples(np.array([]), np.array([]), np.array([])), FAULT)
    assert (found.detected_ms, found.first_success_ms, found.restored_ms) == (None, None, None)
    assert found.during.total() == 0
    assert found.drain == Drain(0, 0, 0, 0.0)


def plain_restored_ns(frame: pd.DataFrame, fault: FaultSpan, quantile: float, window_s: float) -> int | None:
    """Every window looked at by itself, its quantile by sorting."""
    rows = frame.sort_values("scheduled_ns", kind="stable")
    due = rows["scheduled_ns"].tolist()
    response = [
        math.inf if outcome != "ok" else finished - begun
        for begun, finished, outcome in zip(due, rows["finished_ns"], rows["outcome"], strict=True)
    ]
    width, restored = round(window_s * S), fault.end_ns
    starts = [place for place, at in enumerate(due) if at >= fault.end_ns and at + width <= due[-1]]
    if not starts:
        return None
    for number, place in enumerate(starts):
        within = sorted(each for at, each in zip(due, response, strict=True) if due[place] <= at < due[place] + width)
        if within[value_rank(len(within), quantile) - 1] > fault.objective_ms * MS:
            if number + 1 == len(starts):
                return None
            restored = due[starts[number + 1]]
    return restored


@pytest.mark.parametrize("seed", range(40))
def test_the_moment_of_recovery_is_that_of_a_plain_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(20, 400))
    due = np.sort(draw.uniform(0, 12, count))
    bad = draw.random(count) < np.where(due < 8, 0.5, draw.uniform(0, 0.4) * np.exp(8 - due))
    response = np.where(draw.random(count) < 0.5, 10.0, np.where(bad, 500.0, 20.0))
    outcome = np.where(bad & (draw.random(count) < 0.5), "error", "ok")
    frame = samples(due, response, outcome)
    quantile, window_s = draw.choice([0.5, 0.9, 0.95, 0.99]), draw.choice([0.3, 1.0, 2.5])
    assert restored_ns(frame, FAULT, quantile, window_s) == plain_restored_ns(frame, FAULT, quantile, window_s)


def test_the_backlog_is_what_was_due_and_had_not_ended() -> None:
    depth = backlog(samples(np.array([0.0, 1.0, 2.0]), np.array([1500.0, 1000.0, 100.0]), np.array(["ok"] * 3)))
    assert depth.to_dict() == {0: 1, S: 2, int(1.5 * S): 1, 2 * S: 1, int(2.1 * S): 0}


def test_the_time_to_drain_is_backlog_over_spare_capacity() -> None:
    """A single server of 250/s, with 100/s arriving, stands still for 3 s: 300 wait, and 150/s are spare."""
    due, _, outcome = even(seconds=30.0)
    finished, free = [], 0.0
    for at in due:
        begin = max(at, free)
        begin = 8.0 if 5.0 <= begin < 8.0 else begin
        free = begin + 1 / 250
        finished.append(free)
    frame = samples(due, (np.array(finished) - due) * 1000, outcome)
    found = recovery(frame, FAULT)
    assert found.drain.left == pytest.approx(300, abs=1)
    assert drain_seconds(found.drain.left, 250, 100) == pytest.approx(2.0, abs=0.01)
    assert found.drain.seconds == pytest.approx(2.0, abs=0.05)


def test_a_backlog_that_arrivals_keep_up_with_never_drains() -> None:
    assert drain_seconds(10, 100, 100) == math.inf
    assert drain_seconds(0, 100, 100) == 0.0
    said = "drain_seconds needs a backlog of 0 or more and got -1"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        drain_seconds(-1, 2, 1)


def test_a_queues_own_readings_drain_too() -> None:
    depth = pd.Series([2.0, 3.0, 50.0, 120.0, 90.0, 40.0, 3.0, 5.0], index=[i * S for i in (1, 4, 6, 8, 9, 10, 11, 12)])
    assert drain(depth, FAULT) == Drain(usual=3, peak=120, left=120, seconds=3.0)
    assert drain(depth.iloc[:6], FAULT).seconds is None


def test_counts_add_up_whatever_happened() -> None:
    due, response, outcome = even(seconds=4.0)
    outcome[:] = np.array(OUTCOMES)[np.arange(len(due)) % 4]
    response[:] = np.where(np.arange(len(due)) % 8 < 4, 5.0, 500.0)
    assert Counter(fates(samples(due, response, outcome), 100.0)) == Counter(served=50, late=50, failed=100, lost=200)


def test_a_span_out_of_order_and_a_limit_of_nothing_are_one_sentence() -> None:
    said = "a fault needs begin_ns <= end_ns and an objective_ms above 0, and got FaultSpan"
    for wrong in ((2, 1, 100.0), (1, 2, 0.0)):
        with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
            FaultSpan(*wrong)
