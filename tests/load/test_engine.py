"""The engine counts from the schedule, accounts for everything planned, and sees a stall at its full size."""

import multiprocessing
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.load.arguments import Draw
from capacity.load.arrivals import arrivals_of
from capacity.load.engine import Engine
from capacity.load.redis import RedisConnection, packed_commands
from capacity.load.schedule import Schedule
from capacity.recording import create_recording, finish_recording, open_recording
from capacity.samples import check_samples
from capacity.streams import GaugeWriter, SampleWriter
from capacity.workload import parse_workload

STAGES = [{"name": "sustain", "seconds": 1.0, "to": 500}]


def drive(
    url: str,
    path: Path,
    shape: dict[str, Any],
    connections: int = 8,
    timeout_ms: float = 5000,
    *,
    kind: type[RedisConnection] = RedisConnection,
) -> pd.DataFrame:
    values = {
        "name": "w",
        "target": "redis",
        "connections": connections,
        "timeout_ms": timeout_ms,
        "operations": [
            {
                "name": "SET",
                "weight": 40,
                "command": ["SET", "text", "{value}"],
                "parameters": {"value": {"kind": "text", "length": 20}},
            },
            {
                "name": "GET",
                "weight": 50,
                "command": ["GET", "{key}"],
                "parameters": {"key": {"kind": "zipf", "count": 100}},
            },
            {"name": "LPUSH", "weight": 10, "command": ["LPUSH", "text", "x"]},
        ],
        "shapes": {"smoke": shape},
    }
    workload = parse_workload(values)
    create_recording(path, {"operations": [operation.name for operation in workload.operations]})
    samples, gauges = SampleWriter(path, 0), GaugeWriter(path, "generator")
    commands = [packed_commands(each, Draw(workload.seed)) for each in workload.operations]
    pool = [kind(url, commands, samples.error_code, 2.0) for _ in range(connections)]
    schedule = Schedule(workload, workload.shape("smoke"))
    engine = Engine(arrivals_of(schedule), pool, samples, gauges, workload.timeout_ms / 1000)
    assert engine.connect() == connections
    engine.run(time.monotonic_ns())
    samples.close()
    gauges.close()
    finish_recording(path, {})
    return check_samples(open_recording(path).samples)


@contextmanager
def stalling_server(begin: float, stall: float) -> Iterator[tuple[str, Connection]]:
    """Answers every command at once, but for one stall that begins `begin` seconds after the first command.

    A process of its own, so that it shares no interpreter with the engine that is tested. Gives its address, and the
    end of a pipe from which to read how long it stalled.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listener, begin, stall, theirs))
    process.start()
    theirs.close()
    try:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}", ours
    finally:
        process.terminate()
        process.join()
        listener.close()


def serve(listener: socket.socket, begin: float, stall: float, report: Connection) -> None:
    """It stalls until those who waited have their answers: on a busy machine that is later than the sleep's end."""
    clients: list[socket.socket] = []
    first = begun = stalled = 0.0
    while True:
        for ready in select.select([listener, *clients], [], [])[0]:
            if ready is listener:
                clients.append(listener.accept()[0])
                continue
            first = first or time.monotonic()
            if not begun and time.monotonic() >= first + begin:
                begun = time.monotonic()
                time.sleep(stall)
                break
            if ready.recv(65536):
                ready.sendall(b"+OK\r\n")
            else:
                clients.remove(ready)
                ready.close()
        else:
            if begun and not stalled:
                stalled = time.monotonic() - begun
                report.send(stalled)


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_an_open_loop_sends_everything_that_was_planned(redis_url: str, tmp_path: Path, arrivals: str) -> None:
    samples = drive(redis_url, tmp_path / "r", {"kind": "rate", "stages": STAGES, "arrivals": arrivals})
    assert len(samples) == pytest.approx(500, abs=1 if arrivals == "uniform" else 120)
    assert samples["seq"].tolist() == list(range(len(samples)))
    assert set(samples["outcome"]) <= {"ok", "error"}


def test_a_wrong_command_is_an_error_with_its_class(redis_url: str, tmp_path: Path) -> None:
    samples = drive(redis_url, tmp_path / "r", {"kind": "rate", "stages": STAGES})
    failed = samples[samples["outcome"] == "error"]
    assert set(failed["operation"]) == {"LPUSH"}
    assert set(failed["error"]) == {"WRONGTYPE"}


def test_users_never_have_more_operations_under_way_than_there_are_users(redis_url: str, tmp_path: Path) -> None:
    shape = {"kind": "users", "stages": [{"name": "sustain", "seconds": 0.5, "to": 3}], "think_ms": 1}
    samples = drive(redis_url, tmp_path / "r", shape)
    times = np.concatenate([samples["scheduled_ns"], samples["finished_ns"] - 1])
    changes = np.concatenate([np.ones(len(samples)), -np.ones(len(samples))])
    assert np.cumsum(changes[np.lexsort((changes, times))]).max() <= 3
    assert len(samples) > 100


