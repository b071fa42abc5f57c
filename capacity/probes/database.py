"""The database probe: fills the tables, runs the workload, then the pairs that show what row-level security costs."""

from pathlib import Path

import pandas as pd

from capacity.analysis.measured.database import database_findings, row_security_findings, row_security_pairs
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.places import WORKLOADS, in_project
from capacity.probes.live import run_probe
from capacity.probes.measurement import Measurement, Progress, gauges_of, measure, quiet
from capacity.recording import open_recording
from capacity.system.addresses import POSTGRES_URL, System, require
from capacity.system.application.database import DATASETS, prepare_database
from capacity.system.postmaster import find_postmaster
from capacity.workload import Workload, read_workload

ROW_SECURITY = "row_security"


def measure_database(
    system: System,
    workloads: tuple[Workload, Workload],
    profile: str,
    folder: Path,
    progress: Progress = quiet,
    *,
    prepared: bool = True,
) -> Path:
    """Measure PostgreSQL into a new recording in `folder`, with the pairs in its sub-folder `row_security`.

    `workloads` are the mix and the pairs; `prepared` False is for a transaction pooler, which keeps no prepared
    statements. CPU and memory of the server's processes are read beside the mix, where they are on this machine.
    Raises CapacityError for an unknown profile or a server that is down or lets nobody in.
    """
    if profile not in DATASETS:
        raise CapacityError(f"there is no dataset for the profile {profile!r}; it has {', '.join(DATASETS)}")
    require(POSTGRES_URL, system.postgres_url)
    prepare_database(system.postgres_admin_url, DATASETS[profile])
    pid = find_postmaster(system.postgres_admin_url)
    told = {"postgres": system.postgres_admin_url}
    processes = {} if pid is None else {"server": f"postgres={pid}"}
    for workload, place, read in zip(workloads, (folder, folder / ROW_SECURITY), (told | processes, told), strict=True):
        measurement = Measurement(workload, profile, prepared=prepared)
        measure(measurement, system.postgres_url, [gauges_of(**read)], place, progress)
    return folder


def run_database_probe(
    live: bool, profile: str, workloads: Path | str, folder: Path | str, *, prepared: bool = True
) -> Path:
    """Where `live`, measure the database into `folder`; see `run_probe`, and `measure_database` for `prepared`.

    `workloads` is the folder (empty: the project's) of database.yaml and row_security.yaml.
    """

    def probe(system: System, into: Path, progress: Progress) -> None:
        mix, pairs = (
            read_workload(in_project(workloads or WORKLOADS) / f"{name}.yaml") for name in ("database", ROW_SECURITY)
        )
        measure_database(system, (mix, pairs), profile, into, progress, prepared=prepared)

    return run_probe(live, "database", folder, probe)


def read_database_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_database`; without its pairs, the cost of row security has none."""
    main = open_recording(folder)
    found = database_findings(folder.name, main.samples, main.gauges, main.manifest)
    if (folder / ROW_SECURITY).exists():
        pairs = open_recording(folder / ROW_SECURITY)
        name = f"{folder.name}/{ROW_SECURITY}"
        found += row_security_findings(name, pairs.samples, pairs.gauges, pairs.manifest)
    return found


def read_row_security_pairs(folder: Path) -> pd.DataFrame:
    """The interleaved pairs of a recording made by `measure_database`, as `row_security_pairs` gives them."""
    pairs = open_recording(folder / ROW_SECURITY)
    return row_security_pairs(pairs.samples[pairs.samples["step"].isin(pairs.manifest["sustained_steps"])])
