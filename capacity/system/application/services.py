"""What the gateway's endpoints stand on, opened and closed together, and what it counts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from capacity.clock import cpu_s
from capacity.system.application.breaker import Breaker
from capacity.system.application.job_queue import JobQueue, QueuedJob, QueueDownError
from capacity.system.application.outbox import Reconciler
from capacity.system.application.pool import DatabasePool

SAMPLE_S = 0.2  # between two looks at the queue's depth
RESTART_S = 1.0
STOP_S = 1.0

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Services:
    """The pool, the queue with its breaker, and what brings back lost jobs."""

    pool: DatabasePool
    queue: JobQueue
    breaker: Breaker
    reconciler: Reconciler = field(init=False)
    enqueued: int = 0

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.queue)

    async def enqueue(self, job: QueuedJob) -> None:
        """Enqueue a job of the outbox; where Redis does not take it, the reconciler enqueues it later."""
        with suppress(QueueDownError):
            await self.queue.add([job])
            self.enqueued += 1

    async def watch_depth(self) -> None:
        """Tell the breaker the queue's depth, a few times a second."""
        while True:
            try:
                self.breaker.observe(await self.queue.depth())
            except QueueDownError:
                self.breaker.observe(None)
            await asyncio.sleep(SAMPLE_S)

    @asynccontextmanager
    async def running(self, postgres_url: str) -> AsyncIterator[None]:
        """Open everything; what runs in the background ends with the block. Servers that are down come later."""
        await self.pool.open()
        works: list[Callable[[], Awaitable[None]]] = [self.watch_depth, lambda: self.reconciler.run(postgres_url)]
        tasks = [asyncio.create_task(_kept_alive(work)) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=STOP_S)
            await self.pool.close()
            await self.queue.close()

    def metrics(self) -> str:
        """Everything counted, as Prometheus reads it: a line of name and value each, seconds and counts."""
        depth = self.breaker.depth
        figures = {f"gateway_{name}": value for name, value in self.pool.figures().items()} | {
            "gateway_breaker_state": self.breaker.state,
            "gateway_breaker_refusals_total": self.breaker.refusals,
            "gateway_queue_depth": float("nan") if depth is None else depth,
            "gateway_jobs_enqueued_total": self.enqueued,
            "gateway_jobs_reenqueued_total": self.reconciler.reenqueued,
            "process_cpu_seconds_total": cpu_s(),
        }
        return "".join(f"{name} {float(value):.10g}\n" for name, value in figures.items())


async def _kept_alive(work: Callable[[], Awaitable[None]]) -> None:
    """Endless work in the background, begun again after an error that nobody expected."""
    while True:
        try:
            await work()
        except Exception:
            LOG.exception("the gateway's work in the background failed and begins again")
        await asyncio.sleep(RESTART_S)
