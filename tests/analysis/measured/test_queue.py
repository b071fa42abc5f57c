"""What a recording says of jobs that were not done: lost, not done yet, removed by others, or not known."""

import pandas as pd
import pytest

from capacity.analysis.measured.queue import queue_findings
from capacity.findings import Finding
from capacity.manifest import parse_manifest
from capacity.samples import SAMPLE_COLUMNS
from capacity.streams import JOB_SCHEMA, LEDGER_SCHEMA

S = 1_000_000_000
MANIFEST = parse_manifest(
    {
        "operations": ["a"],
        "token": "c1",
        "origin_unix_ns": 10**18,
        "connections": 1,
        "stages": [{"name": "s", "step": 0, "to": 1, "start_s": 0, "end_s": 10}],
        "sustained_steps": [0],
        "workload": {"target": "bullmq", "operations": [{"name": "a", "job": {}}]},
    }
)
WATCHED = {"observer.missed": 0.0, "observer.closed": 1.0}


def found(
    fates: list[str],
    gauges: dict[str, float] = WATCHED,
    adds: str = "ok",
    ledger: pd.DataFrame | None = None,
    before: dict[str, float] | None = None,
) -> dict[str, Finding]:
    """The findings of as many jobs, each with what was found of it; an empty one is that of which nothing was."""
    rows = [
        ("a", at * S, at * S, at * S, adds, "OOM" if adds == "error" else None, 0, 0, at) for at in range(len(fates))
    ]
    samples = pd.DataFrame(rows, columns=list(SAMPLE_COLUMNS)).astype(SAMPLE_COLUMNS)
    jobs = [
        (f"c1-0-0-{number}", "a", 0, 0, 10**12, 10**12 + 5, 1, fate, "") for number, fate in enumerate(fates) if fate
    ]
    read = pd.DataFrame([(S, name, value) for name, value in gauges.items()], columns=["at_ns", "gauge", "value"])
    manifest = MANIFEST.model_copy(update={"queue_before": before or {}})
    frames = samples, read, pd.DataFrame(jobs, columns=JOB_SCHEMA.names)
    return {each.name.removeprefix("queue."): each for each in queue_findings("r", frames, manifest, ledger)}


def bounds(finding: Finding) -> tuple[float | None, float | None, float | None]:
    return finding.low, finding.value, finding.high


def test_what_still_waits_leaves_open_whether_any_is_lost() -> None:
    told = found(["completed", "wait", "delayed", "wait", "active"])
    assert bounds(told["lost"]) == (None, None, None)
    assert told["lost"].note == "4 of 5 jobs are not done yet, and whether they would be is not known"
    assert told["not_done_yet"].value == 4
    assert told["not_done_yet"].note == "by state: 2 wait, 1 delayed, 1 active; those that waited were taken out again"


def test_what_is_gone_is_lost_for_certain_and_what_waits_may_be() -> None:
    told = found(["completed", "", "wait"])
    assert bounds(told["lost"]) == (1, 1, 2)
    assert told["lost"].note.startswith("no event tells of their end and they are in no state")


def test_what_others_removed_is_not_lost() -> None:
    told = found(["completed", "removed"])
    assert (told["lost"].value, told["removed"].value, told["not_done_yet"].value) == (0, 1, 0)
    assert told["success_rate"].value == 100


@pytest.mark.parametrize(
    ("gauges", "note"),
    [
        ({**WATCHED, "observer.missed": 2.0}, "the queue dropped events before they were read"),
        ({"observer.missed": 0.0}, "the queue was not looked through at the end"),
    ],
)
def test_what_was_not_seen_whole_is_not_given(gauges: dict[str, float], note: str) -> None:
    told = found(["completed", "unknown", ""], gauges)
    assert told["lost"].value is None
    assert told["lost"].note == f"what became of 2 jobs is not known: {note}"


def test_a_ledger_of_the_workers_knows_what_events_that_were_missed_would_tell() -> None:
    events = [(0, "completed", f"c1-0-0-{number}", "a", 1, "", "w") for number in range(2)]
    ledger = pd.DataFrame(events, columns=LEDGER_SCHEMA.names)
    told = found(["completed", "unknown", ""], {**WATCHED, "observer.missed": 1.0}, ledger=ledger)
    assert (told["ok"].value, told["lost"].value) == (2, 1)


def test_a_recording_that_did_not_look_for_what_waits_says_no_more_than_it_did() -> None:
    told = found(["completed", ""], {})
    assert told["lost"].value == 1
    assert "not_done_yet" not in told


def test_jobs_that_were_never_added_did_not_fail_for_good() -> None:
    told = found(["", "", ""], adds="error")
    assert told["failed_rate"].value is None
    assert told["failed_rate"].note == "no job ended in the stages at a constant load"
    assert (told["add_success_rate"].value, told["success_rate"].value) == (0, 0)
    assert not [name for name in told if name.startswith("dead_letters.")]
    assert told["lost"].value == 0


def test_the_backlog_is_the_whole_queues_and_says_so() -> None:
    assert found(["completed"])["depth_peak"].title == "jobs waiting, peak"
    for given in (
        found(["completed"], before={"delayed": 1.0}),
        found(["completed"], {**WATCHED, "observer.others": 3}),
    ):
        assert given["depth_peak"].title == "jobs waiting, peak, those of others too"


def test_a_time_that_was_not_seen_is_in_no_percentile() -> None:
    """Of a job whose begin was missed neither the wait nor the run is known."""
    told = found(["wait"] * 3)
    assert told["run_p50"].note == "no job was done at its first attempt"


def test_dead_letters_that_somebody_takes_out_meanwhile_are_not_counted() -> None:
    read = pd.DataFrame([(at * S, "queue.dead", dead) for at, dead in ((1, 7.0), (2, 9.0), (9, 4.0), (11, 7.0))])
    read.columns = ["at_ns", "gauge", "value"]
    frames = (
        pd.DataFrame(columns=list(SAMPLE_COLUMNS)).astype(SAMPLE_COLUMNS),
        read,
        pd.DataFrame(columns=JOB_SCHEMA.names),
    )
    told = {each.name: each for each in queue_findings("r", frames, MANIFEST)}["queue.dead_letters"]
    assert (told.value, told.note) == (None, "somebody took jobs out of the dead letter queue meanwhile")
