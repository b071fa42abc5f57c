"""The picture of an overload with a circuit breaker and without; nothing is computed here."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from capacity.display.charts import PALETTE, WIDTH
from capacity.display.charts_limits import LIMIT_COLOUR, limit_line

SIZE = (WIDTH, 5.2)
RATES = {"admitted_per_s": ("admitted", PALETTE[0]), "shed_per_s": ("shed (503)", PALETTE[1])}
FAILED = {"failed_per_s": ("failed", LIMIT_COLOUR)}


def overload_compared(courses: Mapping[str, pd.DataFrame], limit: float, overload_s: float) -> Figure:
    """Depth of the queue above, and writes per second below, a column for each of `courses` by its title.

    Each is a frame of `overload_course`; `limit` is the breaker's, in jobs, and the overload lasts for `overload_s`,
    which is shaded. Both columns share their scales, so that they can be compared.
    """
    figure, grid = plt.subplots(2, len(courses), figsize=SIZE, sharex=True, sharey="row", squeeze=False)
    for column, (title, course) in enumerate(courses.items()):
        depth, rates = grid[0][column], grid[1][column]
        depth.fill_between(course["at_s"], course["depth"], color=PALETTE[7], alpha=0.35, linewidth=0)
        depth.plot(course["at_s"], course["depth"], color="#444444")
        limit_line(depth, limit, f"the breaker's limit, {limit:g}", right=True)
        failed = (course["failed_per_s"] > 0).any()
        for name, (label, colour) in (RATES | (FAILED if failed else {})).items():
            rates.step(course["at_s"], course[name], where="mid", color=colour, label=label)
        depth.set_title(title)
        rates.set_xlabel("seconds from the start")
        for ax in (depth, rates):
            ax.axvspan(0, overload_s, color="#e3ecf7", zorder=0, linewidth=0)
    for ax in grid.flat:
        ax.set(xlim=(0, max(float(course["at_s"].max()) for course in courses.values())), ylim=(0, None))
    grid[0][0].set_ylabel("jobs waiting")
    grid[1][0].set_ylabel("writes per second")
    shaded: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": "small", "color": "#555555"}
    grid[0][0].text(0.02, 0.97, "overload", transform=grid[0][0].transAxes, **shaded)
    handles, labels = grid[1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
