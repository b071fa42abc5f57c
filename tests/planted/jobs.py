"""Situations of queues that are somebody's: BullMQ 4 to 6, with workers of their own."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from capacity.clock import wait_until
from capacity.findings import Finding
from capacity.load.bullmq import Queue
from capacity.probes.queue import measure_queue, read_queue_findings
from capacity.recording import open_recording
from capacity.system.addresses import System
from tests.planted.stand import REFUSED, Situation, Stand, refusal_of

NODE = Path(__file__).parents[1] / "node"
PREFIX, NAME = "bull:shop", "orders"
BOOKKEEPING = ("events", "id", "meta", "marker", "stalled", "stalled-check", "limiter")
THEIRS = """
const { Queue, FlowProducer } = await import("MODULE");
import { options } from "./connection.mjs";
const other = new Queue("eu", { ...options, prefix: "bull:shop:orders" });
await other.add("theirs", { n: 1 }, { delay: 86400000 });
const mine = new Queue("orders", { ...options, streams: { events: { maxLen: Number(process.env.EVENTS ?? 10000) } } });
await mine.add("theirs", {}, { delay: 86400000, priority: 5 });
await mine.add("theirs", {}, { delay: 86400000, jobId: "c0ffee00-0-0-0" });
const flow = new FlowProducer(options);
await flow.add({ name: "parent", queueName: "orders", data: {},
                 children: [{ name: "child", queueName: "nobody", data: {}, opts: { delay: 86400000 } }] });
