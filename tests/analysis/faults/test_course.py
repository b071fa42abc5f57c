"""The course of a trial holds each operation, each answer where it came, and its moments on the load's clock."""

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.faults.course import EVERY_S, FaultCourse, Moment, fault_course
from capacity.analysis.faults.recovery import FaultSpan, recovery, recovery_findings
from capacity.findings import Finding
from capacity.samples import OUTCOMES, SAMPLE_COLUMNS

MS, S = 1_000_000, 1_000_000_000
FAULT = FaultSpan(2 * S, 3 * S, 100.0)


def stalled() -> pd.DataFrame:
    """100/s for 6 s, answered after 5 ms; those due from 2 s to 3 s are answered at 3.05 s, and three fail at once."""
    due = np.arange(600) * 10 * MS
    finished = np.where((due >= 2 * S) & (due < 3 * S), 3 * S + 50 * MS, due + 5 * MS)
    outcome = np.full(600, "ok", dtype=object)
    outcome[200:203], finished[200:203] = "error", due[200:203] + MS
    frame = pd.DataFrame({"operation": "op", "scheduled_ns": due, "sent_ns": due, "finished_ns": finished})
    frame = frame.assign(outcome=pd.Categorical(outcome, OUTCOMES), error=None, step=0, worker=0, seq=range(600))
    return frame.astype(SAMPLE_COLUMNS)


def told() -> list[Finding]:
    began = Finding("failover.x.began", 2.0, "s")
    down = Finding("failover.x.down", 1000.0, "ms")
    return [began, down, *recovery_findings("x", "r", recovery(stalled(), FAULT))]


@pytest.fixture
def course() -> FaultCourse:
    found = fault_course("x", stalled(), told(), 100.0)
    assert found is not None
    return found


def test_each_operation_is_there_when_it_was_due_with_its_fate(course: FaultCourse) -> None:
    rows = course.operations
    assert len(rows) == 600
    assert rows["fate"].value_counts().to_dict() == {"served": 505, "late": 92, "failed": 3}
    assert rows.loc[250, ["due_s", "response_ms"]].tolist() == pytest.approx([2.5, 550.0])


def test_answers_stand_where_they_came_and_add_up_to_all(course: FaultCourse) -> None:
    rows = course.answers.set_index(course.answers["at_s"].round(1))
    fates = rows[["served", "late", "failed", "lost"]]
    assert fates.to_numpy().sum() * EVERY_S == pytest.approx(600)
    assert rows["due"].to_numpy().sum() * EVERY_S == pytest.approx(600)
    assert fates.loc[2.0].to_dict() == {"served": 0, "late": 0, "failed": 30, "lost": 0}
    assert fates.loc[2.5].sum() == 0
    assert rows.loc[2.5, "due"] == pytest.approx(100)
    assert rows.loc[3.0, "late"] == pytest.approx(920)


def test_a_time_in_which_nothing_was_due_or_ended_has_its_rows() -> None:
    frame = stalled().iloc[:10].assign(finished_ns=2 * S)
    found = fault_course("x", frame, told(), 100.0)
    assert found is not None
    assert found.answers["at_s"].tolist() == pytest.approx([number * EVERY_S for number in range(21)])
    assert found.answers["due"].tolist() == pytest.approx([100.0] + [0.0] * 20)
    assert found.answers["late"].tolist() == pytest.approx([0.0] * 20 + [100.0])


def test_the_moments_are_on_the_loads_clock_and_in_their_order(course: FaultCourse) -> None:
    assert (course.begin_s, course.end_s) == (2.0, 3.0)
    assert course.moments == (
        Moment(2.001, "first sign, 1 ms after its begin"),
        Moment(3.0, "within 100 ms for good, 0 ms after its end"),
        Moment(pytest.approx(3.005), "first good answer, 5 ms after its end"),
    )


def test_what_never_came_is_no_moment_and_a_fault_without_an_end_is_one() -> None:
    never = Finding("failover.x.restored", None, "ms", note="it did not come within the recording")
    found = fault_course("x", stalled(), [told()[0], never], 100.0)
    assert found is not None
    assert (found.begin_s, found.end_s, found.moments) == (2.0, 2.0, ())


def test_without_a_begin_or_samples_there_is_no_course() -> None:
    assert fault_course("x", stalled(), told()[1:], 100.0) is None
    assert fault_course("x", stalled().iloc[:0], told(), 100.0) is None
