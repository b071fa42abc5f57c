"""The jobs of a queue as samples: ids, the three times of each, and how each ended."""

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.jobs import begun_early, job_ids, job_samples
from capacity.analysis.measured.latency import latency_table
from capacity.manifest import parse_manifest
from capacity.samples import SAMPLE_COLUMNS, check_samples

MS = 1_000_000
ORIGIN_MS = 1_700_000_000_000
MANIFEST = parse_manifest({"operations": ["a", "b"], "token": "c1", "origin_unix_ns": ORIGIN_MS * MS})


def added(*rows: tuple[str, float, str]) -> pd.DataFrame:
    """Samples of one producer: operation, when it was due in ms, and how adding it ended."""
    frame = pd.DataFrame(rows, columns=["operation", "due", "outcome"])
    due = (frame["due"] * MS).astype("int64")
    columns = {"scheduled_ns": due, "sent_ns": due, "finished_ns": due + MS, "error": None, "step": 0, "worker": 0}
    return frame.assign(**columns, seq=range(len(frame)))[list(SAMPLE_COLUMNS)].astype(SAMPLE_COLUMNS)


def ended(*rows: tuple[str, int, int, int, int, str, str]) -> pd.DataFrame:
    """Jobs: id, delay, start and end in ms from the origin, attempts, outcome and reason."""
    names = ["job", "delay_ms", "started_ms", "finished_ms", "attempts", "outcome", "reason"]
    frame = pd.DataFrame(rows, columns=names).assign(operation="a", added_ms=ORIGIN_MS)
    return frame.assign(started_ms=frame["started_ms"] + ORIGIN_MS, finished_ms=frame["finished_ms"] + ORIGIN_MS)


def test_a_job_is_numbered_within_its_operation_and_a_dropped_one_has_no_number() -> None:
    samples = added(("a", 0, "ok"), ("b", 1, "ok"), ("a", 2, "dropped"), ("a", 3, "timeout"), ("b", 4, "ok"))
    assert job_ids(samples, MANIFEST).fillna("none").tolist() == [
        "c1-0-0-0",
        "c1-0-1-0",
        "none",
        "c1-0-0-1",
        "c1-0-1-1",
    ]


def test_the_numbers_follow_the_producers_order_whatever_the_order_of_the_rows() -> None:
    samples = added(("a", 0, "ok"), ("a", 1, "ok"), ("a", 2, "ok")).iloc[[2, 0, 1]]
    assert job_ids(samples, MANIFEST).tolist() == ["c1-0-0-2", "c1-0-0-0", "c1-0-0-1"]


def test_a_job_that_was_sent_later_than_a_later_planned_one_has_the_later_number() -> None:
    """As after a connection was opened again."""
    samples = added(("a", 0, "ok"), ("a", 1, "ok"), ("a", 2, "ok"))
    samples.loc[0, ["sent_ns", "finished_ns"]] = 5 * MS
    assert job_ids(samples, MANIFEST).tolist() == ["c1-0-0-2", "c1-0-0-0", "c1-0-0-1"]


def test_a_job_is_due_then_waits_then_runs() -> None:
    samples = added(("a", 10, "ok"))
    course = check_samples(job_samples(samples, ended(("c1-0-0-0", 0, 30, 70, 1, "completed", "")), MANIFEST))
    times = {clock: latency_table(pd.concat([course] * 59), clock=clock)["max_ms"].iloc[0] for clock in CLOCKS}
    assert times == {"response": 61, "dispatch": 21, "service": 40}  # the queue's moments are those milliseconds' ends


def test_a_job_that_ended_in_the_millisecond_in_which_it_was_due_took_some_time() -> None:
    """The queue wrote 10 for 10.9 ms, and the job was due at 10.7 ms."""
    course = job_samples(added(("a", 10.7, "ok")), ended(("c1-0-0-0", 0, 10, 10, 1, "completed", "")), MANIFEST)
    assert (course["finished_ns"] - course["scheduled_ns"]).tolist() == [300_000]


