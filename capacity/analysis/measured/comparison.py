"""Two runs beside each other: what changed, whether that is more than chance, and what it means for each promise."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from capacity.analysis.statistics.estimates import student
from capacity.analysis.statistics.repetition import smallest_detectable_change
from capacity.findings import Finding, Objective, Verdict, judge

COLUMNS = (
    "finding", "section", "title", "unit",
    "before", "before_low", "before_high", "after", "after_low", "after_high",
    "change", "change_low", "change_high", "change_share", "detectable", "answer", "direction",
    "promise", "verdict_before", "verdict_after", "outcome",
)  # fmt: skip
NUMBERS = COLUMNS[4:15]


class Significance(StrEnum):
    """Whether a finding changed."""

    CHANGED = "changed"
    WITHIN_CHANCE = "within chance"
    COUNTED = "counted"
    NOT_COMPARED = "not compared"


class PromiseOutcome(StrEnum):
    """What became of a promise, the worst first."""

    REGRESSED = "regressed"
    NEW = "new"
    REMAINS = "remains"
    UNDECIDED = "undecided"
    IN_DOUBT = "in doubt"
    RESOLVED = "resolved"
    OPEN = "open"
    HOLDS = "holds"


FOUND = (PromiseOutcome.RESOLVED, PromiseOutcome.REMAINS, PromiseOutcome.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Change:
    """After less before with its interval; `detectable` is known from repetitions only."""

    answer: Significance
    value: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None


def compare_findings(
    before: Iterable[Finding],
    after: Iterable[Finding],
    objectives: Iterable[Objective] = (),
    repetitions: Sequence[Iterable[Finding]] = (),
) -> pd.DataFrame:
    """A row for each finding of either run, in the order of `before`, with the columns of `COLUMNS`.

    `repetitions` are the findings of further runs of the system that `before` measured, unchanged. Values, bounds,
    `change` and `detectable` are in `unit`; `change_share` is the change over the value before. What is not known is
    NaN, or None in the columns of words:

    - `answer`: see `change_of`.
    - `title`: the promise's where there is one, else the finding's.
    - `direction`: "better" or "worse" where the finding changed and a promise says which way is good.
    - `promise`, `verdict_before`, `verdict_after`: of the objective on the finding.
    - `outcome`: of an issue that was found before: resolved, remains, or undecided where nothing tells. Of the others:
      regressed where it fails now and held before (or was open and got worse), new where it fails now and nothing was
      known or changed, in doubt where it held and no longer surely does, holds, and open where nothing was decided.

    Raises ValueError for an objective in another unit than its finding.
    """
    earlier, later = ({each.name: each for each in findings} for findings in (before, after))
    further = [{each.name: each for each in findings} for findings in repetitions]
    promised = {each.finding: each for each in objectives}
    rows = []
    for name in dict.fromkeys([*earlier, *later, *promised]):
        old, new = earlier.get(name), later.get(name)
        change = change_of(old, new, [each[name] for each in further if name in each])
        rows.append(_row(name, old, new, change, promised.get(name)))
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object).astype(dict.fromkeys(NUMBERS, float))


def change_of(before: Finding | None, after: Finding | None, repetitions: Sequence[Finding] = ()) -> Change:
    """How far a finding moved, and whether by more than chance.

    CHANGED and WITHIN_CHANCE: by the interval of the change, which is put together from both intervals (MOVER). With
    repetitions it is at least as wide as two runs of an unchanged system differ. COUNTED: both intervals have no width,
    as that of a count or a peak, so only repetitions could tell chance from change. NOT_COMPARED: one is missing, void,
    infinite (censored), without an interval or in another unit.
    Source: Zou and Donner, Statistics in Medicine 27 (2008) 1693, equation 4; for two runs ISO 5725-6 (1994), 4.1.
    """
    if before is None or after is None or before.unit != after.unit or before.void or after.void:
        return Change(Significance.NOT_COMPARED)
    if before.value is None or after.value is None or not math.isfinite(after.value - before.value):
        return Change(Significance.NOT_COMPARED)
    value, detectable = after.value - before.value, None
    runs = [each.value for each in (before, *repetitions) if each.value is not None and each.unit == before.unit]
    if None in (before.low, before.high, after.low, after.high):
        return Change(Significance.NOT_COMPARED, value)
    old, new = (np.diff(np.array([each.low, each.value, each.high], dtype=float)) for each in (before, after))
    low, high = value - math.hypot(new[0], old[1]), value + math.hypot(new[1], old[0])
    if len(runs) > 1:
        two_runs = student(len(runs) - 1) * math.sqrt(2) * float(np.std(runs, ddof=1))  # differ by no more, unchanged
        low, high = min(low, value - two_runs), max(high, value + two_runs)
        detectable = smallest_detectable_change(runs).value
    answer = Significance.WITHIN_CHANCE if low <= 0 <= high else Significance.CHANGED
    if len(runs) == 1 and value and not old.any() and not new.any():
        answer = Significance.COUNTED
    return Change(answer, value, low, high, detectable)


def _row(
    name: str, before: Finding | None, after: Finding | None, change: Change, objective: Objective | None
) -> dict[str, Any]:
    known = after or before
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"finding": name, "section": name.partition(".")[0]}
    row |= {"title": known.title if known else "", "unit": known.unit if known else ""}
    for when, found in (("before", before), ("after", after)):
        row |= {when: found and found.value, f"{when}_low": found and found.low, f"{when}_high": found and found.high}
    row |= {"change": change.value, "change_low": change.low, "change_high": change.high, "answer": change.answer}
    if change.value is not None and before and before.value:
        row["change_share"] = change.value / before.value
    row["detectable"] = change.detectable
    if objective is None:
        return row
    verdicts, direction = (judge(before, objective), judge(after, objective)), direction_of(change, objective)
    row |= {"title": objective.title or row["title"], "unit": objective.unit, "promise": objective.promise}
    row |= {"verdict_before": verdicts[0], "verdict_after": verdicts[1], "direction": direction}
    return row | {"outcome": outcome_of(*verdicts, direction)}


def direction_of(change: Change, objective: Objective) -> str | None:
    """ "better" or "worse" by what is promised; None where nothing changed, or the promise has no good side."""
    if change.answer not in (Significance.CHANGED, Significance.COUNTED) or not change.value:
        return None
    if objective.relation == "==":  # of what is counted, and promised to be 0
        return None if objective.limit else "worse" if change.value > 0 else "better"
    return "better" if (change.value < 0) == objective.relation.startswith("<") else "worse"


def outcome_of(before: Verdict, after: Verdict, direction: str | None) -> PromiseOutcome:
    """What became of a promise between two verdicts; see `compare_findings`."""
    if before is Verdict.FAIL:
        ended = {Verdict.PASS: PromiseOutcome.RESOLVED, Verdict.FAIL: PromiseOutcome.REMAINS}
        return ended.get(after, PromiseOutcome.UNDECIDED)
    if after is Verdict.FAIL:
        got_worse = before is Verdict.INCONCLUSIVE and direction == "worse"
        return PromiseOutcome.REGRESSED if before is Verdict.PASS or got_worse else PromiseOutcome.NEW
    if before is Verdict.PASS and after is not Verdict.PASS:
        return PromiseOutcome.IN_DOUBT
    return PromiseOutcome.HOLDS if after is Verdict.PASS else PromiseOutcome.OPEN


def issues(compared: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """The rows of the promises that failed in either run: `found` before, of those `resolved`, and `new` after."""
    outcome = compared["outcome"]
    return {
        "found": compared[outcome.isin(FOUND)],
        "resolved": compared[outcome == PromiseOutcome.RESOLVED],
        "new": compared[outcome.isin([PromiseOutcome.REGRESSED, PromiseOutcome.NEW])],
    }
