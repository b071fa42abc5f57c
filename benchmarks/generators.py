"""Operations per second of this generator, writing every raw sample, beside pgbench and redis-benchmark."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from capacity.probes.measurement import Measurement, gauges_of, measure
from capacity.recording import open_recording
from capacity.system.application.cache import prepare_cache
from capacity.workload import parse_workload

SECONDS = 2.0
GAUGES = {"postgres": "postgres", "redis": "redis", "http": "gateway"}  # what watches the server
REPEATS = 11
SCALE = 10  # of pgbench's tables: 1,000,000 accounts
ITEMS = 50_000
SELECT = {
    "name": "SELECT",
    "weight": 100,
    "parameters": {"account": {"kind": "uniform", "low": 1, "high": 100_000 * SCALE}},
    "statements": [{"sql": "SELECT abalance FROM pgbench_accounts WHERE aid = $1::int", "parameters": ["account"]}],
}
GET = {
    "name": "GET",
    "weight": 100,
    "command": ["GET", "capacity:item:{item}"],
    "parameters": {"item": {"kind": "uniform", "low": 1, "high": ITEMS}},
}
SET = {
    "name": "SET",
    "weight": 100,
    "command": ["SET", "capacity:item:{item}", "{value}"],
    "parameters": {"item": {"kind": "uniform", "low": 1, "high": ITEMS}, "value": {"kind": "text", "length": 3}},
}


def fill_pgbench(pgbench: str, url: str) -> None:
    """Make pgbench's tables."""
    subprocess.run([pgbench, "-i", "-q", "-s", str(SCALE), url], check=True, capture_output=True)


def compared_with_pgbench(pgbench: str, url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """Select-only with prepared statements: one row for each number of connections."""
    for connections in (1, 16, 100):
        command = [
            pgbench,
            "-n",
            "-S",
            "-M",
            "prepared",
            "-j",
            "1",
            "-c",
            str(connections),
            "-T",
            f"{SECONDS:.0f}",
            url,
        ]
        yield compared(
            f"SELECT, prepared, {connections} connections",
            "pgbench",
            lambda place, n=connections: own_rate("postgres", SELECT, n, url, place),
            lambda command=command: _pgbench_rate(command),
            scratch / f"select-{connections}",
        )


def compared_with_redis_benchmark(program: str, url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """GET and SET: one row for each number of connections."""
    prepare_cache(url, ITEMS)
    port = str(urlsplit(url).port)
    for operation in (GET, SET):
        words = [*operation["command"][:1], "capacity:item:__rand_int__", *(["xxx"] if operation is SET else [])]
        for connections in (16, 50):
            command = [program, "-p", port, "-c", str(connections), "-n", "200000", "-r", str(ITEMS), "--csv", *words]
            yield compared(
                f"{operation['name']}, {connections} connections",
                "redis-benchmark",
                lambda place, each=operation, n=connections: own_rate("redis", each, n, url, place),
                lambda command=command: _redis_benchmark_rate(command),
                scratch / f"{operation['name']}-{connections}",
            )


def compared(
    what: str, other: str, own: Callable[[Path], float], others: Callable[[], float], scratch: Path
) -> dict[str, Any]:
    """Repeated, each first in every other pair, one row: the ratio is the median of the ratios of the pairs."""
    pairs = []
    for number in range(REPEATS):
        theirs = others() if number % 2 else None
        ours = own(scratch / str(number))
        pairs.append((ours, others() if theirs is None else theirs))
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    return {
        "what": what,
        "beside": other,
        "own_per_s": median(ours for ours, _ in pairs),
        "other_per_s": median(theirs for _, theirs in pairs),
        "ratio": median(ratios),
        "lowest": ratios[0],
        "highest": ratios[-1],
    }


def own_rate(target: str, operation: dict[str, Any], connections: int, url: str, place: Path) -> float:
    """Operations per second of this generator in a closed loop, all samples written."""
    stages = [{"name": "warm up", "seconds": 0.5, "to": connections, "ramp": True}]
    stages.append({"name": "sustain", "seconds": SECONDS, "to": connections})
    values = {"name": "bench", "target": target, "connections": connections, "operations": [operation]}
    workload = parse_workload({**values, "shapes": {"bench": {"kind": "users", "stages": stages}}})
    measure(Measurement(workload, "bench"), url, [gauges_of(**{GAUGES[target]: url})], place)
    samples = open_recording(place).samples
    finished = samples.loc[samples["outcome"] == "ok", "finished_ns"]
    return float(finished.between(0.5e9, (0.5 + SECONDS) * 1e9).sum()) / SECONDS


def _pgbench_rate(command: list[str]) -> float:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(re.findall(r"tps = ([\d.]+)", said)[0])


def _redis_benchmark_rate(command: list[str]) -> float:
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(said.strip().splitlines()[-1].split('","')[1].strip('"'))
