"""Pictures: frames and findings in, matplotlib Axes out; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter

from capacity.display.tables import COLOURS
from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.units import NS_PER_S

PALETTE = sns.color_palette("colorblind")
LIMIT_COLOUR = "#b00020"
NAMED_SHARE = 0.08  # of the width: a narrower stage has no room for its name
MOST_USED = 1.5  # of a promise: what uses more is drawn there, as an arrow
NINES = {0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p99.9", 0.9999: "p99.99"}


def house_style() -> None:
    """White, a light grid, and sizes that stay readable in print."""
    sns.set_theme(style="whitegrid", palette="colorblind", context="notebook", font_scale=0.85)
    plt.rcParams.update({"figure.figsize": (9, 3.4), "figure.dpi": 130, "figure.constrained_layout.use": True})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "grid.color": "#e6e6e6"})
    plt.rcParams.update({"axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlepad": 16})


def throughput_over_time(course: pd.DataFrame, stages: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Operations that succeeded per second, and the failed ones where there are any, over the stages of the load."""
    ax = _axes(ax)
    ax.plot(course["second"], course["throughput_per_s"], color=PALETTE[0], label="succeeded")
    if (course["errors_per_s"] > 0).any():
        ax.plot(course["second"], course["errors_per_s"], color=LIMIT_COLOUR, label="failed")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    ax.set(title="Throughput", ylabel="operations per second", ylim=(0, None))
    return _over_stages(ax, stages)


def latency_over_time(
    course: pd.DataFrame, stages: Sequence[Mapping[str, Any]], objective_ms: float | None = None, ax: Axes | None = None
) -> Axes:
    """p50 and p99 of the response times of the operations due in each second; a censored one is a mark at the top."""
    ax = _axes(ax)
    for place, name in enumerate(("p50", "p99")):
        values = course[f"{name}_ms"]
        ax.plot(course["second"], values.replace(np.inf, np.nan), color=PALETTE[place], label=name)
        beyond = course.loc[np.isinf(values), "second"]
        ax.plot(
            beyond, np.ones(len(beyond)), "^", color=PALETTE[place], transform=ax.get_xaxis_transform(), clip_on=False
        )
    ax.set(title="Response time", ylabel="response time, ms", yscale="log")
    _limit(ax, objective_ms)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return _over_stages(ax, stages)


def latency_distribution(curve: pd.DataFrame, objective_ms: float | None = None, ax: Axes | None = None) -> Axes:
    """The percentile curve of each operation with its interval as a band; the x axis is spaced in nines."""
    ax = _axes(ax)
    for place, (name, group) in enumerate(curve.groupby("operation", observed=True)):
        nines, finite = -np.log10(1 - group["quantile"]), group.replace(np.inf, np.nan)
        ax.plot(nines, finite["response_ms"], color=PALETTE[place], label=str(name))
        ax.fill_between(nines, finite["low_ms"], finite["high_ms"], color=PALETTE[place], alpha=0.18, linewidth=0)
    farthest = float(curve["quantile"].max())
    shown = {quantile: name for quantile, name in NINES.items() if quantile <= farthest + 1e-12}
    ax.set_xticks([-np.log10(1 - quantile) for quantile in shown], list(shown.values()))
    ax.set(title="Distribution of response times", xlabel="percentile", ylabel="response time, ms", yscale="log")
    _limit(ax, objective_ms)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


def gauges_over_time(
    gauges: pd.DataFrame,
    labels: Mapping[str, str],
    stages: Sequence[Mapping[str, Any]],
    *,
    title: str,
    ylabel: str,
    scale: float = 1.0,
    ax: Axes | None = None,
) -> Axes:
    """The readings of some gauges times `scale`, `labels` by gauge, over the stages of the load."""
    ax = _axes(ax)
    for place, (gauge, label) in enumerate(labels.items()):
        mine = gauges[gauges["gauge"] == gauge]
        ax.plot(mine["at_ns"] / NS_PER_S, mine["value"] * scale, color=PALETTE[place], label=label)
    ax.set(title=title, ylabel=ylabel, ylim=(0, None))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(labels), frameon=False)
    return _over_stages(ax, stages)


