"""The capacity plan as tables and text: dates with their intervals, sizes with what speaks against them."""

import math
import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.exhaustion import GrowingResource, use_today
from capacity.analysis.planning.growth import Exhaustion
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, make_plan, total_monthly, varied
from capacity.analysis.planning.plan_file import PlanBasis, PlanFile
from capacity.analysis.planning.sizing import QUARTER
from capacity.analysis.statistics.conventions import CONFIDENCE_TEXT
from capacity.display.tables import aligned, cell_html, finding_text, number_text
from capacity.findings import Finding

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
HYPHEN = "\N{NON-BREAKING HYPHEN}"
NEVER = "never"
OVER = "already exceeded"
NAMES = {"cpu": "CPU", "memory_gib": "memory", "iops": "I/O operations"}


def months_text(months: Exhaustion, at_least: bool = False) -> str:
    """Months in words: `4.0 months (2.7 to 6.3)`, `at least 2.6 months`, already exceeded, or never."""
    if math.isinf(months.value):
        return NEVER
    if at_least:
        return f"at least {months.value:.1f} months (at {CONFIDENCE_TEXT}: {months.low:.1f})"
    if months.value == 0 and months.high == 0:
        return OVER
    if months.value == 0:
        return f"{OVER} (or within {_number(months.high)} months)"
    return f"{months.value:.1f} months ({_number(months.low)} to {_number(months.high)})"


def date_text(plan: CapacityPlan, months: Exhaustion, at_least: bool = False) -> str:
    """The same as dates: `2027-03-24 (2027-02-15 to 2027-06-03)`, or `not before …` where it is known from below."""
    if math.isinf(months.value):
        return NEVER
    value = _day(plan.day(months.value))
    if at_least:
        return f"not before {value} (at {CONFIDENCE_TEXT}: {_day(plan.day(months.low))})"
    if months.value == 0 and months.high == 0:
        return OVER
    low, high = _day(plan.day(months.low)), _day(plan.day(months.high))
    return f"{OVER} (or by {high})" if months.value == 0 else f"{value} ({low} to {high})"


def shown(table: "pd.DataFrame") -> "Styler":
    """A table for a page: findings lead to their lines, and dates do not break at the end of a line."""

    def cell(value: Any) -> str:
        text = value if isinstance(value, Finding) else DATE.sub(f"\\1{HYPHEN}\\2{HYPHEN}\\3", str(value))
        return cell_html(text)

    return table.style.format(cell).format_index(escape="html")


def exhaustion_table(plan: CapacityPlan) -> "pd.DataFrame":
    """A row a resource: its use at the projected peak, its limit, when it is used up, and what the limit is."""
    import pandas as pd

    limits = {each.resource: date_text(plan, each.months, each.at_least) for each in plan.events if each.limit}
    rows = {
        resource.title: {
            "use at the projected peak": _use(plan, resource),
            "limit": _limit(resource),
            "used up": limits.get(resource.name, "not known"),
            "limit is": resource.why,
        }
        for resource in plan.resources
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def triggers_table(plan: CapacityPlan) -> "pd.DataFrame":
    """A row a trigger: the use at which it fires, what is done then, and when; the earliest first."""
    import pandas as pd

    triggers = sorted((each for each in plan.events if not each.limit), key=lambda each: each.months.value)
    rows = [
        {
            "": plan.title_of(each.resource),
            "at": f"{each.threshold:,g} {next(one.unit for one in plan.resources if one.name == each.resource)}",
            "then": each.title,
            "fires": date_text(plan, each.months),
            "source": each.source,
        }
        for each in triggers
    ]
    return pd.DataFrame(rows, columns=["", "at", "then", "fires", "source"]).set_index("").rename_axis(None)


def signals_table(plan: CapacityPlan) -> "pd.DataFrame":
    """What does not grow in proportion: as measured, its threshold, and until when it is known to stay below."""
    import pandas as pd

    rows = []
    for each in plan.signals:
        held = {None: "not known", True: "fires already at the measured load", False: ""}[each.fires]
        rows.append(
            {
                "signal": each.title,
                "measured": each.found or finding_text(None),
                "threshold": f"> {each.above:,g} {each.unit}".strip(),
                "then": each.does,
                "when": held or date_text(plan, each.months, at_least=True),
                "source": each.source,
            }
        )
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else ["signal"]).set_index("signal").rename_axis(None)


