"""Who made a queue and of which version, and why no jobs can be added to it."""

import base64
from collections.abc import Mapping
from typing import Any

import redis

from capacity.errors import CapacityError
from capacity.load.bullmq import MAJORS, Queue, QueueMake
from capacity.system.clients import redis_client
from capacity.system.preflight.check import ANSWER_S, Check, missing, one_line
from capacity.system.preflight.redis import why_refused

PARTS = ("id", "wait", "active", "paused", "prioritized", "delayed", "completed", "failed", "meta-paused")
ENDED = ("completed", "failed")
WAITS_FOR_LIST = "brpoplpush"  # the command in which workers of BullMQ up to 4, and of Bull, wait for a job
WAITS_FOR_MARK = "bzpopmin"  # and in which those of BullMQ from 5 on do
EVENTS = "events"  # which each BullMQ writes, and no Bull
EITHER = "Bull, or BullMQ up to 4"
NOTED = ("version", "opts.maxLenEvents", "paused")  # of `meta`: the second is in that of each BullMQ, and not in Bull's
NONE_ADDED = "no job is added"
LEFT_OUT = "leave the queue out: capacity run --only database,redis,gateway"
NAMED_HERE = "correct CAPACITY_QUEUE or CAPACITY_QUEUE_PREFIX"


def require_jobs_taken(url: str, queue: Queue) -> QueueMake:
    """Who made somebody's queue in the Redis at `url`; CapacityError where no jobs can be added to it."""
    try:
        with redis_client(url, ANSWER_S) as client:
            make = read_make(client, queue)
            refusal = why_no_jobs(client, queue, make)
    except redis.RedisError as error:
        raise CapacityError(f"Redis does not answer: {one_line(error)}") from None
    if make is None or refusal:
        raise CapacityError(f"{refusal.said}; {refusal.means}: {refusal.to_do}" if refusal else str(make))
    return make


def read_make(client: redis.Redis, queue: Queue) -> QueueMake | None:
    """Who made a queue, by what it notes of itself, its jobs and its workers; None where there is nothing of it."""
    pipeline = client.pipeline(transaction=False)
    pipeline.hmget(queue.key("meta"), NOTED)
    for part in ENDED:
        pipeline.zrange(queue.key(part), -1, -1)
    for part in (EVENTS, *PARTS):
        pipeline.exists(queue.key(part))
    found: list[Any] = pipeline.execute(raise_on_error=False)  # a user may lack the right to one of them
    version, limit, paused = found[0] if isinstance(found[0], list) else [None] * len(NOTED)
    jobs = [job for each in found[1 : 1 + len(ENDED)] if isinstance(each, list) for job in each]
    events, *parts = (each == 1 for each in found[1 + len(ENDED) :])
    if version:
        return _noted(version.decode(errors="replace"))
    waiting = {str(each.get("cmd")) for each in worker_connections(client, queue) or []}
    if limit is not None or events:
        told = WAITS_FOR_MARK in waiting or not any(_is_old(client, queue, job) for job in jobs)
        return QueueMake(major=4 if WAITS_FOR_LIST in waiting or not told else 5)
    if paused is not None or any(parts):
        return QueueMake("Bull", major=0)
    if WAITS_FOR_MARK in waiting:
        return QueueMake(major=5)
    return QueueMake(EITHER, major=0) if waiting else None


def _noted(version: str) -> QueueMake:
    product, _, version = version.partition(":")
    number = version.partition(".")[0]
    return QueueMake("BullMQ" if product == "bullmq" else product, version, int(number) if number.isdecimal() else 0)


def _is_old(client: redis.Redis, queue: Queue, job: bytes) -> bool:
    """Whether a job has its attempts where BullMQ had them up to 4."""
    now, then = client.hmget(queue.key(job.decode(errors="replace")), "atm", "attemptsMade")
    return now is None and then is not None


def worker_connections(client: redis.Redis, queue: Queue) -> list[Mapping[str, Any]] | None:
    """The connections of workers by the names that BullMQ gives them; None where that may not be asked.

    Node's writes the queue's name in base64, Python's plain. Where a worker has a name, that follows.
    """
    written = (base64.b64encode(queue.name.encode()).decode(), queue.name)
    named = [f"{queue.prefix}:{each}" for each in written]
    begins = tuple(f"{name}:w:" for name in named)
    try:
        connected = client.client_list()
    except redis.ResponseError:
        return None
    return [each for each in connected if each.get("name") in named or str(each.get("name", "")).startswith(begins)]


def why_no_jobs(client: redis.Redis, queue: Queue, make: QueueMake | None) -> Check | None:
    """Why no jobs can be added to a queue of that make; None where they can."""
    name = queue.key("")[:-1]
    if away := _of_cluster(client, queue):
        return away
    if make is None:
        means, to_do = "jobs would be added to a queue that nobody has", f"{NAMED_HERE}, or start the workers"
        return missing("reachable", f"there is no queue {name} in this Redis", means, to_do)
    if make.product == EITHER:
        said = f"{name} holds nothing yet, and its workers are of {EITHER}, which keep jobs otherwise"
        return missing("version", said, NONE_ADDED, "where it is BullMQ let its own producer add a job first")
    if make.product != "BullMQ" or make.major not in MAJORS:
        means = f"{NONE_ADDED}, for they are added to queues of BullMQ {MAJORS[0]} to {MAJORS[-1]}"
        return missing("version", f"{name} is a queue of {make.said}", means, LEFT_OUT)
    if client.hexists(queue.key("meta"), "paused"):
        means = f"{NONE_ADDED}, for none would be done"
        return missing("paused", f"{name} is paused", means, "resume it, as by queue.resume()")
    return None


def _of_cluster(client: redis.Redis, queue: Queue) -> Check | None:
    """Whether a cluster takes no script on the queue's keys here."""
    name = queue.key("")[:-1]
    words = ("EVALSHA", "x", "2", queue.key("wait"), queue.key("id"))
    error = (why_refused(client, {"add": words}) or {}).get("add")
    if isinstance(error, redis.exceptions.ClusterCrossSlotError):
        means = f"{NONE_ADDED}: BullMQ's scripts take keys of one slot alone"
        to_do = "name a queue whose prefix or name has braces, as CAPACITY_QUEUE_PREFIX={bull}"
        return missing("slots", f"the keys of {name} are in several slots of the cluster", means, to_do)
    if isinstance(error, redis.exceptions.MovedError):
        said = f"{name} is on another node of the cluster, {error.host}:{error.port}"
        return missing("slots", said, NONE_ADDED, "name that node in CAPACITY_REDIS_URL")
    return None
