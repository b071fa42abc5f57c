"""One measurement: generator processes and a reader of gauges around one workload, into one recording."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError
from capacity.load.child import Child, seconds_since
from capacity.load.engine import clock, unix_ns_of
from capacity.load.generator import URL as LOAD_URL
from capacity.probes.gauges import SOURCES
from capacity.recording import create_recording, finish_recording, note_facts
from capacity.shape import Shape
from capacity.system.machine import machine_facts
from capacity.workload import Workload

GENERATOR, GAUGES = "capacity.load.generator", "capacity.probes.gauges"
LEAD_NS = 200_000_000  # from the last process being ready to the common origin
REPORT_S = 0.5
Progress = Callable[[float, float], None]  # seconds done, seconds planned
Start = Callable[[str, Mapping[str, Any], Mapping[str, str]], Child]  # of a module, with its task and its secrets


def quiet(done: float, planned: float) -> None:
    """No progress is shown."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured: a workload at a profile's shape, by `generators` processes, with prepared statements or not.

    `more` is told to every process, and stands in the manifest.
    """

    workload: Workload
    profile: str
    generators: int = 1
    prepared: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """The shape of the profile."""
        return self.workload.shape(self.profile)


@dataclass(frozen=True, slots=True)
class Watcher:
    """A process beside the load: the module that it runs, what it is told, and what it finds in its environment."""

    module: str
    task: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def gauges_of(**sources: str) -> Watcher:
    """What reads the servers' own figures: the addresses by kind, as `postgres=url`; the first one's facts prevail.

    An empty one is of a server that there is not.
    """
    named = {kind: where for kind, where in sources.items() if where}
    return Watcher(GAUGES, secrets={SOURCES: json.dumps(named)})


def measure(
    measurement: Measurement,
    url: str,
    watchers: Sequence[Watcher],
    folder: Path,
    progress: Progress = quiet,
    *,
    settle: Callable[[], object] | None = None,
    start: Start = Child,
) -> Path:
    """Run a measurement into a new recording in `folder` and return it.

    `watchers` run beside the load, and until `settle`, called when the load has ended, returns. `start` starts the
    processes of the measurement.
    Raises CapacityError where the server does not let any connection in, or a process ends early; the recording is
    then marked interrupted, and holds what was flushed.
    """
    facts = _facts(measurement)
    create_recording(folder, facts)
    complete = False
    try:
        with ExitStack() as running:
            facts |= _run(measurement, url, watchers, folder, progress, running=running, start=start)
            if settle:
                settle()
        complete = True
    finally:
        finish_recording(folder, facts, complete)
    return folder


def _run(
    measurement: Measurement,
    url: str,
    watchers: Sequence[Watcher],
    folder: Path,
    progress: Progress,
    *,
    running: ExitStack,
    start: Start,
) -> dict[str, Any]:
    workload, shards = measurement.workload, measurement.generators
    task = {"workload": workload.model_dump(), "profile": measurement.profile, "prepared": measurement.prepared}
    task |= {"folder": str(folder), "shards": shards, **measurement.more}

    def child_of(module: str, told: Mapping[str, Any], secrets: Mapping[str, str]) -> Child:
        child = start(module, {**task, **told}, secrets)
        running.callback(child.close)
        return child

    beside = [child_of(each.module, each.task, each.secrets) for each in watchers]
    generators = [child_of(GENERATOR, {"index": index}, {LOAD_URL: url}) for index in range(shards)]
    facts: dict[str, Any] = {}
    for child in beside:
        facts |= child.wait_ready()
    facts |= _admitted(workload, [each.wait_ready() for each in generators])
    origin_ns = clock() + LEAD_NS
    started = datetime.now(UTC)
    facts |= {"started_at": started.isoformat(timespec="seconds"), "origin_unix_ns": unix_ns_of(origin_ns)}
    for child in (*beside, *generators):
        child.begin(origin_ns)
    note_facts(folder, facts)
    planned = measurement.shape.seconds
    limit = planned + workload.timeout_ms / 1000 + 30
    for child in generators:
        while child.wait(REPORT_S) is None:
            _all_running(beside)
            elapsed = seconds_since(origin_ns)
            progress(min(elapsed, planned), planned)
            if elapsed > limit:
                raise CapacityError(f"the load did not end {elapsed - planned:.0f} s after its plan; it was stopped")
    _all_running(beside)
    progress(planned, planned)
    return facts


def _all_running(watchers: Sequence[Child]) -> None:
    """CapacityError where one has ended: what it should have read would be missing from the recording."""
    for each in watchers:
        each.wait(0)


def _admitted(workload: Workload, ready: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many connections were let in, and why others were not; CapacityError where none was."""
    refused: dict[str, int] = {}
    for each in ready:
        for reason, count in each["refused"].items():
            refused[reason] = refused.get(reason, 0) + count
    connections = sum(each["connections"] for each in ready)
    if not connections:
        reason = next(iter(refused), "no reason was given")
        raise CapacityError(f"{workload.target} let none of {workload.connections} connections in: {reason}")
    return {"connections": connections, "refused": refused}


def _facts(measurement: Measurement) -> dict[str, Any]:
    workload, shape = measurement.workload, measurement.shape
    begin, stages = 0.0, []
    for step, stage in enumerate(shape.stages):
        span = {"start_s": begin, "end_s": begin + stage.seconds}
        stages.append({"name": stage.name, "step": step, "to": stage.to, "ramp": stage.ramp, **span})
        begin += stage.seconds
    return {
        "name": workload.name,
        "operations": [operation.name for operation in workload.operations],
        "workload": workload.model_dump(),
        "profile": measurement.profile,
        "kind": shape.kind,
        "stages": stages,
        "planned_seconds": shape.seconds,
        "sustained_steps": shape.sustained_steps,
        "generators": measurement.generators,
        "prepared": measurement.prepared,
        "machine": machine_facts(),
        **measurement.more,
    }
