"""The capacity plan as tables and text: dates with their intervals, sizes with what speaks against them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from capacity.analysis.planning.exhaustion import GrowingResource, use_today
from capacity.analysis.planning.fits import TITLES
from capacity.analysis.planning.growth import Exhaustion
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, cost_in
from capacity.analysis.planning.plan_file import QUARTER
from capacity.analysis.statistics.conventions import CONFIDENCE_TEXT
from capacity.analysis.statistics.estimates import Estimate
from capacity.display.tables import cell_html
from capacity.display.text import aligned, finding_text, interval_text
from capacity.findings import Finding

DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
HYPHEN = "\N{NON-BREAKING HYPHEN}"
NEVER = "never"
OVER = "already exceeded"


def months_text(months: Exhaustion, at_least: bool = False) -> str:
    """Months in words: `4.0 months (2.7 to 6.3)`, `at least 2.6 months`, already exceeded, or never."""
    texts = [NEVER if math.isinf(each) else f"{each:.1f}" for each in (months.value, months.low, months.high)]
    return _in_words(months, texts, "at least" if at_least else "", "within", " months")


def date_text(plan: CapacityPlan, months: Exhaustion, at_least: bool = False) -> str:
    """The same as dates: `2027-03-24 (2027-02-15 to 2027-06-03)`, or `not before …` where it is known from below."""
    texts = [day_name(plan.day(each)) for each in (months.value, months.low, months.high)]
    return _in_words(months, texts, "not before" if at_least else "", "by")


def _in_words(months: Exhaustion, texts: Sequence[str], from_below: str, within: str, unit: str = "") -> str:
    value, low, high = texts
    if value == NEVER:
        return NEVER
    if from_below:
        return f"{from_below} {value}{unit} (at {CONFIDENCE_TEXT}: {low})"
    if months.value == 0:
        return OVER if months.high == 0 else f"{OVER} (or {within} {high}{unit})"
    return f"{value}{unit}" if low == high else f"{value}{unit} ({low} to {high})"


def shown(table: pd.DataFrame) -> Styler:
    """A table for a page: findings lead to their lines, and dates do not break at the end of a line."""

    def cell(value: Any) -> str:
        text = value if isinstance(value, Finding) else DATE.sub(f"\\1{HYPHEN}\\2{HYPHEN}\\3", str(value))
        return cell_html(text)

    return table.style.format(cell).format_index(escape="html")


def exhaustion_table(plan: CapacityPlan) -> pd.DataFrame:
    """A row a resource: its use at the projected peak, its limit, when it is used up, and what the limit is."""
    limits = {each.resource: date_text(plan, each.months, each.at_least) for each in plan.events if each.limit}
    return _by_first_column(
        {
            "": resource.title,
            "use at the projected peak": _estimate(use_today(resource, plan.outlook), f" {resource.unit}")
            if resource.terms
            else "not measured",
            "limit": _limit(resource),
            "used up": limits.get(resource.name, "not known"),
            "limit is": resource.why,
        }
        for resource in plan.resources
    )


def triggers_table(plan: CapacityPlan) -> pd.DataFrame:
    """A row a trigger: the use at which it fires, what is done then, and when; the earliest first."""
    units = {each.name: each.unit for each in plan.resources}
    return _by_first_column(
        {
            "": plan.title_of(each.resource),
            "at": f"{each.threshold:,g} {units[each.resource]}",
            "then": each.title,
            "fires": date_text(plan, each.months),
            "source": each.source,
        }
        for each in sorted(plan.events, key=lambda each: each.months.value)
        if not each.limit
    )


def signals_table(plan: CapacityPlan) -> pd.DataFrame:
    """What does not grow in proportion: as measured, its threshold, and until when it is known to stay below."""
    held = {None: "not known", True: "fires already at the measured load", False: ""}
    return _by_first_column(
        {
            "signal": each.signal.title,
            "measured": each.found or finding_text(None),
            "threshold": f"> {each.signal.above:,g} {each.signal.unit}".strip(),
            "then": each.signal.does,
            "when": each.why or held[each.fires] or date_text(plan, each.months, at_least=True),
            "source": each.signal.source,
        }
        for each in plan.signals
    )


def margins_table(plan: CapacityPlan) -> pd.DataFrame:
    """Section 10 of the report: what was measured, against what, the margin and the months that it lasts."""
    return _by_first_column(
        {
            "": each.entry.title,
            "measured": each.measured or "as tested",
            "against": each.against,
            "margin": _estimate(each.ratio, " x"),
            "lasts": months_text(each.months, each.at_least),
            "until": date_text(plan, each.months, each.at_least),
        }
        for each in plan.margins
    )


def sizes_table(plan: CapacityPlan) -> pd.DataFrame:
    """A row a quarter, a column a part: the size and what it costs a month; and the total of the parts that count."""
    quarters = range(plan.file.quarters)
    columns = {"in all": [total_text(plan, quarter) for quarter in quarters]}
    columns |= {part.entry.name.capitalize(): [step_text(part, quarter) for quarter in quarters] for part in plan.parts}
    return pd.DataFrame(columns, index=pd.Index([f"from {quarter_begin(plan, quarter)}" for quarter in quarters]))


def problems_text(plan: CapacityPlan) -> str:
    """What speaks against the sizes as a Markdown list: of each kind the first, with the quarter it begins in.

    Before it stands what of the catalogue is not chosen from.
    """
    lines = [f"- {each}." for each in plan.unused]
    for part in plan.parts:
        title = part.entry.title
        if part.note:
            what = f"{part.note}; its sizes are the least that it needs" if part.at_least else part.note
            lines.append(f"- {title}: {what}.")
        if part.current is not None and part.current.fits is False:
            name = part.current.binding or ""
            lines.append(
                f"- {title}: {part.current.size.title}, which runs now, does not keep the headroom: "
                f"{part.current.used[name]:.0%} of its {TITLES[name]} at the high end of the use."
            )
        kinds = set()
        for step in part.steps:
            for each in step.problems:
                if each.why not in kinds:
                    kinds.add(each.why)
                    begin = quarter_begin(plan, step.quarter)
                    lines.append(f"- {title}, from {begin}: {each.seen}; {each.why}; {each.remedy}.")
    return "\n".join(lines)


def servers_table(plan: CapacityPlan) -> pd.DataFrame:
    """How many servers of a kind keep the wait within its objective, now and at the end of the plan."""
    return _by_first_column(
        {
            "": each.wait.title,
            "arrivals at the projected peak": f"{each.rate.value:,.0f}/s",
            "mean time each": f"{each.service_ms:.3g} ms",
            "needed now": _counted(each.now),
            f"in {plan.file.months} months": _counted(each.later),
            "objective": each.wait.source,
        }
        for each in plan.servers
    )


def _by_first_column(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table, by what stands in the first column of each; without a row it is empty."""
    table = pd.DataFrame(list(rows))
    return table if table.empty else table.set_index(table.columns[0]).rename_axis(None)


