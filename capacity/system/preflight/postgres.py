"""What a PostgreSQL says of itself before it is loaded: whether its figures will mean what they are read as."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.application.database import connect_as_administrator
from capacity.system.connection_slots import RESERVED, USED, ConnectionSlots, connection_slots
from capacity.system.pooler import TransactionPooler, find_transaction_pooler
from capacity.system.preflight.check import ANSWER_S, BESIDE, Check, fact, missing, note, seconds_text, widest
from capacity.system.preflight.clocks import clock_check, clock_offset
from capacity.system.preflight.tracking import COUNTS, TIMES_IO, TIMES_LOG, untracked
from capacity.workload import Workload

TRIED = (14, 18)
IDLE_S = 60.0  # what a connection may have to wait for its turn, while a load begins and ends
WRITES = re.compile(r"\b(insert|update|delete|merge|truncate|create|drop|alter|call|copy)\b", re.IGNORECASE)
ROLE = """
SELECT current_user::text AS name, current_database()::text AS database, rolsuper AS superuser,
       rolbypassrls AS bypasses, pg_is_in_recovery() AS standby,
       (SELECT count(*) FROM pg_class WHERE relrowsecurity AND NOT relforcerowsecurity AND relowner = pg_roles.oid)
           AS owned
FROM pg_roles WHERE rolname = current_user
"""
SETTINGS = "SELECT name, setting FROM pg_settings"
# Who made it, by what only that maker's has; the first that is there.
MAKES = """
SELECT CASE
    WHEN EXISTS (SELECT FROM pg_proc WHERE proname = 'aurora_version') THEN 'Amazon Aurora'
    WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'rdsadmin') THEN 'Amazon RDS'
    WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'supabase_admin') THEN 'Supabase'
    WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'cloudsqlsuperuser') THEN 'Google Cloud SQL'
    WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'azure_pg_admin') THEN 'Azure'
    WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'neon_superuser') THEN 'Neon'
    ELSE '' END, version(), current_setting('server_version')
"""
OTHERS = ("CockroachDB", "YugabyteDB", "Greenplum", "Redshift", "EnterpriseDB")  # as version() names them
SET = "a superuser: ALTER SYSTEM SET {} = on; SELECT pg_reload_conf(); a managed one has it among its parameters"
RESET = "a superuser: ALTER SYSTEM SET {0} = on; and where a role or a database has its own: ALTER ROLE … RESET {0}"
FIGURES = {  # what is not given where a setting is not on for all
    TIMES_IO: "times of reads and writes (read_wait, write_wait)",
    TIMES_LOG: "the time of a sync of the log (log_sync)",
    COUNTS: "deadlocks, cache_hit_rate and temporary_files",
}
IO_SINCE = 16
ENDS = {  # what becomes of what takes longer than the limit
    "statement_timeout": "a statement that takes longer ends as an error: no response time above it is seen",
    "lock_timeout": "a wait for a lock that takes longer ends as an error: no response time with a longer wait is seen",
    "transaction_timeout": "a transaction that takes longer ends with its connection, which is opened again",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What a PostgreSQL told the role that loads, and the workloads that it is to be loaded with."""

    version: int
    product: str
    settings: Mapping[str, str]
    role: Mapping[str, Any]
    workloads: Sequence[Workload]
    untracked: Mapping[str, str]

    def limit_s(self, name: str) -> float:
        """A time limit in seconds; 0 where there is none."""
        return float(self.settings.get(name, 0)) / 1000


