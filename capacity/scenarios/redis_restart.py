"""Redis is stopped or killed under a queue and started again; then each acknowledged job is looked for in the ledger.

Nobody takes jobs while these are added. So all that were acknowledged are in Redis when it ends, and how many of them
its persistence keeps is known before.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import pandas as pd
import redis

from capacity.analysis.measured.ledger import reconcile
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.load.bullmq import Queue
from capacity.probes.queue import told_of
from capacity.scenarios.fault_injection import FaultRecording, numbered, trial_load
from capacity.scenarios.server_restart import FIRST_MS, WHY_FIRST, ServerRestart
from capacity.scenarios.trial import Observed, Ready, account_findings, counted
from capacity.scenarios.trial_application import CLIENT_SECONDS, undone, write_jobs
from capacity.system.addresses import OWN_QUEUE, System
from capacity.system.application.ledger import read_ledger
from capacity.system.clients import redis_client
from capacity.system.embedded import RunningServer, run_redis
from capacity.system.processes import Application, start_workers
from capacity.system.server_directory import ServerDirectory, open_server_directory

NAMES = {signal.SIGTERM: "stop", signal.SIGKILL: "kill", None: "undisturbed"}
CONNECTIONS = 8
JOB = {"name": "TokenRefresh", "weight": 100, "job": {"attempts": 1}}


class Persistence(StrEnum):
    """What Redis writes to its disk: nothing, snapshots by Redis's own default rules, or every command."""

    NONE = "none"
    RDB = "rdb"
    AOF = "aof"


SETTINGS: dict[Persistence, dict[str, str]] = {
    Persistence.NONE: {},
    Persistence.RDB: {"save": "3600 1 300 100 60 10000"},
    Persistence.AOF: {"appendonly": "yes", "appendfsync": "everysec"},
}


@dataclass(frozen=True, slots=True)
class RedisServerRestart(ServerRestart):
    """A Redis of its own is restarted; `how` is SIGTERM, SIGKILL, or None, and `persistence` what it keeps on disk."""

    persistence: Persistence
    kind = "redis"  # of what is restarted

    @property
    def name(self) -> str:
        """By what Redis keeps and the way in which it ends."""
        return f"{self.kind}_{self.persistence}_{NAMES[self.how]}"

    @contextmanager
    def redis(self) -> Iterator[tuple[ServerDirectory, RunningServer, bool, str]]:
        """Such a Redis in a directory of its own, and whether it has after its end what it acknowledged, and why."""
        with open_server_directory() as directory:
            server = run_redis(directory, **SETTINGS[self.persistence])
            with redis_client(server.url, CLIENT_SECONDS) as client:
                kept, why = keeps(client.config_get("save", "appendonly"), self.how, self.at_s)
            yield directory, server, kept, why

    def identity(self, server: RunningServer) -> str:
        """The name that a Redis calls its life by."""
        try:
            with redis_client(server.url, CLIENT_SECONDS) as client:
                return f"the run_id is {client.info('server')['run_id']}"
        except redis.RedisError as error:
            raise CapacityError(f"the scenario's Redis failed: {error}") from None


@dataclass(frozen=True, slots=True)
class RedisRestart(RedisServerRestart):
    """Jobs are added at an even rate through the restart; workers take them when all have been added."""

    source = "Redis's settings"

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Of the jobs in Redis at its end all or none are lost, by its settings and the way in which it ends."""
        with self.redis() as (directory, server, kept, why):
            expectations = tuple(self._expectations(kept, why))
            yield Ready(expectations, lambda folder: self._observe(directory, server, folder))

    def _expectations(self, kept: bool, why: str) -> Iterator[Objective]:
        yield self.expects("jobs_lost_of_pending", "==", 0 if kept else 100, why, unit="%")
        yield self.expects("jobs_lost_of_later", "==", 0, "the server that acknowledged them lives on")
        yield self.expects("jobs_unexpected", "==", 0, "nothing is done that was not added")
        yield self.expects("jobs_duplicated", "==", 0, "no worker ends")
        yield self.expects("first_success", "<=", FIRST_MS, WHY_FIRST, unit="ms")

    def _observe(self, directory: ServerDirectory, server: RunningServer, folder: Path) -> Observed:
        told, shape = told_of(Queue(OWN_QUEUE)), (self.rate_per_s, self.seconds)
        load = trial_load("bullmq", [JOB], *shape, connections=CONNECTIONS, told=told)
        recorded, proof = self.measure(load, server.url, folder, server)
        jobs = write_jobs(directory.folder, 1, 2)
        system = start_workers(directory, Application(System(redis_url=server.url)), jobs, 1).system
        left, ledger = undone(system), read_ledger(Path(system.ledger))
        findings = (*self._account(recorded, ledger), *recorded.course(self.name, self.objective_ms))
        return Observed(proof, findings, left)

    def _account(self, recorded: FaultRecording, ledger: pd.DataFrame) -> Iterator[Finding]:
        """What became of all jobs, and of those in Redis when it ended apart from those added later.

        A moment at which Redis was away parts them. Its last answers may be read a little after it is gone.
        """
        away_ns = sum(recorded.applied) // 2 - recorded.origin_ns
        sent, token = numbered(recorded.samples), recorded.recording.facts.token
        sent.index = pd.Index([f"{token}-0-0-{number}" for number in sent.index])
        taken, early = sent["outcome"] == "ok", sent["finished_ns"] < away_ns
        found = reconcile(taken, ledger.loc[ledger["event"] == "completed", "job"].tolist())
        pending, lost = int((early & taken).sum()), found.ids("lost")
        lost_pending = int(early[early.index.isin(lost)].sum())
        share = 100 * lost_pending / pending if pending else None
        give = partial(counted, self.name)
        yield give("jobs_lost_of_pending", share, unit="%", title="jobs lost that were in Redis", count=pending)
        yield give("jobs_lost_of_later", len(lost) - lost_pending, title="jobs lost that were added later")
        yield give("jobs_pending", pending, title="jobs in Redis when it ended", count=len(taken))
        yield from account_findings(self.name, "jobs", found, len(taken))


def keeps(settings: dict[str, str], how: signal.Signals | None, at_s: float) -> tuple[bool, str]:
    """Whether a Redis that has run for `at_s` has after its end what it acknowledged, and why.

    An append-only file is written before the answer. What its fsync has not reached is lost with the machine, and not
    with the process. A snapshot is written when one of its rules applies, and at SIGTERM where there are rules.
    Raises CapacityError where a rule could have applied by then: some part would be kept.
    Source: Redis's manual, Persistence, and its SHUTDOWN.
    """
    rules = list(map(int, settings["save"].split()))[::2]
    said = f"save '{settings['save']}', appendonly {settings['appendonly']}"
    if how is None:
        return True, "it does not end"
    if settings["appendonly"] == "yes":
        return True, f"{said}: each command is written before it is answered"
    if not rules:
        return False, f"{said}: nothing is written"
    if how is signal.SIGTERM:
        return True, f"{said}: a snapshot is written at SIGTERM"
    if at_s >= min(rules):
        raise CapacityError(
            f"a snapshot may be written within {at_s:g} s by the rules '{settings['save']}', so what a kill loses is "
            f"not known before; let the fault begin before {min(rules)} s"
        )
    return False, f"{said}: no snapshot within {at_s:g} s of load"
