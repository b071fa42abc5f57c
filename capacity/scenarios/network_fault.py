"""The network between the gateway and PostgreSQL or Redis refuses, resets, swallows or delays, under requests."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from capacity.clock import monotonic_ns, wait_until
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective
from capacity.probes.measurement import Measurement
from capacity.samples import response_ns
from capacity.scenarios.fault_injection import FaultRecording, measure_with_fault, trial_load
from capacity.scenarios.trial import Observed, Proof, Ready, Scenario, counted
from capacity.scenarios.trial_application import write_jobs
from capacity.scenarios.writes import (
    OPERATIONS,
    OWNERS,
    account,
    all_done,
    can_write,
    own_queue,
    prepare_tables,
    read_written,
    start_application,
    writes_of,
)
from capacity.system.addresses import GATEWAY_URL, POSTGRES_URL, REDIS_URL, System, require
from capacity.system.application import job_queue, outbox, pool
from capacity.system.application.ledger import read_ledger
from capacity.system.network import Fault
from capacity.system.proxy import ConnectionOutcome, Proxy, open_proxy, try_connection
from capacity.system.server_directory import open_server_directory

TRIPS = 1  # exchanges of a write with either server: its transaction goes in one, and a job is added by one script
ALLOWANCE_MS = 500.0  # what a busy machine may add to the slowest of all answers
SHARE = 0.25  # of a delay: how far from it the typical answer may be
PATIENCE_S = 0.5
START_SECONDS = 20.0
AFTER_S = 1.3  # of load after all is back: a whole second is looked at
MET = {Fault.REFUSE: "refused", Fault.RESET: "reset", Fault.BLACK_HOLE: "silent", Fault.DELAY: "answered"}
LIMITS = {"postgres": (pool.ANSWER_S, "PostgreSQL"), "redis": (job_queue.LIMIT_S, "Redis")}
AWAY = "503"


@dataclass(frozen=True, slots=True)
class NetworkFault(Scenario):
    """A proxy between a gateway of ours and `server` does `fault` from `at_s` on for `down_s`; None does nothing.

    `delay_ms` is what a delay adds to an exchange; it alone may be done before servers of somebody else. `wait_s` is
    how long a request waits for a connection of the gateway's pool. Half of the requests read, and half write; the
    tables in the schema `capacity` are made where they are not there, and those that grow are emptied.
    """

    server: Literal["postgres", "redis"]
    fault: Fault | None
    delay_ms: float = 80.0
    rate_per_s: float = 60.0
    at_s: float = 1.0
    down_s: float = 2.6
    wait_s: float = 0.2
    objective_ms: float = 200.0
    source = "the gateway's settings"

    def __post_init__(self) -> None:
        deadline_s, _ = self.deadline
        if self.fault is Fault.BLACK_HOLE and self.down_s <= deadline_s:
            raise CapacityError(
                f"a black hole of {self.down_s:g} s is over before the gateway gives up, which it does after "
                f"{deadline_s:g} s; let it last longer"
            )
        limit_s, named = LIMITS[self.server]
        if self.fault is Fault.DELAY and self.delay_ms >= 1000 * limit_s:
            raise CapacityError(
                f"a delay of {self.delay_ms:g} ms is an outage to a gateway that waits {limit_s:g} s for {named}; "
                "give a shorter one"
            )

    @property
    def name(self) -> str:
        """By the server and what is done to the way there."""
        return f"network_{self.server}_{self.fault or 'undisturbed'}"

    @property
    def destructive(self) -> bool:
        """A delay takes nothing away."""
        return self.fault not in (None, Fault.DELAY)

    @property
    def deadline(self) -> tuple[float, str]:
        """When a request has its answer at the latest, in s, by the time limits of the gateway; and these in words."""
        if not self.destructive:
            each_s = self.delay_ms / 1000 if self.fault else 0.0
            return TRIPS * each_s, f"{TRIPS} exchange × {each_s:g} s"
        if self.server == "redis":
            return job_queue.LIMIT_S, f"{job_queue.LIMIT_S:g} s for an exchange with Redis"
        waits = f"{self.wait_s:g} s for a connection"
        if self.fault is Fault.BLACK_HOLE:
            return self.wait_s + pool.ANSWER_S, f"{waits} + {pool.ANSWER_S:g} s for its answer"
        return self.wait_s, waits

    @property
    def back_s(self) -> float:
        """When the gateway is as before at the latest, once the server can be reached."""
        if not self.destructive:
            return 0.0
        return job_queue.LIMIT_S if self.server == "redis" else pool.RECONNECT_S

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Every request has an answer in time, and what was acknowledged is there and is done."""
        if system.gateway_url:
            raise CapacityError(
                f"the gateway of {GATEWAY_URL} finds its servers by itself, so no proxy can be put between them; "
                "unset it, and a gateway of the suite's own is started"
            )
        require(POSTGRES_URL, system.postgres_url)
        require(REDIS_URL, system.redis_url)
        prepare_tables(system)
        url = system.postgres_url if self.server == "postgres" else system.redis_url
        with own_queue(system) as apart, open_server_directory() as directory, open_proxy(url) as proxy:
            jobs, way = write_jobs(directory.folder, 5, 10, attempts=3), proxy.before(url)
            proxied = replace(apart, postgres_url=way) if self.server == "postgres" else replace(apart, redis_url=way)
            running = start_application(directory, apart, proxied, jobs, self.wait_s)
            if not wait_until(lambda: can_write(running.gateway_url), START_SECONDS):
                raise CapacityError(f"the gateway could not write within {START_SECONDS:g} s through the proxy")
            yield Ready(tuple(self.expectations()), lambda folder: self._observe(running, proxy, way, folder))

    def expectations(self) -> Iterator[Objective]:
        """What is expected, by the settings."""
        busy, (deadline_s, limits) = f"+ {ALLOWANCE_MS:g} ms for a busy machine", self.deadline
        slowest_ms, back_ms = (1000 * each + ALLOWANCE_MS for each in (deadline_s, self.back_s))
        yield self.expects("requests_lost", "==", 0, "what is acknowledged is committed")
        yield self.expects("jobs_lost", "==", 0, "a job is in the outbox when its write is acknowledged")
        yield self.expects("jobs_duplicated", "==", 0, "the queue takes an id once")
        yield self.expects("unanswered", "==", 0, "each wait of the gateway has a time limit")
        yield self.expects("failed_otherwise", "==", 0, f"the gateway answers {AWAY} when a server is away")
        yield self.expects("slowest", "<=", slowest_ms, f"{limits} {busy}", unit="ms")
        yield self.expects("restored", "<=", back_ms, f"{self.back_s:g} s between two tries {busy}", unit="ms")
        if self.server == "redis" or not self.destructive:
            yield self.expects("failed_in_all", "==", 0, "a write does without Redis, and a delay is within each limit")
        if self.server == "redis" and self.destructive:
            age_s, look_s, limit_s = outbox.OLDER_THAN_S, outbox.INTERVAL_S, job_queue.LIMIT_S
            why = f"{age_s:g} s of age + {look_s:g} s between looks + {limit_s:g} s for one {busy}"
            yield self.expects("caught_up", "<=", age_s + look_s + limit_s + ALLOWANCE_MS / 1000, why, unit="s")
        if self.fault is Fault.DELAY:
            felt, why = TRIPS * self.delay_ms, f"{TRIPS} exchange × {self.delay_ms:g} ms"
            yield self.expects("delay_felt", ">=", (1 - SHARE) * felt, f"{why} − {SHARE:.0%}", unit="ms")
            yield self.expects("delay_felt", "<=", (1 + SHARE) * felt, f"{why} + {SHARE:.0%}", unit="ms")

    def _load(self) -> Measurement:
        """The requests at an even rate, over as many connections as can wait for their answers at once."""
        limit_s, seconds = self.deadline[0] + ALLOWANCE_MS / 500, self.at_s + self.down_s + self.back_s + AFTER_S
        shape, connections = (self.rate_per_s, seconds), math.ceil(self.rate_per_s * limit_s) + OWNERS
        return trial_load("http", OPERATIONS, *shape, connections=connections, timeout_ms=1000 * limit_s)

    def _observe(self, system: System, proxy: Proxy, way: str, folder: Path) -> Observed:
        fault, done = (self.at_s, lambda: self._applied(proxy, way)), partial(all_done, system)
        ledger = partial(read_ledger, Path(system.ledger))
        recorded = measure_with_fault(self._load(), system.gateway_url, folder, fault, settle=done, ledger=ledger)
        findings = (
            *self._answers(recorded),
            *account(self.name, recorded, read_written(system)),
            *recorded.course(self.name, self.objective_ms, pool.SIZE),
        )
        return Observed(recorded.applied, findings, "" if recorded.settled else "jobs of the outbox are not done")

    def _applied(self, proxy: Proxy, way: str) -> Proof:
        """Do it, look through the proxy meanwhile, and undo it."""
        began = monotonic_ns()
        try:
            if self.fault:
                proxy.apply(self.fault, self.delay_ms if self.fault is Fault.DELAY else 0.0)
            seen = try_connection(way, PATIENCE_S + self.delay_ms / 1000)
            time.sleep(max(0.0, self.down_s - (monotonic_ns() - began) / 1e9))
            held_ms = proxy.passage().delay_ms or 0.0
        finally:
            proxy.lift()
        return self._proof(seen, held_ms)

    def _proof(self, seen: ConnectionOutcome, held_ms: float) -> Proof:
        said = f"a new connection through the proxy was {seen.met} after {seen.after_ms:.1f} ms"
        if self.fault is not Fault.DELAY:
            return Proof(self.fault is not None and seen.met == MET[self.fault], said)
        enough = seen.met == MET[self.fault] and min(seen.after_ms, held_ms) >= self.delay_ms
        return Proof(enough, f"{said}, and an exchange was held for {held_ms:.1f} ms")

    def _answers(self, recorded: FaultRecording) -> Iterator[Finding]:
        """How all requests were answered, and what a delay added to the typical write."""
        samples = recorded.samples
        failed = samples[samples["outcome"] == "error"]
        answered = samples[samples["outcome"].isin(["ok", "error"])]
        give = partial(counted, self.name, count=len(samples))
        yield give("unanswered", len(samples) - len(answered), title="requests that had no answer")
        yield give("failed_in_all", len(failed), title="requests that failed, in and after the fault")
        otherwise, title = int((failed["error"] != AWAY).sum()), f"requests that failed otherwise than by {AWAY}"
        yield give("failed_otherwise", otherwise, title=title)
        yield give("slowest", float(response_ns(answered).max()) / 1e6, unit="ms", title="the slowest answer")
        writes = writes_of(samples)
        due, taken_ms = writes["scheduled_ns"], response_ns(writes) / 1e6
        before = taken_ms[writes["finished_ns"] < recorded.begin_ns].median()
        during = taken_ms[due.between(recorded.begin_ns, recorded.end_ns)].median()
        yield give("write_before", float(before), unit="ms", title="time of a typical write before the fault")
        yield give("delay_felt", float(during - before), unit="ms", title="time that it added to a typical write")
