"""A reply of Redis is an outcome, and a failure has Redis's own code for it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import redis

from capacity.load.arguments import Draw
from capacity.load.connection import ConnectionLostError
from capacity.load.redis import NOT_REDIS, RedisConnection, packed_commands
from capacity.probes.measurement import Measurement, measure
from capacity.recording import open_recording
from capacity.workload import Workload, parse_workload

SEQUENCE = {"number": {"kind": "sequence"}}


@pytest.fixture(scope="module", autouse=True)
def errors_are_counted_by_kind_again(redis_url: str) -> Iterator[None]:
    """Redis forgets its counts by kind of error after too many kinds, and other tests share this server."""
    yield
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()


def workload(*command: str) -> Workload:
    operation = {"name": "a", "weight": 100, "command": command, "parameters": SEQUENCE}
    shape = {"kind": "rate", "arrivals": "uniform", "stages": [{"name": "all", "seconds": 0.5, "to": 1000}]}
    values = {"name": "w", "target": "redis", "connections": 2, "operations": [operation]}
    return parse_workload({**values, "shapes": {"test": shape}})


def failed(url: str, folder: Path, script: str) -> pd.DataFrame:
    made = workload("EVAL", script, "0", "{number}")
    return open_recording(measure(Measurement(made, "test"), url, [], folder)).samples


def test_the_text_of_a_failure_makes_no_class(redis_url: str, tmp_path: Path) -> None:
    samples = failed(redis_url, tmp_path / "r", "return redis.error_reply('BUSY job ' .. ARGV[1])")
    assert len(samples) == pytest.approx(500, abs=1)
    assert set(samples["error"]) == {"BUSY"}


def test_a_failure_that_begins_with_no_code_is_one_class(redis_url: str, tmp_path: Path) -> None:
    samples = failed(redis_url, tmp_path / "r", "return redis.error_reply('job-' .. ARGV[1] .. ' is missing')")
    assert len(samples) == pytest.approx(500, abs=1)
    assert set(samples["error"]) == {"ERR"}


def test_what_is_not_redis_is_said_so_and_refused() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            with listener.accept()[0] as client:
                client.recv(65536)
                client.sendall(b"220 mail.example ESMTP\r\n")
                client.recv(65536)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        commands = [packed_commands(workload("GET", "{number}").operations[0], Draw(1))]
        with pytest.raises(ConnectionLostError, match=f"^{NOT_REDIS}$"):
            RedisConnection(url, commands, lambda name: 1, 2.0).open()


def test_a_connection_is_ended_after_quit_and_nothing_of_it_fails(redis_url: str, tmp_path: Path) -> None:
    """Two connections, so that the next command of the load is due while one is away."""
    operations = [{"name": name, "weight": 50, "command": [name]} for name in ("PING", "QUIT")]
    made = parse_workload(workload("PING", "{number}").model_dump() | {"operations": operations})
    recording = open_recording(measure(Measurement(made, "test"), redis_url, [], tmp_path / "r"))
    assert set(recording.samples["outcome"]) == {"ok"}
    ended = int((recording.samples["operation"] == "QUIT").sum())
    back = int((recording.gauges["gauge"] == "generator.reconnection_ms").sum())
    assert 100 < ended - 2 <= back <= ended
