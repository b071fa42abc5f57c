"""Load that keeps coming while something is done to the system, and the moments of that on the recording's clock."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.analysis.recovery import FaultSpan, drain_seconds, recovery, recovery_findings
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.load.engine import clock, unix_ns_of
from capacity.probes.measurement import Measurement, Watcher, measure
from capacity.recording import Recording, open_recording
from capacity.samples import service_ns
from capacity.scenarios.trial import counted

EARLIEST_S = 1.0  # the load has to be seen running before its moment can be told
PROFILE = "trial"


@dataclass(frozen=True, slots=True)
class Through:
    """A recording, and when the fault began and ended in ns on its clock."""

    recording: Recording
    begin_ns: int
    end_ns: int


def even_load(
    target: str, operations: Sequence[Mapping[str, Any]], rate_per_s: float, seconds: float, **more: Any
) -> dict[str, Any]:
    """The values of a workload that keeps coming at an even rate, its profile being PROFILE.

    `more` are further ones of its keys, as connections=10.
    """
    stage = {"name": "sustain", "seconds": seconds, "to": rate_per_s}
    shape = {"kind": "rate", "arrivals": "uniform", "stages": [stage]}
    return {"name": "trial", "target": target, "operations": [*operations], "shapes": {PROFILE: shape}, **more}


def measure_through(
    measurement: Measurement,
    url: str,
    folder: Path,
    fault: tuple[float, Callable[[], None]],
    watchers: Sequence[Watcher] = (),
    *,
    settle: Callable[[], object] | None = None,
) -> Through:
    """Measure into a new recording in `folder`, and do something meanwhile.

    `fault` is after how many seconds of load it begins, and what applies and lifts it: it lasts as long as the call,
    which is made in a thread of its own. What the call raises is raised here, when the load has ended.
    """
    at_s, apply = fault
    if not EARLIEST_S <= at_s < measurement.shape.seconds:
        raise CapacityError(
            f"a fault after {at_s:g} s cannot be told from the load's begin or end; "
            f"give {EARLIEST_S:g} s or more, and less than the load's {measurement.shape.seconds:g} s"
        )
    span: list[int] = []
    raised: list[BaseException] = []
    timers: list[threading.Timer] = []

    def work() -> None:
        span.append(unix_ns_of(clock()))
        try:
            apply()
        except BaseException as error:
            raised.append(error)
        span.append(unix_ns_of(clock()))

    def progress(done_s: float, planned_s: float) -> None:
        if not timers:
            timers.append(threading.Timer(max(0.0, at_s - done_s), work))
            timers[0].start()

    def ended() -> None:
        for timer in timers:
            timer.join()
        if raised:
            raise raised[0]
        if settle:
            settle()

    try:
        measure(measurement, url, watchers, folder, progress, settle=ended)
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
    recording = open_recording(folder)
    begin, end = (moment - int(recording.manifest["origin_unix_ns"]) for moment in span)
    return Through(recording, begin, end)


def acknowledged(samples: pd.DataFrame, first: int = 0) -> "pd.Series[bool]":
    """Whether each operation that was sent was acknowledged, by its number in the order of sending; of one generator.

    A sequence is drawn as operations are sent, so the n-th that was sent has its n-th number, `first` being the number
    of the first. After a connection is opened again operations may be sent in another order than they were planned in.
    """
    sent = samples[samples["outcome"] != "dropped"].sort_values(["sent_ns", "seq"])
    return pd.Series((sent["outcome"] == "ok").to_numpy(), index=range(first, first + len(sent)))


def span_findings(scenario: str, through: Through) -> Iterator[Finding]:
    """When the fault began and how long it lasted, by which it is found in the recording."""
    down_ms = (through.end_ns - through.begin_ns) / 1e6
    yield counted(scenario, "began", through.begin_ns / 1e9, unit="s", title="from the load's begin", count=1)
    yield counted(scenario, "down", down_ms, unit="ms", title="from its begin until all was undone", count=1)


def course_findings(scenario: str, through: Through, objective_ms: float, at_a_time: int) -> Iterator[Finding]:
    """How the operations came through the fault, and the drain of their backlog beside that by theory.

    The theory is of a server that works at so many operations at a time, each as long as usual before the fault.
    """
    samples = through.recording.samples
    found = recovery(samples, FaultSpan(through.begin_ns, through.end_ns, objective_ms))
    yield from recovery_findings(scenario, through.recording.path.name, found)
    yield from span_findings(scenario, through)
    due, left = samples["scheduled_ns"], found.drain.left
    arrivals = (len(due) - 1) / (float(due.max() - due.min()) / 1e9)
    usual_s = float(service_ns(samples[samples["finished_ns"] < through.begin_ns]).median()) / 1e9
    theory = drain_seconds(left, at_a_time / usual_s, arrivals)
    yield counted(scenario, "drained_in_theory", theory, unit="s", title="backlog / (μ − λ)", count=left)