def margins_table(plan: CapacityPlan) -> "pd.DataFrame":
    """Section 10 of the report: what was measured, against what, the margin and the months that it lasts."""
    import pandas as pd

    rows = []
    for each in plan.margins:
        ratio = each.ratio
        spread = (ratio.high or 0.0) - (ratio.low or 0.0)
        ends = (
            ""
            if spread == 0
            else f" ({number_text(ratio.low or 0.0, spread)} to {number_text(ratio.high or 0.0, spread)})"
        )
        rows.append(
            {
                "": each.title,
                "measured": each.measured or "as tested",
                "against": each.against,
                "margin": "not known" if ratio.value is None else f"{number_text(ratio.value, spread)} x{ends}",
                "lasts": months_text(each.months, each.at_least),
                "until": date_text(plan, each.months, each.at_least),
            }
        )
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else [""]).set_index("").rename_axis(None)


def sizes_table(plan: CapacityPlan) -> "pd.DataFrame":
    """A row a quarter, a column a part: the size and what it costs a month; and the total of the parts that count."""
    import pandas as pd

    totals = [total_monthly(plan, quarter) for quarter in range(plan.quarters)]
    currency = currency_of(plan)
    columns = {"in all": ["not known" if cost is None else f"{cost:,.0f} {currency}" for cost in totals]}
    for part in plan.parts:
        columns[part.part.name.capitalize()] = [_step(part, quarter) for quarter in range(plan.quarters)]
    names = [f"from {_day(plan.day(QUARTER * quarter))}" for quarter in range(plan.quarters)]
    return pd.DataFrame(columns, index=pd.Index(names))


def problems_text(plan: CapacityPlan) -> str:
    """What speaks against the sizes as a Markdown list: of each kind the first, with the quarter it begins in."""
    lines = []
    for part in plan.parts:
        title = part.part.title
        if part.note:
            lines.append(f"- {title}: {part.note}.")
        if part.current is not None and part.current.fits is False:
            name = part.current.binding or ""
            lines.append(
                f"- {title}: {part.current.size.size}, which runs now, does not keep the headroom: "
                f"{part.current.used[name]:.0%} of its {NAMES.get(name, name)} at the high end of the use."
            )
        kinds = set()
        for step in part.steps:
            for each in step.problems:
                if each.why not in kinds:
                    kinds.add(each.why)
                    day = _day(plan.day(QUARTER * step.quarter))
                    lines.append(f"- {title}, from {day}: {each.seen}; {each.why}; {each.remedy}.")
    return "\n".join(lines)


def servers_table(plan: CapacityPlan) -> "pd.DataFrame":
    """How many servers of a kind keep the wait within its objective, now and at the end of the plan."""
    import pandas as pd

    later = f"in {plan.file.months} months"
    rows = [
        {
            "": now.title,
            "arrivals at the projected peak": f"{now.rate.value:,.0f}/s",
            "mean time each": f"{now.service_ms:.3g} ms",
            "needed now": _counted(now.needed.value, now.needed.low, now.needed.high),
            later: _counted(then.needed.value, then.needed.low, then.needed.high),
            "objective": now.source,
        }
        for now, then in plan.servers
    ]
    return pd.DataFrame(rows, columns=list(rows[0]) if rows else [""]).set_index("").rename_axis(None)


