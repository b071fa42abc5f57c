"""The four answers come from a run's folders alone, and what was not measured is in them with its cause."""

import re
import shutil
from pathlib import Path

import pytest

from capacity.analysis.planning.basis import read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.plan import make_plan
from capacity.analysis.planning.plan_file import read_plan
from capacity.display.answers import answers_text, choice_texts, first_limit_text
from capacity.errors import CapacityError
from capacity.findings import Verdict, write_findings
from capacity.run import Run
from capacity.suite.answers import OF_OTHERS, read_answers, read_capacity_plan

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
    assert "  redis: not measured: this run has no search of it" in said
    assert answers.plan is not None
    ((title, size, _, note),) = [choice_texts(part) for part in answers.plan.counted]
    assert (title, size, note) == (
        "Redis on ElastiCache",
        "≥ t3.small, 25",
        "at least this size: CPU, connections not judged",
    )
    assert "not measured, and so not planned: Database on RDS, Workers on EC2, Gateway on EC2" in " ".join(said.split())
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


def run_of(folder: Path, *parts: str, searched: bool = False) -> Run:
    """A run that measured these parts, and where `searched` their breaking points."""
    names = [f"{part}." for part in parts] + [f"breaking_point.{part}." for part in parts if searched]
    write_findings(
        folder / "findings" / "all.json", [each for each in RUN.findings if each.name.startswith(tuple(names))]
    )
    (folder / "recordings").symlink_to(RECORDED)
    return Run.at(folder, PROJECT)


TITLES = {"database": "Database", "redis": "Redis", "queue": "Queue", "gateway": "Gateway"}


@pytest.mark.parametrize(
    "parts", [("database",), ("redis",), ("queue",), ("gateway",), ("database", "redis"), ("queue", "gateway")]
)
def test_whatever_was_measured_the_answers_speak_of_nothing_else(parts: tuple[str, ...], tmp_path: Path) -> None:
    run = run_of(tmp_path, *parts)
    answers = read_answers(run)
    assert [part.name for part in answers.parts] == [name for name in TITLES if name in parts]
    assert {each.section for each, _, _ in answers.judged} == set(parts)
    assert Verdict.NO_DATA not in {verdict for _, _, verdict in answers.judged}
    said = " ".join(" ".join(answers_text(answers)).split())
    said = re.sub(r"not measured, and so not planned: [^.]*", "", said)
    for other in set(TITLES) - set(parts):
        assert f"{other}:" not in said and f"{TITLES[other]} " not in said, said
    assert f"{', '.join(each.name for each in answers.parts)}: not measured: this run has no search of it" in said


@pytest.mark.parametrize("part", ["redis", pytest.param("queue", marks=pytest.mark.thorough)])
def test_a_part_that_was_searched_alone_has_its_load_and_no_other(part: str, tmp_path: Path) -> None:
    answers = read_answers(run_of(tmp_path, part, searched=True))
    (held,) = answers.parts
    assert held.name == part and held.held.value is not None
    assert answers.judged and all(part in objective.finding for objective, _, _ in answers.judged)


def test_the_packages_plan_is_not_that_of_another_load(tmp_path: Path) -> None:
    run = run_of(tmp_path, "redis")
    (tmp_path / "recordings").unlink()
    shutil.copytree(RECORDED / "redis", tmp_path / "recordings" / "redis")
    manifest = tmp_path / "recordings" / "redis" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"name": "redis"', '"name": "sessions"'))
    answers = read_answers(run)
    assert answers.plan is None and answers.why_no_plan == OF_OTHERS
    said = answers_text(answers)
    assert sum("the plan at hand is that of" in " ".join(line.split()) for line in said) == 1
    assert "  not known: there is no plan" in said
    assert not [line for line in said if "t3." in line or "RDS" in line]


def test_a_part_that_the_plan_does_not_name_says_so_once(tmp_path: Path) -> None:
    run = run_of(tmp_path, "redis", "queue")
    plan = read_plan(PROJECT / "data" / "plan.yaml")
    own = plan.model_copy(update={"resources": [each for each in plan.resources if each.of == "redis"]})
    basis = read_basis(run.findings_folder, run.findings)
    answers = read_answers(run, make_plan(own, basis, read_catalog(PROJECT / "data" / "catalog")))
    assert [part.projected.note for part in answers.parts] == ["in another unit", "no plan names it"]
