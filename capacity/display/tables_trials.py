"""Trials of faults as text and tables: what was expected beside what was seen, and what each fault cost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from capacity.display.tables import finding_link, rows_style
from capacity.display.text import aligned, finding_text, wrapped
from capacity.findings import Finding, Judged, Objective, Verdict, worst
from capacity.scenarios.trial import Trial
from capacity.scenarios.trials import StoredTrial, expected_of, scenario_label

NOT_SO = "–"  # a figure that a scenario does not have
NOT_SEEN = "not seen"  # a moment that did not come
COSTS: Mapping[str, tuple[str, ...]] = {
    "first sign, ms": ("detected",),
    "first good answer, ms": ("first_success",),
    "within the limit again, ms": ("restored",),
    "failed": ("failed",),
    "too late": ("late",),
    "never answered": ("lost",),
    "jobs or writes lost": ("jobs_lost", "lost_writes"),
    "done twice": ("jobs_duplicated",),
    "begun again": ("jobs_reprocessed",),
    "all taken up again, s": ("retaken",),
    "recovered": ("jobs_recovered", "recovered_writes"),
    "backlog": ("backlog",),
    "drained after, s": ("drained",),
    "in theory, s": ("drained_in_theory",),
}

AMOUNTS = {"<": "fewer than", "<=": "at most", ">": "more than", ">=": "at least", "==": "exactly"}
COUNTED = ("", "jobs")  # units of what is counted, which stands before what it is
WORDS = {  # of figures whose finding's title says too little where it stands alone
    "shed": "writes refused with a 503",
    "failed": "operations that fail",
    "reads_refused": "reads that are not answered well",
    "depth_peak": "jobs in the queue when it is longest",
    "depth_end": "jobs in the queue when the overload ends",
    "wait_longest": "the longest wait of a job",
    "waited_behind": "jobs before the one that waits longest",
    "admitted_within": "admitted writes that are answered within 500 ms",
    "closed_after": "time from the overload's end until all are admitted",
    "hidden_refusals": "refusals that the pool hides from its clients",
    "jobs_lost": "jobs lost",
    "jobs_unexpected": "jobs done that nobody added",
    "jobs_duplicated": "jobs done twice",
    "jobs_reprocessed": "jobs begun more than once",
    "jobs_given_up": "jobs given up because they stalled too often",
    "jobs_restored": "time until all unfinished jobs are queued again",
    "effects": "jobs that take effect",
    "effects_lost": "jobs without an effect",
    "effects_duplicated": "jobs that take effect twice",
    "lost_writes": "acknowledged writes that are gone",
    "requests_lost": "acknowledged writes that are gone",
    "unexpected_writes": "rows that nobody sent",
    "writes_refused": "writes that are not acknowledged",
    "internal_errors": "requests answered with 500",
    "unanswered": "requests without an answer",
    "failed_otherwise": "requests that fail otherwise than with 503",
    "failed_in_all": "requests that fail, in and after the fault",
    "first_success": "time from the fault's end to the first good answer",
    "restored": "time from the fault's end until all is within its limit for good",
    "retaken": "time until all jobs are taken up again",
    "caught_up": "time from the fault's end until its jobs are done",
}


def expectation_text(objective: Objective, found: Finding | None) -> str:
    """What is expected, as a clause that is read without the code: `at most 20 jobs begun more than once`."""
    what = WORDS.get(objective.finding.rpartition(".")[2]) or expected_of(objective, found)
    if objective.unit not in COUNTED:
        return f"{what}: {AMOUNTS[objective.relation]} {objective.limit:,g} {objective.unit}"
    if objective.relation == "==" and objective.limit == 0:
        return f"no {what}"
    return f"{AMOUNTS[objective.relation]} {objective.limit:,g} {what}"


def expectation_title(objective: Objective, found: Finding | None) -> str:
    """The same with the scenario that it is expected of, as `Worker kill: no jobs lost`."""
    label = scenario_label(objective.finding.split(".")[1])
    return f"{label[:1].upper()}{label[1:]}: {expectation_text(objective, found)}"


def expectations_text(trials: Iterable[Trial]) -> str:
    """One line an expectation: verdict, scenario, of what, expected and seen."""
    rows = [
        (str(verdict), trial.scenario, expected_of(objective, found), objective.promise, finding_text(found))
        for trial in trials
        for objective, found, verdict in trial.verdicts
    ]
    return aligned(rows)


def outcomes_text(trials: Sequence[StoredTrial]) -> str:
    """The verdicts of some trials, as lines that fit a page; empty where none was run."""
    return wrapped(", ".join(f"{stored.trial.scenario} {stored.trial.verdict}" for stored in trials))


def trial_heading(trial: Trial) -> str:
    """The scenario with its verdict, and the proof that its fault was applied, in Markdown."""
    applied = "Applied" if trial.proof.applied else "Not applied"
    label = scenario_label(trial.scenario)
    return f"#### {label[:1].upper()}{label[1:]}: {trial.verdict}\n\n{applied}: {trial.proof.said}."


def expectations_style(trial: Trial) -> Styler:
    """What was expected, what was seen, how the expectation follows, and the verdict, in colour."""
    rows = [
        (expectation_text(objective, found), found, objective.why, str(verdict))
        for objective, found, verdict in trial.verdicts
    ]
    return rows_style(rows, ["expected", "seen", "because", "verdict"])


def costs_style(trials: Sequence[StoredTrial]) -> Styler:
    """A column a scenario that had load through its fault: times, what became of operations and jobs, and the backlog.

    A row that none of them has is left out. Numbers lead to the line of their finding.
    """
    columns = {}
    for stored in trials:
        by_figure = {each.name.rpartition(".")[2]: each for each in stored.trial.findings}
        found = {
            row: next((by_figure[each] for each in names if each in by_figure), None) for row, names in COSTS.items()
        }
        if any(found.values()):
            columns[scenario_label(stored.trial.scenario)] = found
    table = pd.DataFrame(columns, index=list(COSTS), dtype=object)
    return table[table.notna().any(axis=1)].style.format(_cell)


def scenarios_style(judged: Sequence[Judged]) -> Styler:
    """A row a scenario: how many of its judged expectations hold, and the worst verdict on them, in colour."""
    return rows_style(_by_scenario(judged), ["section", "scenario", "expectations that hold", "verdict"])


def scenarios_text(judged: Sequence[Judged]) -> str:
    """As `scenarios_style`, in lines."""
    return aligned([row[-1:] + row[:-1] for row in _by_scenario(judged)]) or "no fault was applied"


def _by_scenario(judged: Iterable[Judged]) -> list[tuple[str, ...]]:
    given: dict[str, list[Verdict]] = {}
    for objective, _, verdict in judged:
        given.setdefault(objective.finding.rpartition(".")[0], []).append(verdict)
    rows: list[tuple[str, ...]] = []
    for name, verdicts in given.items():
        section, _, scenario = name.partition(".")
        held = f"{verdicts.count(Verdict.PASS)} of {len(verdicts)}"
        rows.append((section, scenario_label(scenario), held, str(worst(verdicts))))
    return rows


def _cell(finding: Any) -> str:
    if not isinstance(finding, Finding):
        return NOT_SO
    return NOT_SEEN if finding.value is None else finding_link(finding)
