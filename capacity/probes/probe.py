"""What a probe is: how one part of a system is measured, what a recording of it says, and how it is loaded."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capacity.findings import Finding
from capacity.places import workloads_of
from capacity.probes.live import run_probe
from capacity.probes.measurement import Watcher
from capacity.probes.searches import SearchSettings
from capacity.system.addresses import System


@dataclass(frozen=True, slots=True)
class SystemUnderTest:
    """A part of a system that is ready to be loaded: where, what is read beside it, and how it comes to rest.

    `more` gives what a measurement of it is told beside its workload, anew for each; `prepared` is whether it uses
    prepared statements.
    """

    url: str
    watchers: Sequence[Watcher]
    rest: Callable[[], object] = bool
    more: Callable[[], Mapping[str, Any]] = dict
    prepared: bool = True


@dataclass(frozen=True, slots=True)
class Probe:
    """One part of a system.

    `measure` takes the system, the folder of workloads, the profile, the folder of the new recording, and options of
    its own by name; it returns that folder. `findings` reads them from there. `present` says
    whether a system has the part. `ready` takes the system, the settings of the search, the workload's file, a profile
    and a stack: it fills tables or keys, and starts until the end of the stack what the system does not name.
    """

    name: str
    measure: Callable[..., Path]
    findings: Callable[[Path], list[Finding]]
    present: Callable[[System], bool]
    ready: Callable[[System, SearchSettings, Path, str, ExitStack], SystemUnderTest]

    def run(self, live: bool, profile: str, workloads: Path | str, folder: Path | str, **options: Any) -> Path:
        """Where `live`, measure the part into `folder`; returns the folder, see `run_probe`.

        `workloads` is the folder of the workload files (empty: the project's).
        """

        def probe(system: System, into: Path) -> None:
            self.measure(system, workloads_of(self.name, workloads), profile, into, **options)

        return run_probe(live, self.name, folder, probe)
