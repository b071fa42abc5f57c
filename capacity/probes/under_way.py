"""What the measurement under way has come to: read from its manifest and the new batches of its streams."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from capacity.clock import unix_s
from capacity.errors import CapacityError
from capacity.load.remedies import lasts, remedy_of
from capacity.manifest import MANIFEST, Manifest, read_manifest
from capacity.samples import Outcome
from capacity.streams import SUFFIX, read_stream
from capacity.workload import Workload
from capacity.writing import BEGIN, Place

PREPARING = "preparing"
BETWEEN = "no load at present"
RESTING = "coming to rest"
LAG_S = 0.5  # samples are on disk at most 250 ms after their end; twice that on a busy machine
P95 = 0.95
FEWEST = 59  # samples that bound a p95, as `minimum_samples` has it; its module loads SciPy
RECENT_S = 60  # seconds that a p95 may be of, where one second has fewer samples
FEWEST_FAILED = 100  # operations without one success: a load of which 5 % succeed has one in 99 of 100 cases
SURE_S, LATER_S = 5.0, 15.0  # of load, after which what lasts is known to last, and what may pass
ENDS_S = 1.0  # a load that ends by itself so soon is left to
PER_DOUBLING = 32  # buckets of response time: each is 2.2 % wide
BUCKETS = 64 * PER_DOUBLING
CENSORED = BUCKETS - 1  # took longer than it was waited for


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What is measured now, how far it is, and its operations; None is what cannot be told yet.

    `rate_per_s` is of those that succeeded in the last whole second, `failing` the share of the others in it, most of
    them for this `reason`. `p95_ms` is of the responses from the schedule in it, or in as many seconds before it as
    have enough of them. `count` and `failed` are of all so far.
    """

    what: str
    done_s: float = 0.0
    planned_s: float | None = None
    rate_per_s: float | None = None
    p95_ms: float | None = None
    failing: float | None = None
    reason: str = ""
    count: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Second:
    """The operations that ended in one second: their response times in buckets, and the failures by their reason."""

    responses: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))
    count: int = 0
    failed: Counter[tuple[Path, int]] = field(default_factory=Counter)  # by stream and the code in it


