"""The reference application behind a Redis of a trial: its gateway, a worker whose jobs are held, and what it did."""

import math
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from capacity.errors import CapacityError
from capacity.load.bullmq import Queue
from capacity.scenarios.redis_restart import CLIENT_SECONDS
from capacity.scenarios.trial import wait_until
from capacity.system.addresses import System
from capacity.system.application.database import Dataset, connect_as_administrator, prepare_database
from capacity.system.application.job_queue import JOB_TYPES
from capacity.system.application.ledger import read_ledger
from capacity.system.application.outbox import job_id
from capacity.system.application.requests import OWNER_HEADER
from capacity.system.clients import redis_client
from capacity.system.embedded import RunningServer, redis_url, start_postgres
from capacity.system.home import Home
from capacity.system.processes import QUEUE, Application, start_gateway, start_workers

HELD = 5  # jobs under way when Redis ends, one for each slot of the worker
SETTLE_SECONDS = 30.0
PATH, BODY = "/api/publish", '{"place": 0}'
# A row for every time that a job took effect, noted by the database itself.
EFFECTS = """
CREATE TABLE effects (job bigint NOT NULL);
GRANT INSERT ON effects TO service_role;
CREATE FUNCTION note_effect() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.effects VALUES (NEW.id); RETURN NULL; END';
CREATE TRIGGER note_effect AFTER UPDATE ON capacity.outbox FOR EACH ROW EXECUTE FUNCTION note_effect();
"""
ROWS = """
SELECT (data ->> 'owner')::bigint, id, extract(epoch FROM created_at)::float8 * 1000 FROM capacity.outbox ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Served:
    """What a trial runs on: its home, its Redis, the gateway's and the servers' addresses, and the jobs' workload."""

    home: Home
    server: RunningServer
    application: Application
    jobs: Path

    @property
    def system(self) -> System:
        """The addresses."""
        return self.application.system


def serve(home: Home, server: RunningServer, callers: int) -> Served:
    """Start all but the worker beside a Redis; so many callers have one post each, so that each makes one write."""
    admin, ordinary = start_postgres(home)
    prepare_database(admin, Dataset(callers, 1))
    with connect_as_administrator(admin) as connection:
        connection.execute(EFFECTS.encode())
    jobs = home.folder / "jobs.yaml"
    jobs.write_text(yaml.safe_dump(_jobs()), encoding="utf-8")
    system = System(postgres_url=ordinary, postgres_admin_url=admin, redis_url=redis_url(server.port))
    return Served(home, server, start_gateway(home, Application(system), "--workload", str(jobs)), jobs)


def _jobs() -> dict[str, Any]:
    """A workload of which only the jobs matter: all of them are done in a moment."""
    job = {"data": "{}", "attempts": 1, "service_ms": {"median": 1, "p99": 2}}
    operations = [{"name": kind, "weight": 100 / len(JOB_TYPES), "job": job} for kind in JOB_TYPES]
    shapes = {"none": {"kind": "rate", "stages": [{"name": "none", "seconds": 1, "to": 0}]}}
    return {"name": "jobs", "target": "bullmq", "connections": 1, "operations": operations, "shapes": shapes}


@contextmanager
def jobs_under_way(served: Served) -> Iterator[Path]:
    """A worker whose slots are all at a job that can take no effect before the end of the block; yields its ledger.

    They are the jobs of the callers 1 to HELD. Others wait for a slot.
    """
    for caller in range(1, HELD + 1):
        _write(served.system.gateway_url, caller)
    with connect_as_administrator(served.system.postgres_admin_url) as holder, holder.transaction():
        holder.execute("SELECT id FROM capacity.outbox FOR UPDATE")
        running = start_workers(served.home, served.application, served.jobs, 1, "--concurrency", str(HELD))
        ledger = Path(running.system.ledger)
        if not wait_until(lambda: len(read_ledger(ledger)) >= HELD, SETTLE_SECONDS):
            raise CapacityError(f"the worker did not begin {HELD} jobs within {SETTLE_SECONDS:g} s")
        yield ledger


def _write(gateway_url: str, caller: int) -> None:
    headers = {OWNER_HEADER: str(caller), "Content-Type": "application/json"}
    request = urllib.request.Request(gateway_url + PATH, BODY.encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=CLIENT_SECONDS).close()
    except OSError as error:
        raise CapacityError(f"the gateway refused a write before the load began: {error}") from None


def restored(system: System) -> pd.DataFrame:
    """The rows of the outbox by the number of their writer, once the queue holds the jobs of all, or time is over.

    `job` is the job's id, `created_ms` when the row was written and `queued_ms` when the queue was given the job that
    it holds, in ms since 1970; NaN where it holds none.
    """
    with connect_as_administrator(system.postgres_admin_url) as connection:
        written = connection.execute(ROWS).fetchall()
    rows = pd.DataFrame(written, columns=["writer", "job", "created_ms"]).set_index("writer").assign(queued_ms=math.nan)
    rows["job"] = rows["job"].map(job_id)
    queue = Queue(QUEUE)

    def complete() -> bool:
        pipeline = client.pipeline(transaction=False)
        for job in rows["job"]:
            pipeline.hget(queue.key(job), "timestamp")
        rows["queued_ms"] = [math.nan if found is None else float(found) for found in pipeline.execute()]
        return bool(rows["queued_ms"].notna().all())

    with redis_client(system.redis_url, CLIENT_SECONDS) as client:
        wait_until(complete, SETTLE_SECONDS)
    return rows


def effects(system: System) -> list[str]:
    """The id of a job for each time that it took effect."""
    with connect_as_administrator(system.postgres_admin_url) as connection:
        return [job_id(int(str(job))) for (job,) in connection.execute("SELECT job FROM effects").fetchall()]
