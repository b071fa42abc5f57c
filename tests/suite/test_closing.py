"""A run ends with its four answers, then with what does not hold and what to do next, in the terminal's columns."""

from pathlib import Path

import pytest

from capacity.analysis.planning.answers import Answers
from capacity.findings import Finding, Objective, Verdict
from capacity.suite.answers import read_answers
from capacity.suite.closing import closing_text, next_step

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "data" / "recorded"
PROMISED = Objective("redis.response_p99", "<", 10.0, "ms", "Command latency p99")


@pytest.fixture(scope="module")
def answers() -> Answers:
    return read_answers(RECORDED / "findings", RECORDED, PROJECT)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("everything", [False, True])
def test_no_line_is_wider_than_the_terminal_and_the_answers_come_first(
    answers: Answers, width: int, everything: bool
) -> None:
    lines = closing_text(answers, "standard", width, everything=everything).splitlines()
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
    assert (f"PASS: {len(held)}, which --all shows" in said) != everything


def test_what_is_to_be_done_alike_is_said_once_with_its_command(answers: Answers) -> None:
    said = closing_text(answers, "standard", 110)
    assert said.count("INCONCLUSIVE: the interval holds the limit; measure longer\n") == 1
    assert "\n  capacity run --only database,gateway --profile full\n" in said


@pytest.mark.parametrize(
    ("found", "verdict", "profile", "why", "options"),
    [
        (None, Verdict.NO_DATA, "smoke", "not measured; measure it", " --profile smoke"),
        (
            Finding(PROMISED.finding, None, "ms", note="fewer than 299"),
            Verdict.NO_DATA,
            "smoke",
            "fewer than 299; measure longer",
            " --profile standard",
        ),
        (
            Finding(PROMISED.finding, 9.0, "ms"),
            Verdict.INCONCLUSIVE,
            "standard",
            "nothing bounds a single result; measure longer",
            " --profile full",
        ),
        (
            Finding(PROMISED.finding, 9.0, "ms", 8.0, 11.0),
            Verdict.INCONCLUSIVE,
            "full",
            "the interval holds the limit; make its stages in data/workloads longer, and measure again",
            " --profile full",
        ),
        (
            Finding(PROMISED.finding, 9.0, "ms", 8.0, 11.0, void="the generator was late"),
            Verdict.VOID,
            "standard",
            "the generator was late; end what else runs on the machine, or make the load on another one, "
            "and measure again",
            " --profile standard",
        ),
        (
            Finding(PROMISED.finding, 19.0, "ms", 18.0, 21.0),
            Verdict.FAIL,
            "smoke",
            "the whole interval is beyond the limit; the report shows what was full then",
            None,
        ),
    ],
)
def test_the_next_step_follows_from_why_a_promise_does_not_hold(
    found: Finding | None, verdict: Verdict, profile: str, why: str, options: str | None
) -> None:
    step = next_step((PROMISED, found, verdict), profile)
    assert (step.verdict, step.why, step.options) == (verdict, why, options)
