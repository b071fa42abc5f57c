"""From findings to uses, limits and demands: at the load that was measured, and by what the size that runs sustains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from capacity.analysis.planning.basis import LoadHeld, PlanBasis, read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import CapacityPlan, PartPlan, make_plan, varied
from capacity.analysis.planning.plan_file import PlanFile, read_plan
from capacity.analysis.planning.projection import choice_of, running_size
from capacity.errors import CapacityError
from capacity.findings import Finding, read_findings

DATA = Path(__file__).parents[3] / "data"
FOLDER = DATA / "recorded" / "findings"
UNREAD = {"database.cpu_share", "database.memory", "database.memory_utilisation"}  # as of a server elsewhere
FOUND = {each.name: each for each in read_findings(FOLDER) if each.name not in UNREAD}
CATALOG = read_catalog(DATA / "catalog")


@pytest.fixture(scope="module")
def file() -> PlanFile:
    return read_plan(DATA / "plan.yaml")


def run_of(*more: Finding) -> PlanBasis:
    return read_basis(FOLDER, [*FOUND.values(), *more])


def part_of(name: str, file: PlanFile, *more: Finding) -> PartPlan:
    return next(each for each in make_plan(file, run_of(*more), CATALOG).parts if each.entry.name == name)


def with_load(file: PlanFile, name: str, **changes: Any) -> PlanFile:
    """The plan with another load: one without `tested` and `measured` but for those that are given."""
    load = file.loads[name].model_copy(update={"tested": None, "measured": ""} | changes)
    return file.model_copy(update={"loads": {**file.loads, name: load}})


def running(file: PlanFile, **changes: Any) -> PlanFile:
    """The plan with another size and volume of the database that run now."""
    parts = [each.model_copy(update=changes) if each.name == "database" else each for each in file.parts]
    return file.model_copy(update={"parts": parts})


def found_in(plan: CapacityPlan, name: str) -> Finding:
    return next(each for each in plan_findings(plan) if each.name == name)


def test_cpu_that_was_not_measured_chooses_no_size_and_makes_the_others_the_least(file: PlanFile) -> None:
    """The cores of the machine that made the load bound nothing on a server elsewhere."""
    part = part_of("database", file)
    assert set(part.demand.uses) == {"connections", "storage_gib"}
    assert part.at_least
    assert part.note == (
        "CPU, I/O operations not judged (not measured: no finding database.cpu_share; database.device_operations is "
        "not given: the server's processes are elsewhere, or their storage was not read)"
    )
    cpu = Finding("database.cpu_share", 60.0, "%", 50.0, 70.0, 9, "database")
    done = Finding("database.device_operations", 900.0, "/s", 800.0, 1000.0, 9, "database")
    known = part_of("database", file, cpu, done)
    assert known.demand.uses["cpu"].high == pytest.approx(0.70 * 0.8)
    assert known.demand.uses["iops"].high == pytest.approx(800.0)
    assert (known.note, known.at_least) == ("", False)


def test_one_thread_has_a_core_at_most_on_a_size_of_several(file: PlanFile) -> None:
    larger = varied(file, growth=0.15, headroom=0.3, peak=1.0, redis="cache.m6g.large")
    limits = {each.name: each.limit for each in make_plan(larger, run_of(), CATALOG).resources}
    assert limits["redis_cpu"] is not None and limits["redis_cpu"].value == 100


def test_what_was_measured_at_a_rate_is_not_scaled_by_the_users_that_were_tested(file: PlanFile) -> None:
    """Redis was loaded at 3,000 a second and by no users: 70 of 100 users tell nothing of it."""
    users = with_load(file, "commands", tested=100.0, unit="users")
    found = found_in(make_plan(users, run_of(), CATALOG), "plan.redis_cpu.use")
    assert found.value is None
    assert found.note == (
        "redis.cpu_share was measured at 3,000/s, and the plan's load 'commands' says that 100 users were tested"
    )


def test_a_load_that_was_not_the_one_tested_is_noticed_wherever_it_is_used(file: PlanFile) -> None:
    half = make_plan(with_load(file, "users", tested=50.0), run_of(), CATALOG)
    why = "database.throughput was measured at 100 users, and the plan's load 'users' says that 50 users were tested"
    assert found_in(half, "plan.database_throughput.use").note == why
    signal = found_in(half, "plan.signal.database_latency.months")
    assert (signal.value, signal.note) == (None, why.replace("throughput", "response_p99"))
    names = {each.name for each in plan_findings(half)}
    assert not names & {"plan.margin.users", "plan.margin.database_latency", "plan.margin.connection_pool"}
    assert "plan.servers.pool" not in names
    assert "connections" not in next(each.demand.uses for each in half.parts if each.entry.name == "database")


def test_a_recording_that_says_nothing_of_its_load_is_taken_as_the_plan_says(file: PlanFile) -> None:
    plan = make_plan(with_load(file, "users", tested=50.0), replace(run_of(), tested={}), CATALOG)
    use = (FOUND["database.throughput"].value or 0.0) * 70 / 50
    assert found_in(plan, "plan.database_throughput.use").value == pytest.approx(use)


def test_a_rate_is_a_multiple_of_the_one_that_was_measured_whatever_the_profile(file: PlanFile) -> None:
    throughput = replace(FOUND["redis.throughput"], value=2000.0, low=2000.0, high=2000.0)
    run = replace(
        run_of(), findings=FOUND | {throughput.name: throughput}, tested={"redis": LoadHeld("rate", [2000.0])}
    )
    jobs = 500 * (FOUND["queue.redis_cpu_per_job"].value or 0.0) / 10
    use = (FOUND["redis.cpu_share"].value or 0.0) * 2100 / 2000 + jobs
    assert found_in(make_plan(file, run, CATALOG), "plan.redis_cpu.use").value == pytest.approx(use)
    without = {name: each for name, each in FOUND.items() if name != throughput.name}
    absent = found_in(make_plan(file, replace(run, findings=without), CATALOG), "plan.redis_cpu.use")
    assert absent.note == "not measured: no finding redis.throughput"


def test_a_volume_below_400_gib_sustains_3000_operations_whatever_the_size(file: PlanFile) -> None:
    database = next(each for each in file.parts if each.name == "database")
    choice = {(each.size, each.volume): each.iops for each in choice_of(database, file, CATALOG)}
    assert choice["db.m5.24xlarge", "200 GiB"] == 3000
    assert choice["db.m5.24xlarge", "400 GiB"] == 12000
    assert choice["db.m5.xlarge", "400 GiB"] == 6000
    assert choice["db.t3.medium", "20 GiB"] == 2000
    supabase = next(each for each in file.parts if each.name == "supabase")
    disks = {(each.size, each.volume): each.iops for each in choice_of(supabase, file, CATALOG)}
    assert (disks["Micro", "8 GB"], disks["16XL", "8 GB"]) == (500, 3000)


def test_operations_beyond_a_small_volume_are_met_by_a_larger_one(file: PlanFile) -> None:
    """4,000 a second at the peak, 6,084 at the quarter's end, with 30 % headroom 8,691: 400 GiB and db.m5.2xlarge."""
    busy = Finding("database.device_operations", 5000.0, "/s", 5000.0, 5000.0, 9, "database")
    first = part_of("database", file, busy).steps[0].fit
    assert first is not None and (first.size.title, first.size.iops) == ("db.m5.2xlarge + 400 GiB", 12000)
    assert first.size.monthly == pytest.approx(730 * 0.712 + 400 * 0.115, rel=1e-5)


