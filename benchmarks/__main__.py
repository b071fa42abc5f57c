"""Run all benchmarks, or only what is named, print their tables, and write them to benchmarks/RESULTS.md."""

import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks import dispatch, failover, generators, http, queue
from capacity.system.embedded import POSTGRES_SETTINGS, open_system
from capacity.system.machine import machine_facts

RESULTS = Path(__file__).parent / "RESULTS.md"


FAILOVER = "failover"


def main() -> None:
    """All, or only the faults where `failover` is given: then the other sections stay as they are."""
    if sys.argv[1:] not in ([], [FAILOVER]):
        sys.exit(f"python -m benchmarks takes no argument or {FAILOVER}, and was given {' '.join(sys.argv[1:])}")
    if not sys.argv[1:]:
        _beside_other_tools()
    with tempfile.TemporaryDirectory() as place:
        for title, measured in failover.SECTIONS.items():
            lines = _section(title, measured(Path(place)), f"Measured {_now()}. {failover.SAID}")
            RESULTS.write_text(with_section(RESULTS.read_text(encoding="utf-8"), title, lines), encoding="utf-8")
    print(f"written to {RESULTS}")


def _beside_other_tools() -> None:
    """Against one embedded system; a tool that is not installed is named and left out."""
    pgbench, redis_benchmark, wrk = map(shutil.which, ("pgbench", "redis-benchmark", "wrk"))
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    lines = ["# Benchmarks", "", _where(), ""]
    more = patch.dict(POSTGRES_SETTINGS, max_connections="200")  # 100 of them are the load's own
    with more, open_system({}) as system, tempfile.TemporaryDirectory() as place:
        scratch, admin = Path(place), system.postgres_admin_url
        if pgbench:
            generators.fill_pgbench(pgbench, admin)
        dispatch.idle()
        delays = dispatch.dispatch_delays(pgbench, admin, system.redis_url, scratch)
        lines += _section("Dispatch delay, open loop, Poisson arrivals", delays)
        if pgbench:
            agreement = dispatch.agreement_with_pgbench(pgbench, system, scratch)
            lines += _section("Notebook 10's SELECT at the same rate: median response and service time", agreement)
            lines += _section("PostgreSQL, closed loop", generators.compared_with_pgbench(pgbench, admin, scratch))
        if redis_benchmark:
            compared = generators.compared_with_redis_benchmark(redis_benchmark, system.redis_url, scratch)
            lines += _section("Redis, closed loop", compared)
        lines += _section("Queue at 1,100 jobs/s", queue.queue_at_a_rate(system.redis_url, scratch))
        lines += _section("Queue, everything at once", queue.queue_rates(system.redis_url, scratch))
    if wrk and nginx:
        with tempfile.TemporaryDirectory() as place, http.running_nginx(nginx, Path(place) / "nginx") as url:
            lines += _section("HTTP, closed loop, nginx with one worker", http.compared_with_wrk(wrk, url, Path(place)))
    memory = subprocess.run([sys.executable, "-m", "benchmarks.memory"], check=True, capture_output=True, text=True)
    lines += _section("Memory while recording", [json.loads(memory.stdout)])
    for name, found in (("pgbench", pgbench), ("redis-benchmark", redis_benchmark), ("wrk with nginx", wrk and nginx)):
        lines += [] if found else [f"{name} is not installed; its comparisons were left out.", ""]
    RESULTS.write_text("\n".join(lines), encoding="utf-8")


def with_section(text: str, title: str, lines: list[str]) -> str:
    """The results with a section in the place of the one with its title, else at the end."""
    before, found, after = text.partition(f"## {title}\n")
    following = re.search(r"^## ", after, re.MULTILINE)
    rest = after[following.start() :] if found and following else ""
    return before.rstrip() + "\n\n" + "\n".join(lines) + ("\n" + rest if rest else "")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _where() -> str:
    facts = machine_facts()
    machine = f"{facts['cpus']} cores {facts.get('processor', '')}, {facts['system']}, Python {facts['python']}"
    return (
        f"Measured {_now()} by `make bench` on {machine}; servers, generator and the other tool share it. "
        "A rate's ratio is ours to theirs, the median of alternating pairs; every raw sample of ours was written."
    )


def _section(title: str, rows: Iterable[dict[str, Any]], said: str = "") -> list[str]:
    """Print rows as they come; returns them as a table in Markdown, below what is said of them."""
    print(f"\n{title}", flush=True)
    table: list[str] = []
    for row in rows:
        if not table:
            table = [f"| {' | '.join(row)} |", f"|{'---|' * len(row)}"]
            print("  ".join(row), flush=True)
        cells = [_cell(value) for value in row.values()]
        table.append(f"| {' | '.join(cells)} |")
        print("  ".join(cells), flush=True)
    return [f"## {title}", "", *([said, ""] if said else []), *table, ""]


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and abs(value) >= 1000:
        return f"{value:,.0f}"
    if isinstance(value, float):
        return "—" if math.isnan(value) else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    main()
