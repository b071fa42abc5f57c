"""The four answers as lines of text: each is there, what was not measured says why, and a void plan does not count."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.analysis.planning.answers import Answers
from capacity.analysis.planning.growth import Exhaustion
from capacity.display.answers import answers_text, first_limit_text, part_answer_text
from capacity.display.tables_plan import date_text
from capacity.display.text import LINE_WIDTH, finding_text
from capacity.findings import Finding
from capacity.run import Run
from capacity.suite.answers import read_answers

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers(Run(RECORDED / "findings", RECORDED, PROJECT))


def test_the_four_answers_are_in_the_text_in_their_order(answers: Answers) -> None:
    lines = answers_text(answers)
    said = "\n".join(lines)
    assert lines[0].startswith("Undecided. 52 of 54 promises hold")
    questions = [line for line in lines if line.endswith("?")]
    assert questions == [
        "How much load does it hold, and what breaks first?",
        "When do we outgrow it?",
        "What should we run instead?",
    ]
    for part in answers.parts:
        line = next(line for line in lines if line.split()[:1] == [part.name])
        assert finding_text(part.held, unit=False) in line
        assert finding_text(part.recommended, unit=False) in line
        assert (finding_text(part.projected, unit=False) in line) == (part.projected.value is not None)
        assert part.broke in " ".join(said.split())
    assert "  redis: no projected peak (in another unit)" in lines
    assert answers.plan is not None and date_text(answers.plan, answers.plan.first) in said
    assert "for 3 months: at least 322 USD/month; today: at least 77 USD/month" in said
    assert "Database CPU of t3.medium" in said  # which is not what was measured
    assert "the parts of which both are known cost 241 instead of 77" in said
    assert "  Database on RDS       ≥ m5.large + 20 GiB, 132" in said  # of which operations were not measured
    assert all("\n" not in line and len(line) <= LINE_WIDTH for line in lines)


def test_a_narrow_terminal_has_what_broke_on_a_line_of_its_own(answers: Answers) -> None:
    lines = answers_text(answers, 80)
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("      broke: ")] == [
        f"      broke: {part.broke}" for part in answers.parts
    ]


def test_a_limit_in_the_past_and_one_that_never_comes_are_words(answers: Answers) -> None:
    plan = answers.plan
    assert plan is not None

    def said(low: float, value: float, high: float) -> str:
        text = first_limit_text(replace(answers, plan=replace(plan, first=Exhaustion(value, low, high))))
        return text.partition(": Database CPU of t3.medium (in 100% of the simulations)")[0]

    assert said(0.0, 0.0, 0.0) == "already exceeded"
    assert said(0.0, 0.0, 1.0) == f"already exceeded (or by {plan.day(1.0)})"
    assert said(3.0, math.inf, math.inf) == "never"
    assert said(1.0, 1.0, 1.0) == f"{plan.day(1.0)}, 30 days after the measurement"


def test_what_is_outgrown_within_a_quarter_is_said_first(answers: Answers) -> None:
    soon = "  What runs today is outgrown 4 days after the measurement: Database CPU of t3.medium"
    assert answers_text(answers)[1] == soon
    later = replace(answers, first_limit=replace(answers.first_limit, value=3.0))
    assert answers_text(later)[1] == ""


def test_a_plan_from_a_void_measurement_does_not_count(answers: Answers) -> None:
    void = replace(answers.first_limit, void="database.cpu_share: slow generator")
    assert first_limit_text(replace(answers, first_limit=void)) == (
        "does not count, since it comes from a measurement that is void: database.cpu_share: slow generator"
    )


def test_a_part_is_answered_by_its_figures_each_with_its_promise_and_by_what_holds_it_back(answers: Answers) -> None:
    findings = [found for _, found, _ in answers.judged if found and found.section == "database"]
    objectives = [each for each, _, _ in answers.judged if each.section == "database"]
    extra = Finding("database.throughput", 1965.0, "/s", 1950.0, 1980.0, 120, title="per second")
    lines = part_answer_text([extra, *findings], objectives, "throughput", "response_p99").splitlines()
    assert lines[0] == "INCONCLUSIVE: 11 of 12 promises hold, none broken, 1 undecided"
    assert lines[1].split("  ")[0] == "per second" and lines[1].endswith("1,965 /s (1,950 to 1,980)")
    assert lines[2].startswith("Query latency p99") and lines[2].endswith("PASS  < 500 ms")
    assert lines[3:] == ["INCONCLUSIVE: Row lock contention < 0.1 %, found 0.44 % (0.09 to 1.29)"]


def test_a_part_of_which_nothing_was_measured_says_so_and_names_no_more_than_two(answers: Answers) -> None:
    objectives = [each for each, _, _ in answers.judged if each.section == "redis"]
    lines = part_answer_text([], objectives).splitlines()
    assert lines[0] == "NO_DATA: 0 of 11 promises hold, none broken, 11 undecided"
    assert [line.split("  ")[0] for line in lines[1:]] == [each.title for each in objectives]
    assert all("not measured" in line and "NO_DATA" in line for line in lines[1:])
    slow = Finding("redis.response_p99", 12.0, "ms", 11.0, 13.0, 9)
    lines = part_answer_text([slow], objectives, "response_p99").splitlines()
    assert lines[1].endswith("FAIL  < 10 ms")
    assert lines[2].startswith("NO_DATA: ") and lines[4:] == ["and 8 more, see the verdicts below"]
