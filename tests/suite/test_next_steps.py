"""What to do next: by reason, the worst first, with minutes that are those of the workloads' own profiles."""

from pathlib import Path

import pytest

from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.run import Run
from capacity.suite.next_steps import to_do, to_do_text
from capacity.workload import read_workload

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"  # of which the database was measured with the profile standard
RUN = Run(RECORDED / "findings", RECORDED, PROJECT)
NAME = "database.response_p99"


def undecided(low: float, value: float, high: float, limit: float = 10.0) -> Judged:
    found = Finding(NAME, value, "ms", low, high, 500, "database")
    return Objective(NAME, "<", limit, "ms", "Query latency p99"), found, Verdict.INCONCLUSIVE


def minutes(profile: str) -> str:
    return f"{read_workload(PROJECT / 'data' / 'workloads' / 'database.yaml').shape(profile).seconds / 60:.0f} minutes"


def test_the_profile_that_is_long_enough_is_named_with_its_minutes() -> None:
    (step,) = to_do([undecided(4, 8, 11)], RUN)  # 2.25 times as long as it was
    assert step.next_step == f"measure with the profile standard: {minutes('standard')} decide it, if it stays as found"
    assert step.command == "capacity run --only database --profile standard"
    (step,) = to_do([undecided(4, 8, 12)], RUN)  # 4 times
    assert step.next_step == f"measure with the profile full: {minutes('full')} decide it, if it stays as found"
    assert step.command == "capacity run --only database --profile full"


def test_of_an_open_end_longer_measuring_is_not_said_to_decide() -> None:
    (step,) = to_do([undecided(4, 8, float("inf"))], RUN)
    assert step.reason == "Undecided: too few operations to bound the interval on both sides"
    assert step.next_step == f"measure with the profile standard: {minutes('standard')} may decide it"


@pytest.mark.parametrize("value", [9.999, 10.0])
def test_what_lies_on_its_limit_is_decided_by_no_profile(value: float) -> None:
    (step,) = to_do([undecided(4, value, 16)], RUN)
    assert step.next_step.startswith("no profile is known to be long enough")
    assert step.command == "capacity run --only database"


def test_one_reason_is_said_once_and_the_worst_stands_first() -> None:
    broken = (Objective("redis.evictions", "==", 0.0, "", "No evictions"), None, Verdict.FAIL)
    missing = (Objective("queue.lost", "==", 0.0, "jobs", "No job lost"), None, Verdict.NO_DATA)
    rows = [missing, undecided(4, 8, 11), undecided(3, 8, 11), broken]
    steps = to_do(rows, RUN)
    assert [(step.verdict, len(step.rows)) for step in steps] == [
        (Verdict.FAIL, 1),
        (Verdict.INCONCLUSIVE, 2),
        (Verdict.NO_DATA, 1),
    ]
    assert steps[1].next_step.endswith("decide these, if they stay as found")
    said = to_do_text(steps)
    assert "- queue, No job lost: = 0 jobs wanted, not measured found" in said
    assert said.index("Broken") < said.index("Undecided") < said.index("Not measured")


def test_a_section_without_a_workload_or_a_recording_has_no_minutes() -> None:
    found = Finding("failover.x.restored", 9.0, "ms", 8.0, 11.0, 5, "failover/x")
    row = (Objective(found.name, "<", 10.0, "ms", "Restored"), found, Verdict.INCONCLUSIVE)
    (step,) = to_do([row], RUN)
    assert "minutes" not in step.next_step


def test_nothing_to_do_says_so() -> None:
    assert to_do_text(to_do([], RUN)) == "Nothing: all that was judged holds."
