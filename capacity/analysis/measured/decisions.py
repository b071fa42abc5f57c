"""How long a measurement must be to decide a promise: from its plan beforehand, or from what it has shown so far."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from capacity.analysis.statistics.conventions import CHANCE, QUANTILES
from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.operation import Operation, operation_slug
from capacity.shape import Shape
from capacity.workload import Workload

TOGETHER = 10  # slow operations come together: of the committed gateway's slowest 1 %, about 12 were worth one
SHARES = ("success_rate", "failed_rate", "status_5xx_rate", "keep_alive_reuse", "retry_success_rate", "lock_wait_share")


@dataclass(frozen=True, slots=True)
class Undecided:
    """A promise, and the seconds at a constant load that would decide it; infinite where none would."""

    objective: Objective
    seconds: float


def undecided(judged: Iterable[Judged], seconds: float) -> list[Undecided]:
    """The promises that a measurement has left undecided, of so many seconds at a constant load until now."""
    open_ones = ((objective, finding) for objective, finding, verdict in judged if verdict is Verdict.INCONCLUSIVE)
    return [Undecided(each, seconds_to_decide(found, each, seconds)) for each, found in open_ones if found]


def seconds_to_decide(finding: Finding, objective: Objective, seconds: float) -> float:
    """How long to measure in all until a finding's interval no longer holds its limit, from one of `seconds`.

    An interval narrows with the root of time, and its value stays about where it is. Where an end is open nothing is
    known of it, and twice as long is the least that may close it. A percentile of too few operations needs
    `minimum_samples` of them. Infinite where the value is on the limit, and where nothing is known.
    """
    if finding.value is None and finding.count and (quantile := quantile_of(finding.name)):
        return seconds * minimum_samples(quantile) / finding.count
    if finding.value is None or finding.low is None or finding.high is None or finding.value == objective.limit:
        return math.inf
    end = finding.high if finding.value < objective.limit else finding.low
    if math.isinf(end) or math.isinf(finding.value):
        return 2 * seconds
    return seconds * ((end - finding.value) / (objective.limit - finding.value)) ** 2


def quantile_of(name: str) -> float | None:
    """The quantile that a finding is, as 0.99 for `database.response_p99`; None where it is none."""
    return QUANTILES.get(name.rpartition(".")[2].rpartition("_")[2])


def undecidable(workload: Workload, profile: str, objectives: Iterable[Objective]) -> list[Undecided]:
    """The promises on a workload that a profile is too short to decide, seen before anything is measured.

    A percentile needs `minimum_samples` independent operations, here `TOGETHER` times as many planned ones. A share
    needs so many events that none of them against it is proof. What was counted wholly, or is read all the time, any
    length decides. Users who do not think send at a rate that nobody knows beforehand, so theirs are not among them.
    """
    shape = workload.shape(profile)
    needed = [Undecided(each, _needed(each, workload, shape)) for each in objectives]
    return [each for each in needed if each.seconds > shape.sustained_seconds]


def _needed(objective: Objective, workload: Workload, shape: Shape) -> float:
    """The seconds that a promise needs at this shape's load; 0 where any length will do."""
    *_, figure = objective.finding.split(".")
    if quantile := QUANTILES.get(figure.removeprefix("response_")):
        count = float(TOGETHER * minimum_samples(quantile))
    elif figure in SHARES:
        share = objective.limit / 100
        count = math.log(CHANCE / 2) / math.log(max(share, 1 - share))
    else:
        return 0.0
    rate = _rate(objective, workload, shape)
    return count / rate if rate else 0.0


def _rate(objective: Objective, workload: Workload, shape: Shape) -> float:
    """How many events a second tell of a promise; 0 where that is not known beforehand."""
    _, *operation, figure = objective.finding.split(".")
    load = max((stage.to for stage in shape.stages if stage.sustained), default=0.0)
    if shape.kind == "users":
        load = load * 1000 / shape.think_ms if shape.think_ms else 0.0
    of = [each for each in workload.operations if not operation or operation_slug(each.name) == operation[0]]
    shares = (_tried_again(each) if figure == "retry_success_rate" else 1.0 for each in of)
    return load / 100 * math.fsum(each.weight * share for each, share in zip(of, shares, strict=True))


def _tried_again(operation: Operation) -> float:
    """The share of an operation's jobs whose first attempt is to fail."""
    return math.fsum(each.percent for each in operation.job.failures.values()) / 100 if operation.job else 0.0