class Follower:
    """Follows the recordings in `folder` and below it, one after the other, without keeping what they hold.

    Each look costs what was written since the look before: a batch of samples is counted into buckets and let go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended: set[Path] = set()
        self._current: Path | None = None
        self._begin()

    def _begin(self) -> None:
        self._places: dict[Path, Place] = {}  # of each stream, where its next batch begins
        self._reasons: dict[Path, list[str]] = {}  # of each stream, the classes of failure by their codes
        self._seconds: dict[int, _Second] = {}
        self._total = self._failed = 0

    def look(self) -> UnderWay:
        """How the measurement under way stands now; whatever cannot be read is passed over."""
        facts = self._facts()
        if facts is None or self._current is None:
            return UnderWay(BETWEEN if self._ended else PREPARING)
        below = [part for part in self._current.relative_to(self._folder).parts if not part.isdecimal()]
        if facts.origin_unix_ns is None:
            return UnderWay(" ".join([*below, PREPARING]))
        for stream in sorted(self._current.glob(f"samples-*{SUFFIX}")):
            for batch in self._new_batches(stream):
                self._count(batch, stream)
        planned = facts.planned_seconds or 0.0
        elapsed = max(0.0, unix_s() - facts.origin_unix_ns / 1e9)
        what = " ".join([*below, _stage(facts, elapsed)])
        return UnderWay(what, min(elapsed, planned), planned, *self._last_second(elapsed), self._total, self._failed)

    def _facts(self) -> Manifest | None:
        """The manifest of the recording under way, the next one where that has ended; None while there is none."""
        waiting = [self._current] if self._current else self._not_ended()
        for recording in waiting:
            with contextlib.suppress(OSError, CapacityError):
                facts = read_manifest(recording)
                if facts.state == "recording" and facts.planned_seconds is not None:
                    if recording != self._current:
                        self._current = recording
                        self._begin()
                    return facts
                self._ended.add(recording)
        if self._current is None:
            return None
        self._current = None
        return self._facts()

    def _not_ended(self) -> list[Path]:
        found = {manifest.parent for manifest in self._folder.glob(f"**/{MANIFEST}")}
        return sorted(found - self._ended)

    def _new_batches(self, stream: Path) -> Iterator[pa.RecordBatch]:
        """The batches that were written whole since the last look; the stream goes when its recording is finished."""
        with contextlib.suppress(OSError):
            for content, place in read_stream(stream, self._places.get(stream, BEGIN)):
                if isinstance(content, str):
                    self._reasons.setdefault(stream, []).append(content)
                elif isinstance(content, pa.RecordBatch):
                    yield content
                self._places[stream] = place

    def _count(self, batch: pa.RecordBatch, stream: Path) -> None:
        names = ("scheduled_ns", "finished_ns", "outcome", "error")
        scheduled, finished, outcome, error = (batch.column(name).to_numpy() for name in names)
        response = np.maximum(finished - scheduled, 1)
        bucket = np.minimum((np.log2(response) * PER_DOUBLING).astype(np.int64), CENSORED - 1)
        bucket[outcome >= Outcome.TIMEOUT] = CENSORED
        ended, failed = finished // 1_000_000_000, outcome != Outcome.OK
        self._total, self._failed = self._total + len(failed), self._failed + int(failed.sum())
        for number in np.unique(ended).tolist():
            second, here = self._seconds.setdefault(number, _Second()), ended == number
            second.responses += np.bincount(bucket[here], minlength=BUCKETS)
            second.count += int(here.sum())
            second.failed.update((stream, code) for code in error[here & failed].tolist())

    def _last_second(self, elapsed: float) -> tuple[float | None, float | None, float | None, str]:
        """The rate, the p95, the share of failures and the reason of most of them."""
        last = int(elapsed - LAG_S) - 1
        for number in [each for each in self._seconds if each <= last - RECENT_S]:
            del self._seconds[number]
        if last < 0:
            return None, None, None, ""
        second = self._seconds.get(last, _Second())
        failed = second.failed.total()
        reason = self._reason(*second.failed.most_common(1)[0][0]) if failed else ""
        share = failed / second.count if second.count else 0.0
        return float(second.count - failed), self._p95(last), share, reason

    def _reason(self, stream: Path, code: int) -> str:
        """The class of failure of a code; its name stands before the first sample that has it."""
        return self._reasons[stream][code - 1] if code else ""

    def _p95(self, last: int) -> float | None:
        responses, total = np.zeros(BUCKETS, dtype=np.int64), 0
        for number in sorted((each for each in self._seconds if each <= last), reverse=True):
            responses += self._seconds[number].responses
            total += self._seconds[number].count
            if total >= FEWEST:
                bucket = int(np.searchsorted(np.cumsum(responses), P95 * total))
                return float("inf") if bucket == CENSORED else 2 ** ((bucket + 0.5) / PER_DOUBLING) / 1e6
        return None


def _stage(facts: Manifest, elapsed: float) -> str:
    """The name of the stage that the load is in."""
    names = (each.name for each in facts.stages if elapsed < each.end_s)
    return next(names, RESTING)


class NothingWorks:
    """Looks whether a load is in vain: from its begin on each operation fails, and each for one reason of its own.

    It is where `FEWEST_FAILED` operations have ended and none succeeded, after `SURE_S` of load where their reasons
    last, as a missing right or a 404; else, as for time-outs, after `LATER_S` and three time limits. An operation that
    found no connection free waited for others. Once one has succeeded nobody looks any more.
    """

    def __init__(self, recording: Path, workload: Workload) -> None:
        self._recording, self._names = recording, [each.name for each in workload.operations]
        self._later_s = max(LATER_S, 3 * workload.timeout_ms / 1000)
        self._looks = True

    def failed(self, elapsed_s: float, planned_s: float) -> dict[str, str]:
        """The reason of each operation where the load is in vain; empty where it is not, not surely, or ends soon."""
        if not self._looks or not SURE_S < elapsed_s < planned_s - ENDS_S:
            return {}
        counts = self._counts()
        reasons = dict(counts.keys())
        if len(reasons) < len(counts) or counts.total() < FEWEST_FAILED:
            return {}
        return reasons if elapsed_s > self._later_s or all(map(lasts, reasons.values())) else {}

    def _counts(self) -> Counter[tuple[str, str]]:
        """How many operations ended by each reason; empty where one succeeded."""
        found = Counter[tuple[str, str]]()
        for stream in sorted(self._recording.glob(f"samples-*{SUFFIX}")):
            classes = list[str]()
            for content, _ in read_stream(stream):
                if isinstance(content, str):
                    classes.append(content)
                if not isinstance(content, pa.RecordBatch):
                    continue
                columns = [content.column(name).to_pylist() for name in ("operation", "outcome", "error")]
                if Outcome.OK in columns[1]:
                    self._looks = False
                    return Counter()
                ended = [each for each in zip(*columns, strict=True) if each[1] != Outcome.DROPPED]
                found.update((self._names[operation], classes[error - 1]) for operation, _, error in ended)
        return found


def nothing_works_text(
    failed: Mapping[str, str], messages: Mapping[str, Mapping[str, str]], seconds: float, recording: Path
) -> str:
    """One sentence on a load that was stopped: what each operation failed for, what to do, and where it is kept."""
    by_reason: dict[str, list[str]] = {}
    for operation, reason in failed.items():
        said = messages.get(operation, {}).get(reason, "")
        by_reason.setdefault(f"{reason}: {said}" if said else reason, []).append(operation)
    told = "; ".join(f"{', '.join(names)} failed with {reason}" for reason, names in by_reason.items())
    todo = "; ".join(dict.fromkeys(map(remedy_of, failed.values())))
    return (
        f"the load was stopped after {seconds:.0f} s, because no operation succeeded: {told}; {todo}, and measure "
        f"again (what was measured is kept in {recording})"
    )
