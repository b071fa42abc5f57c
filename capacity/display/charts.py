"""Pictures: frames and findings in, matplotlib Axes out; nothing is computed here."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator, PercentFormatter

from capacity.display.charts_limits import LIMIT_COLOUR, LIMIT_LINE, LIMIT_NAME, on_response_times, response_limits
from capacity.display.tables import COLOURS
from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.manifest import StageSpan
from capacity.operation import operation_slug
from capacity.units import NS_PER_S

PALETTE = sns.color_palette("colorblind")
WIDTH = 6.8  # inches: the smallest text can be read at the 900 pixels of a notebook's cell and at the 390 of a phone
HEIGHT = 2.9
NAMED_SHARE = 0.12  # of the width: a narrower stage has no room for its name
MOST_USED = 1.5  # of a promise: what uses more is drawn there, as an arrow
NINES = {0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p99.9", 0.9999: "p99.99"}
LONG = 30  # letters: two such names have no room beside each other
MARK = 0.25  # of a nine, to either side: the width of an operation's own limit


def house_style() -> None:
    """White, a light grid, and sizes that stay readable on a phone and in print."""
    sns.set_theme(style="whitegrid", palette="colorblind", context="notebook", font_scale=0.875)
    plt.rcParams.update({"figure.figsize": (WIDTH, HEIGHT), "figure.dpi": 130, "figure.constrained_layout.use": True})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "grid.color": "#e6e6e6"})
    plt.rcParams.update({"axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlepad": 17})


def stacked(rows: int) -> Sequence[Axes]:
    """Some axes one below the other, over the same x axis: side by side they would be too small on a phone."""
    axes: Sequence[Axes] = plt.subplots(rows, 1, figsize=(WIDTH, 0.4 + HEIGHT * 0.9 * rows), sharex=True)[1]
    return axes


def throughput_over_time(course: pd.DataFrame, stages: Sequence[StageSpan], ax: Axes | None = None) -> Axes:
    """Operations that succeeded per second, and the failed ones where there are any, over the stages of the load."""
    ax = _axes(ax)
    ax.plot(course["second"], course["throughput_per_s"], color=PALETTE[0], label="succeeded")
    if (course["errors_per_s"] > 0).any():
        ax.plot(course["second"], course["errors_per_s"], color=LIMIT_COLOUR, label="failed")
        _legend_above(ax)
    ax.set(title="Throughput", ylabel="operations per second", ylim=(0, None))
    ax.yaxis.set_major_formatter("{x:,g}")
    return _over_stages(ax, stages)


def latency_over_time(
    course: pd.DataFrame,
    stages: Sequence[StageSpan],
    objectives: Sequence[Objective] = (),
    ax: Axes | None = None,
) -> Axes:
    """p50 and p99 of the response times of the operations due in each second; a censored one is a mark at the top.

    Of the objectives those on the response times of all operations are lines.
    """
    ax = _axes(ax)
    for place, name in enumerate(("p50", "p99")):
        values = course[f"{name}_ms"]
        ax.plot(course["second"], values.replace(np.inf, np.nan), color=PALETTE[place], label=name)
        beyond = course.loc[np.isinf(values), "second"]
        if len(beyond):  # no mark at all would still take room, at the figure's corner
            top: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
            ax.plot(beyond, np.ones(len(beyond)), "^", color=PALETTE[place], **top)
    ax.set(title="Response time", ylabel="response time, ms", yscale="log")
    ax.yaxis.set_major_formatter("{x:,g}")
    response_limits(ax, objectives)
    _legend_above(ax)
    return _over_stages(ax, stages)


def latency_distribution(curve: pd.DataFrame, objectives: Sequence[Objective] = ()) -> Axes:
    """The percentile curve of each operation with its interval as a band; the x axis is spaced in nines.

    An objective on the response times of all operations is a line; one on an operation of its own is a bar in that
    operation's colour, at the percentile that it limits.
    """
    ax = plt.subplots(figsize=(WIDTH, HEIGHT + 1.2))[1]
    for place, (name, group) in enumerate(curve.groupby("operation", observed=True)):
        own = on_response_times(objectives, operation_slug(str(name)))
        nines, finite = -np.log10(1 - group["quantile"]), group.replace(np.inf, np.nan)
        label = ", ".join([str(name), *(f"{quantile} {each.promise}" for quantile, each in own.items())])
        ax.plot(nines, finite["response_ms"], color=PALETTE[place], label=label)
        ax.fill_between(nines, finite["low_ms"], finite["high_ms"], color=PALETTE[place], alpha=0.18, linewidth=0)
        for quantile, each in own.items():
            at = -np.log10(1 - float(quantile.removeprefix("p")) / 100)
            ax.hlines(each.limit, at - MARK, at + MARK, color=PALETTE[place], linewidth=3)
    farthest = float(curve["quantile"].max())
    shown = {quantile: name for quantile, name in NINES.items() if quantile <= farthest + 1e-12}
    ax.set_xticks([-np.log10(1 - quantile) for quantile in shown], list(shown.values()))
    ax.set(title="Distribution of response times", xlabel="percentile", ylabel="response time, ms", yscale="log")
    ax.yaxis.set_major_formatter("{x:,g}")
    response_limits(ax, objectives)
    widest = max(len(str(line.get_label())) for line in ax.lines)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=1 if widest > LONG else 2, frameon=False)
    return ax


def gauges_over_time(
    gauges: pd.DataFrame,
    labels: Mapping[str, str],
    stages: Sequence[StageSpan],
    *,
    title: str,
    ylabel: str,
    scale: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """The readings of some gauges times `scale`, `labels` by gauge, over the stages of the load.

    One that was not read is left out, and so is a limit of 0, which is none.
    """
    ax = _axes(ax)
    for place, (gauge, label) in enumerate(labels.items()):
        mine = gauges[gauges["gauge"] == gauge]
        if len(mine) and not ("_limit" in gauge and (mine["value"] == 0).all()):
            ax.plot(mine["at_ns"] / NS_PER_S, mine["value"] * scale, color=PALETTE[place], label=label)
    if not ax.lines:
        ax.text(0.5, 0.5, "not told by the server", transform=ax.transAxes, ha="center", color="#555555")
        ax.set(title=title, yticks=[])
        return _over_stages(ax, stages)
    ax.set(title=title, ylabel=ylabel, ylim=(0, None))
    ax.yaxis.set_major_formatter("{x:,g}")
    _legend_above(ax)
    return _over_stages(ax, stages)


def promises_used(judged: Sequence[Judged], ax: Axes | None = None) -> Axes:
    """How much of each promise its finding uses, with the interval; 100 % is the limit.

    For a promise from below (success over 99 %) it is the share of what may be missing. A void finding is hollow, and
    one without data has no mark.
    """
    ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.26 * len(judged)))[1] if ax is None else ax
    for row, (objective, finding, verdict) in enumerate(judged):
        if finding is None or finding.value is None or finding.low is None or finding.high is None:
            continue
        used = [_used(objective, each) for each in (finding.value, finding.low, finding.high)]
        value, low, high = (min(each, MOST_USED) for each in used)
        fill = "none" if verdict is Verdict.VOID else COLOURS[verdict]
        ax.plot([low, high], [row, row], color=COLOURS[verdict], linewidth=2.5, alpha=0.45, solid_capstyle="round")
        beyond = used[0] > MOST_USED
        ax.plot(value, row, ">" if beyond else "o", markerfacecolor=fill, color=COLOURS[verdict], clip_on=False)
    ax.axvline(1, **LIMIT_LINE)
    ax.set_yticks(range(len(judged)), [f"{each.section} · {each.title}" for each, _, _ in judged])
    ax.set(title="How much of each promise is used", xlim=(0, MOST_USED), ylim=(len(judged) - 0.4, -0.6))
    ax.xaxis.set_major_locator(MultipleLocator(0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    for row, (_, _, verdict) in enumerate(judged):
        style: dict[str, Any] = {"color": COLOURS[verdict], "va": "center", "fontsize": "small", "weight": "bold"}
        ax.text(1.02, row, str(verdict).replace("_", " "), transform=ax.get_yaxis_transform(), **style)
    return ax


def _used(objective: Objective, value: float) -> float:
    """The share of the promise that a value uses."""
    if objective.relation.startswith(">"):
        room = 100.0 - objective.limit if objective.unit == "%" else 0.0
        return (100.0 - value) / room if room else objective.limit / max(value, 1e-12)
    if objective.limit == 0:
        return 0.0 if value == 0 else np.inf
    return value / objective.limit


def paired_differences(pairs: pd.DataFrame, cost: Finding | None, objectives: Sequence[Objective] = ()) -> Axes:
    """The differences with − without within interleaved rounds, and their median with its interval.

    The objective on the cost is a line, or named at the edge where it lies beyond. Where there are no rounds, or no
    such finding, the picture says so.
    """
    ax = _axes(None)
    if cost is None or not len(pairs):
        ax.text(0.5, 0.5, cost.note if cost else "not measured", transform=ax.transAxes, ha="center", wrap=True)
        ax.set_axis_off()
        return ax
    differences = (pairs["with"] - pairs["without"]).to_numpy()
    low, high = np.quantile(differences, [0.01, 0.99])
    ax.hist(differences, bins=np.linspace(low, high, 80).tolist(), color=PALETTE[0], alpha=0.6)
    if cost.value is not None and cost.low is not None and cost.high is not None:
        ax.axvspan(cost.low, cost.high, color=PALETTE[1], alpha=0.35, linewidth=0)
        ax.axvline(cost.value, color=PALETTE[1], label=f"median of {len(pairs):,} rounds")
    ax.axvline(0, color="#888888", linewidth=1)
    for each in objectives:
        if each.finding == cost.name:
            beyond = each.limit > high
            ax.axvline(high if beyond else each.limit, **LIMIT_LINE)
            named = f"objective {each.promise}{', far to the right' if beyond else ''} "
            ax.text(high, 0.97, named, transform=ax.get_xaxis_transform(), ha="right", va="top", **LIMIT_NAME)
    ax.set(title="Cost of row-level security", xlabel="with − without row-level security, ms", ylabel="rounds")
    ax.yaxis.set_major_formatter("{x:,g}")
    _legend_above(ax)
    return ax


def shares(findings: Sequence[Finding], title: str) -> Axes:
    """Shares of a whole in percent as bars, the largest first, each with its interval."""
    ax = plt.subplots(figsize=(WIDTH, 0.9 + 0.35 * len(findings)))[1]
    given = [each for each in findings if None not in (each.value, each.low, each.high)]
    known = sorted(((each, each.value or 0.0, each.low or 0.0, each.high or 0.0) for each in given), key=itemgetter(1))
    for row, (_, value, low, high) in enumerate(reversed(known)):
        ax.barh(row, value, height=0.6, color=PALETTE[0], alpha=0.75)
        ax.plot([low, high], [row, row], color="#333333", linewidth=1.5)
        ax.text(high + 1, row, f"{value:.0f} %", va="center", fontsize="small")
    if not known:
        ax.text(0.5, 0.5, "none", transform=ax.transAxes, ha="center", color="#555555")
    ax.set_yticks(range(len(known)), [each.title.rpartition(", ")[2] for each, *_ in reversed(known)])
    ax.set(title=title, xlabel="share, %", xlim=(0, 100), ylim=(max(1, len(known)) - 0.4, -0.6))
    return ax


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def _legend_above(ax: Axes) -> None:
    """Beside the title, above the names of the stages: nowhere does it lie over data."""
    style: dict[str, Any] = {"ncols": 4, "columnspacing": 1.2, "handlelength": 1.4}
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=1.3, frameon=False, **style)


def _over_stages(ax: Axes, stages: Sequence[StageSpan]) -> Axes:
    """Shade the stages, ramps lighter, each with its name above it where it is wide enough."""
    for stage in stages:
        colour = "#f4f4f4" if stage.ramp else "#e3ecf7"
        ax.axvspan(stage.start_s, stage.end_s, color=colour, zorder=0, linewidth=0)
        if stage.end_s - stage.start_s > NAMED_SHARE * stages[-1].end_s:
            middle = (stage.start_s + stage.end_s) / 2
            style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "small", "color": "#555555"}
            ax.text(middle, 1.01, stage.name, transform=ax.get_xaxis_transform(), **style)
    place = ax.get_subplotspec()
    if place is None or place.is_last_row():
        ax.set_xlabel("seconds from the start")
    ax.set_xlim(0, stages[-1].end_s if stages else None)
    return ax
