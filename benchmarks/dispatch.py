"""How late operations are sent at a fixed rate on an idle machine, beside pgbench -R and an asyncio loop."""

import asyncio
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.generators import GET, ITEMS
from capacity.load.schedule import Schedule
from capacity.probes.measurement import Measurement, measure
from capacity.recording import open_recording
from capacity.samples import dispatch_delay_ns, response_ns, service_ns
from capacity.system.addresses import System
from capacity.system.application.cache import prepare_cache
from capacity.system.application.database import DATASETS, prepare_database
from capacity.workload import Workload, parse_workload, read_workload

SECONDS = 5.0
CONNECTIONS = 32
PGBENCH_LAG = re.compile(r"rate limit schedule lag: avg ([\d.]+) \(max ([\d.]+)\) ms")
AGREEMENT_RATE = 500
AGREEMENT_CONNECTIONS = 1  # with more, the tools differ in which they take, and so in how warm its server process is
AGREEMENT_SECONDS = 2.0
AGREEMENT_REPEATS = 15
OWNERS = 1000
WORKLOADS = Path(__file__).parents[1] / "data" / "workloads"


def dispatch_delays(pgbench: str | None, postgres_url: str, redis_url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """One row a rate and tool: mean, p99 and longest delay in ms. pgbench tells no percentile of its lag."""
    prepare_cache(redis_url, ITEMS)
    for rate in (1_000, 10_000):
        workload = _workload("redis", GET, rate)
        folder = measure(Measurement(workload, "bench"), redis_url, redis_url, scratch / f"rate-{rate}")
        yield _delays(rate, "capacity", dispatch_delay_ns(open_recording(folder).samples).to_numpy() / 1e6)
        due_ns = [due for _, due, _, _ in Schedule(workload, workload.shape("bench")).arrivals()]
        yield _delays(rate, "asyncio, call_at", asyncio.run(_asyncio_delays(due_ns)))
        if pgbench:
            said = _pgbench(pgbench, postgres_url, rate, "-S", "-c", str(CONNECTIONS), "-T", f"{SECONDS:.0f}")
            lag = PGBENCH_LAG.search(said)
            mean, longest = (float(each) for each in lag.groups()) if lag else (float("nan"), float("nan"))
            yield {"rate_per_s": rate, "tool": "pgbench -R", "mean_ms": mean, "p99_ms": float("nan"), "max_ms": longest}


def agreement_with_pgbench(pgbench: str, system: System, scratch: Path) -> dict[str, Any]:
    """The median times of notebook 10's SELECT at the same rate on the same server, in ms; alternating pairs.

    pgbench runs the same two statements in the same pipeline, prepared, with owners drawn alike.
    """
    prepare_database(system.postgres_admin_url, DATASETS["smoke"])
    select = read_workload(WORKLOADS / "database.yaml").operations[0].model_dump()
    select |= {"weight": 100, "parameters": {"owner": {"kind": "uniform", "low": 1, "high": OWNERS}}}
    script = scratch / "select.sql"
    calls = [each["sql"].replace("$1", ":owner") + ";" for each in select["statements"]]
    script.write_text("\n".join([f"\\set owner random(1, {OWNERS})", "\\startpipeline", *calls, "\\endpipeline", ""]))
    own, others = [], []
    for number in range(AGREEMENT_REPEATS):
        workload = _workload("postgres", select, AGREEMENT_RATE, AGREEMENT_CONNECTIONS, AGREEMENT_SECONDS)
        place, administrator = scratch / f"agreement-{number}", system.postgres_admin_url
        measure(Measurement(workload, "bench"), system.postgres_url, administrator, place)
        samples = open_recording(place).samples
        own.append((float(response_ns(samples).median()) / 1e6, float(service_ns(samples).median()) / 1e6))
        others.append(_pgbench_medians(pgbench, system.postgres_url, script, scratch / f"log-{number}"))
    ratios = np.array(own) / np.array(others)
    return {
        "rate_per_s": AGREEMENT_RATE,
        "own_response_ms": float(np.median(own, axis=0)[0]),
        "pgbench_response_ms": float(np.median(others, axis=0)[0]),
        "response_ratio": float(np.median(ratios, axis=0)[0]),
        "own_service_ms": float(np.median(own, axis=0)[1]),
        "pgbench_service_ms": float(np.median(others, axis=0)[1]),
        "service_ratio": float(np.median(ratios, axis=0)[1]),
        "service_lowest": float(ratios[:, 1].min()),
        "service_highest": float(ratios[:, 1].max()),
    }


def _workload(
    target: str, operation: dict[str, Any], rate: int, connections: int = CONNECTIONS, seconds: float = SECONDS
) -> Workload:
    stages = [{"name": "sustain", "seconds": seconds, "to": rate}]
    values = {"name": "bench", "target": target, "connections": connections, "operations": [operation]}
    return parse_workload({**values, "shapes": {"bench": {"kind": "rate", "stages": stages}}})


def _delays(rate: int, tool: str, delays_ms: npt.NDArray[np.float64]) -> dict[str, Any]:
    p99 = float(np.quantile(delays_ms, 0.99, method="inverted_cdf"))
    mean, longest = float(delays_ms.mean()), float(delays_ms.max())
    return {"rate_per_s": rate, "tool": tool, "mean_ms": mean, "p99_ms": p99, "max_ms": longest}


async def _asyncio_delays(due_ns: list[int]) -> npt.NDArray[np.float64]:
    """What a load tool on asyncio does: a timer for each operation."""
    loop, late = asyncio.get_running_loop(), []
    origin = loop.time() + 0.1
    for due in due_ns:
        at = origin + due / 1e9
        if (wait := at - loop.time()) > 0:
            await asyncio.sleep(wait)
        late.append(loop.time() - at)
    return np.array(late) * 1e3


def _pgbench(pgbench: str, url: str, rate: int, *words: str) -> str:
    options = ["-n", "-M", "prepared", "-j", "1", "-R", str(rate)]
    return subprocess.run([pgbench, *options, *words, url], check=True, capture_output=True, text=True).stdout


def _pgbench_medians(pgbench: str, url: str, script: Path, log: Path) -> tuple[float, float]:
    """Response (from the schedule) and service p50 in ms; the log has the response and the lag in it."""
    words = ("-c", str(AGREEMENT_CONNECTIONS), "-T", f"{AGREEMENT_SECONDS:.0f}", "-f", str(script))
    _pgbench(pgbench, url, AGREEMENT_RATE, *words, "--log", f"--log-prefix={log}")
    lines = [line.split() for file in log.parent.glob(f"{log.name}.*") for line in file.read_text().splitlines()]
    response = np.array([float(line[2]) for line in lines]) / 1e3
    lag = np.array([float(line[6]) for line in lines]) / 1e3
    return float(np.median(response)), float(np.median(response - lag))


def idle(seconds: float = 1.0) -> None:
    """Let the machine settle after a heavy benchmark."""
    time.sleep(seconds)
