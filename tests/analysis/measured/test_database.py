"""The cost of row-level security is what was put in, and the server's processes are reckoned from their readings."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.database import database_findings, row_security_pairs
from capacity.analysis.planning.basis import read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import make_plan
from capacity.analysis.planning.plan_file import read_plan
from capacity.analysis.planning.projection import planned_demand
from capacity.analysis.statistics.percentiles import median_difference
from capacity.findings import Finding, read_findings
from capacity.manifest import parse_manifest
from capacity.recording import Recording, open_recording

DATA = Path(__file__).parents[3] / "data"
GB = 1e9
NOT_HERE = "not measured: the server's processes are elsewhere or were not read"
COST_NS, WARMTH_NS = 40_000, 25_000


def queries(rounds: int) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    seq = np.arange(4 * rounds)
    secured = np.isin(seq % 4, [0, 3])
    service = 300_000 + COST_NS * secured - WARMTH_NS * (seq % 2) + draw.normal(0, 2_000, len(seq))
    sent = seq * 1_000_000
    names = np.where(secured, "with row security", "without row security")
    return pd.DataFrame(
        {
            "operation": pd.Categorical(names),
            "scheduled_ns": sent,
            "sent_ns": sent,
            "finished_ns": sent + service.astype(np.int64),
            "outcome": pd.Categorical(["ok"] * len(seq), categories=["ok", "error", "timeout", "dropped"]),
            "seq": seq,
        }
    )


def test_the_order_within_a_pair_does_not_count() -> None:
    pairs = row_security_pairs(queries(500))
    cost = median_difference(pairs["without"], pairs["with"])
    assert cost.value == pytest.approx(COST_NS / 1e6, rel=0.02)
    assert float((pairs["with"] - pairs["without"]).std()) < WARMTH_NS / 1e6 / 4


def test_a_round_counts_as_a_whole_or_not_at_all() -> None:
    samples = queries(10).iloc[2:]
    samples.loc[samples["seq"] == 17, "outcome"] = "error"
    assert len(row_security_pairs(samples)) == 8


@cache
def committed() -> Recording:
    return open_recording(DATA / "recorded" / "database")


def recorded(
    told: str = "PSS", every: int = 1, not_given: dict[str, str] | None = None, **gauges: list[tuple[float, float]]
) -> dict[str, Finding]:
    """The findings of the committed recording with these readings for its own; each is seconds into the load and value.

    `told` is how memory was read, and `every` how many transactions there are for each that is taken.
    """
    main = committed()
    stage = next(each for each in main.manifest["stages"] if each["step"] in main.manifest["sustained_steps"])
    rows = [
        (int((stage["start_s"] + at_s) * GB), f"postgres.{name}", value)
        for name, readings in gauges.items()
        for at_s, value in readings
    ]
    theirs = main.gauges[~main.gauges["gauge"].isin(["postgres.cpu_s", *(f"postgres.{name}" for name in MEMORY)])]
    frame = pd.concat([theirs.astype({"gauge": object}), pd.DataFrame(rows, columns=["at_ns", "gauge", "value"])])
    manifest: dict[str, Any] = main.manifest | {"system": main.manifest["system"] | {"memory_by": told}}
    manifest |= {"not_given": not_given or {}}
    return {
        each.name: each
        for each in database_findings("database", main.samples[::every], frame, parse_manifest(manifest))
    }


UNEVEN_S = [-9.0, -0.5, 0.2, 0.5, 3.0, 3.1, 7.7, 12.0, 20.0, 40.0]
CPU = {"cpu_s": [(at_s, 900.0 + (0.6 * at_s if at_s > 0 else 5.0 * at_s)) for at_s in UNEVEN_S]}
MEMORY = {
    "memory_bytes": [(-1.0, 9 * GB), (1.0, 0.25 * GB), (9.0, 0.5 * GB), (19.0, 0.4 * GB)],
    "memory_limit_bytes": [(at_s, 4 * GB) for at_s in (-1.0, 1.0, 9.0, 19.0)],
}


def test_cpu_is_time_over_time_however_far_apart_the_readings_are() -> None:
    """0.6 s a second, after a start that took more and is not of the constant load."""
    found = recorded(**CPU)["database.cpu_share"]
    assert (found.value, found.low, found.high) == pytest.approx((60, 60, 60))
    assert (found.unit, found.count, found.note) == ("%", 7, "")


def test_memory_is_the_most_that_was_read_under_the_load_and_its_part_of_the_machines() -> None:
    found = recorded(**CPU, **MEMORY)
    assert (found["database.memory"].value, found["database.memory"].unit) == (pytest.approx(500), "MB")
    assert (found["database.memory_utilisation"].value, found["database.memory_utilisation"].count) == (12.5, 3)
    assert found["database.memory"].note == found["database.memory_utilisation"].note == ""


def test_memory_whose_shared_part_is_a_lower_bound_says_so() -> None:
    found = recorded("RSS", **CPU, **MEMORY)["database.memory"]
    assert (found.value, found.note) == (500, "of what the processes share, the most that one of them had touched")


def test_what_was_not_read_says_why() -> None:
    found = recorded()
    for name in ("cpu_share", "memory", "memory_utilisation"):
        assert (found[f"database.{name}"].value, found[f"database.{name}"].count) == (None, 0)
        assert found[f"database.{name}"].note == NOT_HERE
    alone = recorded("", **CPU)
    why = "not measured: this machine does not tell what processes share"
    assert (alone["database.cpu_share"].note, alone["database.memory"].note) == ("", why)
    assert alone["database.memory_utilisation"].note == why


def test_a_single_reading_is_no_rate() -> None:
    why = "read too seldom in the stages at a constant load: a rate needs 3 readings, and there are 1"
    assert recorded(cpu_s=[(1.0, 5.0)])["database.cpu_share"].note == why


def test_the_plan_takes_its_database_cpu_and_memory_from_them() -> None:
    """70 of 100 users: 60 % of a core becomes 42 %; memory stays."""
    folder = DATA / "recorded" / "findings"
    others = {each.name: each for each in read_findings(folder)}
    file, catalog = read_plan(DATA / "plan.yaml"), read_catalog(DATA / "catalog")
    run = read_basis(folder, (others | recorded(**CPU, **MEMORY)).values())
    found = {each.name: each for each in plan_findings(make_plan(file, run, catalog))}
    assert found["plan.database_cpu.use"].value == pytest.approx(42)
    assert found["plan.database_cpu.months_to_limit"].value is not None
    assert found["plan.database_memory.use"].value == pytest.approx(12.5)
    assert found["plan.database_memory.months_to_limit"].value is not None
    for name in ("database", "supabase"):
        demand, absent = planned_demand(next(part for part in file.parts if part.name == name), file, run)
        assert demand.uses["cpu"].value == pytest.approx(0.42)
        assert "cpu" not in absent


def test_the_plan_says_why_they_were_not_measured() -> None:
    folder = DATA / "recorded" / "findings"
    others = {each.name: each for each in read_findings(folder)}
    run = read_basis(folder, (others | recorded()).values())
    plan = make_plan(read_plan(DATA / "plan.yaml"), run, read_catalog(DATA / "catalog"))
    found = {each.name: each for each in plan_findings(plan)}
    assert found["plan.database_cpu.use"].note == f"database.cpu_share is {NOT_HERE}"
    assert found["plan.database_memory.use"].note == f"database.memory_utilisation is {NOT_HERE}"


def test_the_share_that_waits_for_locks_is_of_all_looks_where_there_are_many_a_second() -> None:
    few = recorded()["database.lock_wait_share"]
    assert few.count < 1000
    at_s = np.arange(1.0, 119.0, 0.2)
    looks = {"looks_busy": [(at, 12.0) for at in at_s], "looks_lock_waiting": [(at, float(at == 1.0)) for at in at_s]}
    many = recorded(**looks)["database.lock_wait_share"]
    assert (many.count, many.value) == (12 * len(at_s), pytest.approx(100 / (12 * len(at_s))))
    assert many.high is not None and many.high < 0.1


LOOKED_S = [(float(at), 0.2) for at in np.arange(1.0, 119.0, 0.2)]


def looked(**found: Any) -> Finding:
    """Row lock contention with these readings, and every hundredth of the committed transactions."""
    return recorded(every=100, **found)["database.lock_wait_share"]


def waits(*at_s: float) -> list[tuple[float, float]]:
    return [(at, float(sum(abs(at - each) < 0.1 for each in at_s))) for at, _ in LOOKED_S]


def test_row_lock_contention_is_the_waits_of_all_transactions_while_they_were_looked_for() -> None:
    throughput = recorded(every=100)["database.row_security_rate"].value or 0.0
    found = looked(looked_s=LOOKED_S, row_lock_waits=waits(2, 30, 31, 60, 90, 118))
    transactions = throughput * 0.2 * len(LOOKED_S)
    assert found.title == "transactions that waited for a row lock"
    assert (found.value, found.count) == (pytest.approx(600 / transactions), int(transactions))
    assert found.low is not None and found.high is not None and 0 < found.low < found.value < found.high < 1
    half = [(at, 0.1) for at, _ in LOOKED_S]
    assert looked(looked_s=half, row_lock_waits=waits(2, 60)).value == pytest.approx(400 / transactions)


def test_waits_that_come_together_bound_contention_less_narrowly() -> None:
    together, apart = (
        looked(looked_s=LOOKED_S, row_lock_waits=waits(*at_s))
        for at_s in (40 * [60.0], np.linspace(2, 118, 40).tolist())
    )
    assert together.value == apart.value
    assert together.high is not None and apart.high is not None and together.high > 2 * apart.high


def test_all_transactions_that_wait_for_several_rows_each_are_all() -> None:
    many = [(at, 100.0) for at, _ in LOOKED_S]
    assert looked(looked_s=LOOKED_S, row_lock_waits=many).value == 100


def test_without_looks_that_are_close_contention_is_not_given() -> None:
    never = [(at, 0.0) for at, _ in LOOKED_S]
    found = looked(looked_s=never, row_lock_waits=never)
    assert (found.value, found.note) == (None, "no two looks at who waits were close enough to each other")
    unseen = looked(not_given={"postgres.row_lock_waits": "may not"})
    assert (unseen.value, unseen.note) == (None, "may not")
