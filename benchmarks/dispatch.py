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

from benchmarks.generators import GET, ITEMS, SELECT
from capacity.load.schedule import Schedule
from capacity.probes.measurement import Measurement, measure
from capacity.recording import open_recording
from capacity.samples import dispatch_delay_ns, response_ns, service_ns
from capacity.system.application.cache import prepare_cache
from capacity.workload import Workload, parse_workload

SECONDS = 5.0
CONNECTIONS = 32
PGBENCH_LAG = re.compile(r"rate limit schedule lag: avg ([\d.]+) \(max ([\d.]+)\) ms")
AGREEMENT_RATE = 1000


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
            said = _pgbench(pgbench, postgres_url, rate)
            lag = PGBENCH_LAG.search(said)
            mean, longest = (float(each) for each in lag.groups()) if lag else (float("nan"), float("nan"))
            yield {"rate_per_s": rate, "tool": "pgbench -R", "mean_ms": mean, "p99_ms": float("nan"), "max_ms": longest}


def agreement_with_pgbench(pgbench: str, url: str, scratch: Path, repeats: int = 5) -> dict[str, Any]:
    """The median of a SELECT's response time at the same rate on the same server, alternating; both in ms."""
    own, others = [], []
    for number in range(repeats):
        workload = _workload("postgres", SELECT, AGREEMENT_RATE)
        folder = measure(Measurement(workload, "bench"), url, url, scratch / f"agreement-{number}")
        samples = open_recording(folder).samples
        own.append((float(response_ns(samples).median()) / 1e6, float(service_ns(samples).median()) / 1e6))
        others.append(_pgbench_medians(pgbench, url, scratch / f"log-{number}"))
    own_response, own_service = np.median(own, axis=0)
    response, service = np.median(others, axis=0)
    return {
        "rate_per_s": AGREEMENT_RATE,
        "own_response_p50_ms": own_response,
        "pgbench_response_p50_ms": response,
        "response_ratio": own_response / response,
        "own_service_p50_ms": own_service,
        "pgbench_service_p50_ms": service,
        "service_ratio": own_service / service,
    }


def _workload(target: str, operation: dict[str, Any], rate: int) -> Workload:
    stages = [{"name": "sustain", "seconds": SECONDS, "to": rate}]
    values = {"name": "bench", "target": target, "connections": CONNECTIONS, "operations": [operation]}
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
    options = ["-n", "-S", "-M", "prepared", "-j", "1", "-c", str(CONNECTIONS), "-T", f"{SECONDS:.0f}", "-R", str(rate)]
    return subprocess.run([pgbench, *options, *words, url], check=True, capture_output=True, text=True).stdout


def _pgbench_medians(pgbench: str, url: str, log: Path) -> tuple[float, float]:
    """Response (from the schedule) and service p50 in ms; the log has the response and the lag in it."""
    _pgbench(pgbench, url, AGREEMENT_RATE, "--log", f"--log-prefix={log}")
    lines = [line.split() for file in log.parent.glob(f"{log.name}.*") for line in file.read_text().splitlines()]
    response = np.array([float(line[2]) for line in lines]) / 1e3
    lag = np.array([float(line[6]) for line in lines]) / 1e3
    return float(np.median(response)), float(np.median(response - lag))


def idle(seconds: float = 1.0) -> None:
    """Let the machine settle after a heavy benchmark."""
    time.sleep(seconds)
