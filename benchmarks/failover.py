"""Faults whose outcome is a number that is known before: how often what was seen is what was predicted."""

import json
import logging
import math
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.progress import track

from capacity.findings import Verdict
from capacity.scenarios.outbox_restart import OutboxRestart
from capacity.scenarios.pool_exhaustion import DirectExhaustion, PoolExhaustion
from capacity.scenarios.redis_restart import Persistence, RedisRestart
from capacity.scenarios.trial import Scenario, Trial, run_scenario
from capacity.system.addresses import System
from capacity.system.embedded import postgres_url, run_postgres
from capacity.system.server_directory import open_server_directory

REPETITIONS = 10
TRIALS = 5
OURS = System(embedded=True)
ENDS = (signal.SIGTERM, signal.SIGKILL)
SHORT = {"seconds": 2.5, "at_s": 1.2}
SAID = "What was observed stands with the number of trials; in agreement are trials in which all expectations passed."


def pool_exhaustion(scratch: Path) -> Iterator[dict[str, Any]]:
    """150 clients of an ordinary role on `max_connections = 100`, directly and through a pool of 100."""
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # each refusal is in the counts, not a line
    with open_server_directory() as directory:
        port = run_postgres(directory).port
        system = System(postgres_url=postgres_url("plain", port), postgres_admin_url=postgres_url("postgres", port))
        with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
            connection.execute("CREATE ROLE plain LOGIN")
        for scenario in (DirectExhaustion(), PoolExhaustion()):
            trials = _trials(scenario, REPETITIONS, scratch, system)
            figures = {"refused": "refused", "hidden": "hidden_refusals"}
            yield {"clients": scenario.clients, "form": scenario.name, **_compared(trials, figures)}


def redis_restart(scratch: Path) -> Iterator[dict[str, Any]]:
    """Redis ends under a queue, by each signal, with each persistence."""
    figures = {"lost_of_pending": "jobs_lost_of_pending", "lost_of_later": "jobs_lost_of_later"}
    for persistence, how in product(Persistence, ENDS):
        trials = _trials(RedisRestart(how, persistence, **SHORT), TRIALS, scratch)
        yield {"persistence": persistence.value, "ends_by": how.name, **_compared(trials, figures)}


def outbox_restart(scratch: Path) -> Iterator[dict[str, Any]]:
    """The same behind the gateway and its outbox."""
    figures = {
        "lost": "jobs_lost",
        "reenqueued_of_pending": "jobs_reenqueued_of_pending",
        "done_twice": "jobs_duplicated",
        "effects_twice": "effects_duplicated",
        "writes_refused": "writes_refused",
    }
    for persistence, how in product(Persistence, ENDS):
        trials = _trials(OutboxRestart(how, persistence, **SHORT), TRIALS, scratch)
        restored = [each for each in (_value(trial, "jobs_restored") for trial in trials) if each is not None]
        row = {"persistence": persistence.value, "ends_by": how.name, **_compared(trials, figures)}
        yield row | {"restored_ms_max": max(restored, default=math.nan)}


SECTIONS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    "Connection pool exhaustion": pool_exhaustion,
    "Redis restart without the outbox": redis_restart,
    "Redis restart with the outbox": outbox_restart,
}


def _trials(scenario: Scenario, count: int, scratch: Path, system: System = OURS) -> list[Trial]:
    numbers = track(range(count), scenario.name, console=Console(stderr=True), transient=True)
    return [run_scenario(scenario, system, scratch / f"{scenario.name}-{number}") for number in numbers]


def _compared(trials: list[Trial], figures: dict[str, str]) -> dict[str, Any]:
    """What was predicted of each figure, and what was observed how often; `figures` are findings by their columns."""
    row: dict[str, Any] = {"trials": len(trials)}
    for column, name in figures.items():
        promises = {each.promise for trial in trials for each in trial.expected if each.finding.endswith(f".{name}")}
        seen = Counter(_value(each, name) for each in trials)
        row[f"predicted_{column}"] = ", ".join(sorted(promises)) or "—"
        observed = ", ".join(f"{value:g} × {times}" for value, times in seen.items() if value is not None)
        row[f"observed_{column}"] = observed or "—"
    agreed = sum(each.verdict is Verdict.PASS for each in trials)
    others = [
        f"{objective.finding.rpartition('.')[2]} {finding.value if finding else None} {verdict}"
        for trial in trials
        for objective, finding, verdict in trial.verdicts
        if verdict is not Verdict.PASS
    ]
    return row | {"agreement": "; ".join([f"{agreed} of {len(trials)}", *others])}


def _value(trial: Trial, name: str) -> float | None:
    return next((each.value for each in trial.findings if each.name.endswith(f".{name}")), None)


def main() -> None:
    """Those sections whose function is named, else all, as lines of JSON."""
    with tempfile.TemporaryDirectory() as place:
        for measured in SECTIONS.values():
            if len(sys.argv) == 1 or measured.__name__ in sys.argv[1:]:
                for row in measured(Path(place)):
                    print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
