"""One measurement: generator processes and a reader of gauges around one workload, into one recording."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from capacity.clock import monotonic_ns, seconds_since, unix_ns_of, utc_text
from capacity.errors import CapacityError
from capacity.load.child import Child
from capacity.load.generator import URL as LOAD_URL
from capacity.load.remedies import remedy_of
from capacity.probes.gauges import SOURCES
from capacity.probes.under_way import NothingWorks, nothing_works_text
from capacity.recording import create_recording, finish_recording, note_facts
from capacity.shape import Shape
from capacity.system.machine import machine_facts
from capacity.workload import Workload

GENERATOR, GAUGES = "capacity.load.generator", "capacity.probes.gauges"
LEAD_NS = 100_000_000  # from the last process being ready to the common origin
REPORT_S = 0.5
UNDER_WAY_S = 2.0  # from the begin of a look to the judgement: what was due before has ended by then
LEAST_ADMITTED = 0.5  # of the connections wanted; fewer would send another load than the workload's
SERVERS = {"postgres": "PostgreSQL", "redis": "Redis", "http": "the API", "bullmq": "Redis"}
TOLD_S = 0.5  # before a stage's end, a generator must know that it is the last
Start = Callable[[str, Mapping[str, Any], Mapping[str, str]], Child]  # of a module, with its task and its secrets
GoesOnFor = Callable[[Path, float, float], list[str]]  # of a recording, its seconds and the most it may have: promises


def for_nothing(folder: Path, seconds: float, at_most: float) -> list[str]:
    """No promise is undecided."""
    return []


@dataclass(frozen=True, slots=True)
class Measurement:
    """What is measured: a workload at a profile's shape, by `generators` processes, with prepared statements or not.

    `more` is told to every process, and stands in the manifest. `to_its_end` is for what fails on purpose, as under a
    fault or at a level that may break: the load is not stopped where nothing works.
    """

    workload: Workload
    profile: str
    generators: int = 1
    prepared: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)
    to_its_end: bool = False

    @property
    def shape(self) -> Shape:
        """The shape of the profile."""
        return self.workload.shape(self.profile)

    @property
    def task(self) -> dict[str, Any]:
        """What every process of it is told."""
        task = {"workload": self.workload.model_dump(), "profile": self.profile, "prepared": self.prepared}
        return {**task, "shards": self.generators, **self.more}

    @property
    def until_look(self) -> "Measurement":
        """The measurement as it is where it ends with the look of its shape."""
        shapes = self.workload.shapes | {self.profile: self.shape.until_look}
        return replace(self, workload=self.workload.model_copy(update={"shapes": shapes}))


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
    *,
    under_way: Callable[[float], object] = bool,
    settle: Callable[[], object] = bool,
    start: Start = Child,
    goes_on_for: GoesOnFor = for_nothing,
) -> Path:
    """Run a measurement into a new recording in `folder` and return it.

    `watchers` run beside the load, and until `settle`, called when the load has ended, returns. `under_way` is told the
    seconds of load so far, a few times a second. `start` starts the processes of the measurement. During the look of
    its shape `goes_on_for` is asked for which promises to go on; the manifest has them, and the shape as it was run, so
    that its schedule can be drawn again.
    Raises CapacityError where the server refuses most connections, where nothing works (see `NothingWorks`), and where
    a process ends early; the recording is then marked interrupted, and holds what was flushed.
    """
    create_recording(folder, _facts(measurement.until_look))
    complete = False

    def child_of(module: str, told: Mapping[str, Any], secrets: Mapping[str, str]) -> Child:
        child = start(module, {**measurement.task, "folder": str(folder), **told}, secrets)
        running.callback(child.close)
        return child

    try:
        with ExitStack() as running:
            _begun(measurement, url, watchers, folder, child_of).wait(under_way, goes_on_for)
            settle()
        complete = True
    finally:
        finish_recording(folder, {}, complete)
    return folder


def _begun(
    measurement: Measurement, url: str, watchers: Sequence[Watcher], folder: Path, start: Start
) -> "_LoadUnderWay":
    beside = [start(each.module, each.task, each.secrets) for each in watchers]
    generators = [start(GENERATOR, {"index": index}, {LOAD_URL: url}) for index in range(measurement.generators)]
    facts: dict[str, Any] = {}
    for child in beside:
        facts |= child.wait_ready()
    facts |= _admitted(measurement, [each.wait_ready() for each in generators], folder)
    origin_ns = monotonic_ns() + LEAD_NS
    facts |= {"started_at": utc_text(), "origin_unix_ns": unix_ns_of(origin_ns)}
    for child in (*beside, *generators):
        child.tell(origin_ns)
    note_facts(folder, facts)
    return _LoadUnderWay(measurement, folder, generators, beside, origin_ns)


@dataclass(frozen=True, slots=True)
class _LoadUnderWay:
    """A load under way: its generators, what runs `beside` them, and the moment that its schedule counts from."""

    measurement: Measurement
    folder: Path
    generators: Sequence[Child]
    beside: Sequence[Child]
    origin_ns: int

    def wait(self, under_way: Callable[[float], object], goes_on_for: GoesOnFor) -> None:
        """Wait until the load has ended, and judge meanwhile whether it goes on."""
        until, workload, failed = self.measurement.until_look.shape, self.measurement.workload, dict[str, str]()
        watch, messages, redirected = NothingWorks(self.folder, workload), dict[str, dict[str, str]](), 0
        planned, look_s = until.seconds, until.seconds - until.stages[-1].seconds + UNDER_WAY_S
        if not until.stages[-1].look:
            look_s = math.inf
        for child in self.generators:
            while (said := child.wait(REPORT_S)) is None:
                _all_running(self.beside)
                elapsed = seconds_since(self.origin_ns)
                under_way(min(elapsed, planned))
                if elapsed > planned + workload.timeout_ms / 1000 + 30:
                    raise CapacityError(
                        f"the load did not end {elapsed - planned:.0f} s after its plan; it was stopped"
                    )
                if not (failed or self.measurement.to_its_end) and (failed := watch.failed(elapsed, planned)):
                    planned, look_s = self._ended_at(elapsed), math.inf
                if elapsed > look_s:
                    planned, look_s = self._looked(goes_on_for), math.inf
            redirected += said["redirected"]
            for operation, by_reason in said["messages"].items():
                messages[operation] = by_reason | messages.get(operation, {})
        stopped = nothing_works_text(failed, messages, planned, self.folder) if failed else ""
        note_facts(self.folder, {"messages": messages, "redirected": redirected, "stopped": stopped})
        _all_running(self.beside)
        under_way(planned)
        if stopped:
            raise CapacityError(stopped)

    def _ended_at(self, seconds: float) -> float:
        """Have the generators end their load at that moment of it, and return it."""
        for child in self.generators:
            child.tell({"end_s": seconds})
        return seconds

    def _looked(self, goes_on_for: GoesOnFor) -> float:
        """Judge what was measured so far: the load ends with the look, or goes on, and the recording is a longer one.

        It goes on as well where judging took as long as the look. Returns the seconds of load that are planned then.
        """
        until, whole = self.measurement.until_look.shape, self.measurement.shape
        promises = goes_on_for(self.folder, until.sustained_seconds, whole.sustained_seconds)
        if not promises and seconds_since(self.origin_ns) < until.seconds - TOLD_S:
            return self._ended_at(until.seconds)
        note_facts(self.folder, _facts(self.measurement) | {"went_on_for": promises})
        return whole.seconds


def _all_running(watchers: Sequence[Child]) -> None:
    """CapacityError where one has ended: what it should have read would be missing from the recording."""
    for each in watchers:
        each.wait(0)


def _admitted(measurement: Measurement, ready: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """How many connections were let in, and why others were not; CapacityError where none was, or most were not."""
    refused = sum((Counter(each["refused"]) for each in ready), Counter[str]())
    connections, wanted = sum(each["connections"] for each in ready), measurement.workload.connections
    facts = {"connections": connections, "refused": refused}
    few = connections < LEAST_ADMITTED * wanted and not measurement.to_its_end
    if few or not connections:
        reason = next((each for each, _ in refused.most_common(1)), "no reason was given")
        many = f"only {connections:,}" if connections else "none"
        said = f"{SERVERS[measurement.workload.target]} let {many} of {wanted:,} connections in: {reason}"
        said += "" if remedy_of(reason) in reason else f"; {remedy_of(reason)}"
        note_facts(folder, {**facts, "stopped": said})
        raise CapacityError(said)
    return facts


def _facts(measurement: Measurement) -> dict[str, Any]:
    workload, shape = measurement.workload, measurement.shape
    begin, stages = 0.0, []
    for step, stage in enumerate(shape.stages):
        span = {"start_s": begin, "end_s": begin + stage.seconds}
        kind = {"ramp": not stage.sustained, "look": stage.look}
        stages.append({"name": stage.name, "step": step, "to": stage.to, **kind, **span})
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
