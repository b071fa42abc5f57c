"""Pictures: frames and findings in, matplotlib Axes out; nothing is computed here."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

PALETTE = sns.color_palette("colorblind")
LIMIT_COLOUR = "#b00020"
NS_PER_S = 1e9
NAMED_SHARE = 0.08  # of the width: a narrower stage has no room for its name
NINES = {0.5: "p50", 0.9: "p90", 0.99: "p99", 0.999: "p99.9", 0.9999: "p99.99"}


def house_style() -> None:
    """White, a light grid, and sizes that stay readable in print."""
    sns.set_theme(style="whitegrid", palette="colorblind", context="notebook", font_scale=0.85)
    plt.rcParams.update({"figure.figsize": (9, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True})
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
