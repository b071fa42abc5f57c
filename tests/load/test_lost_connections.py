"""A server that ends connections under the load costs what is under way on them, and the load goes on."""

import threading
import time
from pathlib import Path

import psycopg

from capacity.probes.measurement import Measurement, measure
from capacity.recording import open_recording
from capacity.workload import parse_workload

CONNECTIONS = 4
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'load'"


def test_connections_that_postgres_ends_are_opened_again(postgres_url: str, tmp_path: Path) -> None:
    operation = {"name": "one", "weight": 100, "statements": [{"sql": "SELECT 1"}]}
    shape = {"kind": "rate", "stages": [{"name": "sustain", "seconds": 2.0, "to": 300}]}
    values = {"name": "w", "target": "postgres", "connections": CONNECTIONS, "operations": [operation]}
    workload = parse_workload({**values, "shapes": {"test": shape}})
    ended: list[int] = []

    def end_twice() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for _ in range(2):
                time.sleep(0.5)
                ended.append(len(connection.execute(END).fetchall()))

    thread = threading.Timer(0.2, end_twice)

    def begin(done_s: float) -> None:
        if not thread.is_alive() and not ended:
            thread.start()

    url = f"{postgres_url}?application_name=load"
    measure(Measurement(workload, "test"), url, [], tmp_path / "r", under_way=begin)
    thread.join()
    samples = open_recording(tmp_path / "r").samples
    assert ended == [CONNECTIONS, CONNECTIONS]
    assert (samples["outcome"] != "ok").sum() <= 2 * CONNECTIONS
    assert samples["scheduled_ns"].max() > 1.9e9
    assert samples.loc[samples["scheduled_ns"] > 1.8e9, "outcome"].eq("ok").all()
