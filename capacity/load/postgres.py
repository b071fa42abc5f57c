"""One PostgreSQL connection over libpq's asynchronous calls: an operation is one transaction."""

import itertools
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg.errors import lookup

from capacity.load.arguments import Draw, argument_streams
from capacity.load.connection import (
    OK,
    PENDING,
    ConnectionLostError,
    NotTakenError,
    Opens,
    OperationRefusedError,
    Sender,
)
from capacity.load.remedies import remedy_of
from capacity.operation import Operation
from capacity.streams import one_line, without_values
from capacity.workload import Workload

FAILED = frozenset({int(pq.ExecStatus.FATAL_ERROR), int(pq.ExecStatus.BAD_RESPONSE)})
SYNC = int(pq.ExecStatus.PIPELINE_SYNC)
# Of these classes the message names tables, columns and roles, and no row's values.
NO_VALUES = frozenset({"0A", "23", "25", "28", "3D", "3F", "40", "42", "53", "55", "57"})
REFUSES = frozenset({"0A", "3F", "42"})  # the statement itself, on whatever connection
ENDS = "FATAL"  # the severity of what ends the session
# With these the server ends a session that is idle: what was sent meanwhile it has not read. PgBouncer uses words.
IDLE_ENDED = frozenset({"57P05", "25P03"})
POOLER_IDLE = "client_idle_timeout"
CANCEL_S = 2.0  # for the connection of its own by which a statement is cancelled
# Where the server and none between holds this session: it then ends a statement whose client has gone, as when killed.
GONE_MS, GONE_SINCE = 500, 140_000
CHECKS = "SELECT set_config('client_connection_check_interval', '{}', false) WHERE pg_backend_pid() = {}"
MOST_SEPARATORS = 10_000
KNOWN_TWICE = "42P05"  # a prepared statement of that name is there: a transaction pooler is between
POOLER = "a transaction pooler keeps no prepared statements, so measure with prepared False"

Call = tuple[bytes, list[bytes]]  # prepared name or SQL, and its parameters


def connection_of(workload: Workload, url: str, draw: Draw, told: Mapping[str, Any]) -> Opens:
    """What opens a connection that runs the workload's transactions, as prepared statements where told `prepared`."""
    return partial(PostgresConnection, url, PostgresStatements(workload, draw, told["prepared"]))


class PostgresStatements:
    """The statements of a workload with their endless arguments, one stream an operation."""

    def __init__(self, workload: Workload, draw: Draw, prepared: bool = True) -> None:
        self.prepared = prepared
        self.pipelined = any(len(operation.statements) > 1 for operation in workload.operations)
        statements = {
            f"s{code}_{place}".encode(): (operation.name, statement.sql.encode())
            for code, operation in enumerate(workload.operations)
            for place, statement in enumerate(operation.statements)
        }
        self.sql = {name: sql for name, (_, sql) in statements.items()}
        self.operation_of = {name: operation for name, (operation, _) in statements.items()}
        self.streams = [self._calls(operation, code, draw) for code, operation in enumerate(workload.operations)]

    def _calls(self, operation: Operation, code: int, draw: Draw) -> Iterator[tuple[Call, ...]]:
        """The calls of one transaction with their arguments drawn, endless."""
        uses = [(name, None) for statement in operation.statements for name in statement.parameters]
        streams = argument_streams(operation, uses, draw)
        calls = []
        for place, statement in enumerate(operation.statements):
            name = f"s{code}_{place}".encode()
            mine = [next(streams) for _ in statement.parameters]
            arguments = map(list, zip(*mine, strict=True)) if mine else itertools.repeat([])
            calls.append(zip(itertools.repeat(name if self.prepared else self.sql[name]), arguments, strict=True))
        return zip(*calls, strict=True)


