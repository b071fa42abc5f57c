"""What speaks against a measurement, as values, and what it can have done to a figure of it.

A generator that is late makes response times longer and throughput lower, never the other way; it makes no transaction
fail. What a problem cannot have decided it does not take away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from capacity.analysis.statistics.estimates import Estimate
from capacity.findings import Finding


class Effect(StrEnum):
    """What a problem can have done.

    LATE: operations were sent or read late, and some at once that were due apart; the server had all of them to do.
    LESS: the same, and fewer reached the server than were planned. OTHERS: something else slowed all of it down.
    """

    LATE = "late"
    LESS = "less"
    OTHERS = "others"
    ANYTHING = "anything"


class Figure(StrEnum):
    """A kind of figure, by what can move it.

    TIME counts from the schedule. THROUGHPUT is of what succeeded. SUCCESSES and FAILURES are what the server said.
    PRESSURE rises with what is under way at once: peaks, and times within the server. MEAN is what work takes of a
    resource. STORED is what lies in memory, and what follows from that. BEFOREHAND was known before the load.
    """

    TIME = "time"
    THROUGHPUT = "throughput"
    SUCCESSES = "successes"
    FAILURES = "failures"
    PRESSURE = "pressure"
    MEAN = "mean"
    STORED = "stored"
    BEFOREHAND = "beforehand"
    OTHER = "other"


# The kind of a figure by the last part of its finding's name; * stands for anything. One that is in none is OTHER.
NAMES: Mapping[Figure, str] = {
    Figure.TIME: "response_* acquisition_* wait_* add_p* reconnection_* backlog_growth",
    Figure.THROUGHPUT: "throughput completed row_security_rate",
    Figure.SUCCESSES: "success_rate add_success_rate retry_success_rate keep_alive_reuse",
    Figure.FAILURES: "error_rate status_* no_answer_rate failed_rate deadlocks rollbacks lost unexpected duplicated "
    "removed pool_errors breaker_refusals",
    Figure.PRESSURE: "pool_in_use pool_utilisation pool_exhaustions pool_wait* connections_open connections_in_use "
    "connections_utilisation lock_wait_share disk_read disk_write log_sync depth_peak active_peak queue_depth run_* "
    "shed_rate",
    Figure.MEAN: "cpu_share workers_cpu_share *_cpu_per_job cache_hit_rate disk_throughput disk_operations",
    Figure.STORED: "memory memory_utilisation redis_memory fragmentation size evictions out_of_memory",
    Figure.BEFOREHAND: "connections_refused",
}
SAME, LOWER, HIGHER, UNKNOWN = (False, False), (True, False), (False, True), (True, True)
# Where a figure could lie without a problem: as found, or lower or higher than that.
TRUTH: Mapping[Figure, Mapping[Effect, tuple[bool, bool]]] = {
    Figure.TIME: {Effect.LATE: LOWER, Effect.LESS: LOWER, Effect.OTHERS: LOWER},
    Figure.THROUGHPUT: {Effect.LATE: HIGHER, Effect.LESS: HIGHER, Effect.OTHERS: HIGHER},
    Figure.SUCCESSES: {Effect.LATE: SAME, Effect.LESS: LOWER, Effect.OTHERS: HIGHER},
    Figure.FAILURES: {Effect.LATE: SAME, Effect.LESS: HIGHER, Effect.OTHERS: LOWER},
    Figure.PRESSURE: {Effect.LATE: LOWER, Effect.LESS: UNKNOWN, Effect.OTHERS: LOWER},
    Figure.MEAN: {Effect.LATE: SAME, Effect.LESS: HIGHER, Effect.OTHERS: UNKNOWN},
    Figure.STORED: {Effect.LATE: SAME, Effect.LESS: HIGHER, Effect.OTHERS: SAME},
    Figure.BEFOREHAND: {Effect.LATE: SAME, Effect.LESS: SAME, Effect.OTHERS: SAME},
    Figure.OTHER: {},
}
MOST = float("inf")
LEAST = 0.0  # of every figure that moves to one side: times, rates, shares and counts


@dataclass(frozen=True, slots=True)
class Problem:
    """What was `seen`, `why` it matters and its `remedy`; `void` says that what it can have moved does not count."""

    seen: str
    why: str
    remedy: str
    void: bool = False
    effect: Effect = Effect.ANYTHING


def void_reason(problems: Iterable[Problem]) -> str | None:
    """What was seen that makes the measurement void, in one line; None where it counts."""
    return "; ".join(problem.seen for problem in problems if problem.void) or None


def figure_of(name: str) -> Figure:
    """The kind of figure that a finding of that name is."""
    last = name.rpartition(".")[2]
    fitting = (kind for kind, names in NAMES.items() if any(fnmatchcase(last, each) for each in names.split()))
    return next(fitting, Figure.OTHER)


def spoilt(finding: Finding, problems: Iterable[Problem], otherwise: Estimate | None = None) -> Finding:
    """The finding with those of the problems that can have moved it, and between what it could be without them.

    `otherwise` is what a share would be if no time-out and no drop were the server's: a generator that was away makes
    those. Where nothing can have moved it the finding is as it was.
    """
    truth = TRUTH[figure_of(finding.name)]
    void = [(each, truth.get(each.effect, UNKNOWN)) for each in problems if each.void]
    given_up = otherwise is not None and otherwise.value != finding.value
    own = (Effect.LATE, Effect.LESS)
    moving = [(each, ends) for each, ends in void if any(ends) or (given_up and each.effect in own)]
    if not moving:
        return finding
    remedy = "; ".join(dict.fromkeys(each.remedy for each, _ in moving))
    made = replace(finding, void=void_reason(each for each, _ in moving), remedy=remedy)
    if any(ends == UNKNOWN for _, ends in moving):
        return made
    ends = [end for end in (finding.low, finding.high) if end is not None]
    ends += [LEAST for _, (lower, _) in moving if lower] + [MOST for _, (_, higher) in moving if higher]
    if given_up and otherwise is not None:
        ends += [end for end in (otherwise.low, otherwise.high) if end is not None]
    return replace(made, least=min(ends), most=max(ends))
