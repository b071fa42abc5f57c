"""One part of the system made ready to be loaded at one level after another, each from rest."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from capacity.analysis.limits.levels import Frames
from capacity.analysis.measured.jobs import job_samples
from capacity.errors import CapacityError
from capacity.load.fork_server import ForkServer
from capacity.places import workloads_of
from capacity.probes.measurement import GAUGES, GENERATOR, Measurement, measure
from capacity.probes.parts import PARTS
from capacity.probes.probe import SystemUnderTest
from capacity.probes.queue import OBSERVER
from capacity.probes.searches import SearchSettings
from capacity.recording import open_recording
from capacity.shape import Shape, Stage
from capacity.system.addresses import System
from capacity.workload import Workload, parse_workload, read_workload

PROFILE = "level"  # the one shape of a level's workload


@dataclass(frozen=True, slots=True)
class LoadTest:
    """A part of a system under a workload, which `generators` processes send at one level after another."""

    under_test: SystemUnderTest
    workload: Workload
    generators: int
    fork_server: ForkServer

    def measure(self, rate: float, seconds: float, warm_up_s: float, folder: Path) -> Path:
        """Hold `rate` operations a second for `seconds`, from rest and after a warm-up, into a new recording."""
        part, level = self.under_test, at_level(self.workload, rate, seconds, warm_up_s)
        part.rest()
        told = {"settle_s": 0.0, **part.more()}
        measurement = Measurement(level, PROFILE, self.generators, part.prepared, told, to_its_end=True)
        start = self.fork_server.start
        return measure(measurement, part.url, part.watchers, folder, settle=part.rest, start=start)


def at_level(workload: Workload, rate: float, seconds: float, warm_up_s: float) -> Workload:
    """The workload with one shape: up to `rate` operations a second in `warm_up_s`, then held for `seconds`."""
    stages = [
        Stage(name="warm up", seconds=warm_up_s, to=rate, ramp=True),
        Stage(name=f"{rate:g}/s", seconds=seconds, to=rate),
    ]
    return workload.model_copy(update={"shapes": {PROFILE: Shape(kind="rate", stages=stages)}})


def read_frames(folder: Path) -> Frames:
    """The frames of a level's recording; the operations of a queue are its jobs, from due to done."""
    recording = open_recording(folder)
    operations = recording.samples
    if recording.facts.queue is not None:
        operations = job_samples(recording.samples, recording.jobs, recording.facts)
    return Frames(operations, recording.samples, recording.gauges, recording.facts)


@contextmanager
def open_load_test(
    name: str, search: SearchSettings, system: System, workloads: Path | str = "", profile: str = "smoke"
) -> Iterator[LoadTest]:
    """Make a part ready: its tables or keys are filled, and what the system does not name is started until the end.

    `workloads` is the folder of the workload files (empty: the project's). Raises CapacityError for a part that there
    is not, and a server that is down.
    """
    if name not in PARTS:
        raise CapacityError(f"there is no part {name!r} to load; accepted are {', '.join(PARTS)}")
    file = workloads_of(search.workload, workloads) / f"{search.workload}.yaml"
    workload = parse_workload(read_workload(file).model_dump() | {"connections": search.connections})
    with ExitStack() as stack:
        fork_server = ForkServer(GENERATOR, GAUGES, OBSERVER)
        stack.callback(fork_server.close)
        ready = PARTS[name].ready(system, search, file, profile, stack)
        yield LoadTest(ready, workload, search.generators, fork_server)
