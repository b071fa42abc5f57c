"""The breaking point looked for again, later: how it moves with the machine, and between which loads it lies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capacity.analysis.limits.search import BROKEN, LevelResult, NextLevel, Search
from capacity.analysis.statistics.estimates import Estimate, margin_of_mean
from capacity.analysis.statistics.repetition import deviation_between
from capacity.findings import Verdict

MOST = 12  # measurements of a round: three times as much or a third of the load, in steps of a tenth


@dataclass(frozen=True, slots=True)
class Bracket:
    """What one round found: the highest level that held, 0 where none did, and the lowest that broke.

    `high` is infinite where nothing broke or the generator was the limit.
    """

    low: float
    high: float


def next_in_round(search: Search, near: float, results: Sequence[LevelResult]) -> NextLevel | None:
    """What to measure next in a round that looks again near a level, after these results; None where it is over.

    From `near` upwards until a level breaks, and where none held, downwards until one does, in steps of the search's
    `share` and in its long window. A void level is measured twice. A round is not confirmed: where chance decided one,
    rounds differ by it, and `over_rounds` counts that.
    """
    if not results:
        return NextLevel(near, search.confirm_seconds)
    if len(results) == MOST:
        return None
    *before, last = results
    if last.verdict is Verdict.VOID and not (before and before[-1].level == last.level):
        return NextLevel(last.level, search.confirm_seconds)
    verdicts = _verdicts(results)
    broke = any(verdict in BROKEN for verdict in verdicts.values())
    if broke and Verdict.PASS in verdicts.values():
        return None
    level = _step(search, min(verdicts), up=False) if broke else _step(search, max(verdicts), up=True)
    return None if level is None else NextLevel(level, search.confirm_seconds)


def bracket(results: Sequence[LevelResult]) -> Bracket:
    """Between which levels the results of a round say that it breaks."""
    verdicts = _verdicts(results)
    high = min((level for level, verdict in verdicts.items() if verdict is Verdict.FAIL), default=math.inf)
    low = max((level for level, verdict in verdicts.items() if verdict is Verdict.PASS), default=0.0)
    return Bracket(low, high)


def over_rounds(brackets: Sequence[Bracket]) -> Estimate:
    """The load that held, as its geometric mean, and between which loads the breaking point lies.

    Student's t on the logarithms of the brackets' middles says how much rounds differ, and half a mean bracket is added
    to it in squares; brackets that are all the same give that bracket. Of a machine whose speed wanders by 2 to 12 %
    within minutes, four rounds so hold the mean breaking point in 95 to 100 of 100 simulated runs, where the bracket of
    the search alone holds it in 35 to 98. Raises ValueError for fewer than 2 rounds.
    """
    if len(brackets) < 2:
        raise ValueError(f"rounds differ by what 2 or more found and there are {len(brackets)}; measure more rounds")
    lows, highs = (np.array([getattr(each, end) for each in brackets]) for end in ("low", "high"))
    held = math.exp(np.log(lows).mean()) if lows.all() else 0.0
    if not held or math.isinf(highs.max()):
        low = held / math.exp(margin_of_mean(np.log(lows))) if held else 0.0
        high = math.inf if math.isinf(highs.max()) else math.exp(np.log(highs).mean() + margin_of_mean(np.log(highs)))
        return Estimate(held, low, high, len(brackets))
    middles, widths = np.log(lows * highs) / 2, np.log(highs / lows)
    middle, reach = float(middles.mean()), math.hypot(margin_of_mean(middles), float(widths.mean()) / 2)
    return Estimate(held, math.exp(middle - reach), math.exp(middle + reach), len(brackets))


def deviation_of_rounds(brackets: Sequence[Bracket]) -> Estimate:
    """How much rounds differ: the standard deviation of their breaking points, as a share of them.

    Of the logarithms of the brackets' middles, each known to its bracket's width. None where there is one round, or one
    with an open end.
    """
    if len(brackets) < 2 or any(each.low == 0 or math.isinf(each.high) for each in brackets):
        return Estimate(None, None, None, len(brackets))
    middles = [math.log(each.low * each.high) / 2 for each in brackets]
    return deviation_between(middles, max(math.log(each.high / each.low) for each in brackets))


def _verdicts(results: Sequence[LevelResult]) -> dict[float, Verdict]:
    """The last verdict on each level."""
    return {each.level: each.verdict for each in results}


def _step(search: Search, level: float, *, up: bool) -> float | None:
    """The next level up or down, a whole multiple of the resolution; None beyond the range."""
    factor, least = (1 + search.share, search.resolution) if up else (1 / (1 + search.share), -search.resolution)
    wanted = round(level * factor / search.resolution) * search.resolution
    wanted = max(wanted, level + least) if up else min(wanted, level + least)
    if up:
        return min(wanted, search.limit) if level < search.limit else None
    return wanted if wanted > 0 else None
