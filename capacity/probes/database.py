"""The database probe: runs the workload, then the pairs that show what row-level security costs."""

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

import pandas as pd
import psycopg

from capacity.analysis.measured.database import (
    SECTION,
    database_findings,
    row_security_findings,
    row_security_left_out,
    row_security_pairs,
)
from capacity.clock import wait_until
from capacity.findings import Finding
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.probe import Probe, SystemUnderTest
from capacity.probes.promises import for_what_is_undecided
from capacity.probes.readers import LOOKER
from capacity.probes.searches import SearchSettings
from capacity.recording import open_recording
from capacity.system.addresses import POSTGRES_URL, System, require
from capacity.system.application.database import connect_as_administrator
from capacity.system.pooler import prepares
from capacity.system.postmaster import find_postmaster
from capacity.system.reference import ROW_SECURITY, prepare_tables
from capacity.system.rights.dry_run import check_operations
from capacity.workload import Workload, read_workload

REST_S = 5.0  # what is still busy then, is so for reasons of its own
# Where nobody notes what a session does, what it waits for tells; where the role may not see that, its transaction
# does: everybody sees that each of these holds a lock on its own number.
BUSY = f"""
SELECT count(*) FROM pg_stat_activity AS session
WHERE pid <> pg_backend_pid() AND application_name IS DISTINCT FROM '{LOOKER}' AND CASE
    WHEN query = '<insufficient privilege>'
        THEN EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = session.pid AND locktype = 'virtualxid' AND granted)
    WHEN backend_type NOT IN ('client backend', 'autovacuum worker') THEN false
    WHEN state = 'disabled' THEN wait_event_type IS DISTINCT FROM 'Client'
    ELSE state = 'active' END
"""
# What filling the tables left to be done later would be done during the first levels.
TIDY = ("VACUUM capacity.posts, capacity.connectors, capacity.job_logs, capacity.tokens", "CHECKPOINT")


def measure_database(system: System, workloads: Path, profile: str, folder: Path, *, prepared: bool = True) -> Path:
    """Measure PostgreSQL into a new recording in `folder`, with the pairs in its sub-folder `row_security`.

    `workloads` is the folder of database.yaml, and of row_security.yaml where the cost of row-level security is wanted.
    Tables are made and filled for a workload with `dataset: reference` alone. `prepared` False measures without
    prepared statements, as is done by itself through a transaction pooler that does not keep them. CPU and memory of
    the server's processes are read beside the mix, where they are on this machine. Raises CapacityError for an unknown
    profile, a server that is down or lets nobody in, and an operation that is refused.
    """
    files = {name: workloads / f"{name}.yaml" for name in ("database", ROW_SECURITY)}
    read = {name: read_workload(file) for name, file in files.items() if name != ROW_SECURITY or file.exists()}
    url, left_out = require(POSTGRES_URL, system.postgres_url), made_ready(system, profile, *read.values())
    for name in (each for each in read if each not in left_out):
        check_operations(url, read[name])
    pid = find_postmaster(system.postgres_admin_url)
    told = {"postgres": system.postgres_admin_url}
    processes = {} if pid is None else dict.fromkeys(("server", "device"), f"postgres={pid}")
    beside = [gauges_of(**told, **processes, locks=system.postgres_admin_url)]
    promises = for_what_is_undecided("database", read_database_findings, workloads)
    prepared, told_of = prepares(url, prepared)
    more = {**told_of, "left_out": left_out} if left_out else told_of
    mix = Measurement(read["database"], profile, prepared=prepared, more=more)
    measure(mix, url, beside, folder, goes_on_for=promises)
    if ROW_SECURITY in read and ROW_SECURITY not in left_out:
        pairs = Measurement(read[ROW_SECURITY], profile, prepared=prepared, more=told_of)
        measure(pairs, url, [gauges_of(**told)], folder / ROW_SECURITY)
    return folder


def made_ready(system: System, profile: str, *workloads: Workload) -> dict[str, str]:
    """Fill the tables where one of these workloads is measured on them.

    Returns why one has to be left out, by its name. Raises CapacityError as `prepare_tables`.
    """
    for each in workloads:
        each.shape(profile)
    on_tables = [each.name for each in workloads if each.dataset == "reference"]
    left_out = prepare_tables(system, profile) if on_tables else {}
    return {name: why for name, why in left_out.items() if name in on_tables}


def read_database_findings(folder: Path) -> list[Finding]:
    """The findings of a recording made by `measure_database`; pairs that were not wanted have none."""
    main = open_recording(folder)
    found = database_findings(folder.name, main.samples, main.gauges, main.facts)
    name = f"{folder.name}/{ROW_SECURITY}"
    if (folder / ROW_SECURITY).exists():
        pairs = open_recording(folder / ROW_SECURITY)
        found += row_security_findings(name, pairs.samples, pairs.gauges, pairs.facts)
    elif why := main.facts.left_out.get(ROW_SECURITY):
        found.append(row_security_left_out(folder.name, why))
    return found


def row_security_measured(folder: Path, findings: Iterable[Finding]) -> list[tuple[pd.DataFrame, Finding]]:
    """The interleaved pairs of a recording, as `row_security_pairs` gives them, and the finding on their cost.

    Empty where its workload has no such pairs; no pairs where these were left out.
    """
    costs = [each for each in findings if each.name == f"{SECTION}.row_security_cost"]
    if not costs:
        return []
    if not (folder / ROW_SECURITY).exists():
        return [(pd.DataFrame(columns=["with", "without"], dtype=float), costs[0])]
    pairs = open_recording(folder / ROW_SECURITY)
    return [(row_security_pairs(pairs.samples[pairs.samples["step"].isin(pairs.facts.sustained_steps)]), costs[0])]


def ready_database(
    system: System, search: SearchSettings, file: Path, profile: str, stack: ExitStack
) -> SystemUnderTest:
    """PostgreSQL, with its tables filled where the workload is the reference's; at rest when no statement runs."""
    url, admin = require(POSTGRES_URL, system.postgres_url), system.postgres_admin_url
    workload = read_workload(file)
    if workload.dataset == "reference":
        prepare_tables(system, profile)
        tidy(admin)
    check_operations(url, workload)
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
    """Wait until PostgreSQL runs no statement, and vacuums no table; returns whether that came within `seconds`.

    Of sessions that the role may not see, no transaction may be open.
    """
    with connect_as_administrator(postgres_url) as connection:
        return wait_until(lambda: connection.execute(BUSY.encode()).fetchone() == (0,), seconds)


def postgres_processes(postgres_url: str) -> str:
    """The processes of a PostgreSQL on this machine as the reader of gauges takes them; empty where it is elsewhere."""
    pid = find_postmaster(postgres_url)
    return "" if pid is None else f"postgres={pid}+"


PROBE = Probe(
    "database", measure_database, read_database_findings, lambda system: bool(system.postgres_url), ready_database
)
run_database_probe = PROBE.run
