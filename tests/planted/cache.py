"""Situations of Redis 6.2 to 8.2 and of Valkey."""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import redis

from capacity.analysis.planning.basis import read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import make_plan
from capacity.analysis.planning.plan_file import read_plan
from capacity.clock import wait_until
from capacity.findings import Finding, read_findings
from capacity.probes.redis import measure_redis, read_redis_findings
from capacity.recording import open_recording
from capacity.system.addresses import System
from tests.planted.stand import REFUSED, Situation, Stand, refusal_of

DATA = Path(__file__).parents[2] / "data"
GET = {"name": "get", "command": ["GET", "shop:item"]}
SET = {"name": "set", "command": ["SET", "shop:item", "7"]}
NOW = "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end"
GROW = {
    "name": "grow",
    "command": ["SET", "shop:{number}", "{value}"],
    "parameters": {"number": {"kind": "sequence"}, "value": {"kind": "text", "length": 20_000}},
}


def measured(stand: Stand, url: str, *operations: object, **more: object) -> Mapping[str, Finding]:
    """The findings by their names without `redis.`."""
    workloads = stand.workloads("redis", "redis", [dict(each) for each in operations], **more)
    made = measure_redis(System(redis_url=url), workloads, "smoke", stand.folder / "recording")
    return {each.name.removeprefix("redis."): each for each in read_redis_findings(made)}


@contextmanager
def filled(stand: Stand, url: str, keys: int = 200, size: int = 100) -> Iterator[redis.Redis]:
    """A Redis with others' keys, which stay as they are."""
    with redis.Redis.from_url(url) as client:
        client.mset({f"theirs:{number}": b"x" * size for number in range(keys)})
        stand.keeps_keys(url, but=lambda key: key.startswith("shop:"))
        yield client


def evicting(stand: Stand) -> Mapping[str, Finding]:
    """Memory is full, and what the load writes takes the place of what it wrote before: others' keys have no expiry."""
    url = stand.redis("Redis 6.2.5", maxmemory="12mb", maxmemory_policy="volatile-lru")
    grow = {**GROW, "command": [*GROW["command"], "EX", "1000"]}
    with filled(stand, url) as client:
        found = measured(stand, url, grow, rate=300, seconds=3)
        stand.counted["evictions"] = float(client.info("stats")["evicted_keys"])
    assert found["evictions"].value, "nothing was evicted"
    return found


def fills_what_evicts(stand: Stand) -> Mapping[str, Finding]:
    """The suite's own cache, of 60 MB, is to be filled where 8 MB are free and keys of others would go for it."""
    url = stand.redis("Valkey 8.1.8", maxmemory="40mb", maxmemory_policy="allkeys-lru")
    with filled(stand, url, keys=3_000, size=10_000):
        return refusal_of(lambda: measured(stand, url, GET, dataset="reference"))


def renamed(stand: Stand) -> Mapping[str, Finding]:
    (stand.folder / "renamed.conf").write_text("rename-command CLIENT gone\n")
    url = stand.redis("Redis 7.4.1", include=str(stand.folder / "renamed.conf"))
    with filled(stand, url):
        return measured(stand, url, GET, SET)


def replica(stand: Stand) -> Mapping[str, Finding]:
    primary = stand.redis("Valkey 9.1.2", repl_diskless_sync_delay="0")
    url = stand.redis("Valkey 9.1.2", replicaof=f"127.0.0.1 {urlsplit(primary).port}")
    with filled(stand, primary), redis.Redis.from_url(url) as client:
        assert wait_until(lambda: client.dbsize() == 200, 20)
        stand.keeps_keys(url)
        found = measured(stand, url, GET, SET)
    stand.counted["set.failures.readonly"] = float(
        (open_recording(stand.folder / "recording").samples["operation"] == "set").sum()
    )
    return found


def user_goes(stand: Stand) -> Mapping[str, Finding]:
    """Redis ends the connections of a user that is deleted, and lets it in no more."""
    url = stand.redis("Redis 7.0.15")
    with filled(stand, url) as client:
        client.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all")
        mine = url.replace("redis://", "redis://shop:secret@")
        with stand.meanwhile(lambda: client.execute_command("ACL", "DELUSER", "shop")):
            found = measured(stand, mine, GET)
    return {**found, **planned(found.values())}


