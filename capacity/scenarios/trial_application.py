"""The reference application on a trial's own servers: its jobs, and what they do to the database and to Redis."""

import math
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.load.bullmq import Queue
from capacity.probes.queue import wait_until_drained
from capacity.scenarios.fault_injection import constant_rate
from capacity.system.addresses import OWN_QUEUE, System
from capacity.system.application.database import Dataset, connect_as_administrator, execute, prepare_database
from capacity.system.application.job_queue import JOB_TYPES
from capacity.system.application.ledger import read_ledger
from capacity.system.application.outbox import job_id
from capacity.system.application.requests import OWNER_HEADER
from capacity.system.clients import redis_client
from capacity.system.embedded import run_redis, start_postgres
from capacity.system.processes import Application
from capacity.system.server_directory import ServerDirectory

CLIENT_SECONDS = 5
HELD = 5  # jobs under way when Redis ends, one for each slot of the worker
SETTLE_SECONDS = 30.0
DRAIN_SECONDS = 60.0
PATH, BODY = "/api/publish", '{"place": 0}'
# A row for every time that a job took effect, noted by the database itself.
EFFECTS = """
CREATE TABLE effects (job bigint NOT NULL);
CREATE FUNCTION note_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN INSERT INTO public.effects VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER noted AFTER UPDATE OF finished_at ON capacity.outbox FOR EACH ROW EXECUTE FUNCTION note_effect();
"""
ROWS = """
SELECT (data ->> 'owner')::bigint, id, extract(epoch FROM created_at)::float8 * 1000 FROM capacity.outbox ORDER BY id
"""


def start_servers(directory: ServerDirectory, dataset: Dataset, redis: str = "", **settings: str) -> System:
    """Start PostgreSQL, with these settings and the application's tables; and Redis, where there is none at `redis`."""
    admin, ordinary = start_postgres(directory, **settings)
    prepare_database(admin, dataset)
    return System(postgres_url=ordinary, postgres_admin_url=admin, redis_url=redis or run_redis(directory).url)


def write_jobs(folder: Path, median_ms: float, p99_ms: float, attempts: int = 1) -> Path:
    """Write the workload file that says how long a worker takes for each of the application's jobs."""
    job = {"attempts": attempts, "service_ms": {"median": median_ms, "p99": p99_ms}}
    operations = [{"name": kind, "weight": 100 / len(JOB_TYPES), "job": job} for kind in JOB_TYPES]
    path = folder / "jobs.yaml"
    path.write_text(yaml.safe_dump(constant_rate("bullmq", operations, connections=1)), encoding="utf-8")
    return path


def request_operation(name: str, weight: float, path: str, body: str = "", **parameters: Any) -> dict[str, Any]:
    """An operation of a workload that asks the gateway as the caller `owner`, one of its parameters."""
    request: dict[str, Any] = {"path": path, "headers": {OWNER_HEADER: "{owner}"}}
    request |= {"method": "POST", "body": body} if body else {}
    return {"name": name, "weight": weight, "request": request, "parameters": parameters}


def note_effects(system: System) -> None:
    """Have the database note from now on each time that a job takes effect."""
    execute(system.postgres_admin_url, EFFECTS)


def effects(system: System) -> list[str]:
    """The id of a job for each time that it took effect."""
    return [job_id(job) for (job,) in execute(system.postgres_admin_url, "SELECT job FROM effects")]


@contextmanager
def jobs_under_way(system: System, work: Callable[[], Application]) -> Iterator[Path]:
    """A worker whose slots are all at a job that can take no effect before the end of the block; yields its ledger.

    They are the jobs of the callers 1 to HELD. Others wait for a slot. `work` starts the worker.
    """
    try:
        for caller in range(1, HELD + 1):
            write(system.gateway_url + PATH, BODY, caller)
    except OSError as error:
        raise CapacityError(f"the gateway refused a write before the load began: {error}") from None
    with connect_as_administrator(system.postgres_admin_url) as holder, holder.transaction():
        holder.execute("SELECT id FROM capacity.outbox FOR UPDATE")
        ledger = Path(work().system.ledger)
        if not wait_until(lambda: len(read_ledger(ledger)) >= HELD, SETTLE_SECONDS):
            raise CapacityError(f"the worker did not begin {HELD} jobs within {SETTLE_SECONDS:g} s")
        yield ledger


def undone(system: System) -> str:
    """Wait until no job waits or is under way; what is left when time is over, else empty."""
    drained = wait_until_drained(system.redis_url, Queue(OWN_QUEUE), seconds=DRAIN_SECONDS)
    return "" if drained else "jobs still wait or are under way"


def write(url: str, body: str, caller: int) -> None:
    """Make a write as that caller; OSError says why it did not succeed."""
    headers = {OWNER_HEADER: str(caller), "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=CLIENT_SECONDS).close()


def restored(system: System) -> pd.DataFrame:
    """The rows of the outbox by the number of their writer, once the queue holds the jobs of all, or time is over.

    `job` is the job's id, `created_ms` when the row was written and `queued_ms` when the queue was given the job that
    it holds, in ms since 1970; NaN where it holds none.
    """
    written = execute(system.postgres_admin_url, ROWS)
    rows = pd.DataFrame(written, columns=["writer", "job", "created_ms"]).set_index("writer").assign(queued_ms=math.nan)
    rows["job"] = rows["job"].map(job_id)
    queue = Queue(OWN_QUEUE)

    def complete() -> bool:
        pipeline = client.pipeline(transaction=False)
        for job in rows["job"]:
            pipeline.hget(queue.key(job), "timestamp")
        rows["queued_ms"] = [math.nan if found is None else float(found) for found in pipeline.execute()]
        return bool(rows["queued_ms"].notna().all())

    with redis_client(system.redis_url, CLIENT_SECONDS) as client:
        wait_until(complete, SETTLE_SECONDS)
    return rows
