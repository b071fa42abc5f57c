"""A limit as a line of a picture, and which objectives a picture of response times has to show."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from capacity.findings import Objective

LIMIT_COLOUR = "#b00020"
LIMIT_LINE: dict[str, Any] = {"color": LIMIT_COLOUR, "linestyle": "--", "linewidth": 1.2}
LIMIT_NAME: dict[str, Any] = {"color": LIMIT_COLOUR, "fontsize": "small"}
GAP = 2  # points between a line and its name
ROOM = 3  # times the highest limit: its name lies within the picture
RESPONSE = "response_"  # begins the last part of the name of a finding on response times


def limit_line(ax: Axes, limit: float, name: str, *, below: bool = False, right: bool = False) -> None:
    """A line across the picture, with its name above it at the left end unless said otherwise."""
    ax.axhline(limit, **LIMIT_LINE)
    place: dict[str, Any] = {"va": "top", "xytext": (0, -GAP)} if below else {"va": "bottom", "xytext": (0, GAP / 2)}
    place |= {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "ha": "right" if right else "left"}
    ax.annotate(name, (0.99 if right else 0.01, limit), **place, **LIMIT_NAME)


def response_limits(ax: Axes, objectives: Sequence[Objective]) -> None:
    """The limits on the response times of all operations, in ms: the highest is named above its line, others below."""
    named: dict[float, list[str]] = {}
    for quantile, each in on_response_times(objectives).items():
        named.setdefault(each.limit, []).append("longest" if quantile == "max" else quantile)
    for limit, quantiles in named.items():
        limit_line(ax, limit, f"objective {limit:,g} ms, {' and '.join(quantiles)}", below=limit < max(named))
    if named:
        ax.set_ylim(top=max(named) * ROOM)


def on_response_times(objectives: Sequence[Objective], operation: str = "") -> dict[str, Objective]:
    """The objectives on response times of an operation, empty of all together, by the percentile that they limit.

    `operation` is the part of a finding's name that stands for it; the longest time is `max`.
    """
    inner = [operation] if operation else []
    parts = [(each, each.finding.split(".")) for each in objectives]
    mine = ((each, last) for each, (_, *of, last) in parts if of == inner and last.startswith(RESPONSE))
    return {last.removeprefix(RESPONSE).replace("_", "."): each for each, last in mine}
