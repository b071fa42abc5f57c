"""A search for a breaking point as text and tables: its answer, its levels, and the estimates beside it."""

import math
from collections.abc import Iterable, Iterator

import pandas as pd
from pandas.io.formats.style import Styler

from capacity.analysis.limits.knees import disagreement_text
from capacity.analysis.limits.levels import Level
from capacity.analysis.limits.rounds import Bracket
from capacity.analysis.limits.search_result import SearchResult
from capacity.analysis.statistics.estimates import Estimate
from capacity.display.tables import lean_style, rows_style, verdict_style
from capacity.display.text import NOT_GIVEN, aligned, finding_text, interval_text, number_text, wrapped
from capacity.findings import Finding, Verdict

MISSED = "littles_law"
FIGURES = {
    "completed, /s": "completed",
    "response p95, ms": "response_p95",
    "response p99, ms": "response_p99",
    "service p95, ms": "service_p95",
    "dispatch p95, ms": "dispatch_p95",
    "succeeded, %": "success_rate",
    "backlog growth, %": "backlog_growth",
    "in the system": "in_system",
    "Little's law, %": MISSED,
}


def answers_text(found: Iterable[SearchResult]) -> str:
    """One line a part: between which loads its breaking point lies, and the load recommended for production."""
    rows = []
    for each in found:
        wanted, rounds = each.recommended[0], f" in {len(each.brackets)} rounds" if each.rounds else ""
        production = "none recommended" if wanted is None else f"for production {_load(each, wanted)}"
        levels = f"{len(each.tried)} levels{rounds}"
        concluded = str(each.answer.conclusion) if each.answer.complete else "broken off"
        rows.append((each.name, concluded, _between(each), production, levels))
    return aligned(rows)


def _between(found: SearchResult) -> str:
    low, high = found.sustainable.low or 0.0, found.sustainable.high or found.answer.high or math.inf
    if not found.answer.complete and math.isinf(high):
        return f"held {_load(found, low)} so far" if low else "no level held so far"
    if math.isinf(high):
        return f"holds {_load(found, low)}; its limit is above" if low else "no level held"
    return f"holds {_load(found, low)}, breaks at {_load(found, high)}"


def _load(found: SearchResult, rate: float) -> str:
    """A load; over several rounds it is none of the levels that were set."""
    return f"{rate:,.0f}/s" if found.rounds else f"{rate:,.6g}/s"


def broke_text(found: SearchResult) -> str:
    """What broke, by which objective it showed, why the load is recommended, and what was not decided."""
    answer = found.answer
    lines = [
        f"{found.name}: {found.broke}",
        f"  seen as: {answer.broke or 'nothing broke'}",
        f"  recommended: {found.recommended[1]}",
    ]
    if answer.undecided:
        lines.append(f"  undecided: {', '.join(f'{each:,.6g}/s' for each in answer.undecided)}")
    return "\n".join(map(wrapped, lines))


def estimates_text(found: Iterable[SearchResult]) -> str:
    """The three estimates of each part, then where the two that were not measured disagree with the one that was."""
    searches = list(found)
    rows = [(each.name, knee.method, _rate(knee.rate)) for each in searches for knee in each.knees]
    return "\n".join([aligned(rows), *(wrapped(f"{each.name}, {said}") for each in searches for said in _said(each))])


def _said(found: SearchResult) -> Iterator[str]:
    yield from (disagreement_text(knee, ratio) for knee, ratio in found.disagreements)
    model = found.scalability[1]
    yield from (f"note: {each.seen}; {each.why}" for each in (model.problems if model else ()))


def _rate(rate: Estimate) -> str:
    if rate.value is None or rate.low is None or rate.high is None:
        return NOT_GIVEN
    return interval_text(rate.value, rate.low, rate.high, "/s")


