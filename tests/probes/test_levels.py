"""Levels of load on real servers: each comes from rest, and what was saturated is what was made scarce."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import redis
import yaml

from capacity.analysis.limits.levels import Frames, level_of
from capacity.analysis.limits.saturation import saturation, usage, what_broke
from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.findings import Objective, Verdict
from capacity.probes.database import postgres_processes, wait_until_idle
from capacity.probes.levels import LoadTest, at_level, open_load_test, read_frames
from capacity.probes.searches import SearchSettings
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, Dataset
from capacity.workload import parse_workload

WINDOWS = {"smoke": {"warm_up_seconds": 0.3, "seconds": 0.8, "confirm_seconds": 1.6, "share": 0.3}}
GROWTH = [Objective("level_x.backlog_growth", "<", 2, "%", "Growth of the backlog")]
TRIES = 3
SLOW_S = 0.02


def operation(**work: Any) -> dict[str, Any]:
    return {"name": "X", "weight": 100, **work}


WORKS: dict[str, dict[str, Any]] = {
    # Four connections and 20 ms: 200 a second.
    "pool": operation(statements=[{"sql": f"SELECT pg_sleep({SLOW_S})"}]),
    # One row at a time for 10 ms: 100 a second, over sixteen connections.
    "locks": operation(
        statements=[
            {"sql": "UPDATE capacity_scarce SET number = number + 1 WHERE id = 1"},
            {"sql": f"SELECT pg_sleep({SLOW_S / 2})"},
        ]
    ),
    # About 5 ms of Redis's one thread: some 200 a second.
    "thread": operation(command=["EVAL", "for n = 1, ARGV[1] do redis.call('INCR', 'scarce') end", "0", "4000"]),
    # Four slots and 20 ms: 200 a second.
    "slots": operation(job={"service_ms": {"median": 20, "p99": 20.1}}),
}


def described(name: str, connections: int, folder: Path, **more: Any) -> SearchSettings:
    target = {"thread": "redis", "slots": "bullmq"}.get(name, "postgres")
    shape = {"kind": "rate", "stages": [{"name": "all", "seconds": 1, "to": 10}]}
    values = {"name": name, "target": target, "connections": connections, "operations": [WORKS[name]]}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(values | {"shapes": {"smoke": shape}}), encoding="utf-8")
    return SearchSettings(workload=name, connections=connections, start=50, limit=800, step=5, windows=WINDOWS, **more)  # type: ignore[arg-type]


@contextmanager
def load_test(name: str, part: str, connections: int, system: System, folder: Path, **more: Any) -> Iterator[LoadTest]:
    settings = described(name, connections, folder, **more)
    with open_load_test(part, settings, system, folder) as opened:
        yield opened


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "smoke", Dataset(1000, 5))


@pytest.fixture
def rows(postgres_url: str) -> Iterator[None]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE capacity_scarce (id int PRIMARY KEY, number int)")
        connection.execute("INSERT INTO capacity_scarce VALUES (1, 0)")
        connection.execute("GRANT ALL ON capacity_scarce TO public")
        yield
        connection.execute("DROP TABLE capacity_scarce")


def ranked_at(opened: LoadTest, folder: Path, below: float, at: float) -> tuple[pd.DataFrame, list[Frames]]:
    """The machine's own CPU is left out: while tests run, others use it. One that they made void is measured again."""
    frames = []
    for rate in (below, at):
        for attempt in range(TRIES):
            measured = read_frames(opened.measure(rate, 0.8, 0.3, folder / f"{rate:g}-{attempt}"))
            if verdicts([measured]) != [Verdict.VOID]:
                break
        frames.append(measured)
    ours = [replace(each, gauges=each.gauges[each.gauges["gauge"] != "machine.cpu_share"]) for each in frames]
    return saturation(usage(ours[:1]), usage(ours[1:])), frames


def verdicts(frames: list[Frames]) -> list[Verdict]:
    alone = [replace(each, gauges=each.gauges[each.gauges["gauge"] != "machine.cpu_s"]) for each in frames]
    return [level_of("level_x", "r", each, 0.8, GROWTH).verdict for each in alone]


