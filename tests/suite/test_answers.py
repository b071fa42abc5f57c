"""The four answers come from a run's folders alone, and what was not measured is in them with its cause."""

import shutil
from pathlib import Path

import pytest

from capacity.display.answers import answers_text, choice_texts, first_limit_text
from capacity.errors import CapacityError
from capacity.findings import Verdict
from capacity.run import Run
from capacity.suite.answers import read_answers, read_capacity_plan

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"
RUN = Run(RECORDED / "findings", RECORDED, PROJECT)


def test_the_committed_recordings_answer_all_four() -> None:
    answers = read_answers(RUN)
    assert answers.verdict == "Undecided"
    assert {verdict for _, _, verdict in answers.held_back} == {Verdict.INCONCLUSIVE}
    assert [part.name for part in answers.parts] == ["database", "redis", "queue", "gateway"]
    assert all(part.held.value and part.recommended.value and part.broke and part.seen_as for part in answers.parts)
    assert [part.projected.value is None for part in answers.parts] == [False, True, False, False]
    assert [part.limits[0].resource for part in answers.parts] == [
        "database_cpu",
        "redis_memory",
        "queue_throughput",
        "gateway_pool",
    ]
    months, plan = answers.first_limit, answers.plan
    assert months.low is not None and months.value is not None and months.high is not None
    assert months.low <= months.value <= months.high
    assert plan is not None and next(iter(plan.binds)) == "database_cpu"
    assert (plan.first.low, plan.first.value, plan.first.high) == (months.low, months.value, months.high)
    assert len(plan.counted) == 4
    assert answers.cost.value is not None and answers.cost_today.value is not None


def test_a_run_of_one_notebook_says_what_it_did_not_measure_and_gives_no_zero(tmp_path: Path) -> None:
    (tmp_path / "findings").mkdir()
    shutil.copy(RECORDED / "findings" / "redis.json", tmp_path / "findings")
    shutil.copytree(RECORDED / "redis", tmp_path / "recordings" / "redis")
    answers = read_answers(Run.at(tmp_path, PROJECT))
    said = "\n".join(answers_text(answers))
    assert all(part.held.value is None and part.recommended.value is None for part in answers.parts)
    assert "  database, redis, queue, gateway: not measured: this run has no search of it" in said
    assert answers.cost.value is None
    assert answers.plan is not None
    chosen = [choice_texts(part) for part in answers.plan.counted]
    assert [size for _, size, _, _ in chosen] == ["not known", "t3.small, 25", "not known", "not known"]
    assert all("not measured and not judged" in note for _, _, _, note in chosen)
    assert " 0" not in said.partition("How much")[2].partition("When")[0]


def test_without_recordings_the_numbers_stay_and_the_plan_says_why_there_is_none(tmp_path: Path) -> None:
    shutil.copytree(RECORDED / "findings", tmp_path / "findings")
    answers = read_answers(Run.at(tmp_path, PROJECT))
    assert answers.parts[0].held.value is not None
    assert answers.parts[0].broke.startswith("cannot read the search in ")
    assert answers.plan is None
    assert first_limit_text(answers).startswith("not known: no recording of the findings in ")
    assert "so the day of the run is unknown" in " ".join(" ".join(answers_text(answers)).split())


def test_a_folder_without_findings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"there are no findings in .*; measure first"):
        read_answers(Run(tmp_path, tmp_path, PROJECT))


def test_a_plan_that_is_given_is_in_the_place_of_the_projects_own() -> None:
    own = read_capacity_plan(RUN, PROJECT / "data" / "plan.yaml", PROJECT / "data" / "catalog", seed=2)
    answers = read_answers(RUN, own)
    assert answers.plan is own
    assert answers.first_limit.value == own.first.value
    assert read_answers(RUN).plan != own
