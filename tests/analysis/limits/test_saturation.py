"""What broke is the resource that was saturated at the knee; places that fill up behind it are not the cause."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.limits.levels import Frames
from capacity.analysis.limits.saturation import all_in_use, places_of, saturation, usage, what_broke, why_unknown
from capacity.manifest import parse_manifest

pytestmark = pytest.mark.filterwarnings("error")

SECONDS = 2.0
READ_S = 0.1
Gauges = dict[str, float]
SYSTEM = {
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "reserved_connections": "0",
    "processes": {"gateway": 1, "workers": 2},
}


def level(rate: float, levels: Gauges, rates: Gauges | None = None, in_service: float = 4.0, slots: int = 0) -> Frames:
    """A level with gauges at constant values, counters that rise at constant rates, and even operations."""
    due = np.arange(0, SECONDS, 1 / rate)
    left = due + in_service / rate
    samples = pd.DataFrame(
        {
            "scheduled_ns": (due * 1e9).astype(np.int64),
            "sent_ns": (due * 1e9).astype(np.int64),
            "finished_ns": (left * 1e9).astype(np.int64),
            "outcome": pd.Categorical(["ok"] * len(due)),
            "step": 0,
        }
    )
    at_s = np.arange(READ_S, SECONDS, READ_S)
    rows = [(at, name, value) for name, value in levels.items() for at in at_s]
    rows += [(at, name, 7 + rise * at) for name, rise in (rates or {}).items() for at in at_s]
    gauges = pd.DataFrame(rows, columns=["at_s", "gauge", "value"])
    gauges.insert(0, "at_ns", (gauges.pop("at_s") * 1e9).astype(np.int64))
    manifest: dict[str, Any] = {
        "stages": [{"step": 0, "start_s": 0.0, "end_s": SECONDS, "to": rate}],
        "connections": 16,
        "generators": 1,
        "machine": {"cpus": 2},
        "system": SYSTEM,
    }
    facts = parse_manifest(manifest | ({"slots": slots} if slots else {}))
    return Frames(samples, samples, gauges, facts)


def broke(below: Frames, at: Frames) -> tuple[str, str]:
    ranked = saturation(usage([below]), usage([at]))
    return str(ranked["resource"].iloc[0]), what_broke(ranked, below.rate, at.rate)


def calm(**changes: float) -> Gauges:
    return {"machine.cpu_share": 0.3, "generator.cpu_share": 0.1, "postgres.connections": 16} | changes


def test_the_cpu_of_one_process_is_named_though_the_pool_is_full_behind_it() -> None:
    below = level(100, calm(), {"gateway.cpu_s": 0.8}, in_service=6)
    at = level(130, calm(), {"gateway.cpu_s": 0.99}, in_service=16)
    name, said = broke(below, at)
    assert name == "CPU of the gateway's process"
    assert said == "CPU of the gateway's process: 99 % (99 to 99) in use at 130/s, 80 % (80 to 80) at 100/s"


def test_a_pool_is_named_where_nothing_behind_it_is_saturated() -> None:
    below = level(100, calm(), {"postgres.cpu_s": 0.1}, in_service=8)
    at = level(200, calm(), {"postgres.cpu_s": 0.2}, in_service=16)
    assert broke(below, at)[0] == "the load's own connections"


def test_the_gateways_pool_counts_against_its_own_limit() -> None:
    pool = {"gateway.pool_limit": 20.0}
    below = level(100, calm(**pool, **{"gateway.pool_in_use": 9.0}))
    at = level(200, calm(**pool, **{"gateway.pool_in_use": 20.0}))
    name, said = broke(below, at)
    assert name == "the gateway's pool of connections"
    assert said.endswith("100 % (100 to 100) in use at 200/s, 45 % (45 to 45) at 100/s")


def test_worker_slots_are_those_of_all_workers() -> None:
    below = level(100, calm(**{"queue.active": 18}), {"workers.cpu_s": 0.4}, slots=24)
    at = level(150, calm(**{"queue.active": 24}), {"workers.cpu_s": 0.5}, slots=24)
    assert broke(below, at) == (
        "worker slots",
        "worker slots: 100 % (100 to 100) in use at 150/s, 75 % (75 to 75) at 100/s",
    )


def test_locks_are_named_where_most_of_what_runs_waits_for_one() -> None:
    below = level(100, calm(**{"postgres.active": 4, "postgres.lock_waiting": 1}))
    at = level(150, calm(**{"postgres.active": 16, "postgres.lock_waiting": 14}), in_service=16)
    assert broke(below, at)[0] == "locks"


def test_a_disk_that_syncs_all_the_time_is_named() -> None:
    below = level(100, calm(), {"postgres.log_sync_ms": 500})
    at = level(150, calm(), {"postgres.log_sync_ms": 982})
    name, said = broke(below, at)
    assert name == "disk: sync of the log"
    assert "98 %" in said


def test_the_machine_is_divided_among_what_ran_on_it() -> None:
    below = level(100, calm(**{"machine.cpu_share": 0.8}), {"postgres.cpu_s": 1.2})
    at = level(150, calm(**{"machine.cpu_share": 0.98}), {"postgres.cpu_s": 1.5})
    name, said = broke(below, at)
    assert name == "CPU of the machine"
    assert said.endswith("; of it PostgreSQL 75 %, the generator 5 %, others 18 %")


def test_two_that_are_saturated_are_both_said() -> None:
    below = level(100, calm(**{"machine.cpu_share": 0.7}), {"redis.cpu_s": 0.8})
    at = level(150, calm(**{"machine.cpu_share": 0.95}), {"redis.cpu_s": 0.99})
    name, said = broke(below, at)
    assert name == "the one thread of Redis"
    assert "; beside it CPU of the machine" in said


def test_where_nothing_is_saturated_it_says_what_is_used_most() -> None:
    said = broke(level(100, calm()), level(150, calm(**{"machine.cpu_share": 0.6})))[1]
    assert said == "nothing that was watched was saturated at 150/s; most used was CPU of the machine, 60 % (60 to 60)"


def test_without_gauges_nothing_is_said_of_them() -> None:
    ranked = saturation(usage([]), usage([]))
    assert what_broke(ranked, None, 100) == "no gauge was read at the knee, so nothing says what broke"


def test_the_demand_of_an_operation_is_busy_time_over_completions() -> None:
    used = usage([level(100, calm(), {"redis.cpu_s": 0.25}, in_service=0.5)]).set_index("resource")
    assert used.loc["the one thread of Redis", "demand_s"] == pytest.approx(0.0025, rel=0.02)
    assert used.loc["CPU of the machine", "demand_s"] == pytest.approx(0.006, rel=0.02)


def test_below_one_operation_a_second_the_demand_is_still_that_of_one_operation() -> None:
    used = usage([level(0.5, calm(), {"redis.cpu_s": 0.25}, in_service=0.1)]).set_index("resource")
    assert used.loc["the one thread of Redis", "demand_s"] == pytest.approx(0.5, rel=0.02)


def test_where_nothing_was_completed_the_demand_is_not_given() -> None:
    used = usage([level(0.5, calm(), {"redis.cpu_s": 0.25}, in_service=40)]).set_index("resource")
    assert used["demand_s"].isna().all()
    assert used.loc["the one thread of Redis", "utilisation"] == pytest.approx(0.25, rel=0.02)


def test_an_interval_tells_how_much_a_use_varies() -> None:
    at = level(100, calm())
    noisy = at.gauges.copy()
    mine = noisy["gauge"] == "machine.cpu_share"
    noisy.loc[mine, "value"] = np.random.default_rng(1).normal(0.5, 0.1, int(mine.sum()))
    row = usage([Frames(at.operations, at.sent, noisy, at.manifest)]).set_index("resource").loc["CPU of the machine"]
    assert row["low"] < 0.5 < row["high"]
    assert 0.03 < row["high"] - row["low"] < 0.2


def test_connections_that_something_behind_them_fills_are_told_from_those_that_are_too_few() -> None:
    below = level(100, {"machine.cpu_share": 0.1}, in_service=1.0)
    behind = broke(below, level(120, {"machine.cpu_share": 0.1}, in_service=16.0))[1]
    assert behind.startswith("the load's own connections: 97 % ")
    assert behind.endswith(
        " in use at 120/s, 6 % (6 to 6) at 100/s; what is behind them fills them: an operation took 10 ms and 138 ms, "
        "and what it waited for was not watched"
    )
    few = broke(level(100, {"machine.cpu_share": 0.1}, in_service=1.0), level(1600, {}, in_service=16.0))[1]
    assert few.endswith("; with more than 16 of them it may hold more")
    ranked = saturation(usage([below]), usage([level(120, {}, in_service=16.0)]))
    assert all_in_use(ranked) == "; all 16 of the load's own connections were in use"
    assert all_in_use(ranked.iloc[:0]) == all_in_use(saturation(usage([below]), usage([below]))) == ""


@pytest.mark.parametrize(
    ("target", "gauge", "why"),
    [
        (
            "postgres",
            "postgres.cpu_s",
            "what PostgreSQL does at once is not known: nobody read the CPU of its processes",
        ),
        ("redis", "redis.cpu_s", "what Redis does at once is not known: it did not tell its CPU"),
        ("http", "gateway.cpu_s", "how many requests the API serves at once is not known"),
        ("bullmq", "queue.active", "how many jobs its workers do at once is not known"),
    ],
)
def test_what_a_system_serves_at_once_is_known_where_it_was_read(target: str, gauge: str, why: str) -> None:
    for gauges, slots, said in [({}, 0, why), ({gauge: 0.5}, 4, "")]:
        made = level(100, {"machine.cpu_share": 0.1} | gauges, slots=slots)
        facts = made.manifest.model_copy(update={"workload": {"target": target}})
        assert why_unknown(facts, usage([made])) == said
        pooled = facts.model_copy(update={"pooler": "PgBouncer"})
        assert why_unknown(pooled, usage([made])) == (
            said or "how many connections the pooler opens to PostgreSQL is not known"
        )


def test_the_places_of_a_queue_whose_workers_are_others_are_not_known() -> None:
    facts = level(100, {}, slots=24).manifest
    queue = facts.model_copy(update={"queue": {"name": "orders"}, "slots": None})
    assert [places_of(each) for each in (facts, queue, level(100, {}).manifest)] == [24, np.inf, 16]