def levels_style(found: SearchResult) -> Styler:
    """The levels in the order tried, each figure with its interval, for a notebook and the report."""
    rounds = (found.levels, *found.rounds)
    table = pd.DataFrame(
        [{"round": str(place)} | _row(each) for place, levels in enumerate(rounds, 1) for each in levels]
    )
    shown = table if found.rounds else table.drop(columns="round")
    return verdict_style(shown, f"{found.name}: the levels in the order tried")


def notes_style(found: SearchResult) -> Styler:
    """The levels that broke, and by what, or of which the generator has something to say."""
    rows = [
        (f"{level.rate:,.6g}", str(level.verdict), level.broke, "; ".join(_notes(level)))
        for level in found.tried
        if level.broke or _notes(level)
    ]
    return rows_style(rows, ["due, /s", "verdict", "why", "notes on the measurement"], f"{found.name}: why")


def _row(level: Level) -> dict[str, str]:
    row = {"due, /s": f"{level.rate:,.6g}", "seconds": f"{level.seconds:g}", "verdict": str(level.verdict)}
    return row | {title: _figure(level.finding(name)) for title, name in FIGURES.items()}


def _figure(found: Finding) -> str:
    if found.name.endswith(MISSED) and found.value is not None:
        return number_text(found.value, abs(found.value))  # two digits: no interval says how many it deserves
    return finding_text(found, unit=False)


def _notes(level: Level) -> list[str]:
    return [each.seen for each in level.problems] if level.verdict is not Verdict.VOID else []


def rounds_text(found: SearchResult) -> str:
    """Between which loads each round found the breaking point, and how much the rounds differ."""
    if not found.rounds:
        return f"{found.name}: one round, {_bracket(found.brackets[0])}, which says nothing of the next"
    each = "; ".join(_bracket(one) for one in found.brackets)
    return f"{found.name}: {each}\n  deviation between rounds: {_share(found.between_rounds)}"


def _bracket(one: Bracket) -> str:
    return f"{one.low:,.6g} to {one.high:,.6g}/s" if math.isfinite(one.high) else f"above {one.low:,.6g}/s"


def repeatability_text(found: SearchResult) -> str:
    """How much measurements of one level differ, which change they can show, and how long to measure."""
    said = found.repeatability
    if said is None:
        return f"{found.name}: no level held, so none was repeated"
    values = ", ".join(number_text(each) for each in said.values_ms)
    differ = ["one measurement says nothing of the next"]
    if said.change.value is not None:
        change = f"smallest change that as many before and after it show: {_share(said.change)}"
        differ = [f"deviation between them: {_share(said.deviation)}", change]
    long = f"{number_text(said.seconds)} s" if said.seconds is not None else f"not known yet: {said.why}"
    lines = [
        f"{found.name}: p99 of the response time at {said.rate:,.6g}/s, each measurement: {values} ms",
        *(f"  {each}" for each in (*differ, f"to know it to ± 10 %, measure for: {long}")),
    ]
    return "\n".join(map(wrapped, lines))


def _share(share: Estimate) -> str:
    """Two digits of a share, and of its bounds, which are wide where the repetitions are few."""
    if share.value is None or share.low is None or share.high is None:
        return NOT_GIVEN
    value, low, high = (f"{100 * float(f'{end:.2g}'):,.6g}" for end in (share.value, share.low, share.high))
    return f"{value} % ({low} to {high})"


def beyond_style(found: SearchResult) -> Styler:
    """What the part does beyond its breaking point, against the highest level that held."""
    columns = {
        "rate": ("due, /s", "{:,.0f}"),
        "over": ("of what held", "{:.2f} ×"),
        "completed": ("completed, /s", "{:,.0f}"),
        "of_peak": ("of the peak", "{:.0%}"),
        "response_p95": ("response p95, ms", "{:,.0f}"),
        "slower": ("of that at what held", "{:,.1f} ×"),
        "success_rate": ("succeeded", "{:.1f} %"),
    }
    shown = {title: found.beyond[name].map(text.format) for name, (title, text) in columns.items()}
    return lean_style(pd.DataFrame(shown), f"{found.name}: beyond its breaking point")
