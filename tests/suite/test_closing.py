"""A run ends with its four answers, then with what does not hold and what to do next, in the terminal's columns."""

from dataclasses import replace
from pathlib import Path

import pytest

from capacity.analysis.planning.answers import Answers
from capacity.findings import Finding, Objective, Verdict
from capacity.run import Run
from capacity.suite.answers import read_answers
from capacity.suite.closing import closing_text
from capacity.suite.next_steps import to_do

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"
RUN = Run(RECORDED / "findings", RECORDED, PROJECT)
SLOWER = "lower the rate"
PROMISED = Objective("redis.response_p99", "<", 10.0, "ms", "Command latency p99")


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers(RUN)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("everything", [False, True])
def test_no_line_is_wider_than_the_terminal_and_the_answers_come_first(
    answers: Answers, width: int, everything: bool
) -> None:
    steps = to_do([*answers.judged, *answers.expected], RUN)
    lines = closing_text(answers, steps, width, everything=everything).splitlines()
    assert max(map(len, lines)) <= width
    heads = [line.split(":")[0] for line in lines if line and not line.startswith(" ")][:4]
    assert heads[0].startswith(f"{answers.verdict}. ")
    assert heads[1:] == [
        "How much load does it hold, and what breaks first?",
        "When do we outgrow it?",
        "What should we run instead?",
    ]
    said = " ".join(" ".join(lines).split())
    for each, _, _ in answers.held_back:
        assert f"{each.section}: {each.title}" in said
    held = [each for each, _, verdict in (*answers.judged, *answers.expected) if verdict is Verdict.PASS]
    shown = sum(f"{each.section}: {each.title}" in said for each in held)
    assert shown == (len(held) if everything else 0)
    assert (f"{len(held)} hold (PASS); --all shows them" in said) != everything


def test_what_is_to_be_done_alike_is_said_once_with_its_command(answers: Answers) -> None:
    steps = to_do([*answers.judged, *answers.expected], RUN)
    said = closing_text(answers, steps, 110)
    assert steps
    for step in steps:
        assert said.count(f"\n  {step.command}\n") == 1
        assert f"{step.reason}. Next: {step.next_step}" in " ".join(said.split())


def test_promises_without_a_number_are_listed_by_their_titles_with_the_reason(answers: Answers) -> None:
    void = [
        (replace(PROMISED, title=title), Finding(PROMISED.finding, 9.0, "ms", void="late", remedy=SLOWER), Verdict.VOID)
        for title in ("Latency", "Slowest command")
    ]
    rows = [*void, (PROMISED, Finding(PROMISED.finding, None, "ms", note="fewer than 299"), Verdict.NO_DATA)]
    said = closing_text(answers, to_do(rows, RUN), 110)
    assert "\nDoes not count: late. Next: lower the rate, and measure again\n" in said
    assert "\n  redis: Latency, Slowest command\n" in said
    assert said.count("late.") == 1
    assert "\nNot given: fewer than 299. Next: put that right, and measure again\n" in said
    assert "\n  redis: Command latency p99\n" in said


def test_what_failed_stands_after_the_answers_with_its_reason_and_the_most_frequent_first(answers: Answers) -> None:
    reason, note = "INSERT: ReadOnlySqlTransaction (25006)", "the server says: cannot execute INSERT in a read-only"
    failed = [
        Finding("database.a.failures.b", 3.0, "", 3.0, 3.0, 22_637, title="a: b", note="3 at a constant load"),
        Finding(
            "database.insert.failures.x", 13_599.0, "", count=22_637, title=reason, note=f"from 0.1 to 9 s; {note}"
        ),
        *[Finding(f"redis.get.failures.r{n}", 1.0, count=9, title=f"GET: R{n}", note="once") for n in range(9)],
    ]
    said = closing_text(answers, [], 80, findings=failed)
    assert max(map(len, said.splitlines())) <= 80
    shown = " ".join(said.partition("What failed, and why?")[2].split())
    assert shown.startswith(
        f"database: {reason}, 13,599 of 22,637 (60.1 %) from 0.1 to 9 s; {note} database: a: b, 3 of"
    )
    assert "3 of 22,637 (<0.1 %)" in shown
    assert "and 3 more reasons, in the report" in shown
    assert "What failed" not in closing_text(answers, [], 80, findings=[failed[0]][:0])
