"""Each operation of a workload tried once, by the role and the way that load comes, and taken back: what is refused."""

from collections.abc import Mapping, Sequence

import psycopg
from psycopg import pq
from psycopg.errors import lookup

from capacity.errors import CapacityError
from capacity.load.arguments import Draw
from capacity.load.postgres import PostgresStatements
from capacity.workload import Workload

CONNECT_SECONDS = 5
# What a right, a name or a setting decides, as opposed to what the rows and others decide: class 42 is syntax error or
# access rule violation, 3F and 3D name a schema or a database that is not there.
REFUSED_CLASSES = ("42", "3F", "3D")
READ_ONLY = "25006"
RIGHT = "42501"
ROW_REFUSED = b"ExecWithCheckOptions"  # of PostgreSQL's source: a policy refuses this row, and not the operation
NAMES = ("42P01", "42883", "42704", "3F000")  # a table, function, type or schema that is not found
WHO = "SELECT current_user, current_setting('search_path'), pg_is_in_recovery()"

OWN_SCHEMA = b"capacity."

Call = tuple[bytes, list[bytes]]
Connection = psycopg.Connection[tuple[object, ...]]


def check_operations(url: str, workload: Workload) -> None:
    """Try each operation of a workload for PostgreSQL once, and take back what it did.

    It takes the arguments that the load begins with, and counts up sequences as any transaction that is rolled back.
    Raises CapacityError, which names the operation, where PostgreSQL refuses a statement whatever its arguments are.
    What else fails, as for a lock or a row that is there already, is for the load to find out.
    """
    streams = PostgresStatements(workload, Draw(workload.seed), prepared=False).streams
    named = zip((each.name for each in workload.operations), streams, strict=True)
    check_calls(url, {name: next(stream) for name, stream in named}, workload.timeout_ms)


def check_calls(url: str, operations: Mapping[str, Sequence[Call]], timeout_ms: float) -> None:
    """As `check_operations`, for statements with their parameters by the name of the operation."""
    try:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None, connect_timeout=CONNECT_SECONDS) as opened:
            for name, calls in operations.items():
                if said := _refusal(opened, calls, timeout_ms):
                    raise CapacityError(f"PostgreSQL refuses the operation {name!r}: {said}")
    except psycopg.Error as error:
        raise CapacityError(f"PostgreSQL does not let the load in: {' '.join(str(error).split())}") from None


def _refusal(opened: Connection, calls: Sequence[Call], timeout_ms: float) -> str:
    """Why one of these statements is refused, and what to do; empty where none is."""
    connection = opened.pgconn
    # To a savepoint, and then ended: the server would count a transaction that is rolled back, as one of the load's.
    connection.exec_(b"BEGIN; SAVEPOINT tried")
    connection.exec_(b"SET LOCAL statement_timeout = %d" % max(1, round(timeout_ms)))
    failed = None
    for statement, values in calls:
        result = connection.exec_params(statement, values)
        if result.status == pq.ExecStatus.FATAL_ERROR:
            failed = statement, result
            break
    connection.exec_(b"ROLLBACK TO SAVEPOINT tried; COMMIT")
    return _explained(opened, *failed) if failed else ""


def _explained(opened: Connection, statement: bytes, failed: pq.abc.PGresult) -> str:
    field = pq.DiagnosticField
    state, message, source = (
        failed.error_field(each) or b"" for each in (field.SQLSTATE, field.MESSAGE_PRIMARY, field.SOURCE_FUNCTION)
    )
    code = state.decode()
    if source == ROW_REFUSED or not (code == READ_ONLY or code.startswith(REFUSED_CLASSES)):
        return ""
    role, path, replica = opened.execute(WHO).fetchone() or ("", "", False)
    said = f"{message.decode(errors='replace')} ({_named(code)}), as the role {role}"
    if code == READ_ONLY:
        what = "the server is a replica; name its primary" if replica else f"let it write: {_writable(str(role))}"
        return f"{said}; {what}"
    if code == RIGHT:
        return f"{said}; let the owner GRANT it what its statement needs"
    if code in NAMES:
        prepared = " (the suite's own tables are there where the workload says dataset: reference)"
        return f"{said}; its search_path is {path}{prepared if OWN_SCHEMA in statement else ''}"
    return f"{said}; correct the statement"


def _writable(role: str) -> str:
    return f'ALTER ROLE "{role}" SET default_transaction_read_only = off'


def _named(code: str) -> str:
    try:
        return f"{lookup(code).__name__} {code}"
    except KeyError:
        return code
