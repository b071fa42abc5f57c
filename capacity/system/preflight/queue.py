"""What a BullMQ queue says of itself before jobs are added: version, workers, state, retention, and their clocks."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Any

import redis

from capacity.load.bullmq import Queue
from capacity.system.clients import redis_client
from capacity.system.preflight.check import ANSWER_S, Check, fact, note, one_line, seconds_text
from capacity.system.preflight.clocks import ClockOffset, clock_offset
from capacity.system.preflight.redis import why_refused

LOOKED_AT = 20  # jobs of a state, and events
CLOCKS_APART_S = 0.05  # more than a worker takes to tell Redis that a job has ended
LISTS, SETS = ("wait", "active", "paused"), ("prioritized", "delayed", "completed", "failed")
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

    @property
    def exists(self) -> bool:
        """Whether there is anything of such a queue."""
        return bool(self.meta or any(self.counts.values()) or self.workers)


def queue_checks(url: str, queue: Queue) -> list[Check]:
    """What is to be known of a queue in the Redis at `url` before jobs are added; RedisError where that is down."""
    with redis_client(url, ANSWER_S) as client:
        commands = {line.partition(" {")[0]: line.format(queue.key("")).split() for line in COMMANDS}
        refused = why_refused(client, commands) or {}
        if refused:
            name, error = next(iter(refused.items()))
            means = "jobs are not added, or what became of them is not read"
            to_do = f"a user of Redis that may do what BullMQ's own producers do below {queue.key('*')}"
            return [note("rights", f"{name}: {one_line(error)}", means, to_do)]
        seen = _seen(client, queue)
        return [*_there(seen, queue), *_running(seen), _policy(seen), *_retention(seen), *_worker_clocks(client, queue)]


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
    return SeenQueue(queue.key("")[:-1], text, counts, options, policy, _workers(client, queue))


def _workers(client: redis.Redis, queue: Queue) -> int | None:
    """Connections of workers by the names that BullMQ gives them: Node's writes the queue's in base64, Python's plain.

    Where a worker has a name, that follows.
    """
    written = (base64.b64encode(queue.name.encode()).decode(), queue.name)
    named = [f"{queue.prefix}:{each}" for each in written]
    try:
        names = [str(each.get("name", "")) for each in client.client_list()]
    except redis.ResponseError:
        return None
    return sum(each in named or each.startswith(tuple(f"{name}:w:" for name in named)) for each in names)


def _there(seen: SeenQueue, queue: Queue) -> Iterator[Check]:
    version = seen.meta.get("version", "")
    made, _, number = version.partition(":")
    jobs = sum(seen.counts.values())
    product = f"BullMQ {number}" if made == "bullmq" else version or "BullMQ of a version that it does not note"
    if seen.meta:
        yield fact("reachable", f"{product}: {seen.name}, {jobs:,} jobs")
    elif jobs:
        means = "Bull, up to 4, keeps attempts in another field: what is read of retries may be wrong"
        said = f"{seen.name} has no meta, which BullMQ's queues have"
        yield note("version", said, means, "compare the findings with its dashboard")
    elif not seen.exists:
        means = "jobs are added to a queue that nobody has: none is ever done"
        to_do = "correct CAPACITY_QUEUE or CAPACITY_QUEUE_PREFIX, or start the workers"
        yield note("reachable", f"there is no queue {seen.name} in this Redis", means, to_do)


def _running(seen: SeenQueue) -> Iterator[Check]:
    """What holds jobs up before the load does."""
    if seen.meta.get("paused") == "1" or seen.counts["paused"]:
        means = "no job is done: all wait, and the measurement waits 2 minutes for them"
        yield note("paused", f"{seen.name} is paused", means, "resume it: queue.resume()")
    if seen.workers is None:
        yield note(
            "workers",
            "NOPERM for CLIENT LIST",
            "whether workers are connected is not known",
            "let the user: +client|list",
        )
    elif seen.workers:
        yield fact("workers", f"{seen.workers} connections of workers")
    elif seen.exists:
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
    means = "the time until a worker took a job is by both clocks: it is wrong by that much"
    yield note("clock", said, means, "set all clocks by NTP")
