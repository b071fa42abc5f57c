"""The Redis probe on a real server."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import papermill
import pytest
import redis

from capacity.analysis.measured.redis import AWAY, reconnection_findings
from capacity.errors import CapacityError
from capacity.findings import Finding, Objective, Verdict, judge
from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.probes.readers.redis import (
    COUNTED,
    MAIN_THREAD,
    OUT_OF_MEMORY,
    TOLD,
    gauges_of_info,
    not_told,
    redis_reader,
)
from capacity.probes.redis import measure_redis, read_redis_findings, with_ends
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.application import cache
from capacity.system.application.cache import prepare_cache, remove_cache
from capacity.system.embedded import run_redis
from capacity.system.server_directory import open_server_directory
from capacity.workload import Workload, parse_workload, read_workload

DATA = Path(__file__).parents[2] / "data"
WORKLOADS = DATA / "workloads"
SHAPE = {"kind": "rate", "stages": [{"name": "sustain", "seconds": 3.0, "to": 400}]}


def short(name: str) -> Workload:
    workload = read_workload(WORKLOADS / f"{name}.yaml")
    return parse_workload({**workload.model_dump(), "shapes": {"smoke": SHAPE}})


@pytest.fixture(scope="module")
def folder(system: System, write_workloads: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = write_workloads(tmp_path_factory.mktemp("probe"), short("redis"), short("redis_reconnection"))
    return measure_redis(system, into, "smoke", into / "redis")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in read_redis_findings(folder)}


def value(found: dict[str, Finding], name: str) -> float:
    given = found[f"redis.{name}"].value
    assert given is not None
    return given


def test_every_command_is_answered_and_measured(found: dict[str, Finding]) -> None:
    for name in ("get", "set", "lpush", "lpop", "incr"):
        assert value(found, f"{name}.success_rate") == 100
        assert 0 < value(found, f"{name}.response_p50") < value(found, f"{name}.response_max")


def test_the_servers_own_figures_are_read(found: dict[str, Finding]) -> None:
    assert 50 < value(found, "memory") < 256 * 1.05
    assert value(found, "memory_utilisation") == pytest.approx(100 * value(found, "memory") / 268.435456)
    assert 0 < value(found, "cpu_share") < 100
    assert value(found, "evictions") == value(found, "out_of_memory") == 0
    assert value(found, "connections_open") == 50


def test_connections_that_the_server_ended_come_back(folder: Path, found: dict[str, Finding]) -> None:
    """50 connections, ended about twice in three seconds."""
    readings = open_recording(folder / "reconnection").gauges
    away = readings.loc[readings["gauge"] == "generator.reconnection_ms", "value"]
    assert len(away) >= 50
    assert (away > 0).all()
    assert value(found, "reconnection_p50") <= value(found, "reconnection_p95") <= value(found, "reconnection_max")


def test_out_of_memory_is_an_error_with_its_class_and_is_counted(system: System, tmp_path: Path) -> None:
    values = short("redis").model_dump()
    values["operations"] = [
        {
            "name": "SET",
            "weight": 100,
            "command": ["SET", "capacity:big:{number}", "{value}"],
            "parameters": {"number": {"kind": "sequence"}, "value": {"kind": "text", "length": 100_000}},
        }
    ]
    workload, url = parse_workload(values), system.redis_url
    with redis.Redis.from_url(system.redis_url) as client:
        limit = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 20_000_000)
        try:
            measure(Measurement(workload, "smoke"), url, [gauges_of(redis=url)], tmp_path / "full")
        finally:
            client.config_set("maxmemory", limit)
            client.unlink(*client.scan_iter("capacity:big:*"))
    samples = open_recording(tmp_path / "full").samples
    refused = samples.loc[samples["outcome"] == "error", "error"]
    assert set(refused) == {"OOM"}
    found = {each.name: each for each in read_redis_findings(tmp_path / "full")}
    assert "command not allowed when used memory > 'maxmemory'" in found["redis.set.failures.oom"].note
    counts = {name: each.value for name, each in found.items()}
    assert counts["redis.out_of_memory"] == len(refused) > 100


def test_out_of_memory_errors_are_not_given_where_redis_counts_no_kinds_of_error_any_more(
    system: System, tmp_path: Path
) -> None:
    with redis.Redis.from_url(system.redis_url) as client:
        for number in range(300):
            with pytest.raises(redis.RedisError):
                client.eval(f"return redis.error_reply('KIND{number} of error')", 0)
        try:
            measure(
                Measurement(short("redis"), "smoke"),
                system.redis_url,
                [gauges_of(redis=system.redis_url)],
                tmp_path / "r",
            )
        finally:
            client.config_resetstat()
    found = {each.name: each for each in read_redis_findings(tmp_path / "r")}["redis.out_of_memory"]
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.note.startswith("not given: Redis met too many kinds of error")
    assert judge(replace(found, void=None), Objective(found.name, "==", 0)) is Verdict.NO_DATA


def test_what_a_server_does_not_tell_is_not_read_and_says_why(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        info = client.info("everything")
    read, facts = redis_reader(redis_url)
    assert facts["not_given"] == {}
    assert set(read()) == set(gauges_of_info(info)) == {*TOLD, OUT_OF_MEMORY, COUNTED}
    older = {name: value for name, value in info.items() if not name.startswith(("errorstat", "evicted"))}
    older["redis_version"] = "6.0.16"
    assert not_told(older) == {
        "redis.evictions": "the server's INFO has no evicted_keys",
        "redis.out_of_memory": "Redis 6.0.16 does not count errors by kind (6.2 does)",
    }
    assert "redis.evictions" not in gauges_of_info(older)
    for hidden in ("used_cpu_user_main_thread", "used_cpu_sys_main_thread"):
        del older[hidden]
    assert not_told(older)[MAIN_THREAD] == (
        "Redis 6.0.16 does not tell the CPU of its main thread (Redis 6.2 on Linux does)"
    )
    several = "runs commands on several threads, and tells the CPU of one"
    assert not_told(info | {"mvcc_depth": 0, "server_threads": 2}) == {MAIN_THREAD: f"KeyDB 8.2.3 {several}"}
    assert not_told(info | {"dragonfly_version": "df-v1.27.1"}) == {
        MAIN_THREAD: f"Dragonfly 1.27.1 {several}",
        OUT_OF_MEMORY: "Dragonfly does not count errors by kind as Redis does",
    }


def test_an_info_that_has_another_name_is_a_cause_and_no_server_that_is_down(tmp_path: Path) -> None:
    (tmp_path / "renamed.conf").write_text("rename-command INFO TELL\n", encoding="utf-8")
    with open_server_directory() as directory:
        read, facts = redis_reader(run_redis(directory, include=str(tmp_path / "renamed.conf")).url)
    assert read() == {}
    assert facts["not_given"]["redis"].startswith("INFO is refused: unknown command 'INFO'")


def test_connections_end_one_after_the_other_each_once_a_second() -> None:
    reads = short("redis_reconnection")
    ended = with_ends(reads, "smoke")
    assert [(each.name, each.weight) for each in ended.operations] == [("GET", 90), ("QUIT", pytest.approx(10))]
    assert with_ends(ended, "smoke") is ended
    slow = reads.model_copy(update={"connections": 4})
    assert with_ends(slow, "smoke").operations[-1].weight == pytest.approx(1)


def test_reconnections_that_never_came_have_the_cause_that_was_kept() -> None:
    again = open_recording(DATA / "recorded" / "redis" / "reconnection")
    others = again.gauges[again.gauges["gauge"] != AWAY]
    facts = again.facts.model_copy(update={"not_given": {AWAY: "NOPERM for CLIENT KILL"}})
    for found in reconnection_findings("r", again.samples, others, facts):
        assert (found.value, found.note) == (None, "NOPERM for CLIENT KILL")


def test_the_cache_is_filled_and_removed_and_nothing_else(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("mine", "stays")
        prepare_cache(redis_url, 10)
        assert client.strlen("capacity:item:10") == cache.VALUE_BYTES
        assert client.llen("capacity:list:1") == cache.LIST_LENGTH
        remove_cache(redis_url)
        assert list(client.scan_iter("capacity:*")) == []
        assert client.get("mine") == b"stays"


def test_keys_that_others_made_are_refused_and_not_touched(redis_url: str) -> None:
    remove_cache(redis_url)
    assert not remove_cache(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.set("capacity:plan:7", "somebody's")
        for refused in (lambda: prepare_cache(redis_url, 10), lambda: remove_cache(redis_url)):
            with pytest.raises(CapacityError) as error:
                refused()
            assert str(error.value) == (
                "Redis has keys below capacity: that capacity prepare did not make, as capacity:plan:7, and none of "
                "them is touched; name another database number in the address, or remove them yourself"
            )
        assert list(client.scan_iter("capacity:*")) == [b"capacity:plan:7"]
        client.delete("capacity:plan:7")


OWN = {
    "name": "redis",
    "target": "redis",
    "connections": 2,
    "operations": [{"name": "PING", "weight": 100, "command": ["PING"]}],
    "shapes": {"smoke": SHAPE},
}


@pytest.fixture(scope="module")
def of_ones_own(redis_url: str, write_workloads: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of a workload that uses no key, in a folder without another one."""
    into = tmp_path_factory.mktemp("own")
    remove_cache(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.set("capacity:theirs", "stays")
        measure_redis(System(redis_url=redis_url), write_workloads(into, parse_workload(OWN)), "smoke", into / "redis")
        assert list(client.scan_iter("capacity:*")) == [b"capacity:theirs"]
        client.delete("capacity:theirs")
    return into / "redis"


def test_a_workload_of_ones_own_needs_no_keys_and_no_reads_during_reconnections(of_ones_own: Path) -> None:
    found = {each.name: each.value for each in read_redis_findings(of_ones_own)}
    assert found["redis.success_rate"] == 100
    assert not [name for name in found if "reconnection" in name]


@pytest.mark.thorough
def test_the_notebook_runs_through_without_reconnections(of_ones_own: Path, tmp_path: Path) -> None:
    notebook = Path(__file__).parents[2] / "notebooks" / "20_redis.ipynb"
    given = {"recording": str(of_ones_own)}
    papermill.execute_notebook(notebook, tmp_path / "out.ipynb", given, cwd=notebook.parent, progress_bar=False)


def test_a_redis_that_is_down_is_one_sentence() -> None:
    with pytest.raises(CapacityError, match=r"^Redis does not answer: .*; start it, or correct its address$"):
        prepare_cache("redis://127.0.0.1:1/0", 10)