def postgres_checks(system: System, workloads: Sequence[Workload]) -> list[Check]:
    """What is to be known of the system's PostgreSQL before these workloads; CapacityError where it does not answer."""
    with connect_as_administrator(system.postgres_url) as connection:
        seen = _seen(connection, workloads)
        offset = clock_offset(lambda: float(_row(connection, "SELECT extract(epoch FROM clock_timestamp())")[0]))
        asked = _row(connection, RESERVED)
    used = _used_by_others(system, seen)
    pooler = find_transaction_pooler(system.postgres_url)
    said = f"{seen.product}, as {seen.role['name']} in {seen.role['database']}"
    slots = used if isinstance(used, Check) else connection_slots(asked, used)
    return [
        fact("reachable", said),
        *_version(seen),
        *_pooler(pooler),
        slots if isinstance(slots, Check) else _connections(seen, slots, pooler),
        _read_only(seen),
        *_row_security(seen),
        *_time_limits(seen),
        *_timings(seen),
        clock_check(offset),
    ]


def _seen(connection: "psycopg.Connection[Any]", workloads: Sequence[Workload]) -> Seen:
    with connection.transaction():  # through a pooler a setting outlives the transaction only where it is not LOCAL
        connection.execute(f"SET LOCAL statement_timeout = {ANSWER_S * 1000}".encode())
        make, told, version = _row(connection, MAKES)
        role = connection.cursor(row_factory=dict_row).execute(ROLE).fetchone() or {}
    settings = dict(connection.execute(SETTINGS).fetchall())
    make = next((each for each in OTHERS if each.lower() in told.lower()), make)
    product = f"PostgreSQL {version}{f' ({make})' if make else ''}"
    return Seen(connection.info.server_version // 10_000, product, settings, role, workloads, untracked(connection))


def _row(connection: "psycopg.Connection[Any]", query: str, parameters: Mapping[str, Any] | None = None) -> Any:
    return connection.execute(query.encode(), parameters).fetchone() or ()


def _used_by_others(system: System, seen: Seen) -> Any:
    """What USED tells the administrator; a check where that one is not let in."""
    names = {"role": seen.role["name"], "database": seen.role["database"]}
    try:
        with connect_as_administrator(system.postgres_admin_url or system.postgres_url) as connection:
            return _row(connection, USED, names)
    except CapacityError as error:
        said = str(error).partition("; ")[0].removeprefix("PostgreSQL ")
        means = "no table is filled, and the server's own figures are not read"
        return missing("administrator", said, means, "correct CAPACITY_POSTGRES_ADMIN_URL")


def _version(seen: Seen) -> Iterator[Check]:
    first, last = TRIED
    if not first <= seen.version <= last:
        means = f"what its views tell may be misread: {first} to {last} were tried"
        yield note("version", f"{seen.version}", means, "compare a figure or two with what you know of the server")


def _pooler(pooler: TransactionPooler | None) -> Iterator[Check]:
    if pooler is None:
        yield fact("pooler", "none that shares connections: each connection keeps its backend")
        return
    said = f"a transaction pooler is between{f': {pooler.name}' if pooler.name else ''}"
    if pooler.keeps_prepared:
        yield fact("pooler", f"{said}, which keeps prepared statements")
        return
    means = (
        "it keeps no prepared statements, so the load uses none: each statement is parsed and planned anew, which is "
        "part of the response times"
    )
    to_do = "nothing, where your application goes this way too; else name the server's own address"
    yield note("pooler", said, means, to_do)


def _connections(seen: Seen, slots: ConnectionSlots, pooler: TransactionPooler | None) -> Check:
    """Connections wanted beside those that are free: the server's, or where a pooler is between its clients."""
    most = widest(seen.workloads)
    to_do = f"lower `connections` in {most.name}.yaml, or raise the limit"
    if pooler:
        most_clients = (
            f"at most {pooler.clients:,} clients" if pooler.clients else "as many clients as its settings say"
        )
        said = f"{most.connections} wanted by {most.name}; the pooler lets in {most_clients}"
        if not pooler.clients or pooler.clients >= most.connections:
            return fact("connections", said)
        return note("connections", said, "connections beyond that are refused or wait: fewer carry the load", to_do)
    wanted = most.connections + BESIDE
    said = f"{most.connections} wanted by {most.name} and {BESIDE} beside it, {slots.free} free: {slots.sum}"
    if slots.free >= wanted:
        return fact("connections", said)
    means = "those beyond it are refused: fewer connections carry the load, and each refusal is a connection error"
    return note("connections", said, means, to_do)


def _read_only(seen: Seen) -> Check:
    standby, only = seen.role["standby"], seen.settings.get("default_transaction_read_only") == "on"
    if not standby and not only:
        return fact("writes", "allowed")
    writing = [
        operation.name
        for workload in seen.workloads
        for operation in workload.operations
        if any(WRITES.search(each.sql) for each in operation.statements)
    ]
    said = "a standby, which takes no writes" if standby else "default_transaction_read_only is on for this role"
    if not writing:
        return fact("writes", f"{said}; the workload has none")
    to_do = "name the primary's address" if standby else "ALTER ROLE {name} SET default_transaction_read_only = off"
    means = f"every {', '.join(dict.fromkeys(writing))} fails"
    return note("writes", said, means, to_do.format(**seen.role))


def _row_security(seen: Seen) -> Iterator[Check]:
    """Whether policies hold for the role, where the workload says that its rows are filtered."""
    if not any(operation.row_security for each in seen.workloads for operation in each.operations):
        return
    role, named = seen.role, seen.role["name"]
    reasons = {"is a superuser": role["superuser"], "has BYPASSRLS": role["bypasses"]}
    why = next((reason for reason, so in reasons.items() if so), "")
    if not why and not role["owned"]:
        yield fact("row security", f"holds for {named}")
        return
    said = (
        f"{named} {why}" if why else f"{named} owns tables ({role['owned']}) whose policies do not hold for their owner"
    )
    means = (
        "policies are skipped, and what row-level security costs is measured as nothing, but for statements that take "
        "another role first"
    )
    yield note(
        "row security", said, means, "load as an ordinary role, and keep this one for CAPACITY_POSTGRES_ADMIN_URL"
    )


def _time_limits(seen: Seen) -> Iterator[Check]:
    """Limits of the role that are met before the workload's own."""
    least = min(seen.workloads, key=lambda each: each.timeout_ms)
    timeout_s, clean = least.timeout_ms / 1000, True
    own = f"the timeout of {least.name} is {seconds_text(timeout_s)}"
    for name, means in ENDS.items():
        if 0 < seen.limit_s(name) < timeout_s:
            clean = False
            said = f"{name} is {seconds_text(seen.limit_s(name))}, and {own}"
            to_do = f"ALTER ROLE {seen.role['name']} SET {name} = '{timeout_s:g}s', or lower timeout_ms"
            yield note("time limit", said, means, to_do)
    if 0 < seen.limit_s("idle_session_timeout") < IDLE_S:
        clean = False
        said = f"idle_session_timeout is {seconds_text(seen.limit_s('idle_session_timeout'))}"
        means = "a connection that waits longer for its turn is ended, and the next operation on it fails"
        yield note("time limit", said, means, f"ALTER ROLE {seen.role['name']} SET idle_session_timeout = 0")
    if clean:
        yield fact("time limits", f"none of the role is met before the load's own: {own}")


def _timings(seen: Seen) -> Iterator[Check]:
    figures = dict(FIGURES)
    if seen.version < IO_SINCE:
        del figures[TIMES_IO]
        means = "how many reads and writes there were, and how long they were waited for, is not given"
        said = f"PostgreSQL {seen.version} has no pg_stat_io"
        yield note("timings", said, means, f"nothing; {IO_SINCE} and later have it")
    off = {name: seen.untracked[name] for name in figures if name in seen.untracked}
    for name, why in off.items():
        to_do = SET if why == f"{name} is off" else RESET
        yield note("timings", why, f"not given: {figures[name]}", to_do.format(name))
    if not off:
        *others, last = figures
        yield fact("timings", f"{', '.join(others)} and {last} are on")
