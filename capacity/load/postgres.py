"""One PostgreSQL connection over libpq's asynchronous calls: an operation is one transaction."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg.errors import lookup

from capacity.load.arguments import Draw, argument_streams
from capacity.load.connection import OK, PENDING, ConnectionLostError, Opens
from capacity.operation import Operation
from capacity.workload import Workload

FAILED = frozenset({int(pq.ExecStatus.FATAL_ERROR), int(pq.ExecStatus.BAD_RESPONSE)})
SYNC = int(pq.ExecStatus.PIPELINE_SYNC)
VALUE = re.compile(r"""\d+|"[^"]*"|'[^']*'""")

Call = tuple[bytes, list[bytes]]  # prepared name or SQL, and its parameters


def connection_of(workload: Workload, url: str, draw: Draw, told: Mapping[str, Any]) -> Opens:
    """What opens a connection that runs the workload's transactions, as prepared statements where told `prepared`."""
    return partial(PostgresConnection, url, PostgresStatements(workload, draw, told["prepared"]))


class PostgresStatements:
    """The statements of a workload with their endless arguments, one stream an operation."""

    def __init__(self, workload: Workload, draw: Draw, prepared: bool = True) -> None:
        self.prepared = prepared
        self.pipelined = any(len(operation.statements) > 1 for operation in workload.operations)
        self.sql = {
            f"s{code}_{place}".encode(): statement.sql.encode()
            for code, operation in enumerate(workload.operations)
            for place, statement in enumerate(operation.statements)
        }
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


class PostgresConnection:
    """A connection to the server at `url`; `error_code` numbers a class of failure.

    A transaction's statements go out together in libpq's pipeline mode and are one implicit transaction up to its
    sync; a workload of single statements needs neither. Without prepared statements every call carries its SQL, as a
    transaction pooler needs it.
    """

    def __init__(
        self, url: str, statements: PostgresStatements, error_code: Callable[[str], int], timeout_s: float
    ) -> None:
        self._url = url
        self._statements = statements
        self._streams = statements.streams
        self._pipelined = statements.pipelined
        self._error_code = error_code
        self._timeout_s = timeout_s
        self._code = OK

    def open(self) -> int:
        """Connect and prepare every statement; ConnectionLostError says why not."""
        try:
            # The generator of psycopg bounds the wait; the loop needs only the libpq connection within.
            opened = psycopg.connect(self._url, autocommit=True, connect_timeout=max(2, round(self._timeout_s)))
        except psycopg.Error as error:
            raise ConnectionLostError(" ".join(str(error).split())) from None
        self._owner = opened
        self._pgconn = opened.pgconn
        self._pgconn.nonblocking = 0  # a send of one small message does not block, and needs no flush of its own
        if self._statements.prepared:
            self._prepare()
        if self._pipelined:
            self._pgconn.enter_pipeline_mode()
        self._call = self._pgconn.send_query_prepared if self._statements.prepared else self._pgconn.send_query_params
        return self._pgconn.socket

    def send(self, operation: int) -> None:
        """Send the next transaction of that operation."""
        self._code, call = OK, self._call
        try:
            for name, values in next(self._streams[operation]):
                call(name, values)
            if self._pipelined:
                self._pgconn.pipeline_sync()
        except psycopg.Error as error:
            raise ConnectionLostError(_lost(error)) from None

    def receive(self) -> int:
        """Read what has arrived; the class of a failure is PostgreSQL's, as UniqueViolation (23505)."""
        connection = self._pgconn
        try:
            connection.consume_input()
            while not connection.is_busy():
                result = connection.get_result()
                if result is None:
                    if self._pipelined:
                        continue
                    return self._code
                status = result.status
                if status == SYNC:
                    return self._code
                if status in FAILED and self._code == OK:
                    self._code = self._error_code(_failure(result))
        except psycopg.Error as error:
            raise ConnectionLostError(_lost(error)) from None
        return PENDING

    def close(self) -> None:
        """Close the connection."""
        self._owner.close()

    def _prepare(self) -> None:
        for name, sql in self._statements.sql.items():
            result = self._pgconn.prepare(name, sql)
            if result.status in FAILED:
                self._owner.close()
                raise ConnectionLostError(" ".join(result.get_error_message().split()))


def _failure(result: pq.abc.PGresult) -> str:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    try:
        return f"{lookup(state).__name__} ({state})"
    except KeyError:
        return f"SQLSTATE {state}"


def _lost(error: psycopg.Error) -> str:
    """The first line of what libpq says, without the numbers and names in it, which would each make a class."""
    said = str(cast(BaseException, error)).strip().partition("\n")[0]
    return VALUE.sub("…", " ".join(said.split())) or "connection lost"
