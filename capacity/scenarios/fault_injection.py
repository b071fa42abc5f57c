"""Load that keeps coming while a fault is applied and lifted, when that was, and what the recording says of it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.analysis.faults.recovery import FaultSpan, drain_seconds, recovery, recovery_findings
from capacity.clock import monotonic_ns, unix_ns_of
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.probes.measurement import Measurement, Watcher, measure
from capacity.recording import Recording, add_ledger, open_recording
from capacity.samples import service_ns
from capacity.scenarios.trial import counted
from capacity.workload import parse_workload

EARLIEST_S = 1.0  # the load has to be seen running before its moment can be told
PROFILE = "trial"
TIMEOUT_MS = 3000


@dataclass(frozen=True, slots=True)
class FaultRecording:
    """A recording, and when the fault began and ended in ns on its clock.

    `applied` is what the fault's call returned. `settled` says whether all was done when the load had ended.
    """

    recording: Recording
    begin_ns: int
    end_ns: int
    applied: Any = None
    settled: bool = True

    @property
    def samples(self) -> pd.DataFrame:
        """The operations of the load."""
        return self.recording.samples

    @property
    def ledger(self) -> pd.DataFrame:
        """What the workers noted, where that was added."""
        assert self.recording.ledger is not None
        return self.recording.ledger

    @property
    def origin_ns(self) -> int:
        """When the recording's clock began, in ns since 1970."""
        return self.recording.facts.origin_ns

    @property
    def arrivals_per_s(self) -> float:
        """λ: operations that were due per second."""
        due = self.samples["scheduled_ns"]
        return (len(due) - 1) / (float(due.max() - due.min()) / 1e9)

    def span(self, scenario: str) -> Iterator[Finding]:
        """When the fault began and how long it lasted, by which it is found in the recording."""
        down_ms = (self.end_ns - self.begin_ns) / 1e6
        give, began_s = partial(counted, scenario, count=1), self.begin_ns / 1e9
        yield give("began", began_s, unit="s", title="time from the load's begin to the fault")
        yield give("down", down_ms, unit="ms", title="time from the fault until all was undone")

    def course(self, scenario: str, objective_ms: float, at_a_time: int | None = None) -> Iterator[Finding]:
        """How the operations came through the fault.

        With `at_a_time` the drain of their backlog stands beside the theory: the server works at so many operations at
        a time, and each takes as long as it usually did before the fault.
        """
        found = recovery(self.samples, FaultSpan(self.begin_ns, self.end_ns, objective_ms))
        yield from recovery_findings(scenario, self.recording.path.name, found)
        yield from self.span(scenario)
        if at_a_time:
            usual_s = float(service_ns(self.samples[self.samples["finished_ns"] < self.begin_ns]).median()) / 1e9
            left, title = found.drain.left, "time to drain in theory, backlog / (μ − λ)"
            theory = drain_seconds(left, at_a_time / usual_s, self.arrivals_per_s)
            yield counted(scenario, "drained_in_theory", theory, unit="s", title=title, count=left)


def constant_rate(
    target: str, operations: Sequence[Mapping[str, Any]], rate_per_s: float = 0, seconds: float = 1, **more: Any
) -> dict[str, Any]:
    """The values of a workload whose operations come at an even rate; its profile is PROFILE.

    `more` are further ones of its keys, as connections=10. `stages` among them take the place of the one stage.
    """
    stages = more.pop("stages", [{"name": "sustain", "seconds": seconds, "to": rate_per_s}])
    shape = {"kind": "rate", "arrivals": "uniform", "stages": stages}
    return {"name": "trial", "target": target, "operations": [*operations], "shapes": {PROFILE: shape}, **more}


def trial_load(
    target: str,
    operations: Sequence[Mapping[str, Any]],
    *shape: float,
    told: Mapping[str, Any] | None = None,
    **more: Any,
) -> Measurement:
    """The load of a trial, by the values of `constant_rate`; its processes are `told` something beside them."""
    values = constant_rate(target, operations, *shape, **{"timeout_ms": TIMEOUT_MS, **more})
    return Measurement(parse_workload(values), PROFILE, more=told or {}, to_its_end=True)


def measure_with_fault(
    measurement: Measurement,
    url: str,
    folder: Path,
    fault: tuple[float, Callable[[], Any]],
    watchers: Sequence[Watcher] = (),
    *,
    settle: Callable[[], bool] = lambda: True,
    ledger: Callable[[], pd.DataFrame] | None = None,
) -> FaultRecording:
    """Measure into a new recording in `folder`, and apply a fault meanwhile.

    `fault` is the seconds of load after which it begins, and the call that applies and lifts it, made in a thread of
    its own. `settle` waits when the load has ended, and says whether all was done; then the `ledger` is added to the
    recording. What the calls raise is raised here.
    """
    at_s, apply = fault
    _check_moment(at_s, measurement.shape.seconds)
    applying, too_late = list[Future[tuple[int, int, Any]]](), threading.Event()
    seen: list[tuple[tuple[int, int, Any], bool]] = []

    def under_way(done_s: float) -> None:
        if not applying:
            applying.append(thread.submit(_applied, apply, max(0.0, at_s - done_s), too_late))

    def ended() -> None:
        seen.append((applying[0].result(), settle()))
        if ledger:
            add_ledger(folder, ledger())

    with ThreadPoolExecutor(1) as thread:
        try:
            measure(measurement, url, watchers, folder, under_way=under_way, settle=ended)
        finally:
            too_late.set()
    ((begin_ns, end_ns, applied), settled), recording = seen[0], open_recording(folder)
    begin_ns, end_ns = (each - recording.facts.origin_ns for each in (begin_ns, end_ns))
    return FaultRecording(recording, begin_ns, end_ns, applied, settled)


def _applied(apply: Callable[[], Any], wait_s: float, too_late: threading.Event) -> tuple[int, int, Any]:
    """When a fault began and ended, in ns since 1970, and what its call returned."""
    if too_late.wait(wait_s):
        raise CancelledError
    begin_ns, applied = unix_ns_of(monotonic_ns()), apply()
    return begin_ns, unix_ns_of(monotonic_ns()), applied


def _check_moment(at_s: float, load_s: float) -> None:
    if not EARLIEST_S <= at_s < load_s:
        raise CapacityError(
            f"a fault after {at_s:g} s cannot be told from the load's begin or end; "
            f"give {EARLIEST_S:g} s or more, and less than the load's {load_s:g} s"
        )


def numbered(samples: pd.DataFrame, first: int = 0) -> pd.DataFrame:
    """The operations that were sent, by their number in the order of sending, from `first` on; of one generator.

    The numbers of a sequence are drawn when operations are sent. After a reconnection that is another order than the
    planned one.
    """
    sent = samples[samples["outcome"] != "dropped"].sort_values(["sent_ns", "seq"])
    return sent.set_index(pd.RangeIndex(first, first + len(sent)))
