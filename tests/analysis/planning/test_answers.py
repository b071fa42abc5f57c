"""The verdict of a run is that of its worst part, and an answer that is not known says why."""

import pytest

from capacity.analysis.planning.answers import answers_of, readiness
from capacity.findings import Finding, Judged, Objective, Verdict

PROMISE = Objective("a.x", "<", 10.0, "ms", "Latency", "report")


def judged(*verdicts: Verdict) -> list[Judged]:
    return [(PROMISE, None, verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("promised", "expected", "said"),
    [
        ([Verdict.PASS], [Verdict.PASS], "Ready"),
        ([Verdict.PASS], [], "Ready"),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], [], "Undecided"),
        ([Verdict.PASS], [Verdict.VOID], "Undecided"),
        ([Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL], [], "Not ready"),
        ([Verdict.PASS], [Verdict.FAIL], "Not ready"),
        ([], [Verdict.PASS], "Undecided"),
    ],
)
def test_the_verdict_is_of_promises_and_expectations(
    promised: list[Verdict], expected: list[Verdict], said: str
) -> None:
    assert readiness(judged(*promised), judged(*expected)) == said


def test_what_holds_it_back_is_named_worst_first() -> None:
    rows = judged(Verdict.NO_DATA, Verdict.PASS, Verdict.INCONCLUSIVE)
    answers = answers_of(rows, judged(Verdict.FAIL), [], {}, "no plan")
    assert [verdict for _, _, verdict in answers.held_back] == [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NO_DATA]


def test_without_a_search_and_a_plan_each_answer_says_why() -> None:
    answers = answers_of([], [], [], {"queue": "not searched"}, "nothing can be planned")
    (part,) = answers.parts
    assert (part.held.value, part.recommended.value, part.broke, part.limits) == (None, None, "not searched", ())
    assert part.held.note == "not measured: this run has no search of it"
    assert answers.first_limit.note == "nothing can be planned"
    assert part.projected.note == answers.cost.note == answers.cost_today.note == "there is no plan"
    assert answers.plan is None


def test_a_search_that_cannot_be_read_again_keeps_its_numbers() -> None:
    held = Finding("breaking_point.queue.highest_sustainable", 750.0, "/s", 750.0, 880.0, 8, "breaking_point/queue")
    (part,) = answers_of([], [], [held], {"queue": "its recording is gone"}, "").parts
    assert part.held is held
    assert part.broke == "its recording is gone"
