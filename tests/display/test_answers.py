"""The four answers as lines of text: each is there, what was not measured says why, and a void plan does not count."""

from dataclasses import replace
from pathlib import Path

import pytest

from capacity.analysis.planning.answers import Answers
from capacity.display.answers import answers_text, day_text, first_limit_text
from capacity.display.tables import LINE_WIDTH, finding_text
from capacity.suite.answers import read_answers

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers(RECORDED / "findings", RECORDED, PROJECT)


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
    assert "  redis: no projected peak (not projected in this unit)" in lines
    assert f"{answers.outgrown.day} ({answers.outgrown.earliest} to {answers.outgrown.latest})" in said
    assert finding_text(answers.cost) in said
    assert all("\n" not in line and len(line) <= LINE_WIDTH for line in lines)


def test_a_narrow_terminal_has_what_broke_on_a_line_of_its_own(answers: Answers) -> None:
    lines = answers_text(answers, 80)
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("      broke: ")] == [
        f"      broke: {part.broke}" for part in answers.parts
    ]


def test_a_limit_in_the_past_and_one_that_never_comes_are_words(answers: Answers) -> None:
    first = answers.outgrown
    over = replace(first.months, value=0.0, low=0.0, high=0.0)
    assert day_text(replace(first, months=over)) == "already exceeded"
    assert day_text(replace(first, months=replace(over, high=1.0))) == f"already exceeded (or by {first.latest})"
    assert day_text(replace(first, months=replace(over, value=float("inf")))) == "never"


def test_a_plan_from_a_void_measurement_does_not_count(answers: Answers) -> None:
    void = replace(answers.outgrown.months, void="database.cpu_share: slow generator")
    assert first_limit_text(replace(answers.outgrown, months=void)) == (
        "does not count, since it comes from a measurement that is void: database.cpu_share: slow generator"
    )