@pytest.mark.parametrize(
    ("size", "volume", "limit", "why"),
    [
        ("db.t3.medium", "", 2000, "what the size that runs sustains: db.t3.medium"),
        ("db.m5.xlarge", "", None, "iops of db.m5.xlarge is not known"),
        ("db.m5.xlarge", "20 GiB", 3000, "what the size that runs sustains: db.m5.xlarge + 20 GiB"),
        ("db.m5.xlarge", "800 GiB", 6000, "what the size that runs sustains: db.m5.xlarge + 800 GiB"),
        ("", "", None, "the size that database runs on is not known"),
    ],
)
def test_the_limit_of_a_disk_is_that_of_size_and_volume(
    file: PlanFile, size: str, volume: str, limit: float | None, why: str
) -> None:
    """A size whose volume is not known has its own limit where every volume sustains that."""
    busy = Finding("database.device_operations", 500.0, "/s", 500.0, 500.0, 9, "database")
    plan = make_plan(running(file, current=size, current_volume=volume), run_of(busy), CATALOG)
    iops = next(each for each in plan.resources if each.name == "database_iops")
    assert (iops.limit.value if iops.limit else None, iops.why) == (limit, why)


def test_what_runs_now_costs_with_its_volume_where_that_is_known(file: PlanFile) -> None:
    database = next(each for each in file.parts if each.name == "database")
    with_it = running_size(database.model_copy(update={"current_volume": "100 GiB"}), file, CATALOG)
    assert with_it is not None and with_it.monthly == pytest.approx(730 * 0.072 + 11.5, rel=1e-5)
    without = running_size(database, file, CATALOG)
    assert without is not None and without.monthly == pytest.approx(730 * 0.072)


def test_a_volume_in_another_currency_than_its_size_is_refused(file: PlanFile) -> None:
    euros = [each.model_copy(update={"currency": "EUR"}) if each.service == "rds_gp3" else each for each in CATALOG]
    with pytest.raises(CapacityError, match=r"^db\.t4g\.micro and 20 GiB have prices in EUR and USD; give one$"):
        make_plan(file, run_of(), euros)
