"""A verdict is read from the whole interval, and nothing passes without data."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, Verdict, judge, read_findings, worst, write_findings

BELOW = Objective("a.x", "<", 10.0, "ms", "Latency", "test")
FINDING = Finding("a.x", 5.0, "ms", 4.0, 6.0, 100, "r", "latency")


@pytest.mark.parametrize(
    ("low", "value", "high", "verdict"),
    [
        (4.0, 5.0, 6.0, Verdict.PASS),
        (9.0, 9.5, 10.0, Verdict.INCONCLUSIVE),
        (9.0, 9.5, 11.0, Verdict.INCONCLUSIVE),
        (10.5, 11.0, 12.0, Verdict.FAIL),
        (10.0, 10.0, 10.0, Verdict.FAIL),
        (4.0, 5.0, math.inf, Verdict.INCONCLUSIVE),
        (math.inf, math.inf, math.inf, Verdict.FAIL),
        (None, 5.0, None, Verdict.INCONCLUSIVE),
        (None, None, None, Verdict.NO_DATA),
    ],
)
def test_the_verdict_is_of_the_interval(
    low: float | None, value: float | None, high: float | None, verdict: Verdict
) -> None:
    assert judge(replace(FINDING, low=low, value=value, high=high), BELOW) is verdict


def test_what_was_not_measured_or_does_not_count_never_passes() -> None:
    assert judge(None, BELOW) is Verdict.NO_DATA
    assert judge(replace(FINDING, void="the generator was late"), BELOW) is Verdict.VOID


@pytest.mark.parametrize(
    ("least", "low", "high", "most", "verdict"),
    [
        (0.0, 4.0, 6.0, 6.0, Verdict.PASS),  # without what spoilt it, it would have been no longer
        (0.0, 10.5, 12.0, 12.0, Verdict.VOID),  # it may have been made to fail
        (0.0, 9.0, 11.0, 11.0, Verdict.VOID),  # longer measuring does not decide it
        (4.0, 4.0, 6.0, math.inf, Verdict.VOID),  # it may have been made to pass
        (10.5, 10.5, 12.0, math.inf, Verdict.FAIL),
        (10.2, 10.5, 12.0, 12.0, Verdict.FAIL),  # it may have been a little lower, and fails with that, too
        (None, 4.0, 6.0, None, Verdict.VOID),
    ],
)
def test_what_was_spoilt_keeps_a_verdict_that_this_cannot_have_changed(
    least: float | None, low: float, high: float, most: float | None, verdict: Verdict
) -> None:
    found = replace(FINDING, low=low, value=(low + high) / 2, high=high, void="late", least=least, most=most)
    assert judge(found, BELOW) is verdict


@pytest.mark.parametrize(
    ("count", "least", "most", "verdict"),
    [(0, 0, 0, Verdict.PASS), (3, 0, 3, Verdict.VOID), (3, 1, 3, Verdict.FAIL), (0, 0, math.inf, Verdict.VOID)],
)
def test_a_count_that_was_spoilt_is_promised_to_be_none(count: int, least: int, most: float, verdict: Verdict) -> None:
    none = Objective("a.x", "==", 0.0, "", "None", "test")
    assert judge(Finding("a.x", count, "", count, count, 9, void="late", least=least, most=most), none) is verdict


def test_what_was_not_measured_has_no_data_whatever_was_spoilt_beside_it() -> None:
    nothing = replace(FINDING, value=None, low=None, high=None, note="all 4,975 answers were 404", void="late")
    assert judge(replace(nothing, least=0.0, most=0.0), BELOW) is Verdict.NO_DATA
    assert judge(nothing, BELOW) is Verdict.VOID


def test_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="both must be the same"):
        judge(replace(FINDING, unit="s"), BELOW)


def test_findings_are_read_as_they_were_written(tmp_path: Path) -> None:
    given = [FINDING, replace(FINDING, name="a.y", high=math.inf), replace(FINDING, value=None, low=None, high=None)]
    given.append(replace(FINDING, void="late", remedy="a core", least=0.0, most=math.inf))
    write_findings(tmp_path / "one.json", given[:1])
    write_findings(tmp_path / "two.json", given[1:])
    assert read_findings(tmp_path / "one.json") == given[:1]
    assert read_findings(tmp_path) == given


def test_no_findings_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"there are no findings in .*; measure first"):
        read_findings(tmp_path)
    with pytest.raises(CapacityError, match=r"there are no findings in .*nowhere; measure first"):
        read_findings(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "7", '["a"]', '[{"value": 1}]', '[{"name": "a.x", "value": "much"}]'])
def test_damaged_findings_are_one_sentence_that_names_their_file(tmp_path: Path, text: str) -> None:
    write_findings(tmp_path / "database.json", [FINDING])
    (tmp_path / "redis.json").write_text(text)
    with pytest.raises(CapacityError, match=r"^cannot read the findings in .*redis.json: .*; restore them, or") as told:
        read_findings(tmp_path)
    assert "\n" not in str(told.value)


def test_the_worst_verdict_is_that_something_failed_then_what_can_be_said_least_of() -> None:
    assert worst([Verdict.PASS, Verdict.FAIL, Verdict.PASS]) is Verdict.FAIL
    assert worst([Verdict.VOID, Verdict.FAIL]) is Verdict.FAIL
    assert worst([Verdict.NO_DATA, Verdict.VOID, Verdict.PASS]) is Verdict.VOID
    assert worst([Verdict.PASS, Verdict.NO_DATA, Verdict.INCONCLUSIVE]) is Verdict.NO_DATA
    assert worst([]) is Verdict.NO_DATA
