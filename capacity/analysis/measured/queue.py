"""What a recording of a job queue says: the findings of the report's second section that are the queue's."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from capacity.analysis.measured.failures import AT_LOAD, failure_findings
from capacity.analysis.measured.jobs import REMOVED, begun_early, job_ids, job_samples
from capacity.analysis.measured.jobs import WAITING as STATES
from capacity.analysis.measured.latency import Clock, latency_table
from capacity.analysis.measured.ledger import reconcile
from capacity.analysis.measured.redis import PROCESS, commands_cpu
from capacity.analysis.measured.summary import prefix_and_title, response_findings, rows_of, samples_of
from capacity.analysis.measured.sustained import Sustained, sustained
from capacity.analysis.statistics.conventions import QUANTILES, percentile_text
from capacity.analysis.statistics.estimates import Estimate, backlog_slope, exactly, explained, peak, ratio
from capacity.findings import Finding
from capacity.manifest import Manifest
from capacity.operation import operation_slug
from capacity.units import MB, NS_PER_S

SECTION = "queue"
WAITING = ("queue.wait", "queue.prioritized", "queue.paused")
OTHERS, MISSED, CLOSED = "observer.others", "observer.missed", "observer.closed"
OTHERS_TOO = "those of others too"
NOWHERE = "no event tells of their end and they are in no state: as where somebody drains or obliterates the queue"
NONE_RAN = "no job was done at its first attempt"
MISSED_BEGINS = "how often they were begun is not known: events were missed"
TAKEN_OUT = "somebody took jobs out of the dead letter queue meanwhile"
AHEAD = "the clock of a worker is ahead"
TERMS = {
    "acknowledged": "jobs that the queue took",
    "ok": "jobs that were done",
    "lost": "jobs taken and never done",
    "unexpected": "jobs done that nobody added",
    "duplicated": "jobs done more than once",
    "recovered": "jobs done that the queue had not confirmed",
}


def queue_findings(
    recording: str,
    frames: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    manifest: Manifest,
    ledger: pd.DataFrame | None = None,
) -> list[Finding]:
    """All findings of one recording of the queue probe: `frames` are its samples, gauges and jobs.

    `ledger` is what the workers themselves noted, where they do; without it a job that was done twice is not seen,
    because the queue keeps only its last end.
    """
    samples, gauges, jobs = frames
    adds = sustained(SECTION, recording, samples, gauges, manifest)
    course = job_samples(samples, jobs, manifest)
    part = replace(adds, all_samples=course, samples=course[course["step"].isin(manifest.sustained_steps)])
    timed = _but_early([*response_findings(part), *_stages(part)], begun_early(samples, jobs, manifest))
    return [
        *timed,
        *_adds(adds),
        *_backlog(part),
        *_failures(part),
        *_account(part, samples, jobs, ledger),
        *_costs(part),
        *failure_findings(SECTION, recording, course, manifest),
    ]


def _but_early(found: Iterable[Finding], early: Mapping[str, float]) -> Iterable[Finding]:
    """The findings, of which the times from when jobs were due are not given where some were begun before it."""
    shares = {operation_slug(operation): share for operation, share in early.items()}
    for each in found:
        part, _, name = each.name.removeprefix(f"{SECTION}.").rpartition(".")
        share = shares.get(part, 0) if part else max(shares.values(), default=0)
        if share and name.startswith(("response_p", "response_max", "wait_")):
            whose = "its" if part else "an operation's"
            note = f"{100 * share:.3g}% of {whose} delayed jobs were begun before they were due: {AHEAD}"
            yield replace(each, value=None, low=None, high=None, least=None, most=None, note=note)
        else:
            yield each


def _stages(part: Sustained) -> Iterable[Finding]:
    """The wait for a worker and the run, of jobs that took one attempt; one that was not done waited, and did not run.

    The queue forgets when earlier attempts began.
    """
    once = part.samples["attempts"] == 1
    waited, ran = part.samples[once | ~part.samples["ended"]], part.samples[once]
    stages: tuple[tuple[Clock, str, pd.DataFrame], ...] = (("dispatch", "wait", waited), ("service", "run", ran))
    for clock, name, samples in stages:
        if samples.empty:
            none = exactly(None, 0, NONE_RAN if len(part.samples) else f"nothing was due {AT_LOAD}")
            for each in QUANTILES:
                yield part.finding(f"{name}_{each}", none, "ms", f"all jobs, {name} {percentile_text(each)}")
            continue
        for operation, row in rows_of(samples, clock):
            prefix, title = prefix_and_title(operation, "all jobs")
            yield from part.percentiles(row, samples_of(samples, operation), f"{prefix}{name}", f"{title}, {name}")


def _adds(part: Sustained) -> Iterable[Finding]:
    row = latency_table(part.samples, by=None).iloc[0]
    yield from part.percentiles(row, part.samples, "add", "adding a job,", ["p99"])
    yield part.share("add_success_rate", row["ok"], row["count"], "jobs added")


def _backlog(part: Sustained) -> Iterable[Finding]:
    depth, whose = backlog(part.gauges), f", {OTHERS_TOO}" if _has_others(part) else ""
    why = part.cause("queue.wait")
    slope = explained(backlog_slope(depth.index.to_numpy() / NS_PER_S, depth.to_numpy()), why)
    yield part.finding("depth_peak", explained(peak(depth), why), "jobs", f"jobs waiting, peak{whose}")
    yield part.finding("depth_slope", slope, "jobs/s", f"growth of the waiting jobs{whose}")
    yield part.finding("active_peak", part.peak("queue.active"), "jobs", f"jobs under way, peak{whose}")


def _has_others(part: Sustained) -> bool:
    """Whether others' jobs were in the queue too: before the load, or added beside it."""
    before = part.manifest.queue_before
    added = part.all_gauges.loc[part.all_gauges["gauge"] == OTHERS, "value"]
    return any(before.get(state) for state in STATES) or bool(added.max() > 0)


