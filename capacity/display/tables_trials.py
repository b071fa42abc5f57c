"""Trials of faults as text and tables: what was expected beside what was seen, and what each fault cost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from capacity.display.tables import aligned, finding_link, finding_text, verdict_style, wrapped
from capacity.findings import Finding, Judged, Verdict, worst
from capacity.scenarios.trial import Trial
from capacity.scenarios.trials import StoredTrial, expected_of, scenario_label

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

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


def expectations_text(trials: Iterable[Trial]) -> str:
    """One line an expectation: verdict, scenario, of what, expected and seen."""
    rows = [
        (str(verdict), trial.scenario, expected_of(objective, found), objective.promise, finding_text(found))
        for trial in trials
        for objective, found, verdict in trial.verdicts
    ]
    return aligned(rows)


def outcomes_text(trials: Sequence[StoredTrial]) -> str:
    """The verdicts of some trials, as lines that fit a page."""
    return (
        wrapped(", ".join(f"{stored.trial.scenario} {stored.trial.verdict}" for stored in trials))
        or "none was run here"
    )


def trial_heading(trial: Trial) -> str:
    """The scenario with its verdict, and the proof that its fault was applied, in Markdown."""
    applied = "Applied" if trial.proof.applied else "Not applied"
    label = scenario_label(trial.scenario)
    return f"#### {label[:1].upper()}{label[1:]}: {trial.verdict}\n\n{applied}: {trial.proof.said}."


def expectations_style(trial: Trial) -> "Styler":
    """What was expected, how that follows, what was seen and the verdict, in colour."""
    rows = [
        (expected_of(objective, found), objective.promise, objective.why, found, str(verdict))
        for objective, found, verdict in trial.verdicts
    ]
    styled = _styled(rows, ["of what", "expected", "because", "seen", "verdict"])
    return styled.set_properties(subset=["expected", "seen"], **{"white-space": "nowrap"})


def costs_style(trials: Sequence[StoredTrial]) -> "Styler":
    """A column a scenario that had load through its fault: times, what became of operations and jobs, and the backlog.

    A row that none of them has is left out. Numbers lead to the line of their finding.
    """
    import pandas as pd

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


def scenarios_style(judged: Sequence[Judged]) -> "Styler":
    """A row a scenario: how many of its judged expectations hold, and the worst verdict on them, in colour."""
    return _styled(_by_scenario(judged), ["section", "scenario", "expectations that hold", "verdict"])


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


def _styled(rows: Sequence[tuple[Any, ...]], names: list[str]) -> "Styler":
    import pandas as pd

    return verdict_style(pd.DataFrame(rows, columns=names, dtype=object))