@pytest.mark.parametrize("connections", [8, 2])
def test_users_who_do_not_think_send_again_at_once(redis_url: str, tmp_path: Path, connections: int) -> None:
    stages = [{"name": f"{users}", "seconds": 0.3, "to": users} for users in (3, 5, 2)]
    samples = drive(redis_url, tmp_path / "r", {"kind": "users", "stages": stages}, connections)
    scheduled, finished = samples["scheduled_ns"].to_numpy(), samples["finished_ns"].to_numpy()
    assert sorted(samples["seq"]) == list(range(len(samples)))
    assert samples["step"].tolist() == np.searchsorted([300e6, 600e6], scheduled, side="right").tolist()
    came = np.sort(scheduled[~np.isin(scheduled, finished)])
    assert came.tolist() == [0] * 3 + [300_000_000] * 2
    under_way = np.searchsorted(np.sort(scheduled), scheduled, "right") - np.searchsorted(
        np.sort(finished), scheduled, "right"
    )
    steady = samples["scheduled_ns"].mod(300_000_000) > 150e6  # those who have to go have gone
    assert under_way.max() <= 5
    assert pd.Series(under_way)[steady].groupby(samples["step"]).max().tolist() == [3, 5, 2]


def test_time_outs_and_drops_are_accounted_for(tmp_path: Path) -> None:
    shape = {"kind": "rate", "stages": [{"name": "sustain", "seconds": 2.0, "to": 200}], "arrivals": "uniform"}
    with stalling_server(begin=0.3, stall=1.5) as (url, _):
        samples = drive(url, tmp_path / "r", shape, connections=4, timeout_ms=300)
    counts = samples["outcome"].value_counts()
    assert counts.sum() == 400
    assert counts["timeout"] >= 4
    assert counts["dropped"] > 0


TRIES = 4


class Away(RedisConnection):
    """Does nothing for 0.2 s, once: its process has paused."""

    answers = 0

    def receive(self) -> int:
        Away.answers += 1
        if Away.answers == 20:
            time.sleep(0.2)
        return super().receive()


def most(path: Path, gauge: str) -> float:
    gauges = open_recording(path).gauges
    return float(gauges.loc[gauges["gauge"] == f"generator.{gauge}", "value"].max())


def test_a_pool_that_a_pause_of_the_generator_exhausted_is_told_from_one_that_the_server_did(
    redis_url: str, tmp_path: Path
) -> None:
    shape = {"kind": "rate", "stages": [{"name": "sustain", "seconds": 1.0, "to": 100}], "arrivals": "uniform"}
    drive(redis_url, tmp_path / "paused", shape, connections=2, kind=Away)
    assert most(tmp_path / "paused", "exhaustions_after_pause") >= 1
    for number in range(TRIES):  # a busy machine may pause the engine just then
        path = tmp_path / f"stalled-{number}"
        with stalling_server(begin=0.3, stall=0.4) as (url, _):
            drive(url, path, shape, connections=2)
        if most(path, "exhaustions") > most(path, "exhaustions_after_pause"):
            return
    pytest.fail("each exhaustion by the server was taken for the generator's own")


STALLS = [0.4, 0.5, 0.6, 0.7, 0.8]
LOADS = [(2.0, 200), (2.0, 500), (3.0, 200), (3.0, 400)]


def stalled_load(
    folder: Path, stall: float, seconds: float, rate: int, connections: int = 16
) -> tuple[pd.DataFrame, float]:
    """The samples of a load over a stall, and how long that was."""
    shape = {"kind": "rate", "stages": [{"name": "sustain", "seconds": seconds, "to": rate}], "arrivals": "uniform"}
    with stalling_server(begin=0.5, stall=stall) as (url, report):
        samples = drive(url, folder / "r", shape, connections)
        assert report.poll(10)
        return samples, report.recv()


def p99_s(samples: pd.DataFrame, since: str) -> float:
    passed_s = (samples["finished_ns"] - samples[since]) / 1e9
    return float(np.quantile(passed_s, 0.99, method="inverted_cdf"))


def test_a_stall_is_seen_by_those_who_waited_for_a_connection_too(tmp_path: Path) -> None:
    samples, stalled = stalled_load(tmp_path, 0.4, 2.0, 400, connections=2)
    assert p99_s(samples, "sent_ns") < 0.1
    assert 0.9 * (stalled - 0.02) < p99_s(samples, "scheduled_ns") < 1.1 * stalled


@pytest.mark.thorough  # to 2 %, which other tests beside it would take from the engine
@pytest.mark.parametrize("stall", STALLS)
@pytest.mark.parametrize(("seconds", "rate"), LOADS)
def test_a_stall_is_seen_at_its_full_size(tmp_path: Path, stall: float, seconds: float, rate: int) -> None:
    samples, stalled = stalled_load(tmp_path, stall, seconds, rate)
    assert p99_s(samples, "scheduled_ns") == pytest.approx(stalled - 0.01 * seconds, rel=0.02)