def backlog(gauges: pd.DataFrame) -> "pd.Series[float]":
    """How many jobs could have been started and were not, by the time of the reading in ns."""
    waiting = gauges[gauges["gauge"].isin(WAITING)]
    return waiting.groupby("at_ns")["value"].sum()


def _failures(part: Sustained) -> Iterable[Finding]:
    ended = part.samples[part.samples["ended"]]
    known = ended[ended["attempts"] > 0]
    dead, again = ended[ended["outcome"] == "error"], known[known["attempts"] > 1]
    rescued, none = (again["outcome"] == "ok").sum(), "no job ended" if ended.empty else MISSED_BEGINS
    yield part.share("failed_rate", len(dead), len(ended), "jobs that failed for good", none="no job ended")
    yield part.share("retried_rate", len(again), len(known), "jobs tried again", none=none)
    if len(again) or any((each["job"] or {}).get("failures") for each in part.manifest.workload["operations"]):
        none = "no job was tried again"
        yield part.share("retry_success_rate", rescued, len(again), "tried again and done", none=none)
    for category, count in dead["error"].astype(str).value_counts().items():
        yield part.share(f"dead_letters.{operation_slug(str(category))}", count, len(dead), f"dead letters, {category}")
    dead_letters = part.whole(part.total("queue.dead"), "queue.dead", fell=TAKEN_OUT)
    yield part.finding("dead_letters", dead_letters, "jobs", "jobs in the dead letter queue")


def _account(
    part: Sustained, samples: pd.DataFrame, jobs: pd.DataFrame, ledger: pd.DataFrame | None
) -> Iterable[Finding]:
    """Every job of the whole recording, by what its producer knows and what was done."""
    ids = job_ids(samples, part.manifest).dropna()
    taken = pd.Series((samples["outcome"].loc[ids.index] == "ok").to_numpy(), index=ids.to_numpy())
    own = jobs[jobs["job"].str.startswith(f"{part.manifest.token}-")]
    done = own.loc[own["outcome"] == "failed", "job"].tolist()
    if ledger is None:
        done += own.loc[own["outcome"] == "completed", "job"].tolist()
    else:
        completed = ledger.loc[ledger["event"] == "completed", "job"]
        done += completed[completed.str.startswith(f"{part.manifest.token}-")].tolist()
    counts = reconcile(taken, done)
    source = "" if ledger is not None else "from the queue alone, which keeps no second end of a job"
    for name, title in TERMS.items():
        if name == "duplicated" and ledger is None:
            yield replace(part.finding(name, exactly(None, 0), "jobs", title), note=source)
        elif name != "lost" or not _watched(part):
            yield part.finding(name, exactly(getattr(counts, name), len(taken)), "jobs", title)
        else:
            fates = own.drop_duplicates("job", keep="last").set_index("job")["outcome"].reindex(counts.ids("lost"))
            yield from _not_done(part, fates, len(taken), ledger is not None)


