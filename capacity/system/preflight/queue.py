"""What a BullMQ queue says of itself before jobs are added: version, workers, state, retention, and their clocks."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import redis

from capacity.load.bullmq import LISTS, SETS, Queue
from capacity.system.clients import redis_client
from capacity.system.preflight.check import ANSWER_S, Check, fact, note, one_line, seconds_text
from capacity.system.preflight.clocks import ClockOffset, clock_offset
from capacity.system.preflight.queue_make import read_make, why_no_jobs, worker_connections
from capacity.system.preflight.redis import why_refused

LOOKED_AT = 20  # jobs of a state, and events
CLOCKS_APART_S = 0.05  # more than a worker takes to tell Redis that a job has ended
UNFINISHED = ("wait", "active", "paused", "prioritized", "delayed")
ENDED = (b"completed", b"failed")
EVENTS_BY_DEFAULT, FEWEST_EVENTS = 10_000, 2_000  # a job makes four or five, and ten times a second they are read
COMMANDS = ("EVALSHA x 1 {}id 1", "SCRIPT LOAD return", "LLEN {}wait", "LRANGE {}wait 0 1", "ZCARD {}delayed",
            "ZSCAN {}delayed 0", "HMGET {}meta version", "XRANGE {}events - + COUNT 1", "EXISTS {}x", "TIME",
            "ZREM {}delayed x", "LREM {}wait 1 x", "UNLINK {}x", "HSET {}x name y", "HGETALL {}x", "HDEL {}x y",
            "LPUSH {}wait x", "ZADD {}delayed 0 x", "XADD {}events * event x", "INCR {}id")  # fmt: skip


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """What Redis holds of a queue: its `meta`, how many jobs are in each state, and the options of some of them."""

    name: str
    meta: Mapping[str, str]
    counts: Mapping[str, int]
    options: list[Mapping[str, Any]]
    policy: str
    workers: int | None  # connections that call themselves workers of it; None where that may not be asked


def queue_checks(url: str, queue: Queue) -> list[Check]:
    """What is to be known of a queue in the Redis at `url` before jobs are added; RedisError where that is down."""
    with redis_client(url, ANSWER_S) as client:
        lines = {line.partition(" {")[0]: line.split() for line in COMMANDS}
        commands = {name: [word.format(queue.key("")) for word in words] for name, words in lines.items()}
        refused = {name: each for name, each in (why_refused(client, commands) or {}).items() if not _elsewhere(each)}
        if refused:
            name, error = next(iter(refused.items()))
            means = "jobs are not added, or what became of them is not read"
            to_do = f"a user of Redis that may do what BullMQ's own producers do below {queue.key('*')}"
            return [note("rights", f"{name}: {one_line(error)}", means, to_do)]
        make = read_make(client, queue)
        if refusal := why_no_jobs(client, queue, make):
            return [refusal]
        seen = _seen(client, queue)
        said = make.said if make else ""
        there = fact("reachable", f"{said}: {seen.name}, {sum(seen.counts.values()):,} jobs")
        return [there, *_running(seen), _policy(seen), *_retention(seen), *_worker_clocks(client, queue)]


def _seen(client: redis.Redis, queue: Queue) -> SeenQueue:
    pipeline = client.pipeline(transaction=False)
    pipeline.hgetall(queue.key("meta"))
    for part in LISTS:
        pipeline.llen(queue.key(part))
        pipeline.lrange(queue.key(part), 0, LOOKED_AT - 1)
    for part in SETS:
        pipeline.zcard(queue.key(part))
        pipeline.zrange(queue.key(part), -LOOKED_AT, -1)
    meta, *found = pipeline.execute()
    counts = dict(zip((*LISTS, *SETS), map(int, found[::2]), strict=True))
    for job in (job for jobs in found[1::2] for job in jobs):
        pipeline.hget(queue.key(job.decode(errors="replace")), "opts")
    options = [json.loads(each) for each in pipeline.execute() if each]
    text = {name.decode(): value.decode(errors="replace") for name, value in meta.items()}
    policy = ""
    with suppress(redis.ResponseError):
        policy = str(client.info("memory").get("maxmemory_policy", ""))
    workers = worker_connections(client, queue)
    return SeenQueue(queue.key("")[:-1], text, counts, options, policy, None if workers is None else len(workers))


def _elsewhere(error: redis.RedisError) -> bool:
    """Whether a command is refused for where its keys are in a cluster, and not for what the user may do."""
    return isinstance(error, redis.exceptions.MovedError | redis.exceptions.ClusterCrossSlotError)


def _running(seen: SeenQueue) -> Iterator[Check]:
    """What holds jobs up before the load does."""
    if left := seen.counts["paused"]:
        means = "they wait until it is resumed once more, and so does what waits until the queue is drained"
        yield note("paused", f"{left:,} jobs are left in its list `paused`", means, "resume it, as by queue.resume()")
    if seen.workers is None:
        yield note(
            "workers",
            "NOPERM for CLIENT LIST",
            "whether workers are connected is not known",
            "let the user: +client|list",
        )
    elif seen.workers:
        yield fact("workers", f"{seen.workers} connections of workers")
    else:
        means = "if there are none, no job is done, and the measurement waits 2 minutes for them"
        yield note("workers", "no connection bears the name of a worker of it", means, "start the workers")
    unfinished = sum(seen.counts[each] for each in UNFINISHED)
    if unfinished:
        means = "new jobs wait behind them: the waiting time of the load has them in it"
        yield note("backlog", f"{unfinished:,} jobs are not done yet", means, "measure when they are")
    if "max" in seen.meta and "duration" in seen.meta:
        every = seconds_text(float(seen.meta["duration"]) / 1000)
        means = "the rate of jobs done is this limit's, whatever the workers could do"
        yield note("rate limit", f"{seen.meta['max']} jobs each {every}", means, "queue.removeGlobalRateLimit()")
    if "concurrency" in seen.meta:
        means = "so many jobs at a time, whatever the number of workers"
        said = f"{seen.meta['concurrency']} at a time in all workers together"
        yield note("concurrency", said, means, "queue.removeGlobalConcurrency()")


def _policy(seen: SeenQueue) -> Check:
    if seen.policy in ("noeviction", ""):
        return fact("eviction", seen.policy or "not told")
    means = "where memory is full jobs vanish, and are counted as lost"
    return note("eviction", f"maxmemory-policy is {seen.policy}", means, "CONFIG SET maxmemory-policy noeviction")


def _retention(seen: SeenQueue) -> Iterator[Check]:
    """How many ended jobs a rule of others keeps, which those of the load are never among; and how many events."""
    kept = [_most_kept(options.get(name)) for options in seen.options for name in ("removeOnComplete", "removeOnFail")]
    fewest = min((each for each in kept if each), default=0)
    if fewest:
        yield fact("retention", f"its jobs keep the last {fewest:,} that ended; those of the load are not among them")
    elif seen.options:
        yield fact("retention", f"none of {len(seen.options)} jobs looked at removes others")
    events = seen.meta.get("opts.maxLenEvents", "")
    if events.isdecimal() and int(events) < FEWEST_EVENTS:
        means = "how jobs ended is read from them: what they tell is not given where they are dropped before that"
        to_do = f"new Queue(…, {{streams: {{events: {{maxLen: {EVENTS_BY_DEFAULT}}}}}}})"
        yield note("events", f"it keeps its last {int(events):,} events", means, to_do)


def _most_kept(rule: Any) -> int:
    """How many ended jobs a rule of retention leaves; 0 where it is not by number."""
    count = rule.get("count") if isinstance(rule, dict) else rule
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0


def _worker_clocks(client: redis.Redis, queue: Queue) -> Iterator[Check]:
    """How far the clocks of the workers are from this machine's, by jobs that ended lately.

    The worker notes when a job ended by its own clock, and Redis numbers the event of it by its own a moment later.
    """
    events: Any = client.xrevrange(queue.key("events"), count=LOOKED_AT)
    ended = [(number, told[b"jobId"]) for number, told in events if told.get(b"event") in ENDED]
    apart = []
    for number, job in ended:
        finished = client.hget(queue.key(job.decode()), "finishedOn")
        if finished:
            apart.append((float(finished) - int(number.partition(b"-")[0])) / 1000)
    if not apart:
        return

    def redis_time() -> float:
        seconds, microseconds = client.time()
        return float(seconds) + microseconds / 1e6

    server = clock_offset(redis_time)
    workers = ClockOffset(server.offset_s + median(apart), server.uncertainty_s + (max(apart) - min(apart)) / 2)
    said = f"of the workers: {workers.said}"
    if abs(workers.offset_s) - workers.uncertainty_s <= CLOCKS_APART_S:
        yield fact("clock", said)
        return
    means = (
        "workers tell by their own clock whether a delayed job or a further attempt is due, and begin it so much too "
        "early or too late"
    )
    yield note("clock", said, means, "set all clocks by NTP")
