"""What the reference workers do with a job: how long an attempt takes and how it ends, as the workload file says."""

import math
from dataclasses import dataclass
from hashlib import blake2b
from statistics import NormalDist

from capacity.errors import CapacityError
from capacity.operation import Job
from capacity.workload import Workload

UNKNOWN_TYPE = "unknown type"  # the reason for which a job fails that the workload file does not know
STANDARD_NORMAL = NormalDist()
BITS = 52  # as many as a float holds apart near 1, so that no draw is 0 or 1
STEPS = 1 << BITS


@dataclass(frozen=True, slots=True)
class DrawnAttempt:
    """One attempt at a job: the time it takes, and the category of its failure or None."""

    seconds: float
    failure: str | None


class JobDraws:
    """Draws the attempts at jobs of a workload.

    A draw depends on the workload's seed, the job's id and the number of the attempt alone, so that every process draws
    the same. Raises CapacityError where the workload has no jobs.
    """

    def __init__(self, workload: Workload) -> None:
        self._seed = workload.seed
        self._types = {each.name: _Type(each.job) for each in workload.operations if each.job is not None}
        if not self._types:
            raise CapacityError(
                f"the workload {workload.name} is for {workload.target} and has no jobs; give one for bullmq"
            )

    def attempt(self, job_type: str, job_id: str, number: int) -> DrawnAttempt:
        """The attempt `number`, counted from 1, at a job; one of a type that the workload has not fails at once."""
        drawn = self._types.get(job_type)
        if drawn is None:
            return DrawnAttempt(0.0, UNKNOWN_TYPE)
        seconds = drawn.seconds(_uniform(f"{self._seed}:{job_id}:{number}"))
        return DrawnAttempt(seconds, drawn.failure(_uniform(f"{self._seed}:{job_id}"), number))


class _Type:
    """A type of jobs, made ready for drawing."""

    def __init__(self, job: Job) -> None:
        self._log_median = math.log(job.service_ms.median / 1000)
        self._sigma = math.log(job.service_ms.p99 / job.service_ms.median) / STANDARD_NORMAL.inv_cdf(0.99)
        # Categories are parts of the unit interval, one after the other. A draw fails by the first whose end it is
        # below: once, or at every attempt where it is below the part's other bound too.
        self._failures: list[tuple[str, float, float]] = []
        begin = 0.0
        for category, failure in job.failures.items():
            share = failure.percent / 100
            self._failures.append((category, begin + share * failure.lasting, begin + share))
            begin += share

    def seconds(self, uniform: float) -> float:
        """A lognormal time by its median and p99."""
        return math.exp(self._log_median + self._sigma * STANDARD_NORMAL.inv_cdf(uniform))

    def failure(self, uniform: float, number: int) -> str | None:
        """The category in whose part a job's draw lies, where it fails at this attempt."""
        for category, lasting, end in self._failures:
            if uniform < end:
                return category if number == 1 or uniform < lasting else None
        return None


def _uniform(text: str) -> float:
    """A number between 0 and 1, neither of them included, that only depends on `text`."""
    drawn = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> (64 - BITS)
    return (drawn + 0.5) / STEPS
