"""The database probe: fills the tables, runs the workload, then the pairs that show what row-level security costs."""

from contextlib import ExitStack, suppress
from pathlib import Path

import pandas as pd
import psycopg

from capacity.analysis.measured.database import database_findings, row_security_findings, row_security_pairs
from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.probe import Probe, SystemUnderTest
from capacity.probes.promises import for_what_is_undecided
from capacity.probes.searches import SearchSettings
from capacity.recording import open_recording
from capacity.system.addresses import POSTGRES_URL, System, require
from capacity.system.application.database import DATASETS, connect_as_administrator, prepare_database
from capacity.system.pooler import prepares
from capacity.system.postmaster import find_postmaster
from capacity.workload import read_workload

ROW_SECURITY = "row_security"
REST_S = 5.0  # what is still busy then, is so for reasons of its own
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND backend_type IN ('client backend', 'autovacuum worker') AND pid <> pg_backend_pid()
"""
# What filling the tables left to be done later would be done during the first levels.
TIDY = ("VACUUM capacity.posts, capacity.connectors, capacity.job_logs, capacity.tokens", "CHECKPOINT")


def measure_database(system: System, workloads: Path, profile: str, folder: Path, *, prepared: bool = True) -> Path:
    """Measure PostgreSQL into a new recording in `folder`, with the pairs in its sub-folder `row_security`.

    `workloads` is the folder of database.yaml and row_security.yaml. `prepared` False measures without prepared
    statements, as is done by itself through a transaction pooler that does not keep them. CPU and memory of the
    server's processes are read beside the mix, where they are on this machine. Raises CapacityError for an unknown
    profile or a server that is down or lets nobody in.
    """
    mix, pairs = (read_workload(workloads / f"{name}.yaml") for name in ("database", ROW_SECURITY))
    if profile not in DATASETS:
        raise CapacityError(f"there is no dataset for the profile {profile!r}; it has {', '.join(DATASETS)}")
    require(POSTGRES_URL, system.postgres_url)
    prepare_database(system.postgres_admin_url, DATASETS[profile])
    pid = find_postmaster(system.postgres_admin_url)
    told = {"postgres": system.postgres_admin_url}
    processes = {} if pid is None else {"server": f"postgres={pid}"}
    beside = [gauges_of(**told, **processes, locks=system.postgres_admin_url)]
    promises = for_what_is_undecided("database", read_database_findings, workloads)
    url = system.postgres_url
    prepared, told_of = prepares(url, prepared)
    first, second = (Measurement(each, profile, prepared=prepared, more=told_of) for each in (mix, pairs))
    measure(first, url, beside, folder, goes_on_for=promises)
    measure(second, url, [gauges_of(**told)], folder / ROW_SECURITY)
    return folder


def read_database_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_database`; without its pairs, the cost of row security has none."""
    main = open_recording(folder)
    found = database_findings(folder.name, main.samples, main.gauges, main.facts)
    if (folder / ROW_SECURITY).exists():
        pairs = open_recording(folder / ROW_SECURITY)
        name = f"{folder.name}/{ROW_SECURITY}"
        found += row_security_findings(name, pairs.samples, pairs.gauges, pairs.facts)
    return found


def read_row_security_pairs(folder: Path) -> pd.DataFrame:
    """The interleaved pairs of a recording made by `measure_database`, as `row_security_pairs` gives them."""
    pairs = open_recording(folder / ROW_SECURITY)
    return row_security_pairs(pairs.samples[pairs.samples["step"].isin(pairs.facts.sustained_steps)])


def ready_database(
    system: System, search: SearchSettings, file: Path, profile: str, stack: ExitStack
) -> SystemUnderTest:
    """PostgreSQL with its tables filled, which is at rest when no statement runs."""
    url, admin = require(POSTGRES_URL, system.postgres_url), system.postgres_admin_url
    prepare_database(admin, DATASETS[profile])
    tidy(admin)
    watchers = [gauges_of(postgres=admin, processes=postgres_processes(admin))]
    prepared, told_of = prepares(url)
    return SystemUnderTest(url, watchers, lambda: wait_until_idle(admin), lambda: told_of, prepared)


def tidy(postgres_url: str) -> None:
    """Have PostgreSQL vacuum the tables and write its buffers out, as far as the administrator may ask for that."""
    with connect_as_administrator(postgres_url) as connection:
        for statement in TIDY:
            with suppress(psycopg.Error):
                connection.execute(statement)


def wait_until_idle(postgres_url: str, seconds: float = REST_S) -> bool:
    """Wait until PostgreSQL runs no statement, and vacuums no table; returns whether that came within `seconds`."""
    with connect_as_administrator(postgres_url) as connection:
        return wait_until(lambda: connection.execute(BUSY).fetchone() == (0,), seconds)


def postgres_processes(postgres_url: str) -> str:
    """The processes of a PostgreSQL on this machine as the reader of gauges takes them; empty where it is elsewhere."""
    pid = find_postmaster(postgres_url)
    return "" if pid is None else f"postgres={pid}+"


PROBE = Probe(
    "database", measure_database, read_database_findings, lambda system: bool(system.postgres_url), ready_database
)
run_database_probe = PROBE.run