def no_such_database(stand: Stand) -> Mapping[str, Finding]:
    url = stand.redis("Redis 8.2.3", databases="1")
    with filled(stand, url):
        return refusal_of(lambda: measured(stand, url.replace("/0", "/3"), GET))


def busy_script(stand: Stand) -> Mapping[str, Finding]:
    """Somebody's script runs for a second, and Redis answers BUSY after a tenth of one."""
    url = stand.redis("Redis 7.0.15", busy_reply_threshold="100")
    script = f"{NOW} local ended = now() + 1000 repeat until now() > ended"
    with filled(stand, url) as client, stand.meanwhile(lambda: client.eval(script, 0)):
        found = measured(stand, url, GET)
    failed = open_recording(stand.folder / "recording").samples["error"]
    stand.counted["get.failures.busy"] = float((failed == "BUSY").sum())
    assert stand.counted["get.failures.busy"]
    return found


def limit_changes(stand: Stand) -> Mapping[str, Finding]:
    """The limit of memory is set in mid-run, to twice of what is used."""
    url = stand.redis("Redis 8.2.3", maxmemory="0")
    with filled(stand, url, keys=4_000, size=10_000) as client:
        limit = 2 * client.info("memory")["used_memory"]
        with stand.meanwhile(lambda: client.config_set("maxmemory", limit)):
            return measured(stand, url, GET)


def rewrites(stand: Stand) -> Mapping[str, Finding]:
    """The append-only file is rewritten all the while, by a child whose memory and CPU are not the main thread's."""
    url = stand.redis("Redis 6.2.14", appendonly="yes")
    ended = threading.Event()
    with filled(stand, url, keys=2_000, size=10_000) as client:

        def rewrite() -> None:
            while not ended.wait(0.1):
                with contextlib.suppress(redis.ResponseError):
                    client.bgrewriteaof()

        thread = threading.Thread(target=rewrite)
        thread.start()
        try:
            return measured(stand, url, GET, SET)
        finally:
            ended.set()
            thread.join()


def planned(found: Iterable[Finding]) -> dict[str, Finding]:
    """What the project's plan makes of these findings, beside those that are committed."""
    folder = DATA / "recorded" / "findings"
    named = {each.name: each for each in (*read_findings(folder), *found)}
    plan = make_plan(read_plan(DATA / "plan.yaml"), read_basis(folder, named.values()), read_catalog(DATA / "catalog"))
    return {each.name: each for each in plan_findings(plan)}


SITUATIONS = [
    Situation(
        "memory is full and keys are evicted",
        {"success_rate": 100, "out_of_memory": 0, "memory_utilisation": (80, 102)},
        evicting,
    ),
    Situation("the suite's own cache would evict others' keys", {REFUSED: "evict"}, fills_what_evicts),
    Situation(
        "CLIENT has another name",
        {"success_rate": 100, "connections_open": 5, "evictions": 0, "cpu_share": (0.01, 100)},
        renamed,
    ),
    Situation("a replica is written", {"get.success_rate": 100, "set.success_rate": 0, "out_of_memory": 0}, replica),
    Situation(
        "the user is deleted in mid-run",
        {
            "success_rate": (10, 60),
            "evictions": "no reading of it from",
            "out_of_memory": "no reading of it from",
            "memory": "no reading of it from",
            "cpu_share": "no reading of it from",
            "plan.redis_memory.use": "no reading of it from",
        },
        user_goes,
    ),
    Situation(
        "the address names a database that is not there", {REFUSED: "DB index is out of range"}, no_such_database
    ),
    Situation("a script of somebody's keeps Redis busy", {"success_rate": (40, 99), "evictions": 0}, busy_script),
    Situation(
        "maxmemory is set in mid-run",
        {"success_rate": 100, "memory_utilisation": (48, 55), "evictions": 0},
        limit_changes,
    ),
    Situation(
        "the append-only file is rewritten all the while",
        {"success_rate": 100, "evictions": 0, "memory": (20, 40), "memory_utilisation": (5, 15)},
        rewrites,
    ),
]