class PostgresConnection(Sender):
    """A connection to the server at `url`; `error_code` numbers a class of failure.

    A transaction's statements go out together in libpq's pipeline mode and are one implicit transaction up to its
    sync; a workload of single statements needs neither. Without prepared statements every call carries its SQL, as a
    transaction pooler needs it.
    """

    _calls: tuple[Call, ...] = ()

    def __init__(
        self, url: str, statements: PostgresStatements, error_code: Callable[[str], int], timeout_s: float
    ) -> None:
        self._url = url
        self._statements = statements
        self._streams = statements.streams
        self._pipelined = statements.pipelined
        self._error_code = error_code
        self._timeout_s = timeout_s
        self._code = PENDING  # but while something is under way
        self._failed: pq.abc.PGresult | None = None

    @property
    def cancel(self) -> Callable[[], object]:
        """Has the server cancel the statement under way on the connection that is open now."""
        return partial(_cancel, self._owner)

    def open(self) -> int:
        """Connect and prepare every statement; ConnectionLostError says why not."""
        try:
            # The generator of psycopg bounds the wait; the loop needs only the libpq connection within.
            opened = psycopg.connect(self._url, autocommit=True, connect_timeout=max(2, round(self._timeout_s)))
        except psycopg.Error as error:
            raise ConnectionLostError(" ".join(str(error).split())) from None
        self._owner, self._pgconn = opened, opened.pgconn
        self._code, self._ends = PENDING, False
        opened.add_notice_handler(self._noticed)
        try:
            self._begin()
        except psycopg.Error as error:
            opened.close()
            raise ConnectionLostError(_lost(error)) from None
        self._call = self._pgconn.send_query_prepared if self._statements.prepared else self._pgconn.send_query_params
        return self._pgconn.socket

    def send(self, operation: int) -> None:
        """Send the next transaction of that operation."""
        self._code, call = OK, self._call
        try:
            self._calls = next(self._streams[operation])
            for name, values in self._calls:
                call(name, values)
            if self._pipelined:
                self._pgconn.pipeline_sync()
        except psycopg.Error as error:
            raise ConnectionLostError(_lost(error)) from None

    def receive(self) -> int:
        """Read what has arrived; the class of a failure is PostgreSQL's, as UniqueViolation (23505)."""
        connection, separators = self._pgconn, 0
        try:
            connection.consume_input()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    if not self._pipelined or self._code == PENDING:
                        break
                    separators += 1  # stands between the results of two statements; without end, nothing is under way
                    if separators > MOST_SEPARATORS:
                        raise ConnectionLostError("connection lost")
                    continue
                status = result.status
                if status == SYNC:
                    break
                if status in FAILED and self._code == OK:
                    self._fail(result)
            else:
                return PENDING
        except psycopg.Error as error:
            raise ConnectionLostError(_lost(error)) from None
        if self._ends:
            raise ConnectionLostError("connection ended by the server")
        code, self._code = self._code, PENDING
        return code

    def said(self) -> str:
        """The message of the last failure, without its details; without values where it may have some."""
        return "" if self._failed is None else _message(self._failed)

    def close(self) -> int:
        """Take leave, and return what the server's own end of the connection makes readable."""
        ending = -1
        with suppress(psycopg.Error, OSError):  # libpq has closed it, because the server had
            ending = os.dup(self._pgconn.socket)
        self._owner.close()
        if ending >= 0:
            half = socket.socket(fileno=ending)
            with suppress(OSError):
                half.shutdown(socket.SHUT_WR)  # a server in the middle of a statement sees this, if anything
            half.detach()
        return ending

    def _begin(self) -> None:
        self._pgconn.nonblocking = 0  # a send of one small message does not block, and needs no flush of its own
        if self._pgconn.server_version >= GONE_SINCE:
            self._pgconn.exec_(CHECKS.format(GONE_MS, self._pgconn.backend_pid).encode())
        if self._statements.prepared:
            self._prepare()
        if self._pipelined:
            self._pgconn.enter_pipeline_mode()

    def _prepare(self) -> None:
        for name, sql in self._statements.sql.items():
            result = self._pgconn.prepare(name, sql)
            if result.status in FAILED:
                self._owner.close()
                raise self._refusal(self._statements.operation_of[name], result)

    def _noticed(self, told: psycopg.errors.Diagnostic) -> None:
        """What ends the session comes as a notice where nothing is under way, some time before the end itself."""
        self._ends = self._ends or told.severity_nonlocalized == ENDS

    def _fail(self, result: pq.abc.PGresult) -> None:
        """Note why a statement failed; ConnectionLostError where the server ends the session with it."""
        self._failed, kind = result, _failure(result)
        if result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) != ENDS.encode():
            self._code = self._error_code(kind)
            return
        was_idle = _state(result) in IDLE_ENDED or POOLER_IDLE in _message(result)
        raise NotTakenError(kind, self._calls) if was_idle else ConnectionLostError(kind)

    def _refusal(self, operation: str, result: pq.abc.PGresult) -> ConnectionLostError:
        """Why an operation could not be prepared: for what it is, or for what this connection is."""
        state, said = _state(result), f"PostgreSQL refuses the operation {operation!r}: {_message(result)}"
        if state == KNOWN_TWICE:
            return ConnectionLostError(f"{said}; {POOLER}")
        if state[:2] not in REFUSES:
            return ConnectionLostError(said)
        return OperationRefusedError(f"{said}; {remedy_of(_failure(result))}")


def _state(result: pq.abc.PGresult) -> str:
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()


def _message(result: pq.abc.PGresult) -> str:
    said = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
    return one_line(said) if _state(result)[:2] in NO_VALUES else without_values(said)


def _failure(result: pq.abc.PGresult) -> str:
    state = _state(result)
    try:
        return f"{lookup(state).__name__} ({state})"
    except KeyError:
        return f"SQLSTATE {state}"


def _cancel(connection: psycopg.Connection) -> None:
    try:
        connection.cancel_safe(timeout=CANCEL_S)
    except psycopg.Error as error:
        raise ConnectionLostError(_lost(error)) from None


def _lost(error: psycopg.Error) -> str:
    """The first line of what libpq says, without the numbers and names in it, which would each make a class."""
    return without_values(str(cast(BaseException, error))) or "connection lost"
