"""What a job does to the database: its row in the outbox is marked, once, however often the job runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import psycopg

from capacity.system.application.outbox import JOB_ID, Connection, mark_finished

GROUP_S = 0.02  # how long a job waits for others, so that one statement marks them all
CONNECT_SECONDS = 5
RETRY_S = 0.25

LOG = logging.getLogger(__name__)

Mark = Callable[[Connection, Sequence[str]], Awaitable[list[str]]]


class Effects:
    """Marks jobs as finished in the database at `url`, those that end within 20 ms by one statement.

    An empty `url` marks nothing. A server that is away is waited for, and its jobs wait with it: they are neither lost
    nor done again.
    """

    def __init__(self, url: str, mark: Mark = mark_finished) -> None:
        self._url = url
        self._mark = mark
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._marking: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._away = False

    async def finish(self, job_id: str) -> None:
        """Return when the job is marked; at once where it is not one of the outbox.

        Raises psycopg.Error where the server answers and refuses.
        """
        if not self._url or not JOB_ID.fullmatch(job_id):
            return
        if job_id not in self._waiting:
            self._waiting[job_id] = asyncio.get_running_loop().create_future()
        if self._marking is None:
            self._marking = asyncio.create_task(self._mark_groups())
        await asyncio.shield(self._waiting[job_id])

    async def close(self) -> None:
        """Close the connection; what is not marked yet stays so."""
        if self._marking is not None:
            self._marking.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _mark_groups(self) -> None:
        """Mark what waits, group by group, until nothing waits."""
        try:
            while self._waiting:
                await asyncio.sleep(GROUP_S)
                group, self._waiting = self._waiting, {}
                await self._mark_group(group)
        finally:
            self._marking = None

    async def _mark_group(self, group: dict[str, asyncio.Future[None]]) -> None:
        try:
            while not await self._marked(list(group)):
                await asyncio.sleep(RETRY_S)
        except Exception as error:
            for waiting in group.values():
                waiting.set_exception(error)
            return
        for waiting in group.values():
            waiting.set_result(None)

    async def _marked(self, job_ids: Sequence[str]) -> bool:
        """Whether the server was there to mark them."""
        try:
            connection = await self._connected()
            async with connection.transaction():
                await connection.execute("SELECT capacity.act_as_service(0)")
                await self._mark(connection, job_ids)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if not self._away:
                LOG.warning("PostgreSQL does not answer: %s; waiting for it", " ".join(str(error).split()))
            self._away = True
            await self._disconnect()
            return False
        self._away = False
        return True

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=None, connect_timeout=CONNECT_SECONDS
            )
        return self._connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                await self._connection.close()
            self._connection = None
