"""The gateway's bounded pool of connections: a query is one transaction under row-level security as the caller."""

import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from capacity.clock import monotonic_s
from capacity.system.application.deadline import within

SIZE = 20
WAIT_S = 0.5
MAX_WAITING = 1000
ANSWER_S = 2.0  # a server that hangs keeps the connection, and not the caller
CONNECT_SECONDS = 2
RECONNECT_S = 1.0  # the pool's own default tries at intervals that double for five minutes

Row = dict[str, Any]
Connection = psycopg.AsyncConnection[Row]


class UnavailableError(Exception):
    """The database could not be asked, or did not answer; the text says why."""


class DatabasePool:
    """`size` connections to the server at `url`, opened at the start and kept.

    A caller waits for one at most `wait_s`, and `max_waiting` callers may wait at once.
    """

    def __init__(self, url: str, size: int = SIZE, wait_s: float = WAIT_S, max_waiting: int = MAX_WAITING) -> None:
        self.size = size
        self.in_use = 0
        self.wait_seconds = 0.0
        self._wait_s = wait_s
        self._connections = AsyncConnectionPool(
            url,
            connection_class=Connection,
            kwargs={"autocommit": True, "row_factory": dict_row, "connect_timeout": CONNECT_SECONDS},
            min_size=size,
            max_size=size,
            timeout=wait_s,
            max_waiting=max_waiting,
            reconnect_timeout=RECONNECT_S,
            open=False,
        )

    async def open(self) -> None:
        """Begin to connect; a server that is down is tried again when a caller comes."""
        await self._connections.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._connections.close(timeout=1.0)

    async def ask_as(self, owner: int, query: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows of `query` in a transaction as that owner; UnavailableError where there is no answer.

        The transaction is one exchange with the server: in pipeline mode and autocommit, what is sent up to a sync is
        one transaction, which the end of the block sends.
        """
        try:
            return await within(self._wait_s + ANSWER_S, self._ask(owner, query, parameters))
        except TimeoutError:
            raise UnavailableError(f"PostgreSQL did not answer within {ANSWER_S:g} s") from None

    async def _ask(self, owner: int, query: LiteralString, parameters: Mapping[str, Any]) -> list[Row]:
        try:
            async with self._connection() as connection:
                async with connection.pipeline():
                    await connection.execute("SELECT capacity.act_as(%s)", (owner,))
                    cursor = await connection.execute(query, parameters)
                return await cursor.fetchall()
        except psycopg.OperationalError as error:
            raise UnavailableError(f"PostgreSQL does not answer: {_sentence(error)}") from None
        except psycopg.Error as error:
            raise UnavailableError(f"PostgreSQL refused: {_sentence(error)}") from None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        connection = await self._taken()
        self.in_use += 1
        try:
            yield connection
        finally:
            self.in_use -= 1
            await self._connections.putconn(connection)

    async def _taken(self) -> Connection:
        """A connection that the server has not closed; the pool replaces those that it has, as after a restart."""
        began = monotonic_s()
        try:
            while True:
                connection = await self._connections.getconn(self._wait_s + began - monotonic_s())
                if not _is_readable(connection):
                    return connection
                await connection.close()
                await self._connections.putconn(connection)
        except (PoolTimeout, TooManyRequests):
            if self.in_use < self.size:
                raise UnavailableError("PostgreSQL does not answer: no connection could be made") from None
            raise UnavailableError(f"all {self.size} connections to the database are in use") from None
        finally:
            self.wait_seconds += monotonic_s() - began

    def figures(self) -> dict[str, float]:
        """The pool's gauges and counters by their names in the gateway's metrics."""
        counted = self._connections.get_stats()
        return {
            "pool_limit": self.size,
            "pool_size": counted["pool_size"],
            "pool_in_use": self.in_use,
            "pool_waiting": counted["requests_waiting"],
            "pool_requests_total": counted.get("requests_num", 0),
            "pool_requests_waited_total": counted.get("requests_queued", 0),
            "pool_wait_seconds_total": self.wait_seconds,
            "pool_errors_total": counted.get("requests_errors", 0),
            "pool_connection_errors_total": counted.get("connections_errors", 0),
        }


def _is_readable(connection: Connection) -> bool:
    """Whether an idle connection has something to say, which is its end."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


def _sentence(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