for (const each of [other, mine, flow]) await each.close();
"""
WORKER = """
const { Worker, DelayedError, UnrecoverableError, Queue } = await import("MODULE");
import { options } from "./connection.mjs";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let seen = {};
const worker = new Worker("orders", async (job, token) => { PROCESS }, { ...options, ...OPTIONS });
worker.on("error", () => {});
await worker.waitUntilReady();
console.log("ready");
await new Promise((done) => process.once("SIGTERM", done));
await worker.close(true);
process.exit(0);
"""
QUEUE = """
const { Queue } = await import("MODULE");
import { options } from "./connection.mjs";
const queue = new Queue("orders", options);
DOES;
await queue.close();
"""
ADD = 'for (let n = 0; n < 20; n++) await queue.add("theirs", {}, { removeOnComplete: false })'
PUT_OFF = """
if (!seen[job.id]) {
  seen[job.id] = 1;
  await job.moveToDelayed(Date.now() + 100, token);
  throw new DelayedError();
}
"""
JOBS = [{"name": "pay", "job": {"data": '{"owner": 1}', "attempts": 3, "backoff_ms": 50}}]


@contextmanager
def script(stand: Stand, text: str, module: str, url: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
    """A script of Node beside that make of BullMQ, once it has said that it is ready, or has ended."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    environment = bare | {"CAPACITY_REDIS_URL": url, "CAPACITY_QUEUE_PREFIX": PREFIX, **more}
    words = [stand.fixture("node"), "--input-type=module", "-e", text.replace("MODULE", module)]
    with subprocess.Popen(words, cwd=NODE, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@contextmanager
def theirs(
    stand: Stand, module: str, *workers: tuple[str, str], events: int = 10_000, **settings: str
) -> Iterator[tuple[str, list[Any]]]:
    """A queue with jobs of others in each state, another one whose keys begin as its, and one of its name elsewhere.

    `workers` are what each does with a job, and its options.
    """
    url = stand.redis("Redis 8.2.3", **settings)
    for database in (url.replace("/0", "/1"), url):
        with script(stand, THEIRS, module, database, EVENTS=str(events)) as made:
            assert made.wait(20) == 0
        if database != url:
            stand.keeps_keys(database)
    own = {Queue(NAME, PREFIX).key(part) for part in BOOKKEEPING}
    with ExitStack() as stack:
        texts = [WORKER.replace("PROCESS", does).replace("OPTIONS", options) for does, options in workers]
        running = [stack.enter_context(script(stand, text, module, url)) for text in texts]
        stand.keeps_keys(url, but=own.__contains__)
        yield url, running


def measured(
    stand: Stand, url: str, operations: list[dict[str, Any]] = JOBS, drain_s: float = 5, **more: Any
) -> Mapping[str, Finding]:
    """The findings by their names without `queue.`; what was added is counted."""
    workloads = stand.workloads("queue", "bullmq", [dict(each) for each in operations], **{"rate": 60, **more})
    system = System(redis_url=url, queue=NAME, queue_prefix=PREFIX)
    made = measure_queue(system, workloads, "smoke", stand.folder / "recording", drain_s=drain_s)
    found = {each.name.removeprefix("queue."): each for each in read_queue_findings(made)}
    stand.counted["acknowledged"] = float(len(open_recording(made).samples))
    return found


def all_done(stand: Stand) -> None:
    """All that was added is done."""
    stand.counted["ok"] = stand.counted["acknowledged"]


def few_events(stand: Stand) -> Mapping[str, Finding]:
    with theirs(stand, "bullmq-5", ("", "{ concurrency: 5 }"), events=5) as (url, _):
        return measured(stand, url, drain_s=1, rate=200)


def stalls(stand: Stand) -> Mapping[str, Finding]:
    """One of two workers stops in the middle; what it has is done by the other one when its lock has run out."""
    options = "{ concurrency: 3, lockDuration: 800, stalledInterval: 400, maxStalledCount: 3 }"
    with theirs(stand, "bullmq", *[("await sleep(20)", options)] * 2) as (url, workers):
        with stand.meanwhile(lambda: workers[0].send_signal(signal.SIGSTOP)):
            found = measured(stand, url, drain_s=15)
        all_done(stand)
    return found


def limited(stand: Stand) -> Mapping[str, Finding]:
    """The workers take 20 jobs a second at most, of 60 that come."""
    with theirs(stand, "bullmq-4", ("", "{ limiter: { max: 20, duration: 1000 } }")) as (url, _):
        found = measured(stand, url, drain_s=1)
    done, waiting = (found[name].value or 0 for name in ("ok", "not_done_yet"))
    assert done + waiting == stand.counted["acknowledged"], (done, waiting)
    return found


def paused(stand: Stand) -> Mapping[str, Finding]:
    pause = QUEUE.replace("DOES", "await queue.pause()")

    with theirs(stand, "bullmq-5", ("", "{ concurrency: 5 }")) as (url, _):

        def stop() -> None:
            with script(stand, pause, "bullmq-5", url) as made:
                made.wait(20)

        with stand.meanwhile(stop):
            found = measured(stand, url, drain_s=1)
    done, waiting = (found[name].value or 0 for name in ("ok", "not_done_yet"))
    assert done + waiting == stand.counted["acknowledged"], (done, waiting)
    return found


def put_off(stand: Stand) -> Mapping[str, Finding]:
    """Each job is put off once by its own processor: it is begun twice, and the events do not tell why."""
    with theirs(stand, "bullmq", (PUT_OFF, "{ concurrency: 5 }")) as (url, _):
        found = measured(stand, url)
        all_done(stand)
    return found


def unrecoverable(stand: Stand) -> Mapping[str, Finding]:
    does = 'throw new UnrecoverableError("card 4711 is blocked")'
    with theirs(stand, "bullmq-5", (does, "{ concurrency: 5 }")) as (url, _):
        found = measured(stand, url)
        all_done(stand)
    return found


def workers_that_keep_five(stand: Stand) -> Mapping[str, Finding]:
    """A rule of the workers, and not of the jobs, keeps the last five that were done: those of others stay."""
    rule = "{ concurrency: 5, removeOnComplete: { count: 5 }, removeOnFail: { count: 5 } }"
    with theirs(stand, "bullmq", ("", rule)) as (url, _):
        add = QUEUE.replace("DOES", ADD)
        with script(stand, add, "bullmq", url) as made:
            assert made.wait(20) == 0
        with redis.Redis.from_url(url) as client:
            assert wait_until(lambda: client.zcard(Queue(NAME, PREFIX).key("completed")) == 20, 20)
        stand.keeps_keys(url, but={Queue(NAME, PREFIX).key(part) for part in BOOKKEEPING}.__contains__)
        stand.forget(1)
        found = measured(stand, url)
        all_done(stand)
    return found


def no_streams(stand: Stand) -> Mapping[str, Finding]:
    """The user may do all but read streams, where the events are."""
    with theirs(stand, "bullmq-5", ("", "{ concurrency: 5 }")) as (url, _):
        with redis.Redis.from_url(url) as client:
            client.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all", "-xrange", "-xrevrange")
        mine = url.replace("redis://", "redis://shop:secret@")
        return refusal_of(lambda: measured(stand, mine))


def one_at_a_time(stand: Stand) -> Mapping[str, Finding]:
    """Another token of others: their own load waits before ours, one job at a time in all workers together."""
    with theirs(stand, "bullmq", ("await sleep(30)", "{ concurrency: 5 }")) as (url, _):
        with redis.Redis.from_url(url) as client:
            client.hset(Queue(NAME, PREFIX).key("meta"), "concurrency", 1)
        found = measured(stand, url, drain_s=1)
    done, waiting = (found[name].value or 0 for name in ("ok", "not_done_yet"))
    assert done + waiting == stand.counted["acknowledged"], (done, waiting)
    return found


SITUATIONS = [
    Situation("a queue keeps its last five events", {"lost": "events before they were read"}, few_events),
    Situation("a worker stalls, and another one does what it had", {"lost": 0, "failed_rate": 0}, stalls),
    Situation("the workers' rate is limited", {"lost": "not done yet", "failed_rate": 0}, limited),
    Situation("the queue is paused in mid-run", {"lost": "not done yet", "failed_rate": 0}, paused),
    Situation("each job is put off once by its processor", {"lost": 0, "failed_rate": 0, "retried_rate": 100}, put_off),
    Situation(
        "no job is tried again that cannot be done", {"lost": 0, "failed_rate": 100, "retried_rate": 0}, unrecoverable
    ),
    Situation("the workers have a rule of what is kept", {"lost": 0, "failed_rate": 0}, workers_that_keep_five),
    Situation(
        "the user may not read streams",
        {REFUSED: "Redis refuses what the queue is watched by: User shop has no permissions to run the 'xrevrange'"},
        no_streams,
    ),
    Situation(
        "one job at a time in all workers together",
        {"lost": "not done yet", "failed_rate": 0, "active_peak": (1, 1)},
        one_at_a_time,
    ),
]