CLOCKS = ("response", "service", "dispatch")


def test_an_intended_delay_is_not_waiting() -> None:
    course = job_samples(added(("a", 10, "ok")), ended(("c1-0-0-0", 500, 515, 520, 1, "completed", "")), MANIFEST)
    assert (course["sent_ns"] - course["scheduled_ns"]).tolist() == [6 * MS]


def test_a_job_that_failed_for_good_is_an_error_with_its_reason() -> None:
    course = job_samples(added(("a", 0, "ok")), ended(("c1-0-0-0", 0, 1, 2, 3, "failed", "rate limit")), MANIFEST)
    assert course[["outcome", "error", "attempts"]].astype(object).to_numpy().tolist() == [["error", "rate limit", 3]]


def test_a_job_that_never_ended_is_censored_at_the_end_of_the_recording() -> None:
    samples = added(("a", 0, "ok"), ("a", 5, "ok"))
    course = job_samples(samples, ended(("c1-0-0-0", 0, 50, 90, 1, "completed", "")), MANIFEST)
    assert course["outcome"].tolist() == ["ok", "timeout"]
    assert course["finished_ns"].tolist() == [91 * MS, 91 * MS]


def test_a_job_whose_adding_failed_keeps_that_and_one_that_ran_all_the_same_counts_as_run() -> None:
    samples = added(("a", 0, "timeout"), ("a", 5, "error"))
    course = job_samples(samples, ended(("c1-0-0-1", 0, 6, 9, 1, "completed", "")), MANIFEST)
    assert course["outcome"].tolist() == ["timeout", "ok"]


def test_jobs_that_nobody_here_added_are_left_out_and_none_at_all_is_a_frame() -> None:
    samples = added(("a", 0, "ok"))
    assert len(job_samples(samples, ended(("theirs", 0, 1, 2, 1, "completed", "")), MANIFEST)) == 1
    empty = job_samples(samples.iloc[:0], ended(("theirs", 0, 1, 2, 1, "completed", "")), MANIFEST)
    assert len(check_samples(empty)) == 0


def test_the_times_of_many_jobs_are_those_of_a_plain_loop() -> None:
    draw = np.random.default_rng(7)
    due = np.cumsum(draw.exponential(2.0, 500))
    wait, run = draw.exponential(5.0, 500), draw.exponential(9.0, 500)
    rows = [("a", float(at), "ok") for at in due]
    jobs = [
        (f"c1-0-0-{n}", 0, int(due[n] + wait[n]), int(due[n] + wait[n] + run[n]), 1, "completed", "")
        for n in draw.permutation(500).tolist()
    ]
    course = job_samples(added(*rows), ended(*jobs), MANIFEST)
    slow = due + wait + run - due
    assert ((course["finished_ns"] - course["scheduled_ns"]) / MS).to_numpy() == pytest.approx(slow, abs=1.0)


def test_a_delayed_job_that_was_begun_before_it_was_due_is_early() -> None:
    """As by a worker whose clock is ahead; within some ms, which two clocks may be apart, none is."""
    samples = added(("a", 10, "ok"), ("a", 11, "dropped"), ("a", 12, "dropped"), ("a", 20, "ok"))
    on_time = (("c1-0-0-0", 300, 310, 340, 1, "completed", ""), ("c1-0-0-1", 300, 316, 330, 1, "completed", ""))
    assert begun_early(samples, ended(*on_time), MANIFEST) == {}
    early = (on_time[0], ("c1-0-0-1", 300, 30, 40, 1, "completed", ""))
    assert begun_early(samples, ended(*early), MANIFEST) == {"a": 0.5}
    assert begun_early(samples, ended(("theirs", 300, 1, 2, 1, "completed", "")), MANIFEST) == {}
    assert begun_early(samples, ended(), MANIFEST) == {}