def summary_text(plan: CapacityPlan) -> str:
    """The plan in short: what binds first and when, what moves that most, and what the first and last quarter need."""
    most = max(plan.binds, key=lambda name: plan.binds[name])
    growth = plan.file.growth
    lines = [
        ("growth", f"{growth.value:.0%} a month ({growth.low:.0%} to {growth.high:.0%}), from {plan.start}"),
        ("first limit", f"{date_text(plan, plan.first)}: {months_text(plan.first)}"),
        ("most likely", f"{plan.title_of(most)}, in {plan.binds[most]:.0%} of the draws"),
    ]
    if plan.swings and plan.swings[0].span > 0:
        swing = plan.swings[0]
        ends = f"{swing.months_at_low:.1f} months at {swing.low:,.4g}, {swing.months_at_high:.1f} at {swing.high:,.4g}"
        lines.append(("moves it most", f"{swing.name}: {ends}"))
    if plan.void is not None:
        lines.append(("does not count", f"the plan comes from a measurement that is void: {plan.void}"))
    for quarter in (0, plan.quarters - 1):
        cost = total_monthly(plan, quarter)
        total = "cost not known" if cost is None else f"{cost:,.0f} {currency_of(plan)} a month"
        lines.append((f"quarter {quarter + 1}", total))
        lines += [("", f"{part.part.title}: {_step(part, quarter)}") for part in plan.parts if part.part.counted]
    return aligned(lines)


def scenarios_table(
    file: PlanFile, run: PlanBasis, catalog: Sequence[Size], growths: Sequence[float], peaks: Sequence[float]
) -> "pd.DataFrame":
    """What if: a row for each growth a month and peak (a multiple of the projected one), by plans made anew."""
    import pandas as pd

    rows = {}
    for growth in growths:
        for peak in peaks:
            plan = make_plan(varied(file, growth=growth, headroom=file.headroom.value, peak=peak), run, catalog)
            most = max(plan.binds, key=lambda name: plan.binds[name])
            costs = [total_monthly(plan, quarter) for quarter in (0, plan.quarters // 2)]
            texts = ["not known" if cost is None else f"{cost:,.0f} {currency_of(plan)}" for cost in costs]
            first = {"first limit": date_text(plan, plan.first), "most likely": plan.title_of(most)}
            middle = f"a month from {_day(plan.day(QUARTER * (plan.quarters // 2)))}"
            rows[f"{growth:.0%} a month, peak × {peak:g}"] = {**first, "a month now": texts[0], middle: texts[1]}
    return pd.DataFrame.from_dict(rows, orient="index")


def short_name(size: str) -> str:
    """A size without the word that its service puts before each: `3 × t4g.small` for `3 × cache.t4g.small`."""
    return size.replace("db.", "").replace("cache.", "")


def currency_of(plan: CapacityPlan) -> str:
    """The currency of the prices; empty where no size was chosen."""
    return next((step.fit.size.currency for part in plan.parts for step in part.steps if step.fit is not None), "")


def _name(part: PartPlan, quarter: int) -> str:
    fit = part.steps[quarter].fit
    return "none" if fit is None else fit.size.size


def _step(part: PartPlan, quarter: int) -> str:
    step = part.steps[quarter]
    return "none holds it" if step.monthly is None else f"{short_name(_name(part, quarter))}, {step.monthly:,.0f}"


def _use(plan: CapacityPlan, resource: GrowingResource) -> str:
    if not resource.terms:
        return "not measured"
    use = use_today(resource, plan.outlook)
    value, low, high = use.value or 0.0, use.low or 0.0, use.high or 0.0
    spread = high - low
    text = f"{number_text(value, spread)} {resource.unit}"
    return text if spread == 0 else f"{text} ({number_text(low, spread)} to {number_text(high, spread)})"


def _limit(resource: GrowingResource) -> str:
    if resource.limit is None or resource.limit.value is None:
        return "not known"
    return f"{'≥ ' if resource.floor else ''}{resource.limit.value:,.6g}"


def _counted(value: float | None, low: float | None, high: float | None) -> str:
    text = f"{value or 0:,.0f}"
    return text if low == high else f"{text} ({low or 0:,.0f} to {high or 0:,.0f})"


def _number(months: float) -> str:
    return NEVER if math.isinf(months) else f"{months:.1f}"


def _day(day: date | None) -> str:
    return NEVER if day is None else day.isoformat()
