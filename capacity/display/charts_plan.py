"""Pictures of the capacity plan: use against capacity over the months, sizes by quarter, and what moves the date."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter

from capacity.analysis.planning.exhaustion import GrowingResource, use_over_time
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, cost_in
from capacity.analysis.planning.plan_file import QUARTER
from capacity.analysis.planning.sizing import Step
from capacity.display.charts import PALETTE, WIDTH
from capacity.display.charts_limits import LIMIT_COLOUR
from capacity.display.tables_plan import short_name

COLUMNS = 2
HIGHEST = 1.6  # of the limit: what lies above is not drawn
TRIGGER_COLOUR = "#a15c00"
LINE = 0.15  # of the limit: the height of a line of small text
SHOWN = 8  # inputs in the picture of swings
QUIET = "#666666"


def outgrown(plan: CapacityPlan) -> Figure:
    """Use as a share of the limit over the months, a picture a resource, with triggers, limit and its interval as band.

    A limit that is only known from below is dashed and named so; resources without use or limit are left out.
    """
    shown = [each for each in plan.resources if each.terms and each.limit is not None]
    rows = -(-len(shown) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(WIDTH, 1.9 * rows), sharex=True, sharey=True, squeeze=False)
    for ax, resource in zip(grid.flat, shown, strict=False):
        _one(ax, plan, resource, plan.file.months)
    for place, ax in enumerate(grid.flat):
        if place >= len(shown):
            ax.set_visible(False)
        elif place + COLUMNS >= len(shown):
            ax.tick_params(labelbottom=True)
    figure.supylabel("use, of the limit", fontsize="small")
    return figure


def _one(ax: Axes, plan: CapacityPlan, resource: GrowingResource, months: int) -> None:
    limit = (resource.limit.value if resource.limit else None) or 1.0
    use = use_over_time(resource, plan.outlook, months)
    at, value, low, high = (use[name].to_numpy() for name in ("month", "value", "low", "high"))
    ax.fill_between(at, low / limit, high / limit, color=PALETTE[0], alpha=0.2, linewidth=0)
    ax.plot(at, value / limit, color=PALETTE[0], linewidth=1.6)
    ax.axhline(1, color=LIMIT_COLOUR, linewidth=1.2, linestyle=":" if resource.floor else "--")
    small: dict[str, Any] = {"fontsize": "x-small", "transform": ax.get_yaxis_transform(), "ha": "right"}
    ax.text(0.99, 1.03, "held in the test" if resource.floor else "limit", color=LIMIT_COLOUR, va="bottom", **small)
    for number, trigger in enumerate(sorted(resource.triggers, key=lambda each: each.at)):
        share = trigger.at / limit
        ax.axhline(share, color=TRIGGER_COLOUR, linewidth=0.9, linestyle="-.")
        drop = 0.02 + LINE * (len(resource.triggers) - 1 - number)  # names one below the other, the lowest last
        named = f"{trigger.title} {share:.0%}"
        lowest = resource.triggers[0].at / limit
        ax.text(0.99, min(share, lowest) - drop, named, color=TRIGGER_COLOUR, va="top", **small)
    reached = [each for each in plan.events if each.resource == resource.name and each.limit]
    for event in reached:
        if event.months.value <= months and not event.at_least:
            ax.plot(event.months.value, 1, "o", color=LIMIT_COLOUR, markersize=5, zorder=5)
    ax.set_title(resource.title, fontsize="small", pad=5, loc="left")
    ax.set(ylim=(0, HIGHEST), xlim=(0, months))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    dated(ax, plan)
    ax.tick_params(labelsize="x-small")


def limits_as_dates(plan: CapacityPlan, ax: Axes | None = None) -> Axes:
    """A row a resource, the soonest on top: the date on which its limit is reached, with its interval.

    A hollow mark is a limit that is only known from below, an arrow lies beyond the months that are planned. What the
    axes held before is no longer there.
    """
    reached = sorted((each for each in plan.events if each.limit), key=lambda each: each.months.value)
    ax = plt.subplots(figsize=(WIDTH, 1.0 + 0.28 * len(reached)))[1] if ax is None else ax
    ax.clear()
    end = plan.file.months
    for row, event in enumerate(reached):
        value, low, high = (min(each, end) for each in (event.months.value, event.months.low, event.months.high))
        ax.plot([low, high], [row, row], color=PALETTE[0], linewidth=6, alpha=0.3, solid_capstyle="butt")
        filled = "white" if event.at_least else PALETTE[0]
        mark = ">" if event.months.value > end else "o"
        ax.plot(value, row, mark, color=PALETTE[0], markerfacecolor=filled, markersize=5, clip_on=False)
    ax.set_yticks(range(len(reached)), [plan.title_of(each.resource) for each in reached])
    ax.set(title="When each limit is reached", xlim=(0, end), ylim=(len(reached) - 0.4, -0.6))
    dated(ax, plan)
    return ax


def dated(ax: Axes, plan: CapacityPlan, every: int = 6) -> None:
    """Months as dates on the x axis, one every so many."""

    def text(month: float, _: Any) -> str:
        day = plan.day(max(0.0, month))
        return "" if day is None else day.strftime("%b %y")

    ax.xaxis.set_major_locator(MultipleLocator(every))
    ax.xaxis.set_major_formatter(FuncFormatter(text))


def sizes_by_quarter(plan: CapacityPlan) -> Axes:
    """A row a part: the size of each quarter with what it costs a month; hatched where there is none."""
    ax = plt.subplots(figsize=(WIDTH, 1.1 + 0.75 * len(plan.parts)))[1]
    for row, part in enumerate(plan.parts):
        for _, steps in groupby(
            part.steps, key=lambda step: (step.why, step.fit and (step.fit.size.key, step.fit.size.volume))
        ):
            _bar(ax, row, list(steps))
    end = QUARTER * plan.file.quarters
    ax.set(xlim=(0, end), ylim=(len(plan.parts) - 0.45, -0.6))
    ax.set_yticks(range(len(plan.parts)), [_label(part) for part in plan.parts])
    dated(ax, plan, QUARTER)
    ax.grid(axis="y", visible=False)
    ax.set_title(f"Size of each quarter, {plan.currency} a month")
    kinds = (("burstable, by its baseline", PALETTE[1]), ("not burstable", PALETTE[0]))
    marks = [Patch(facecolor=(*colour, 0.32), edgecolor=colour, label=label) for label, colour in kinds]
    ax.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, frameon=False, fontsize="small")
    return ax


def _bar(ax: Axes, row: int, steps: Sequence[Step]) -> None:
    """The quarters that one size lasts for."""
    left, width = QUARTER * steps[0].quarter, QUARTER * len(steps)
    fit, cost = steps[0].fit, steps[0].monthly
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": "x-small"}
    if fit is None or cost is None:
        ax.barh(row, width, left=left, height=0.72, color="#f2f2f2", edgecolor="#999999", hatch="///", linewidth=0.6)
        plain = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        ax.text(left + width / 2, row, steps[0].why.replace(" ", "\n", 1), color="#333333", bbox=plain, **style)
        return
    colour = PALETTE[1] if fit.size.burstable else PALETTE[0]
    ax.barh(row, width, left=left, height=0.72, color=colour, alpha=0.32, edgecolor=colour, linewidth=0.9)
    name = short_name(fit.size.title).replace(" × ", " ×\n" if len(steps) == 1 else " × ")
    name = name.replace(" + ", "\n+ ")
    ax.text(left + width / 2, row, f"{name}\n{cost:,.0f}", color="#222222", **style)


def _label(part: PartPlan) -> str:
    title = part.entry.title.replace(" on ", "\non ") + ("\n(at least)" if part.at_least else "")
    return title if part.entry.counted else f"{title}\n(not in\nthe total)"


def swings(plan: CapacityPlan) -> Axes:
    """A tornado: the months until the first limit with one input at either end of its interval, the widest on top."""
    moving = [each for each in plan.swings if each.span > 0][:SHOWN]
    ax = plt.subplots(figsize=(WIDTH, 1.3 + 0.42 * max(1, len(moving))))[1]
    base = plan.first.value
    for row, swing in enumerate(moving):
        for end, months, colour in (
            (swing.low, swing.months_at_low, PALETTE[2]),
            (swing.high, swing.months_at_high, PALETTE[3]),
        ):
            reached = months if math.isfinite(months) else base * 2
            ax.barh(row, reached - base, left=base, height=0.62, color=colour, alpha=0.55)
            side = "left" if reached >= base else "right"
            shift = 4 if side == "left" else -4
            place: dict[str, Any] = {"xytext": (shift, 0), "textcoords": "offset points", "va": "center", "ha": side}
            short = f"{end:.0%}" if swing.name.startswith("growth") else f"{end:,.4g}"
            ax.annotate(short, (reached, row), fontsize="x-small", color=QUIET, **place)
    ax.axvline(base, color="#333333", linewidth=1.2)
    ax.set_yticks(range(len(moving)), [each.name for each in moving])
    ax.set(xlabel="months until the first limit", ylim=(max(1, len(moving)) - 0.4, -0.6))
    ends = [each for swing in moving for each in (swing.months_at_low, swing.months_at_high) if math.isfinite(each)]
    low, high = min([base, *ends]), max([base, *ends])
    room = max(0.35, 0.22 * (high - low))
    ax.set_xlim(low - room, high + room)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda month, _: f"{month:g}" if month >= 0 else ""))
    ax.set_title("What moves the first limit")
    if not moving:
        ax.text(0.5, 0.5, "no input has an interval", transform=ax.transAxes, ha="center", color=QUIET)
    return ax


def cost_over_time(plan: CapacityPlan) -> Axes:
    """What each counted part costs a month by quarter, stacked, as far as sizes are known.

    Where prices are in two currencies, which are not added, there are numbers and no bars.
    """
    ax = plt.subplots(figsize=(WIDTH, 3.2))[1]
    at = np.arange(plan.file.quarters) * QUARTER + QUARTER / 2
    bottom = np.zeros(plan.file.quarters)
    costs = [cost_in(plan, quarter) for quarter in range(plan.file.quarters)]
    added = all(len(each.sums) < 2 for each in costs)
    for place, part in enumerate(plan.counted if added else ()):
        cost = np.array([step.monthly or 0.0 for step in part.steps])
        ax.bar(at, cost, width=QUARTER * 0.86, bottom=bottom, color=PALETTE[place], alpha=0.75, label=part.entry.title)
        bottom += cost
    for month, top, each in zip(at, bottom, costs, strict=True):
        text = f"{top:,.0f}" if each.whole else f"{top:,.0f}\n+ unknown" if added else each.text.replace(" + ", "\n+ ")
        ax.text(month, top, text, ha="center", va="bottom", fontsize="x-small")
    ax.set(xlim=(0, QUARTER * plan.file.quarters), ylim=(0, max(float(bottom.max()), 1.0) * 1.22))
    ax.set_ylabel(f"{plan.currency} a month")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_title("Cost of the plan")
    dated(ax, plan, QUARTER)
    if added:
        ax.legend(loc="upper left", frameon=False, fontsize="small")
    return ax
