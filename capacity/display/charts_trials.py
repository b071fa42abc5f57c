"""The picture of a trial: its course in, matplotlib Axes out; nothing is computed here."""

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from capacity.analysis.faults.course import EVERY_S, FaultCourse
from capacity.display.charts import PALETTE, WIDTH
from capacity.display.charts_limits import ROOM, limit_line
from capacity.scenarios.trials import scenario_label


class FateStyle(NamedTuple):
    """How a fate looks: by the palette for the colour-blind, and for print by a mark and a hatch of its own."""

    label: str
    colour: Any
    mark: str
    size: float
    hatch: str


FATES = {
    "served": FateStyle("served in time", PALETTE[0], ".", 3, ""),
    "late": FateStyle("answered too late", PALETTE[1], "D", 3, ".."),
    "failed": FateStyle("failed", PALETTE[3], "x", 5, "////"),
    "lost": FateStyle("never answered", "#222222", "^", 4, ""),
}
FAULT_COLOUR = "#d9d9d9"
GREY = "#555555"
ROW = 0.08  # of the height of the upper axes: the names of moments stand in rows above it, so that none hides another
HEADROOM = 1.08
NARROWEST = 0.004  # of the width: a shorter fault would not be seen


def fault_timeline(course: FaultCourse | None) -> tuple[Axes, Axes] | None:
    """Response times by outcome above, throughput below, the fault shaded, its moments named, the objective a line.

    Nothing is drawn where there is no course.
    """
    if course is None:
        return None
    above, below = plt.subplots(2, 1, figsize=(WIDTH, 5.8), sharex=True, height_ratios=(3, 2))[1]
    _draw_operations(course, above)
    _draw_answers(course, below)
    last_s = max(float(course.answers["at_s"].max()) + EVERY_S, course.end_s)
    width = max(course.end_s - course.begin_s, NARROWEST * last_s)
    for ax in (above, below):
        ax.axvspan(course.begin_s, course.begin_s + width, color=FAULT_COLOUR, zorder=0, linewidth=0)
        for moment in course.moments:
            ax.axvline(moment.at_s, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_xlim(0, last_s)
    _name_moments(course, above, last_s)
    below.set_xlabel("seconds from the start")
    return above, below


def _draw_operations(course: FaultCourse, ax: Axes) -> None:
    given = course.operations
    for fate, look in FATES.items():
        mine = given[given["fate"] == fate]
        if len(mine):
            style = {"color": look.colour, "markersize": look.size, "label": f"{look.label} ({len(mine):,})"}
            ax.plot(mine["due_s"], mine["response_ms"], look.mark, zorder=3, **style)
    ax.set(ylabel="response time, ms", yscale="log")
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.set_ylim(top=max(ax.get_ylim()[1], ROOM * course.objective_ms))
    limit_line(ax, course.objective_ms, f"objective {course.objective_ms:g} ms", right=True)
    shaded = Patch(color=FAULT_COLOUR, label="the fault")
    drawn = [each for each in ax.get_lines() if isinstance(each, Line2D) and not str(each.get_label()).startswith("_")]
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.03), "ncols": 3, "frameon": False}
    ax.legend(handles=[*drawn, shaded], markerscale=1.6, **below)


def _draw_answers(course: FaultCourse, ax: Axes) -> None:
    given = course.answers
    bottom = given["due"] * 0.0
    for fate, look in FATES.items():
        if (given[fate] > 0).any():
            style = {"color": look.colour, "label": look.label, "hatch": look.hatch, "edgecolor": "white"}
            ax.bar(given["at_s"], given[fate], EVERY_S, bottom, align="edge", linewidth=0, **style)
            bottom = bottom + given[fate]
    ax.step(given["at_s"], given["due"], where="post", color="#222222", linewidth=0.9, label="due")
    ax.set(ylabel="ended per second", ylim=(0, HEADROOM * max(given["due"].max(), bottom.max())))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=5, frameon=False)


def _name_moments(course: FaultCourse, ax: Axes, last_s: float) -> None:
    """Name the moments in rows above, so ordered that none lies over the line of another; late ones end at theirs."""
    early = [moment for moment in course.moments if moment.at_s <= last_s / 2]
    late = [moment for moment in course.moments if moment.at_s > last_s / 2]
    rows = [*late[::-1], *early]
    for row, moment in enumerate(rows):
        middle = 1.0 + ROW * (len(rows) - row - 0.5)
        lead: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "clip_on": False}
        ax.plot([moment.at_s] * 2, [1.0, middle], transform=ax.get_xaxis_transform(), **lead)
        side, text = ("right", f"{moment.label} ") if moment in late else ("left", f" {moment.label}")
        style: dict[str, Any] = {"ha": side, "va": "center", "fontsize": "small", "color": "#333333"}
        ax.text(moment.at_s, middle, text, transform=ax.get_xaxis_transform(), **style)
    ax.set_title(scenario_label(course.scenario), pad=4 + 16 * len(rows))
