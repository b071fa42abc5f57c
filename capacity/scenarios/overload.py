"""More writes than the workers can serve: with the gateway's breaker on the queue's depth, and with it off.

With it, the gateway refuses what the queue cannot hold, those whom it admits wait no longer than the limit lets them,
and it admits all again when the overload is over. Without it nobody is refused, and everybody waits ever longer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from capacity.analysis.faults.overload import (
    HALVES,
    SECTION,
    WITH,
    WITHOUT,
    Half,
    overload_course,
    overload_findings,
    queue_depth,
)
from capacity.findings import Objective
from capacity.load.bullmq import Queue
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.queue import queue_watcher, told_of
from capacity.recording import open_recording
from capacity.scenarios.fault_injection import trial_load
from capacity.scenarios.trial import FILE, Observed, Proof, Ready, Scenario, Trial, read_trial, run_scenario
from capacity.scenarios.trial_application import PATH, request_operation, start_servers, undone, write_jobs
from capacity.system.addresses import OWN_QUEUE, System, system_from
from capacity.system.application.database import Dataset
from capacity.system.application.services import SAMPLE_S
from capacity.system.processes import Application, start_gateway, start_workers
from capacity.system.server_directory import open_server_directory
from capacity.validation.names import listed

WRITE, READ = "POST /api/publish", "GET /api/connectors"
WRITE_SHARE = 0.8
CONNECTIONS = 16
DATASET = Dataset(owners=50, posts_per_owner=20)
NO_LIMIT = 10**9  # jobs: a depth that the breaker never sees
LATE_LOOKS = 3  # a look at the depth may come two intervals late on a busy machine
RECOVERY = 0.25  # of what the workers serve: the load after the overload
SLACK = 0.9  # of the backlog that arithmetic gives: the load's begin and end are not sharp
WITHIN = 95.0  # %: a p95 within the objective, said so that few samples can prove it
BREAKER = "circuit_breaker"  # the folder of its trial
NEEDED = frozenset({"gateway", "queue"})  # parts of a search that it belongs to


@dataclass(frozen=True, slots=True)
class Overload(Scenario):
    """Writes come at 80 % of `rate_per_s` for `seconds`, and `slots` workers take `service_ms` for each; reads beside.

    The breaker's `limit` is a depth of the queue in jobs. After the overload a quarter of what the workers serve comes
    for `recovery_s`. All of it on servers of its own.
    """

    rate_per_s: float = 300.0
    seconds: float = 3.0
    recovery_s: float = 1.8
    limit: int = 50
    cooldown_s: float = 1.4
    slots: int = 12
    service_ms: float = 100.0
    objective_ms: float = 500.0
    name: str = "overload"
    destructive: bool = True  # it needs settings and a load that no servers of somebody else should have

    @property
    def writes_per_s(self) -> float:
        """λ: writes that come per second, each of which adds a job."""
        return WRITE_SHARE * self.rate_per_s

    @property
    def most_served_per_s(self) -> float:
        """μ, the most jobs that the workers can end per second."""
        return self.slots * 1000 / self.service_ms

    @property
    def growth_per_s(self) -> float:
        """λ − μ: how fast the queue grows at least."""
        return max(0.0, self.writes_per_s - self.most_served_per_s)

    @property
    def deepest(self) -> int:
        """The depth that the breaker allows: its limit, what comes until it looks, and what is under way then."""
        return self.limit + math.ceil(self.growth_per_s * LATE_LOOKS * SAMPLE_S) + CONNECTIONS

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """All numbers follow from the settings; the workers are at best as fast as these say."""
        with open_server_directory() as directory:
            servers = start_servers(directory, DATASET, synchronous_commit="off")
            jobs = write_jobs(directory.folder, self.service_ms, self.service_ms)
            workers = start_workers(directory, Application(servers), jobs, 1, concurrency=self.slots)

            def start(depth: int) -> Application:
                settings = {"depth_limit": depth, "cooldown": self.cooldown_s}
                return start_gateway(directory, workers, workload=jobs, **settings)

            yield Ready((*self._expected_with(), *self._expected_without()), partial(self._observe, start))

    def _expected_with(self) -> Iterator[Objective]:
        expects, deepest = partial(_expected, WITH), self.deepest
        came, served = self.writes_per_s * self.seconds, self.most_served_per_s * self.seconds
        shed = max(1, math.floor(came - served - deepest))
        closes_s = round(self.cooldown_s + deepest / self.most_served_per_s + 2 * SAMPLE_S, 2)
        room = (
            f"the limit is {self.limit} jobs, {CONNECTIONS} writes are under way, and the queue grows by "
            f"{self.growth_per_s:g}/s for up to {LATE_LOOKS} × {SAMPLE_S:g} s until the breaker looks"
        )
        rest = f"{came:g} writes come, the workers serve {served:g}, {deepest} wait: the rest must be refused"
        within = f"the p95 of the admitted writes is to be {self.objective_ms:g} ms at the most"
        closes = f"{self.cooldown_s:g} s of cooldown, the time to drain the queue, and a look each at depth and state"
        yield expects("depth_peak", "<=", deepest, room, unit="jobs")
        yield expects("shed", ">=", shed, rest)
        yield expects("failed", "==", 0, "a 503 that says when to come again is no failure")
        yield expects("reads_refused", "==", 0, "the breaker refuses only what adds to the queue")
        yield expects("admitted_within", ">=", WITHIN, within, unit="%")
        yield expects("waited_behind", "<=", deepest, f"no job waits behind a longer queue: {room}", unit="jobs")
        yield expects("closed_after", "<=", closes_s, closes, unit="s")

    def _expected_without(self) -> Iterator[Objective]:
        expects, backlog = partial(_expected, WITHOUT), SLACK * self.growth_per_s * self.seconds
        wait_ms = math.floor(1000 * backlog / self.writes_per_s)
        unsharp = "since the load's begin and end are not sharp"
        size = f"the queue grows by {self.growth_per_s:g}/s for {self.seconds:g} s, less {1 - SLACK:.0%} {unsharp}"
        yield expects("depth_end", ">=", math.floor(backlog), size, unit="jobs")
        yield expects("wait_longest", ">=", wait_ms, f"the last writes wait behind that queue: {size}", unit="ms")
        yield expects("shed", "==", 0, "without the breaker no write is refused")
        yield expects("failed", "==", 0, "the queue takes all writes")

    def _observe(self, start: Callable[[int], Application], folder: Path) -> Observed:
        """Both halves; where the first does not reach the limit there is nothing to compare it with."""
        left, found = self._half(WITH, start(self.limit), folder / WITH)
        deepest = float(queue_depth(found.gauges).max())
        said = f"the queue was {deepest:g} deep, and the breaker's limit is {self.limit}"
        halves = [found]
        if deepest > self.limit:
            halves.append(self._half(WITHOUT, start(NO_LIMIT), folder / WITHOUT)[1])
        findings = tuple(each for half in halves for each in overload_findings(half))
        return Observed(Proof(deepest > self.limit, said), findings, left)

    def _half(self, name: str, gateway: Application, folder: Path) -> tuple[str, Half]:
        """What one half left undone, and the half; without the breaker the queue is left to its end."""
        running = gateway.system
        gauges = gauges_of(gateway=running.gateway_url, processes=gateway.processes)
        watchers = [gauges, queue_watcher(running.redis_url)]
        left: list[str] = []

        def settle() -> None:
            if name == WITH:
                left.append(undone(running))

        recording = open_recording(measure(self._load(name), running.gateway_url, watchers, folder, settle=settle))
        frames = recording.samples, recording.gauges, recording.jobs
        return "".join(left), Half(name, *frames, recording.facts, self.seconds, WRITE, self.objective_ms)

    def _load(self, half: str) -> Measurement:
        """Writes and reads at an even rate; after the overload of the breaker's half, a load that it should admit."""
        owner, weight = {"kind": "uniform", "low": 1, "high": DATASET.owners}, round(100 * WRITE_SHARE)
        place = {"kind": "uniform", "low": 0, "high": DATASET.posts_per_owner - 1}
        operations = [
            request_operation(WRITE, weight, PATH, '{"place": {place}}', owner=owner, place=place),
            request_operation(READ, 100 - weight, "/api/connectors", owner=owner),
        ]
        stages = [{"name": "overload", "seconds": self.seconds, "to": self.rate_per_s}]
        if half == WITH:
            rate = RECOVERY * self.most_served_per_s / WRITE_SHARE
            stages.append({"name": "recovery", "seconds": self.recovery_s, "to": rate})
        told = told_of(Queue(OWN_QUEUE)) | {"token": ""}  # the jobs are the gateway's
        return trial_load("http", operations, name=self.name, stages=stages, connections=CONNECTIONS, told=told)