@pytest.mark.thorough
def test_a_small_pool_of_slow_queries_is_named(system: System, tmp_path: Path) -> None:
    with load_test("pool", "database", 4, system, tmp_path) as opened:
        ranked, frames = ranked_at(opened, tmp_path, 80, 400)
    assert ranked["resource"].iloc[0] == "the load's own connections", ranked
    said = what_broke(ranked, 80, 400)
    assert said.startswith("the load's own connections: 100 %") and said.endswith(
        "; with more than 4 of them it may hold more"
    )
    assert verdicts(frames)[1] is Verdict.FAIL
    assert "postgres.cpu_s" in set(frames[0].gauges["gauge"])


@pytest.mark.thorough
def test_a_row_that_all_must_lock_is_named(system: System, rows: None, tmp_path: Path) -> None:
    with load_test("locks", "database", 16, system, tmp_path) as opened:
        ranked, frames = ranked_at(opened, tmp_path, 30, 250)
    assert ranked["resource"].iloc[0] == "locks", ranked
    assert verdicts(frames)[1] is Verdict.FAIL


@pytest.mark.thorough
def test_the_one_thread_of_redis_is_named(system: System, tmp_path: Path) -> None:
    with load_test("thread", "redis", 16, system, tmp_path) as opened:
        ranked, frames = ranked_at(opened, tmp_path, 40, 2000)
    work = ranked[ranked["kind"] == "work"].iloc[0]
    assert work["resource"] == "the one thread of Redis", ranked
    assert work["at"] > 1.5 * work["below"]
    assert verdicts(frames)[1] is Verdict.FAIL


def test_worker_slots_are_named_and_the_queue_is_at_rest_before_and_after(system: System, tmp_path: Path) -> None:
    with load_test("slots", "queue", 4, system, tmp_path, workers=1, slots_per_worker=4) as opened:
        ranked, frames = ranked_at(opened, tmp_path, 80, 400)
    assert ranked["resource"].iloc[0] == "worker slots", ranked
    assert re.match(r"worker slots: (99|100) % ", what_broke(ranked, 80, 400))
    assert verdicts(frames)[1] is Verdict.FAIL
    for each in frames:
        waiting = each.gauges.loc[each.gauges["gauge"] == "queue.wait", "value"].to_numpy()
        assert (waiting[0], waiting[-1]) == (0, 0)
        assert set(each.operations["outcome"]) == {"ok"}
    with redis.Redis.from_url(system.redis_url) as client:
        assert list(client.scan_iter("bull:capacity:c????????-*")) == []


def test_a_level_rises_to_its_rate_and_is_held() -> None:
    workload = parse_workload(
        {
            "name": "x",
            "target": "redis",
            "connections": 1,
            "operations": [operation(command=["PING"])],
            "shapes": {"smoke": {"kind": "users", "stages": [{"name": "all", "seconds": 1, "to": 10}]}},
        }
    )
    shape = at_level(workload, 250, 3, 0.5).shape("level")
    assert [(each.to, each.seconds, each.ramp) for each in shape.stages] == [(250, 0.5, True), (250, 3, False)]
    assert shape.kind == "rate"


def test_postgresql_is_found_by_its_processes_and_waited_for(system: System, postgres_url: str) -> None:
    word = postgres_processes(postgres_url)
    assert word.startswith("postgres=") and word.endswith("+")
    assert wait_until_idle(postgres_url, 30)
    with closing(psycopg.connect(postgres_url)) as busy, psycopg.connect(postgres_url, autocommit=True) as seen:
        busy.pgconn.send_query(b"SELECT pg_sleep(60)")
        begun = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
        assert wait_until(lambda: seen.execute(begun, [busy.info.backend_pid]).fetchone() is not None, 30)
        assert not wait_until_idle(postgres_url, 0.3)
        busy.cancel_safe()
    assert postgres_processes("") == ""


@pytest.fixture
def opener(system: System, tmp_path: Path) -> Callable[[str], None]:
    def opened(part: str) -> None:
        with open_load_test(part, described("pool", 4, tmp_path), system, tmp_path):
            raise AssertionError

    return opened


def test_an_unknown_part_is_refused(opener: Callable[[str], None]) -> None:
    with pytest.raises(CapacityError) as refused:
        opener("mainframe")
    assert str(refused.value) == ("there is no part 'mainframe' to load; accepted are database, redis, queue, gateway")
