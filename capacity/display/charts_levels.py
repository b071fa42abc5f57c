"""Pictures of a search for a breaking point: what each level showed, what was in use, and the estimates beside it."""

import math
from typing import Any, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from capacity.analysis.limits.knees import Knee
from capacity.analysis.limits.search_result import SearchResult
from capacity.display.charts import PALETTE, WIDTH
from capacity.display.charts_limits import limit_line
from capacity.display.tables import COLOURS
from capacity.display.text import NOT_GIVEN
from capacity.findings import Verdict

KNEE: dict[str, Any] = {"color": "#f3d9a4", "alpha": 0.5, "linewidth": 0, "zorder": 0}
BEYOND = 1.5  # of the places, or of the levels: how far the law is drawn
RESOURCES = 3  # the most used ones; more lines cannot be told apart
Series: TypeAlias = "pd.Series[float]"


def searched_picture(found: SearchResult) -> Figure:
    """One part: times, throughput and use over the load offered; the scalability law, and the three estimates."""
    figure = plt.figure(figsize=(WIDTH, 10.4))
    grid = figure.add_gridspec(4, 2, height_ratios=[1.15, 1, 1.2, 1.1])
    times = figure.add_subplot(grid[0, :])
    done, used = (figure.add_subplot(grid[row, :], sharex=times) for row in (1, 2))
    times_by_load(found, times)
    throughput_by_load(found.table, done)
    use_by_load(found.uses, used)
    low, high = found.sustainable.low or 0.0, found.sustainable.high or math.inf
    for ax in (times, done, used):
        ax.axvspan(low, high if math.isfinite(high) else found.knee, **KNEE)
        ax.xaxis.set_major_formatter("{x:,.0f}")
    for ax in (times, done):
        ax.tick_params(labelbottom=False)
    used.set_xlabel("operations due per second; shaded: where the breaking point lies")
    scalability_by_number(found, figure.add_subplot(grid[3, 0]))
    estimates(found.knees, figure.add_subplot(grid[3, 1]))
    figure.suptitle(found.name, x=0.01, ha="left", weight="bold")
    return figure


def times_by_load(found: SearchResult, ax: Axes) -> None:
    """The percentile of the response time that is promised, with its interval and its limit, and the service time.

    A dotted line upwards is an interval that the level was too short to bound.
    """
    name, limit_ms = found.promised_time
    table = found.table
    longest = _longest(table)
    highest = table[name].replace(np.inf, np.nan).max()  # not a number where no level was long enough
    top = highest * 4 if highest > 0 else limit_ms * 3
    for column, colour, label in (
        (name, PALETTE[0], "response time"),
        (name.replace("response", "service"), PALETTE[1], "service time"),
    ):
        high = longest[f"{column}_high"].replace(np.inf, np.nan)
        _banded(ax, longest["rate"], longest[column], (longest[f"{column}_low"], high), color=colour, label=label)
        unbounded = longest[np.isinf(longest[f"{column}_high"])]
        ax.vlines(unbounded["rate"], unbounded[f"{column}_low"], top, color=colour, alpha=0.35, linestyle=":")
    _marks(table, name, ax)
    limit_line(ax, limit_ms, f"objective {limit_ms:g} ms")
    quantile = name.rpartition("_")[2]
    ax.set(title=f"Response time, {quantile}", ylabel="ms", yscale="log", ylim=(None, max(top, limit_ms * 3)))
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize="small")


def throughput_by_load(table: pd.DataFrame, ax: Axes) -> None:
    """What succeeded per second over what was due, with its interval; the dashed line is all of it."""
    longest = _longest(table)
    ax.plot([0, table["rate"].max()], [0, table["rate"].max()], color="#999999", linestyle="--", linewidth=1)
    interval = longest["completed_low"], longest["completed_high"]
    _banded(ax, longest["rate"], longest["completed"], interval, color=PALETTE[0])
    _marks(table, "completed", ax)
    for verdict in dict.fromkeys(table["verdict"]):
        ax.plot([], [], "o", label=verdict, **_mark(verdict))
    ax.set(title="Completed", ylabel="per second", ylim=(0, table["completed"].max() * 1.3))
    ax.legend(loc="lower right", frameon=False, fontsize="small")
    ax.yaxis.set_major_formatter("{x:,.0f}")