@dataclass(frozen=True, slots=True)
class Overloaded:
    """What was kept of a trial, and the course of its halves by their names in words; see `overload_course`."""

    trial: Trial
    courses: dict[str, pd.DataFrame]

    @property
    def limit(self) -> float:
        """The depth of the queue in jobs at which the breaker opens."""
        return float(self.trial.settings["limit"])

    @property
    def seconds(self) -> float:
        """How long the overload lasts."""
        return float(self.trial.settings["seconds"])


def breaker_courses(folder: Path) -> dict[str, pd.DataFrame]:
    """The course of a trial's two halves, kept in `folder`, by `HALVES`; see `overload_course`."""
    made = {}
    for half in HALVES:
        recording = open_recording(folder / half)
        writes = recording.samples[recording.samples["operation"] == WRITE]
        made[half] = overload_course(writes, recording.gauges)
    return made


def _expected(half: str, figure: str, relation: str, limit: float, why: str, *, unit: str = "") -> Objective:
    return Objective(f"{SECTION}.{half}.{figure}", relation, limit, unit, source="settings", why=why)


def run_overload(live: bool, folder: Path, parts: str | Sequence[str] = ()) -> list[Overloaded]:
    """Where `live`, run a trial into a folder of its own below `folder`; returns what is kept there, if anything.

    It says something of the embedded system alone: where the environment names another one, or `parts` (empty: all)
    are searched without its gateway or its queue, none is run.
    """
    into, named = folder / BREAKER, listed(parts)
    if live and not system_from().is_own and (not named or NEEDED.issubset(named)):
        run_scenario(Overload(), System(embedded=True), into)
    return [read_overload(into)] if (into / FILE).exists() else []


def read_overload(folder: Path) -> Overloaded:
    """What was kept of a trial, each finding with the recording that it comes from."""
    trial = read_trial(folder)
    place = f"{folder.parent.name}/{folder.name}"
    findings = tuple(replace(each, recording=f"{place}/{each.recording}") for each in trial.findings)
    expected = tuple(replace(each, title=found.title if found else each.why) for each, found, _ in trial.verdicts)
    courses = {HALVES[half]: course for half, course in breaker_courses(folder).items()}
    return Overloaded(replace(trial, expected=expected, findings=findings), courses)