def summary_text(plan: CapacityPlan) -> str:
    """The plan in short: what binds first and when, what moves that most, and what the first and last quarter need."""
    most, growth = next(iter(plan.binds)), plan.file.growth
    lines = [
        ("growth", f"{growth.value:.0%} a month ({growth.low:.0%} to {growth.high:.0%}), from {plan.run.day}"),
        ("first limit", f"{date_text(plan, plan.first)}: {months_text(plan.first)}"),
        ("most likely", f"{plan.title_of(most)}, in {plan.binds[most]:.0%} of the simulations"),
    ]
    if plan.swings and plan.swings[0].span > 0:
        swing = plan.swings[0]
        ends = f"{swing.months_at_low:.1f} months at {swing.low:,.4g}, {swing.months_at_high:.1f} at {swing.high:,.4g}"
        lines.append(("moves it most", f"{swing.name}: {ends}"))
    if plan.void is not None:
        lines.append(("does not count", f"the plan comes from a measurement that is void: {plan.void}"))
    for quarter in (0, plan.file.quarters - 1):
        missing = cost_in(plan, quarter).without
        lines.append((f"quarter {quarter + 1}", f"{total_text(plan, quarter)} a month{missing and f', {missing}'}"))
        lines += [("", f"{part.entry.title}: {step_text(part, quarter)}") for part in plan.counted]
    return aligned(lines)


def short_name(size: str) -> str:
    """A size without the word that its service puts before each: `3 × t4g.small` for `3 × cache.t4g.small`."""
    return size.replace("db.", "").replace("cache.", "")


def step_text(part: PartPlan, quarter: int) -> str:
    """A part's size of a quarter with what it costs a month; `≥` where it was not judged by all that it uses."""
    fit, monthly = part.steps[quarter].fit, part.steps[quarter].monthly
    if fit is None or monthly is None:
        return part.steps[quarter].why
    return f"{'≥ ' if part.at_least else ''}{short_name(fit.size.title)}, {monthly:,.0f}"


def total_text(plan: CapacityPlan, quarter: int) -> str:
    """What all parts cost a month in a quarter, as `at least 322 USD` where a part of it is not known."""
    return cost_in(plan, quarter).text


def quarter_begin(plan: CapacityPlan, quarter: int) -> str:
    """The day on which a quarter of the plan begins."""
    return day_name(plan.day(QUARTER * quarter))


def _estimate(found: Estimate, unit: str) -> str:
    """A value with its interval; one that is not given is not known."""
    if found.value is None:
        return "not known"
    return interval_text(found.value, found.low or 0.0, found.high or 0.0, unit)


def _limit(resource: GrowingResource) -> str:
    if resource.limit is None or resource.limit.value is None:
        return "not known"
    return f"{'≥ ' if resource.floor else ''}{resource.limit.value:,.6g}"


def _counted(found: Estimate) -> str:
    text = f"{found.value or 0:,.0f}"
    return text if found.low == found.high else f"{text} ({found.low or 0:,.0f} to {found.high or 0:,.0f})"


def day_name(day: date | None) -> str:
    """A day as text; a limit that is never reached has none."""
    return NEVER if day is None else day.isoformat()