def use_by_load(uses: pd.DataFrame, ax: Axes) -> None:
    """How much of the resources was in use at each level, with its interval; the first is what broke."""
    for place, (name, group) in enumerate(uses.groupby("resource", sort=False)):
        if place == RESOURCES:
            break
        interval, width = (group["low"], group["high"].clip(upper=1)), 2.4 if place == 0 else 1.2
        style = {"color": PALETTE[place + 2], "label": str(name), "linewidth": width, "marker": "."}
        _banded(ax, group["rate"], group["utilisation"], interval, **style)
    ax.set(title="In use", ylabel="of all of it", ylim=(0, 1.75), yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(loc="upper left", frameon=False, fontsize="small")


def scalability_by_number(found: SearchResult, ax: Axes) -> None:
    """What succeeded per second by the number in service, and the scalability law with its band."""
    table, model, places = found.table, found.scalability[1], found.places  # infinite where nobody knows them
    ax.plot(table["in_service"], table["completed"], "o", color=PALETTE[0], label="levels", markersize=4)
    if model is not None:
        curve = model.band(
            np.linspace(model.lowest, BEYOND * max(places if math.isfinite(places) else 0.0, model.highest), 60)
        )
        top = table["completed"].max() * 1.8
        interval, style = (curve["low"], curve["high"].clip(upper=top)), {"label": "scalability law"}
        _banded(ax, curve["concurrency"], curve["throughput"], interval, color=PALETTE[4], **style)
        ax.set_ylim(0, top)
    if math.isfinite(places):
        ax.axvline(places, color="#777777", linestyle=":", linewidth=1.2, label=f"places: {places:g}")
    ax.set(title="Scalability", xlabel="operations in service, mean", ylabel="completed per second")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.45, -0.3), ncols=2, frameon=False, fontsize="small")


def estimates(knees: list[Knee], ax: Axes) -> None:
    """The three estimates of the highest load with their intervals, one below the other."""
    bounds = [each for knee in knees for each in (knee.rate.low, knee.rate.high) if each and np.isfinite(each)]
    end = 1.15 * max(bounds, default=1.0)
    for row, knee in enumerate(knees):
        if knee.rate.value is None or knee.rate.low is None or knee.rate.high is None:
            ax.text(0.02, row, NOT_GIVEN, va="center", transform=ax.get_yaxis_transform(), fontsize="small")
            continue
        colour = PALETTE[(0, 4, 2)[row]]
        ax.plot([knee.rate.low, min(knee.rate.high, end)], [row, row], color=colour, linewidth=5, alpha=0.4)
        ax.plot(knee.rate.value, row, "o", color=colour)
    ax.set_yticks(range(len(knees)), [knee.method for knee in knees])
    ax.set(title="Highest load by three ways", xlabel="operations per second", xlim=(0, end), ylim=(2.6, -0.6))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_major_locator(MaxNLocator(4))


def _banded(ax: Axes, at: Series, value: Series, interval: tuple[Series, Series], **style: Any) -> None:
    """A line with its interval as a band of its colour."""
    ax.plot(at, value, **style)
    ax.fill_between(at, *interval, color=style["color"], alpha=0.18, linewidth=0)


def _longest(table: pd.DataFrame) -> pd.DataFrame:
    """Of each level the measurement that was held longest, the last of those as long, by rate."""
    return table.sort_values(["rate", "seconds"], kind="stable").groupby("rate", as_index=False).last()


def _marks(table: pd.DataFrame, column: str, ax: Axes) -> None:
    for verdict, group in table.groupby("verdict"):
        ax.plot(group["rate"], group[column], "o", zorder=3, **_mark(str(verdict)))


def _mark(verdict: str) -> dict[str, Any]:
    colour = COLOURS[Verdict(verdict)]
    return {"color": colour, "markersize": 5, "markerfacecolor": "none" if verdict == Verdict.VOID else colour}
