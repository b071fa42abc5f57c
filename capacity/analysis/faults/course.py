"""What happened over time around a fault: each operation, what was answered, and the moments that matter."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from capacity.analysis.faults.recovery import FATES, fates
from capacity.findings import Finding
from capacity.samples import response_ns
from capacity.units import MS_PER_S, NS_PER_MS, NS_PER_S

EVERY_S = 0.1  # the width of a bar


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment in s from the load's begin, and what it is in words."""

    at_s: float
    label: str


@dataclass(frozen=True, slots=True)
class FaultCourse:
    """The course of a trial; times in s from the load's begin.

    `operations` has a row an operation: `due_s`, `response_ms` and `fate`. `answers` has a row for each EVERY_S:
    `at_s`, how many operations a second were `due` in it, and how many a second ended in it by their fate. `scenario`
    is its name, and `moments` are in their order.
    """

    scenario: str
    operations: pd.DataFrame
    answers: pd.DataFrame
    begin_s: float
    end_s: float
    objective_ms: float
    moments: tuple[Moment, ...]


def fault_course(
    scenario: str, samples: pd.DataFrame, findings: Iterable[Finding], objective_ms: float
) -> FaultCourse | None:
    """The course of a trial from its samples and findings; None without samples, or where its begin is not told.

    Findings that are read: `began` in s and `down` in ms (how long it lasted; without it the fault is a moment), and
    those of `recovery_findings`.
    """
    told = {each.name.rpartition(".")[2]: each.value for each in findings if each.value is not None}
    if "began" not in told or samples.empty:
        return None
    begin_s = told["began"]
    end_s = begin_s + told.get("down", 0.0) / MS_PER_S
    operations = pd.DataFrame(
        {
            "due_s": samples["scheduled_ns"] / NS_PER_S,
            "response_ms": response_ns(samples) / NS_PER_MS,
            "fate": fates(samples, objective_ms),
        }
    )
    moments, answers = _moments(told, begin_s, end_s, objective_ms), _answers(samples, operations["fate"])
    return FaultCourse(scenario, operations, answers, begin_s, end_s, objective_ms, moments)


def _answers(samples: pd.DataFrame, fate: "pd.Series[str]") -> pd.DataFrame:
    width = round(EVERY_S * NS_PER_S)
    due = (samples["scheduled_ns"] // width).value_counts()
    ended = pd.crosstab(samples["finished_ns"] // width, fate).reindex(columns=list(FATES), fill_value=0)
    counted = pd.concat([ended, due.rename("due")], axis=1)
    rates = counted.reindex(range(counted.index.min(), counted.index.max() + 1)).fillna(0.0) / EVERY_S
    rates.insert(0, "at_s", rates.index * EVERY_S)
    return rates.reset_index(drop=True)


def _moments(told: dict[str, float], begin_s: float, end_s: float, objective_ms: float) -> tuple[Moment, ...]:
    words = {
        "detected": (begin_s, "first sign, {:,.0f} ms after its begin"),
        "first_success": (end_s, "first good answer, {:,.0f} ms after its end"),
        "restored": (end_s, f"within {objective_ms:g} ms for good, {{:,.0f}} ms after its end"),
    }
    given = ((since, told[name], text) for name, (since, text) in words.items() if name in told)
    found = (Moment(since + took_ms / MS_PER_S, text.format(took_ms)) for since, took_ms, text in given)
    return tuple(sorted(found, key=lambda moment: moment.at_s))
