"""The API gateway as a process: `python -m capacity.system.application.gateway --port 8000`.

It finds PostgreSQL, Redis and the queue by CAPACITY_POSTGRES_URL, CAPACITY_REDIS_URL, CAPACITY_QUEUE and
CAPACITY_QUEUE_PREFIX, connects as an ordinary role, and ends on SIGTERM or Ctrl-C after the requests that run.
"""

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import uvicorn
from starlette.applications import Starlette

from capacity.clock import monotonic_s
from capacity.errors import CapacityError
from capacity.system.addresses import OWN_QUEUE, POSTGRES_URL, REDIS_URL, system_from
from capacity.system.application import pool
from capacity.system.application.breaker import COOLDOWN_S, DEPTH_LIMIT, Breaker
from capacity.system.application.endpoints import application
from capacity.system.application.job_queue import JobQueue, read_jobs
from capacity.system.application.pool import DatabasePool
from capacity.system.application.services import Services

KEEP_ALIVE_S = 75  # longer than a pause in the load: the gateway does not close a connection under a request
STOP_S = 2


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=int, required=True)
@click.option(
    "--directory", help="The folder of the system that it belongs to; only names the process.", expose_value=False
)
@click.option("--workload", type=Path, help="The workload file with the jobs; the project's own where it is not given.")
@click.option("--pool-size", default=pool.SIZE, show_default=True, help="Connections to PostgreSQL.")
@click.option("--pool-wait", default=pool.WAIT_S, show_default=True, help="Seconds to wait for one of them.")
@click.option("--pool-waiting", default=pool.MAX_WAITING, show_default=True, help="Requests that may wait at once.")
@click.option(
    "--depth-limit", default=DEPTH_LIMIT, show_default=True, help="Queue depth above which writes are refused."
)
@click.option("--cooldown", default=COOLDOWN_S, show_default=True, help="Seconds until one is let through again.")
def main(
    *,
    host: str,
    port: int,
    workload: Path | None,
    pool_size: int,
    pool_wait: float,
    pool_waiting: int,
    depth_limit: int,
    cooldown: float,
) -> None:
    """Serve the reference application's API."""
    try:
        system = system_from()
        for name, address in ((POSTGRES_URL, system.postgres_url), (REDIS_URL, system.redis_url)):
            if not address:
                raise CapacityError(f"the gateway needs {name}; set it to the address of that server")
        jobs = read_jobs(workload)
    except CapacityError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    queue = JobQueue(system.redis_url, jobs, system.queue or OWN_QUEUE, system.queue_prefix)
    connections = DatabasePool(system.postgres_url, pool_size, pool_wait, pool_waiting)
    serve(Services(connections, queue, Breaker(monotonic_s, depth_limit, cooldown)), system.postgres_url, host, port)


def serve(services: Services, postgres_url: str, host: str, port: int) -> None:
    """Answer requests until a signal ends the process."""
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # an outage is in the answers, not a line a try

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        async with services.running(postgres_url):
            yield

    uvicorn.run(
        application(services, lifespan),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )


if __name__ == "__main__":
    main()
