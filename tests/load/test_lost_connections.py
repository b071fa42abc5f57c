"""A server that ends connections costs what is under way on them, and what is given up does not pile up there."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis
from psycopg.conninfo import make_conninfo

from capacity.clock import wait_until
from capacity.load.child import Child
from capacity.load.fork_server import ForkServer
from capacity.load.generator import URL as LOAD_URL
from capacity.load.redis import CLIENT_NAME
from capacity.probes.measurement import GENERATOR, Measurement, measure
from capacity.recording import Recording, open_recording
from capacity.system.embedded import run_redis
from capacity.system.server_directory import open_server_directory
from capacity.workload import Workload, parse_workload

CONNECTIONS = 4
OURS = "FROM pg_stat_activity WHERE application_name = 'load'"
END = f"SELECT pg_terminate_backend(pid) {OURS}"
IDLE = f"{END} AND state = 'idle'"
ONE = [{"sql": "SELECT 1"}]
TWO = [{"sql": "SELECT 1"}, {"sql": "SELECT 2"}]
THOROUGH = pytest.mark.thorough
SINGLE = pytest.param(ONE, marks=THOROUGH)
SLEEP = [{"sql": "SELECT 1"}, {"sql": "SELECT pg_sleep(60)"}]
Measured = Callable[..., Recording]
StartPooler = Callable[..., AbstractContextManager[str]]


def workload(statements: Sequence[dict[str, str]], seconds: float = 2.0, to: float = 300, **more: Any) -> Workload:
    operation = {"name": "one", "weight": 100, "statements": statements}
    shape = {"kind": "rate", "arrivals": "uniform", "stages": [{"name": "sustain", "seconds": seconds, "to": to}]}
    values = {"name": "w", "target": "postgres", "connections": CONNECTIONS, "operations": [operation], **more}
    return parse_workload({**values, "shapes": {"test": shape}})


def load_url(url: str, **more: str) -> str:
    return make_conninfo(url, application_name="load", **more)


class Looks:
    """What a session of the administrator does again and again in a thread, and the most that it gave."""

    def __init__(self, url: str, sql: str, every_s: float) -> None:
        self.results: list[int] = []
        self._url, self._sql, self._every_s = url, sql, every_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Looks":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._end.wait(self._every_s):
                rows = connection.execute(self._sql).fetchall()
                self.results.append(int(rows[0][0]) if "count(" in self._sql else len(rows))


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    """Measures without processes that import all anew."""
    server = ForkServer(GENERATOR)

    def run(
        made: Workload, url: str, folder: Path, prepared: bool = True, under_way: Callable[..., Any] = bool
    ) -> Recording:
        measurement = Measurement(made, "test", prepared=prepared, to_its_end=True)
        return open_recording(measure(measurement, url, [], folder, under_way=under_way, start=server.start))

    yield run
    server.close()


def reconnections(recording: Recording) -> int:
    return int((recording.gauges["gauge"] == "generator.reconnection_ms").sum())


def cpu_share(recording: Recording) -> float:
    gauges = recording.gauges
    return float(gauges.loc[gauges["gauge"] == "generator.cpu_share", "value"].mean())


def count(url: str, sql: str = f"SELECT count(*) {OURS}") -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
    return -1 if row is None else int(row[0])


@pytest.mark.parametrize("statements", [SINGLE, TWO], ids=["single", "pipelined"])
def test_connections_that_postgres_ends_are_opened_again(
    measured: Measured, postgres_url: str, tmp_path: Path, statements: list[dict[str, str]]
) -> None:
    with Looks(postgres_url, END, 0.9) as ended:
        samples = measured(workload(statements), load_url(postgres_url), tmp_path / "r").samples
    assert ended.results.count(CONNECTIONS) >= 2
    assert (samples["outcome"] != "ok").sum() <= len(ended.results) * CONNECTIONS
    assert len(samples) == 600
    assert set(samples.loc[samples["outcome"] != "ok", "error"]) <= {"AdminShutdown (57P01)"}


@pytest.mark.parametrize("prepared", [True, pytest.param(False, marks=THOROUGH)])
@pytest.mark.parametrize("statements", [SINGLE, TWO], ids=["single", "pipelined"])
def test_idle_connections_that_postgres_ends_cost_no_operation(
    measured: Measured, postgres_url: str, tmp_path: Path, statements: list[dict[str, str]], prepared: bool
) -> None:
    """By its own time limit for idle sessions, which some of them reach and others not."""
    url = load_url(postgres_url, options="-c idle_session_timeout=150")
    recording = measured(workload(statements, 1.5, 20), url, tmp_path / "r", prepared=prepared)
    assert set(recording.samples["outcome"]) == {"ok"}
    assert len(recording.samples) == 30
    assert reconnections(recording) >= CONNECTIONS
    assert cpu_share(recording) < 0.5


@THOROUGH
def test_a_statement_that_meets_the_end_of_an_idle_session_goes_over_another_connection(
    measured: Measured, postgres_url: str, tmp_path: Path
) -> None:
    """Each connection is used again just when its time limit is over, so that both meet again and again."""
    url = load_url(postgres_url, options="-c idle_session_timeout=20")
    recording = measured(workload(TWO, 2.0, 50 * CONNECTIONS), url, tmp_path / "r")
    assert set(recording.samples["outcome"]) == {"ok"}
    assert len(recording.samples) == 400
    assert reconnections(recording) > CONNECTIONS


@pytest.mark.parametrize("statements", [pytest.param(SLEEP[1:], marks=THOROUGH), SLEEP], ids=["single", "pipelined"])
def test_statements_that_are_given_up_never_pile_up_at_the_server(
    measured: Measured, postgres_url: str, tmp_path: Path, statements: list[dict[str, str]]
) -> None:
    with Looks(postgres_url, f"SELECT count(*) {OURS}", 0.005) as looks:
        samples = measured(workload(statements, 1.5, 60, timeout_ms=50), load_url(postgres_url), tmp_path / "r").samples
        assert wait_until(lambda: looks.results[-1] == 0, 10)
    assert len(looks.results) > 50
    assert max(looks.results) == CONNECTIONS
    assert set(samples["outcome"]) <= {"timeout", "dropped"}
    assert (samples["outcome"] == "timeout").sum() > 3 * CONNECTIONS


@THOROUGH
def test_a_cancel_ends_what_was_given_up_and_nothing_else(
    measured: Measured, postgres_url: str, tmp_path: Path
) -> None:
    """Every tenth statement takes about the time limit, the others no time: none of these is cancelled."""
    slow = {"name": "slow", "weight": 10, "statements": [{"sql": "SELECT pg_sleep(0.065)"}]}
    quick = {"name": "quick", "weight": 90, "statements": ONE}
    made = workload(ONE, 2.0, 400, timeout_ms=50).model_dump() | {"operations": [slow, quick]}
    recording = measured(parse_workload(made), load_url(postgres_url), tmp_path / "r")
    samples = recording.samples
    assert set(samples.loc[samples["operation"] == "quick", "outcome"]) <= {"ok", "dropped"}
    assert (samples["outcome"] == "timeout").sum() > 5
    assert "error" not in set(samples["outcome"])


@THOROUGH
def test_through_a_pooler_given_up_statements_are_cancelled_at_the_server(
    measured: Measured, postgres_url: str, start_pooler: StartPooler, tmp_path: Path
) -> None:
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
    with (
        start_pooler(postgres_url, mode="transaction", size=CONNECTIONS) as url,
        Looks(postgres_url, f"{running} AND state = 'active'", 0.005) as looks,
    ):
        made = workload(SLEEP, 1.5, 60, timeout_ms=50)
        samples = measured(made, url, tmp_path / "r", prepared=False).samples
        assert wait_until(lambda: looks.results[-1] == 0, 10)
    assert max(looks.results) <= CONNECTIONS
    assert set(samples["outcome"]) <= {"timeout", "dropped"}
    assert (samples["outcome"] == "timeout").sum() > 3 * CONNECTIONS


@THOROUGH
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_runs_on_at_the_server_when_the_generator_is_ended(
    postgres_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    """By the end of its stdin, as at Ctrl-C and when its parent is killed, it cancels; killed itself, it cannot."""
    made = workload(SLEEP, 30.0, 60)
    task = Measurement(made, "test").task | {"folder": str(tmp_path), "index": 0}
    generator = Child(GENERATOR, task, {LOAD_URL: load_url(postgres_url)})
    process = psutil.Process(generator._process.pid)
    generator.wait_ready()
    generator.tell(time.monotonic_ns())
    active = f"SELECT count(*) {OURS} AND state = 'active'"
    assert wait_until(lambda: count(postgres_url, active) == CONNECTIONS, 10)
    if how is signal.SIGKILL:
        process.kill()
    generator.close()
    assert wait_until(lambda: count(postgres_url) == 0, 10)


def test_a_server_that_is_away_is_asked_now_and_then_and_found_again(measured: Measured, tmp_path: Path) -> None:
    """20 connections to a Redis that is killed; each attempt that fails is counted, and what waited says why."""
    commands = {"name": "get", "weight": 100, "command": ["GET", "a"]}
    values = workload(ONE, 2.0, 200, timeout_ms=300).model_dump()
    made = parse_workload(values | {"target": "redis", "connections": 20, "operations": [commands]})

    def restart() -> None:
        server.end(signal.SIGKILL)
        time.sleep(1)
        server.start_again()

    with open_server_directory() as directory:
        server = run_redis(directory)
        timer = threading.Timer(0.4, restart)

        def begin(done_s: float) -> None:
            if not timer.is_alive() and not timer.finished.is_set():
                timer.start()

        recording = measured(made, server.url, tmp_path / "r", under_way=begin)
        timer.join()
    samples, gauges = recording.samples, recording.gauges
    dropped = samples.loc[samples["outcome"] == "dropped", "error"].value_counts()
    assert dropped["no connection: Connection refused"] > 0.8 * dropped.sum() > 20
    assert samples.loc[samples["scheduled_ns"] > 1.9e9, "outcome"].eq("ok").all()
    assert reconnections(recording) == 20
    assert 3 <= (gauges["gauge"] == "generator.refused").sum() <= 40
    assert cpu_share(recording) < 0.5


def test_a_blocking_command_that_is_given_up_leaves_no_client_behind(
    measured: Measured, redis_url: str, tmp_path: Path
) -> None:
    blocks = {"name": "pop", "weight": 100, "command": ["BLPOP", "nobody:adds", "0"]}
    values = workload(ONE, 1.5, 60, timeout_ms=50).model_dump()
    made = parse_workload(values | {"target": "redis", "operations": [blocks]})
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        with redis.Redis.from_url(redis_url) as client:
            while not ended.wait(0.005):
                seen.append(sum(each["name"] == CLIENT_NAME for each in client.client_list()))

    thread = threading.Thread(target=look)
    thread.start()
    samples = measured(made, redis_url, tmp_path / "r").samples
    assert wait_until(lambda: seen[-1] == 0, 10)
    ended.set()
    thread.join()
    assert max(seen) == CONNECTIONS
    assert (samples["outcome"] == "timeout").sum() > 3 * CONNECTIONS


@THOROUGH
def test_idle_clients_that_redis_ends_cost_no_command(measured: Measured, redis_url: str, tmp_path: Path) -> None:
    """A few commands, while an administrator ends all clients again and again."""
    counts = {"name": "incr", "weight": 100, "command": ["INCR", "capacity-test:counted"]}
    values = workload(ONE, 1.5, 20).model_dump()
    made = parse_workload(values | {"target": "redis", "operations": [counts]})
    ended = threading.Event()

    def end_all() -> None:
        with redis.Redis.from_url(redis_url) as client:
            while not ended.wait(0.11):
                for each in client.client_list():
                    if each["name"] == CLIENT_NAME:
                        client.client_kill_filter(_id=each["id"])

    thread = threading.Thread(target=end_all)
    thread.start()
    recording = measured(made, redis_url, tmp_path / "r")
    ended.set()
    thread.join()
    with redis.Redis.from_url(redis_url) as client:
        assert int(client.getdel("capacity-test:counted")) == len(recording.samples) == 30
    assert set(recording.samples["outcome"]) == {"ok"}
    assert reconnections(recording) > 2 * CONNECTIONS
