"""The one picture of the answers: for each part what it holds beside the load that grows, and when each limit comes."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from capacity.analysis.planning.answers import NOT_PLANNED, Answers, Held
from capacity.analysis.planning.exhaustion import Event, use_over_time
from capacity.analysis.planning.plan import CapacityPlan
from capacity.display.answers import short_title
from capacity.display.charts import PALETTE
from capacity.display.charts_limits import LIMIT_COLOUR
from capacity.display.charts_plan import dated

PROJECTED, HOLDS, RECOMMENDED = PALETTE[0], PALETTE[2], PALETTE[1]
WIDE, NARROW = (8.2, 3.6), (3.9, 5.0)  # inches: two panels beside each other, and one below the other on a phone
NEAR = 0.09  # of the months shown: limits as near as this share a name, which would not fit twice
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SMALL = 7.5
BLACK = "#222222"
OTHER_UNIT = "no load is projected in the unit that it holds"


def load_against_limits(answers: Answers, plan: CapacityPlan, *, narrow: bool = False) -> Figure:
    """A panel a part, over the months: the projected load as it grows, as a multiple of its peak today; what is held
    and recommended in the same measure; and a mark for the month of each limit, with its interval.
    """
    figure = Figure(figsize=NARROW if narrow else WIDE, dpi=200, layout="constrained")
    columns = 1 if narrow else min(2, len(answers.parts))
    rows = -(-len(answers.parts) // columns)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    top = max(_panel(ax, part, plan) for ax, part in zip(panels.flat, answers.parts, strict=False))
    panels[0, 0].set_ylim(0.6, top * 1.3)
    for ax in panels.flat[len(answers.parts) :]:
        ax.set_visible(False)
    figure.supylabel("load, × the projected peak", fontsize=SMALL + 1)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2 if narrow else 4, frameon=False, fontsize=SMALL)
    return figure


def _panel(ax: Axes, part: Held, plan: CapacityPlan) -> float:
    """Draw one part; returns the highest multiple of the projected peak that is worth seeing."""
    ax.set_title(part.name.capitalize(), loc="left", fontsize=SMALL + 2, weight="bold", pad=4)
    ax.set(yscale="log", xlim=(0, plan.file.months))
    top = max(_growth(ax, part, plan), _held(ax, part))
    reached = [each for each in part.limits if not each.at_least and each.months.value <= plan.file.months]
    _limits(ax, reached, plan, part.name)
    dated(ax, plan)
    ax.yaxis.set_major_locator(FixedLocator(TICKS))
    ax.yaxis.set_major_formatter("{x:g}×")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=SMALL, length=2)
    ax.grid(color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return top


def _growth(ax: Axes, part: Held, plan: CapacityPlan) -> float:
    """Draw the load that is projected, by the resource that the part holds it in, else by its first limit's."""
    names = [part.projected.name.split(".")[1]] if part.projected.value is not None else []
    names += [each.resource for each in part.limits]
    resource = next((each for name in names for each in plan.resources if each.name == name and each.terms), None)
    if resource is None:
        return 2.0
    use = use_over_time(resource, plan.outlook, plan.file.months)
    today = use["value"].iloc[0] or 1.0
    ax.fill_between(use["month"], use["low"] / today, use["high"] / today, color=PROJECTED, alpha=0.18, linewidth=0)
    ax.plot(use["month"], use["value"] / today, color=PROJECTED, linewidth=1.6, label="projected load and its interval")
    last = max((each.months.value for each in part.limits if each.months.value <= plan.file.months), default=0.0)
    reached: float = (use["value"] / today).iloc[math.ceil(last)]
    return reached


def _held(ax: Axes, part: Held) -> float:
    """Draw what the part holds and what is recommended; says where the plan has no load in this measure."""
    today, held = part.projected.value, part.held
    if today is None or not today or held.value is None or held.low is None or held.high is None:
        unplanned = NOT_PLANNED if part.projected.note == NOT_PLANNED else OTHER_UNIT
        why = held.note if held.value is None else unplanned
        ax.text(0.98, 0.06, why, transform=ax.transAxes, ha="right", fontsize=SMALL, color="#555555")
        return 2.0
    low, high = held.low / today, min(held.high / today, 1e6) if math.isfinite(held.high) else held.value / today
    ax.axhspan(low, high, color=HOLDS, alpha=0.35, linewidth=0)
    ax.axhline(low, color=HOLDS, linewidth=1.6, label="holds, until it breaks")
    if part.recommended.value:
        style: dict[str, Any] = {"color": RECOMMENDED, "linewidth": 1.4, "linestyle": "--", "label": "recommended"}
        ax.axhline(part.recommended.value / today, **style)
    return high


def _limits(ax: Axes, reached: Sequence[Event], plan: CapacityPlan, name: str) -> None:
    """A mark for each limit on the line of growth, with its interval; near ones share their names."""
    growth = plan.file.growth.value
    label: str | None = "a limit, with its interval"
    for each in reached:
        at, months = (1 + growth) ** each.months.value, each.months
        ends = [months.low, min(months.high, plan.file.months)]
        ax.plot(ends, [at, at], color=LIMIT_COLOUR, linewidth=1.3, solid_capstyle="butt")
        ax.plot(months.value, at, "D", color=LIMIT_COLOUR, markersize=3.6, label=label, linestyle="none", zorder=5)
        label = None
    for group in _near(reached, NEAR * plan.file.months):
        last = group[-1].months
        names = ", ".join(short_title(plan, each.resource, name) for each in group)
        at = (1 + growth) ** group[0].months.value
        late = last.value > plan.file.months / 2
        style: dict[str, Any] = {"ha": "right", "va": "bottom"} if late else {"ha": "left", "va": "top"}
        place = (group[0].months.value if late else last.value, at)
        said = ax.annotate(names, place, (-5, 2) if late else (4, -2), textcoords="offset points", **style)
        said.set(fontsize=SMALL, color=BLACK, path_effects=[withStroke(linewidth=2, foreground="white")], zorder=6)


def _near(reached: Sequence[Event], months: float) -> list[list[Event]]:
    groups = [[each] for each in reached[:1]]
    for before, after in pairwise(reached):
        if after.months.value - before.months.value < months:
            groups[-1].append(after)
        else:
            groups.append([after])
    return groups