def _watched(part: Sustained) -> bool:
    """Whether the recording knows what became of jobs that have not ended; until 2026-11 none did."""
    return bool((part.all_gauges["gauge"] == MISSED).any())


def _not_done(part: Sustained, fates: "pd.Series[str]", taken: int, by_ledger: bool) -> Iterable[Finding]:
    """Of the jobs that were taken and not done: those that are lost, not done yet, and removed by others.

    `fates` has the state in which each was found at the end, or REMOVED; null for one that was nowhere.
    """
    states = fates[fates.isin(STATES)].value_counts()
    yet, removed = int(states.sum()), int((fates == REMOVED).sum())
    gone, why = len(fates) - yet - removed, ""
    if yet and not gone:
        why = f"{yet:,} of {taken:,} jobs are not done yet, and whether they would be is not known"
    elif gone and not (part.all_gauges["gauge"] == CLOSED).any():
        why = f"what became of {gone:,} jobs is not known: the queue was not looked through at the end"
    elif gone and not by_ledger and part.all_gauges.loc[part.all_gauges["gauge"] == MISSED, "value"].max():
        why = f"what became of {gone:,} jobs is not known: the queue dropped events before they were read"
    lost = Estimate(None, None, None, taken, why) if why else Estimate(gone, gone, gone + yet, taken)
    found = part.finding("lost", lost, "jobs", TERMS["lost"])
    yield replace(found, note=NOWHERE) if gone and not why else found
    found = part.finding("not_done_yet", exactly(yet, taken), "jobs", "jobs taken and not done yet")
    told = ", ".join(f"{count:,} {state}" for state, count in states.items())
    yield replace(found, note=f"by state: {told}; those that waited were taken out again") if yet else found
    if removed:
        yield part.finding("removed", exactly(removed, taken), "jobs", "jobs that others removed")


def _costs(part: Sustained) -> Iterable[Finding]:
    """CPU for each job that ended, of the workers and of Redis, and Redis's memory and connections."""
    counts = _ended_in_each_second(part)
    for name, title in (("workers", "CPU of the workers for a job"), ("redis", "CPU of Redis for a job")):
        gauge = commands_cpu(part.manifest) or PROCESS if name == "redis" else f"{name}.cpu_s"
        (cpu,) = part.rises(gauge)
        size = min(len(cpu), len(counts))
        found, none = ratio(cpu[:size], counts[:size]), "no job ended in the seconds in which it was read"
        if found.value is None:
            found = explained(found, part.cause(gauge) if size < 2 else none)
        yield part.finding(f"{name}_cpu_per_job", found, "ms", title, 1e3)
    workers = part.per_second("workers.cpu_s")
    yield part.finding("workers_cpu_share", workers, "%", "CPU of all workers, of one core", 100)
    yield part.finding("redis_memory", part.peak("redis.memory_bytes"), "MB", "memory of Redis, peak", 1 / MB)
    yield part.finding("redis_connections", part.peak("redis.connections"), "", "connections to Redis, peak")


def _ended_in_each_second(part: Sustained) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The jobs that ended in each whole second of the sustained stages, in their order."""
    spans = part.manifest.sustained
    ended = part.all_samples.loc[part.all_samples["ended"], "finished_ns"].to_numpy() / NS_PER_S
    counts = [np.histogram(ended, bins=np.arange(int(s.start_s), int(s.end_s) + 1))[0] for s in spans]
    return np.concatenate(counts).astype(float) if counts else np.zeros(0)
