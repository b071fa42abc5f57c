"""What is forked from a process with all imports done is a process of a measurement like any other."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from capacity.errors import CapacityError
from capacity.load.fork_server import ForkServer
from capacity.probes.measurement import GENERATOR, Measurement, measure
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.workload import parse_workload

NETWORK = "capacity.system.network"  # a small program that says where it listens
WORKLOAD = parse_workload(
    {
        "name": "ping",
        "target": "redis",
        "connections": 2,
        "operations": [{"name": "PING", "weight": 100, "command": ["PING"]}],
        "shapes": {"test": {"kind": "rate", "stages": [{"name": "all", "seconds": 0.5, "to": 200}]}},
    }
)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    opened = ForkServer(GENERATOR, NETWORK)
    yield opened
    opened.close()


def test_a_measurement_by_forked_processes_is_like_any_other(
    server: ForkServer, system: System, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        measure(Measurement(WORKLOAD, "test", 2), system.redis_url, [], tmp_path / name, start=server.start)
    first, second = (open_recording(tmp_path / name).samples for name in ("first", "second"))
    assert set(first["outcome"]) == {"ok"}
    assert set(first["worker"]) == {0, 1}
    assert first["scheduled_ns"].tolist() == second["scheduled_ns"].tolist()


def test_a_forked_process_ends_when_its_stdin_does_and_leaves_nothing(server: ForkServer) -> None:
    child = server.start(NETWORK, {"host": "127.0.0.1", "port": 9}, {})
    assert child.wait_ready()
    parent = next(each for each in psutil.Process().children() if NETWORK in each.cmdline())
    assert len(parent.children()) == 1
    child.close()
    _, alive = psutil.wait_procs(parent.children(), timeout=10)
    assert not alive


def test_what_it_is_told_in_secret_stands_in_its_environment_alone(server: ForkServer, tmp_path: Path) -> None:
    task = {"workload": WORKLOAD.model_dump(), "profile": "test", "index": 0, "shards": 1, "folder": str(tmp_path)}
    child = server.start(GENERATOR, task, {"CAPACITY_LOAD_URL": "redis://127.0.0.1:1/0"})
    said = child.wait_ready()
    assert (said["connections"], list(said["refused"])) == (0, ["Connection refused"])
    assert "CAPACITY_LOAD_URL" not in os.environ
    child.close()


def test_a_failure_is_told_as_the_last_words_of_the_process(server: ForkServer) -> None:
    child = server.start(GENERATOR, {"workload": {}}, {})
    with pytest.raises(CapacityError, match="workload: name: the key is missing"):
        child.wait_ready()
    child.close()
    broken = server.start(GENERATOR, {}, {})
    with pytest.raises(CapacityError, match="the generator process ended early: KeyError: 'workload'"):
        broken.wait_ready()
    broken.close()


def test_threads_that_ask_at_once_each_get_a_process_of_their_own(server: ForkServer) -> None:
    with ThreadPoolExecutor(8) as threads:
        children = list(threads.map(lambda _: server.start(NETWORK, {"host": "127.0.0.1", "port": 9}, {}), range(24)))
    assert len({child.wait_ready()["port"] for child in children}) == len(children)
    for child in children:
        child.close()


def test_one_that_has_been_closed_says_so() -> None:
    gone = ForkServer(NETWORK)
    gone.close()
    with pytest.raises(CapacityError) as refused:
        gone.start(NETWORK, {}, {})
    assert str(refused.value) == "the process that starts others has ended; run this again"