def promises_used(judged: Sequence[Judged], ax: Axes | None = None) -> Axes:
    """How much of each promise its finding uses, with the interval; 100 % is the limit.

    For a promise from below (success over 99 %) it is the share of what may be missing. A void finding is hollow, and
    one without data has no mark.
    """
    ax = plt.subplots(figsize=(9, 0.9 + 0.26 * len(judged)))[1] if ax is None else ax
    for row, (objective, finding, verdict) in enumerate(judged):
        used = _used(objective, finding)
        if used is None:
            continue
        value, low, high = (min(each, MOST_USED) for each in used)
        fill = "none" if verdict is Verdict.VOID else COLOURS[verdict]
        ax.plot([low, high], [row, row], color=COLOURS[verdict], linewidth=2.5, alpha=0.45, solid_capstyle="round")
        beyond = used[0] > MOST_USED
        ax.plot(value, row, ">" if beyond else "o", markerfacecolor=fill, color=COLOURS[verdict], clip_on=False)
    ax.axvline(1, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2)
    ax.set_yticks(range(len(judged)), [f"{each.section} · {each.title}" for each, _, _ in judged])
    ax.set(title="How much of each promise is used", xlim=(0, MOST_USED), ylim=(len(judged) - 0.4, -0.6))
    ax.xaxis.set_major_locator(MultipleLocator(0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    for row, (_, _, verdict) in enumerate(judged):
        style: dict[str, Any] = {"color": COLOURS[verdict], "va": "center", "fontsize": "small", "weight": "bold"}
        ax.text(1.02, row, str(verdict).replace("_", " "), transform=ax.get_yaxis_transform(), **style)
    return ax


def _used(objective: Objective, finding: Finding | None) -> tuple[float, float, float] | None:
    """Value and bounds as shares of the promise, in ascending order of the bounds."""
    if finding is None or finding.value is None or finding.low is None or finding.high is None:
        return None
    given = (finding.value, finding.low, finding.high)
    if objective.relation.startswith(">"):
        whole = 100.0 if objective.unit == "%" else 0.0
        room = whole - objective.limit if whole else None
        value, high, low = ((whole - each) / room if room else objective.limit / max(each, 1e-12) for each in given)
        return value, low, high
    if objective.limit == 0:
        value, low, high = (0.0 if each == 0 else float("inf") for each in given)
        return value, low, high
    value, low, high = (each / objective.limit for each in given)
    return value, low, high


def paired_differences(
    pairs: pd.DataFrame, cost: Finding, limit_ms: float | None = None, ax: Axes | None = None
) -> Axes:
    """The differences with − without within interleaved rounds, and their median with its interval."""
    ax = _axes(ax)
    differences = (pairs["with"] - pairs["without"]).to_numpy()
    low, high = np.quantile(differences, [0.005, 0.995])
    ax.hist(differences, bins=np.linspace(low, high, 80).tolist(), color=PALETTE[0], alpha=0.6)
    if cost.value is not None and cost.low is not None and cost.high is not None:
        ax.axvspan(cost.low, cost.high, color=PALETTE[1], alpha=0.35, linewidth=0)
        ax.axvline(cost.value, color=PALETTE[1], label=f"median of {len(pairs):,} rounds")
    ax.axvline(0, color="#888888", linewidth=1)
    if limit_ms is not None and limit_ms <= high:
        ax.axvline(limit_ms, color=LIMIT_COLOUR, linestyle="--", label=f"objective {limit_ms:g} ms")
    ax.set(
        title="Cost of row-level security",
        xlabel="with − without row-level security, ms",
        ylabel="rounds of four queries",
    )
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


def shares(findings: Sequence[Finding], title: str, ax: Axes | None = None) -> Axes:
    """Shares of a whole in percent as bars, the largest first, each with its interval."""
    ax = plt.subplots(figsize=(9, 0.9 + 0.35 * len(findings)))[1] if ax is None else ax
    known = [each for each in findings if each.value is not None and each.low is not None and each.high is not None]
    for row, each in enumerate(sorted(known, key=lambda each: -(each.value or 0.0))):
        value, low, high = each.value or 0.0, each.low or 0.0, each.high or 0.0
        ax.barh(row, value, height=0.6, color=PALETTE[0], alpha=0.75)
        ax.plot([low, high], [row, row], color="#333333", linewidth=1.5)
        ax.text(high + 1, row, f"{value:.0f} %", va="center", fontsize="small")
    names = [each.title.rpartition(", ")[2] for each in sorted(known, key=lambda each: -(each.value or 0.0))]
    ax.set_yticks(range(len(names)), names)
    ax.set(title=title, xlabel="share, %", xlim=(0, 100), ylim=(len(names) - 0.4, -0.6))
    return ax


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def _limit(ax: Axes, limit: float | None) -> None:
    """The objective as a line that is named at its left end."""
    if limit is not None:
        ax.axhline(limit, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2)
        style: dict[str, Any] = {"color": LIMIT_COLOUR, "va": "bottom", "fontsize": "small"}
        ax.text(0.01, limit, f"objective {limit:g} ms", transform=ax.get_yaxis_transform(), **style)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_ylim(top=limit * 2)


def _over_stages(ax: Axes, stages: Sequence[Mapping[str, Any]]) -> Axes:
    """Shade the stages, ramps lighter, each with its name above it where it is wide enough."""
    for stage in stages:
        colour = "#f4f4f4" if stage["ramp"] else "#e3ecf7"
        ax.axvspan(stage["start_s"], stage["end_s"], color=colour, zorder=0, linewidth=0)
        if stage["end_s"] - stage["start_s"] > NAMED_SHARE * stages[-1]["end_s"]:
            middle = (stage["start_s"] + stage["end_s"]) / 2
            style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": "small", "color": "#555555"}
            ax.text(middle, 1.01, stage["name"], transform=ax.get_xaxis_transform(), **style)
    place = ax.get_subplotspec()
    if place is None or place.is_last_row():
        ax.set_xlabel("seconds from the start")
    ax.set_xlim(0, stages[-1]["end_s"] if stages else None)
    return ax
