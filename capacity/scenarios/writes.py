"""Requests to a gateway of the suite's own. Each write brings its own code, by which it is found again.

It is looked for as a row, as a job of the outbox, and as a job that was done.
"""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import redis

from capacity.analysis.measured.ledger import reconcile
from capacity.clock import wait_until
from capacity.findings import Finding
from capacity.load.bullmq import Queue
from capacity.probes.queue import wait_until_drained
from capacity.scenarios.fault_injection import FaultRecording, numbered
from capacity.scenarios.trial import account_findings, counted
from capacity.scenarios.trial_application import CLIENT_SECONDS, request_operation, write
from capacity.system.addresses import OWN_QUEUE, System
from capacity.system.application.database import Dataset, execute, prepare_database
from capacity.system.application.outbox import job_id
from capacity.system.clients import redis_client
from capacity.system.processes import Application, start_gateway, start_workers
from capacity.system.reference import loading_role
from capacity.system.server_directory import ServerDirectory

READ, WRITE = "GET /api/connectors", "POST /api/oauth/{platform}/callback"
PATH = "/api/oauth/mastodon/callback"
OWNERS = 20
SMALLEST = Dataset(OWNERS, 1)
OWNER = {"kind": "uniform", "low": 1, "high": OWNERS}
OPERATIONS = (
    request_operation(READ, 50, "/api/connectors", owner=OWNER),
    request_operation(WRITE, 50, PATH, '{"code": "{code}"}', owner=OWNER, code={"kind": "sequence", "start": 1}),
)
SETTLE_SECONDS = 60.0
DATASET = "SELECT owners, posts_per_owner FROM capacity.dataset"
WRITTEN = """
SELECT t.secret::bigint, o.id FROM capacity.tokens t LEFT JOIN capacity.outbox o ON o.data ->> 'token' = t.id::text
WHERE t.secret ~ '^[0-9]+$'
"""
UNFINISHED = "SELECT count(*) FROM capacity.outbox WHERE finished_at IS NULL"


def prepare_tables(system: System) -> None:
    """Make the tables where there are none, and empty those that grow."""
    url = system.postgres_admin_url
    there = execute(url, "SELECT to_regclass('capacity.dataset') IS NOT NULL") == [(True,)]
    rows = execute(url, DATASET) if there else []
    prepare_database(url, Dataset(*rows[0]) if rows else SMALLEST, loading_role(system.postgres_url))


@contextmanager
def own_queue(system: System) -> Iterator[System]:
    """The system with an empty queue of the trial's own, which is removed at the end."""
    prefix = f"trial-{secrets.token_hex(4)}"
    try:
        yield replace(system, queue=OWN_QUEUE, queue_prefix=prefix)
    finally:
        with suppress(redis.RedisError), redis_client(system.redis_url, CLIENT_SECONDS) as client:
            for key in client.scan_iter(f"{prefix}:*"):
                client.unlink(key)


def start_application(
    directory: ServerDirectory, system: System, proxied: System, jobs: Path, pool_wait_s: float
) -> System:
    """Start a worker on the servers of `system`, and a gateway on those of `proxied`; returns where both are.

    `jobs` is the workload file of the jobs. A request waits `pool_wait_s` for a connection of the gateway's pool.
    """
    with ThreadPoolExecutor(2) as starting:
        worker = starting.submit(start_workers, directory, Application(system), jobs, 1)
        gateway = starting.submit(start_gateway, directory, Application(proxied), pool_wait=pool_wait_s)
    return replace(worker.result().system, gateway_url=gateway.result().system.gateway_url)


def can_write(gateway_url: str) -> bool:
    """Whether a write succeeds; its code is no number, so that it is none of the load's."""
    with suppress(OSError):
        write(gateway_url + PATH, '{"code": "is anybody there"}', 1)
        return True
    return False


def all_done(system: System) -> bool:
    """Wait until each job of the outbox is done and the queue is empty; whether that came in time."""
    done = wait_until(lambda: execute(system.postgres_admin_url, UNFINISHED) == [(0,)], SETTLE_SECONDS)
    queue = Queue(system.queue, system.queue_prefix)
    return done and wait_until_drained(system.redis_url, queue, seconds=SETTLE_SECONDS)


def read_written(system: System) -> dict[int, str]:
    """The job of each write that is there, by its code; an empty text where the outbox has none."""
    rows = execute(system.postgres_admin_url, WRITTEN)
    return {code: "" if number is None else job_id(number) for code, number in rows}


def account(scenario: str, recorded: FaultRecording, written: dict[int, str]) -> Iterator[Finding]:
    """What became of the writes and of their jobs."""
    taken, done = writes_of(recorded.samples)["outcome"] == "ok", _done_ns(recorded, written)
    requests, jobs = reconcile(taken, list(written)), reconcile(taken, done.index.tolist())
    terms = ("acknowledged", "lost", "recovered", "unexpected"), ("ok", "lost", "duplicated", "recovered")
    yield from account_findings(scenario, "requests", requests, len(taken), terms[0], noun="writes")
    yield from account_findings(scenario, "jobs", jobs, len(taken), terms[1], noun="jobs of writes")
    title = "time from the fault's end until the jobs of its time were done"
    yield counted(scenario, "caught_up", _caught_up_s(recorded, done), unit="s", title=title)


def writes_of(samples: pd.DataFrame) -> pd.DataFrame:
    """The writes that were sent, by their codes."""
    return numbered(samples[samples["operation"] == WRITE], first=1)


def _done_ns(recorded: FaultRecording, written: dict[int, str]) -> "pd.Series[int]":
    """When each job was done, by the code of its write and on the recording's clock; again each time."""
    ledger = recorded.ledger
    code_of = {job: code for code, job in written.items() if job}
    done = ledger[(ledger["event"] == "completed") & ledger["job"].isin(list(code_of))]
    at_ns = done["at_ns"].to_numpy() - recorded.origin_ns
    return pd.Series(at_ns, index=[code_of[job] for job in done["job"]])


def _caught_up_s(recorded: FaultRecording, done: "pd.Series[int]") -> float | None:
    """From the fault's end until the jobs of the writes acknowledged during it were all done."""
    writes = writes_of(recorded.samples)
    during = writes[(writes["outcome"] == "ok") & writes["finished_ns"].between(recorded.begin_ns, recorded.end_ns)]
    first = done.groupby(level=0).min().reindex(during.index)
    if during.empty or first.isna().any():
        return None
    return max(0.0, (float(first.max()) - recorded.end_ns) / 1e9)
