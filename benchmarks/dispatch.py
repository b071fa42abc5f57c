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
from capacity.probes.measurement import Measurement, gauges_of, measure
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
AGREEMENT_CONNECTIONS = 4
AGREEMENT_SECONDS = 20.0
AGREEMENT_LEAD_SECONDS = 5.0  # pgbench begins at once, our processes when they are ready
AGREEMENT_REPEATS = 5
OWNERS = 1000
WORKLOADS = Path(__file__).parents[1] / "data" / "workloads"


def dispatch_delays(pgbench: str | None, postgres_url: str, redis_url: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """One row a rate and tool: mean, p99 and longest delay in ms. pgbench tells no percentile of its lag."""
    prepare_cache(redis_url, ITEMS)
    for rate in (1_000, 10_000):
        workload = _workload("redis", GET, rate)
        folder = measure(
            Measurement(workload, "bench"), redis_url, [gauges_of(redis=redis_url)], scratch / f"rate-{rate}"
        )
        yield _delays(rate, "capacity", dispatch_delay_ns(open_recording(folder).samples).to_numpy() / 1e6)
        due_ns = [due for _, due, _, _ in Schedule(workload, workload.shape("bench")).arrivals()]
        yield _delays(rate, "asyncio, call_at", asyncio.run(_asyncio_delays(due_ns)))
        if pgbench:
            said = _pgbench(pgbench, postgres_url, rate, "-S", "-c", str(CONNECTIONS), "-T", f"{SECONDS:.0f}")
            lag = PGBENCH_LAG.search(said)
            mean, longest = (float(each) for each in lag.groups()) if lag else (float("nan"), float("nan"))
            yield {"rate_per_s": rate, "tool": "pgbench -R", "mean_ms": mean, "p99_ms": float("nan"), "max_ms": longest}


def agreement_with_pgbench(pgbench: str, system: System, scratch: Path) -> Iterator[dict[str, Any]]:
    """The median times of notebook 10's SELECT at the same rate on the same server, in ms: one row a repetition.

    Both tools run at the same time, so that whatever the machine does falls on both alike. pgbench runs the same two
    statements in the same pipeline, prepared, with owners drawn alike, and its clients take turns as ours do.
    """
    prepare_database(system.postgres_admin_url, DATASETS["smoke"])
    select = read_workload(WORKLOADS / "database.yaml").operations[0].model_dump()
    select |= {"weight": 100, "parameters": {"owner": {"kind": "uniform", "low": 1, "high": OWNERS}}}
    script = scratch / "select.sql"
    calls = [each["sql"].replace("$1", ":owner") + ";" for each in select["statements"]]
    script.write_text("\n".join([f"\\set owner random(1, {OWNERS})", "\\startpipeline", *calls, "\\endpipeline", ""]))
    workload = _workload("postgres", select, AGREEMENT_RATE, AGREEMENT_CONNECTIONS, AGREEMENT_SECONDS)
    for number in range(AGREEMENT_REPEATS):
        yield _agreement(pgbench, system, workload, script, scratch / f"agreement-{number}")


def _agreement(pgbench: str, system: System, workload: Workload, script: Path, place: Path) -> dict[str, Any]:
    """Both for `AGREEMENT_SECONDS`; of pgbench's log, which begins earlier and ends later, the same seconds count."""
    log = place.with_name(f"{place.name}-log")
    seconds = AGREEMENT_SECONDS + AGREEMENT_LEAD_SECONDS
    words = ["-c", str(AGREEMENT_CONNECTIONS), "-T", f"{seconds:.0f}", "-f", str(script)]
    command = _pgbench_command(pgbench, system.postgres_url, AGREEMENT_RATE, *words, "--log", f"--log-prefix={log}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as other:
        recording = open_recording(
            measure(
                Measurement(workload, "bench"),
                system.postgres_url,
                [gauges_of(postgres=system.postgres_admin_url)],
                place,
            )
        )
    if other.returncode:
        raise subprocess.CalledProcessError(other.returncode, command)
    begin_us = recording.manifest["origin_unix_ns"] / 1e3
    lines = [line.split() for file in log.parent.glob(f"{log.name}.*") for line in file.read_text().splitlines()]
    table = np.array([[int(line[4]) * 1e6 + int(line[5]), int(line[2]), int(line[6])] for line in lines])
    inside = table[(table[:, 0] >= begin_us) & (table[:, 0] < begin_us + AGREEMENT_SECONDS * 1e6)]
    own_response = float(response_ns(recording.samples).median()) / 1e6
    own_service = float(service_ns(recording.samples).median()) / 1e6
    response = float(np.median(inside[:, 1])) / 1e3
    service = float(np.median(inside[:, 1] - inside[:, 2])) / 1e3
    return {
        "rate_per_s": AGREEMENT_RATE,
        "own_count": len(recording.samples),
        "pgbench_count": len(inside),
        "own_response_ms": own_response,
        "pgbench_response_ms": response,
        "response_ratio": own_response / response,
        "own_service_ms": own_service,
        "pgbench_service_ms": service,
        "service_ratio": own_service / service,
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
    command = _pgbench_command(pgbench, url, rate, *words)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _pgbench_command(pgbench: str, url: str, rate: int, *words: str) -> list[str]:
    return [pgbench, "-n", "-M", "prepared", "-j", "1", "-R", str(rate), *words, url]


def idle(seconds: float = 1.0) -> None:
    """Let the machine settle after a heavy benchmark."""
    time.sleep(seconds)
