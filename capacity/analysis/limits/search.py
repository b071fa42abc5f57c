"""The highest load that a system sustains: which level to measure next, and the answer once enough was seen."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from capacity.findings import Verdict

# A level ends the answer when failures lead passes by 3 there and, with failures above it, by 4; a verdict of the long
# window counts twice. With one short verdict in 20 and one long in 50 false, one search in 1,700 then finds a bound
# where there is none (simulated; with 2 and 3 one in 210, with 2 alone one in 30).
LONG_COUNTS = 2
LEAD = 3
LEAD_WITH_ABOVE = 4
MOST_LONG = 3  # measurements of a level in the long window; one that contradicts itself for longer stays undecided
MISLEADING = 2  # levels that pass in the short window and break in the long one; a single one may be chance
PRODUCTION_SHARE = 0.75
REST = "the rest is for bursts, for the loss of a part, and for two months of growth at 15 %"
BROKEN = (Verdict.FAIL, Verdict.VOID)
VOTES = {Verdict.PASS: 1, Verdict.FAIL: -1, Verdict.VOID: -1}


class Conclusion(StrEnum):
    """How a search ended."""

    FOUND = "found"
    NOT_REACHED = "not reached within the range"
    GENERATOR_BOUND = "bound by the measurement"
    MEASURED_NOTHING = "measured nothing"


NOTES = {
    Conclusion.GENERATOR_BOUND: "the generator, or what ran beside it, was the limit; the system's is above",
    Conclusion.NOT_REACHED: "nothing broke within the range; the system may hold more",
}


@dataclass(frozen=True, slots=True)
class NextLevel:
    """The level to measure next, and for how many seconds."""

    level: float
    seconds: float


@dataclass(frozen=True, slots=True)
class LevelResult:
    """The verdict on one level held for `seconds`; `broke` names the objective that failed, or why it is void."""

    level: float
    seconds: float
    verdict: Verdict
    broke: str = ""


@dataclass(frozen=True, slots=True)
class BreakingPoint:
    """The answer: the highest sustainable load is at least `low` and below `high`.

    `low` is the highest level that held in the long window, 0 where none did; `high` is the lowest that broke, None
    where none did or the generator was the limit, which is then above `low` and the system's limit is above it. `broke`
    says by what the level that ended it was decided, `undecided` are levels in between that stayed so. `recommended` is
    the load for production, and `why`. `complete` is False where the search was broken off.
    """

    conclusion: Conclusion
    low: float
    high: float | None
    broke: str
    undecided: tuple[float, ...]
    recommended: float | None
    why: str
    complete: bool


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look: from the level `start` up to `limit`, in any unit of load, until it is known to `resolution`.

    Levels in between are whole multiples of `resolution`; with `share` it is enough to know the answer to that share of
    itself, so that a search over a wide range ends as early at a high level as at a low one. A level is held for
    `seconds` at first, and for `confirm_seconds` where that does not decide it and before it is the answer. Where two
    levels as near as `resolution` cannot be told apart in these windows, levels stay undecided and the search costs up
    to twice as much.
    """

    start: float
    limit: float
    resolution: float
    seconds: float = 30.0
    confirm_seconds: float = 120.0
    share: float = 0.0

    def __post_init__(self) -> None:
        levels, windows = 0 < self.start <= self.limit < math.inf, 0 < self.seconds <= self.confirm_seconds < math.inf
        if not (levels and windows and self.resolution > 0 and 0 <= self.share < 1):
            raise ValueError(
                "a search needs 0 < start <= limit, 0 < seconds <= confirm_seconds, a resolution above 0 "
                f"and a share from 0 to below 1, and got {self}"
            )

    def next_level(self, results: Iterable[LevelResult]) -> NextLevel | None:
        """What to measure after these results, in the order tried; None where the answer is known.

        Double until a level breaks, then bisect. A level that is undecided is measured again in the long window. The
        lowest that broke is measured again until failures lead by three, and the highest that held is held in the long
        window; where either turns out otherwise, the search goes on from there.
        """
        seen = self._seen(list(results))
        window = self.confirm_seconds if seen.misled else self.seconds
        for level in seen.undecided:
            if not level.exhausted:
                return NextLevel(level.level, self.confirm_seconds)
        if seen.ceiling is None and seen.highest < self.limit:
            return NextLevel(min(2 * seen.highest, self.limit) if seen.highest else self.start, window)
        middle = self._middle(seen)
        if middle is not None:
            return NextLevel(middle, window)
        if seen.floor is not None and not seen.floor.confirmed:
            return NextLevel(seen.floor.level, self.confirm_seconds)
        if seen.ceiling is not None and not seen.ceiling.confirmed:
            return NextLevel(seen.ceiling.level, self.confirm_seconds if seen.ceiling.long else self.seconds)
        return None

    def answer(self, results: Iterable[LevelResult]) -> BreakingPoint:
        """What these results say: final, and `complete`, where `next_level` of them is None."""
        levels = list(results)
        seen = self._seen(levels)
        conclusion, held = _conclusion(seen), seen.floor is not None and seen.floor.confirmed
        return BreakingPoint(
            conclusion=conclusion,
            low=seen.low,
            high=seen.ceiling.level if seen.ceiling and conclusion is Conclusion.FOUND else None,
            broke=seen.ceiling.broke if seen.ceiling else "",
            undecided=tuple(each.level for each in seen.undecided),
            recommended=PRODUCTION_SHARE * seen.low if held else None,
            why=self._why(seen.low, NOTES.get(conclusion, "")) if held else "no level held, so none is recommended",
            complete=self.next_level(levels) is None,
        )

    def _why(self, low: float, note: str) -> str:
        window_s, part = self.confirm_seconds, PRODUCTION_SHARE * 100
        share = f"{part:g} % of {low:,.6g}, the highest level that held for {window_s:g} s; {REST}"
        return f"{share}; {note}" if note else share

    def _middle(self, seen: "_Seen") -> float | None:
        """The middle of what is still open above what held or below what broke, whichever is wider."""
        ends = [seen.low, *(each.level for each in seen.undecided), *([seen.ceiling.level] if seen.ceiling else [])]
        gaps = [(ends[0], ends[1])] if len(ends) > 1 else []
        gaps += [(ends[-2], ends[-1])] if seen.ceiling else []
        below, above = max(gaps, key=lambda gap: gap[1] - gap[0], default=(0.0, 0.0))
        if above - below <= max(self.resolution, self.share * below):
            return None
        return round((below + above) / 2 / self.resolution) * self.resolution

    def _seen(self, results: Sequence[LevelResult]) -> "_Seen":
        by_level: dict[float, list[LevelResult]] = {}
        for each in results:
            by_level.setdefault(each.level, []).append(each)
        long = self.confirm_seconds
        misled = sum(_misleads(each, long) for each in by_level.values()) >= MISLEADING
        standings: list[_Standing] = []
        failures = 0
        for level in sorted(by_level, reverse=True):
            told = [each for each in by_level[level] if not (misled and each.seconds < long and _vote(each, long) > 0)]
            if told:
                standings.append(_standing(told, long, failures))
            failures -= sum(min(0, _vote(each, long)) for each in told)
        return _between(standings[::-1], misled)


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is known of a level: by what votes it passes (below 0: it breaks; 0: undecided), and how surely.

    `exhausted`: measuring it again would not decide it; `long`: if it is, then in the long window.
    """

    level: float
    lead: int
    confirmed: bool
    exhausted: bool
    long: bool
    void: bool
    broke: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """The highest level that held below the lowest that broke, what is undecided between, and the highest tried."""

    floor: _Standing | None
    ceiling: _Standing | None
    undecided: list[_Standing]
    highest: float
    misled: bool

    @property
    def low(self) -> float:
        return self.floor.level if self.floor else 0.0


def _vote(result: LevelResult, long: float) -> int:
    """Above 0 for a pass, below for a failure, 0 for a verdict that says neither."""
    return VOTES.get(result.verdict, 0) * (LONG_COUNTS if result.seconds >= long else 1)


def _standing(results: Sequence[LevelResult], long: float, above: int) -> _Standing:
    """Of one level, given what votes levels above it have failed by; the long window outranks the short one."""
    votes = [_vote(each, long) for each in results]
    in_long = [vote for vote, each in zip(votes, results, strict=True) if each.seconds >= long]
    lead, behind = sum(in_long or votes), -sum(votes)
    confirmed = bool(in_long) if lead > 0 else behind >= LEAD and behind + above >= LEAD_WITH_ABOVE
    spent = len(in_long) >= MOST_LONG
    broken = [each for each in results if each.verdict in BROKEN]
    void = 2 * sum(each.verdict is Verdict.VOID for each in broken) >= len(broken) > 0
    decided = [each.broke for each in broken if (each.verdict is Verdict.VOID) is void]
    return _Standing(
        level=results[0].level,
        lead=0 if spent and not confirmed else lead,
        confirmed=confirmed,
        exhausted=spent or (bool(in_long) and not any(in_long)),
        long=bool(in_long) or len(set(votes)) > 1,
        void=void,
        broke=decided[-1] if decided else "",
    )


def _misleads(results: Sequence[LevelResult], long: float) -> bool:
    """Whether this level passed in the short window and breaks in the long one."""
    passed = any(each.verdict is Verdict.PASS for each in results if each.seconds < long)
    return passed and sum(_vote(each, long) for each in results if each.seconds >= long) < 0


def _between(levels: Sequence[_Standing], misled: bool) -> _Seen:
    ceiling = next((each for each in levels if each.lead < 0), None)
    below = [each for each in levels if ceiling is None or each.level < ceiling.level]
    floor = next((each for each in reversed(below) if each.lead > 0), None)
    undecided = [each for each in below if each.lead == 0 and (floor is None or each.level > floor.level)]
    return _Seen(floor, ceiling, undecided, levels[-1].level if levels else 0.0, misled)


def _conclusion(seen: _Seen) -> Conclusion:
    if seen.ceiling is not None and not seen.ceiling.void:
        return Conclusion.FOUND
    if seen.floor is None:
        return Conclusion.MEASURED_NOTHING
    return Conclusion.NOT_REACHED if seen.ceiling is None else Conclusion.GENERATOR_BOUND
