"""The plan of the committed run: what follows from its findings by hand, and what is missing is missing."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from capacity.analysis.limits.queueing import servers_needed
from capacity.analysis.planning.basis import PlanBasis, read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.growth import months_until
from capacity.analysis.planning.plan import CapacityPlan, make_plan, total_monthly, varied
from capacity.analysis.planning.plan_file import PlanFile, read_plan
from capacity.errors import CapacityError
from capacity.findings import Finding, finding_as_dict, finding_from_dict, read_findings

DATA = Path(__file__).parents[3] / "data"
FOLDER = DATA / "recorded" / "findings"
UNREAD = {"database.cpu_share", "database.memory", "database.memory_utilisation"}  # as of a server elsewhere
FOUND = {each.name: each for each in read_findings(FOLDER) if each.name not in UNREAD}
CATALOG = read_catalog(DATA / "catalog")


@pytest.fixture(scope="module")
def file() -> PlanFile:
    return read_plan(DATA / "plan.yaml")


@pytest.fixture(scope="module")
def plan(file: PlanFile) -> CapacityPlan:
    return make_plan(file, run_of(FOUND.values()), CATALOG)


def run_of(findings: Iterable[Finding]) -> PlanBasis:
    return read_basis(FOLDER, findings)


def measured(name: str) -> float:
    value = FOUND[name].value
    assert value is not None
    return value


def findings_of(plan: CapacityPlan) -> dict[str, Finding]:
    return {each.name: each for each in plan_findings(plan)}


def test_the_connections_bind_when_70_of_100_users_have_grown_into_the_pool(plan: CapacityPlan) -> None:
    found = findings_of(plan)
    use = measured("database.pool_utilisation") * 0.7
    assert found["plan.database_connections.use"].value == pytest.approx(use)
    assert found["plan.database_connections.months_to_limit"].value == pytest.approx(months_until(use, 100))
    assert found["plan.database_connections.months_to_trigger_80"].value == pytest.approx(months_until(use, 80))


def test_redis_cpu_is_that_of_its_commands_and_that_of_the_jobs(plan: CapacityPlan) -> None:
    use = 0.7 * measured("redis.cpu_share") + 500 * measured("queue.redis_cpu_per_job") / 1000 * 100
    assert findings_of(plan)["plan.redis_cpu.use"].value == pytest.approx(use)


def test_what_is_held_grows_from_what_was_measured_whatever_the_peak(plan: CapacityPlan) -> None:
    found = findings_of(plan)
    assert found["plan.redis_memory.use"].value == measured("redis.memory_utilisation")
    assert found["plan.database_storage.use"].value == measured("database.size")


def test_every_interval_holds_its_value_and_every_finding_has_the_plans_name(plan: CapacityPlan) -> None:
    for each in plan_findings(plan):
        assert each.section == "plan"
        if each.value is not None:
            assert each.low is not None and each.high is not None
            assert each.low <= each.value <= each.high
        assert finding_from_dict(finding_as_dict(each)) == each


def test_nothing_of_the_committed_run_is_void(plan: CapacityPlan) -> None:
    assert plan.void is None
    assert not [each.name for each in plan_findings(plan) if each.void]


def test_the_findings_have_names_of_their_own(plan: CapacityPlan) -> None:
    names = [each.name for each in plan_findings(plan)]
    assert len(names) == len(set(names))


def test_what_was_not_measured_says_which_finding_is_missing(plan: CapacityPlan) -> None:
    found = findings_of(plan)
    assert found["plan.database_cpu.use"].value is None
    assert found["plan.database_cpu.use"].note == "not measured: no finding database.cpu_share"
    assert "plan.database_cpu.months_to_limit" not in found


def test_without_a_breaking_point_the_throughput_that_was_held_is_the_least(file: PlanFile) -> None:
    held = [each for each in FOUND.values() if each.section != "breaking_point"]
    plan = make_plan(file, run_of(held), CATALOG)
    found = findings_of(plan)["plan.queue_throughput.months_to_limit"]
    assert found.value == pytest.approx(months_until(500, measured("queue.throughput")))
    assert (found.high, found.note) == (math.inf, "at least: what was measured did not reach it")
    assert "queue_throughput" not in plan.binds


def test_a_breaking_point_is_used_where_it_was_measured(file: PlanFile) -> None:
    knee = Finding("breaking_point.queue.highest_sustainable", 800.0, "/s", 750.0, 900.0, 5, "queue")
    found = findings_of(make_plan(file, run_of([*FOUND.values(), knee]), CATALOG))[
        "plan.queue_throughput.months_to_limit"
    ]
    assert found.value == pytest.approx(months_until(500, 800))
    assert found.high is not None and found.high < math.inf
    open_knee = replace(knee, high=math.inf)
    held = make_plan(file, run_of([*FOUND.values(), open_knee]), CATALOG)
    assert findings_of(held)["plan.queue_throughput.months_to_limit"].high == math.inf


def test_cpu_that_was_not_measured_is_bounded_by_the_cores_and_used_where_it_was(file: PlanFile) -> None:
    bounded = next(
        part for part in make_plan(file, run_of(FOUND.values()), CATALOG).parts if part.entry.name == "database"
    )
    assert bounded.demand.uses["cpu"].high == pytest.approx(2 * 0.8)
    assert bounded.note == "CPU was not measured; it is no more than all cores of the machine that carried the load"
    cpu = Finding("database.cpu_share", 60.0, "%", 50.0, 70.0, 9, "database")
    known = next(
        part for part in make_plan(file, run_of([*FOUND.values(), cpu]), CATALOG).parts if part.entry.name == "database"
    )
    assert known.demand.uses["cpu"].high == pytest.approx(0.70 * 0.8)
    assert known.note == ""


def test_the_margins_are_those_of_the_report_by_what_was_measured(plan: CapacityPlan) -> None:
    found = findings_of(plan)
    assert found["plan.margin.throughput"].value == pytest.approx(measured("queue.throughput") / 500)
    assert found["plan.margin.users"].value == pytest.approx(100 / 70)
    assert (found["plan.margin.users"].low, found["plan.margin.users"].high) == pytest.approx((1.25, 1.667), abs=1e-3)
    assert found["plan.margin.redis_latency"].value == pytest.approx(20 / measured("redis.response_max"))
    lasts = found["plan.margin.connection_pool.months"]
    assert lasts.value == pytest.approx(months_until(0.7 * measured("database.pool_utilisation"), 85))


def test_a_margin_below_1_lasts_no_month(file: PlanFile) -> None:
    """The report's own pool: 92 % of a promised 85 %."""
    slow = replace(FOUND["redis.response_max"], value=25.0, low=25.0, high=25.0)
    full = replace(FOUND["database.pool_utilisation"], value=150.0, low=150.0, high=150.0)
    run = run_of([*(each for each in FOUND.values() if each.name not in (slow.name, full.name)), slow, full])
    found = findings_of(make_plan(file, run, CATALOG))
    assert found["plan.margin.redis_latency.months"].value == 0
    assert found["plan.margin.connection_pool.months"].value == 0
    assert found["plan.database_connections.months_to_limit"].note == "already exceeded"


def test_a_signal_that_was_passed_fires_by_then_and_one_that_was_not_does_not_before(file: PlanFile) -> None:
    late = replace(FOUND["database.response_p99"], value=400.0, low=350.0, high=450.0)
    run = run_of([*(each for each in FOUND.values() if each.name != late.name), late])
    found = findings_of(make_plan(file, run, CATALOG))
    assert (found["plan.signal.database_latency.months"].value, found["plan.signal.database_latency.months"].low) == (
        0,
        0,
    )
    kept = found["plan.signal.database_page.months"]
    assert (kept.value, kept.high) == (pytest.approx(months_until(0.7, 1.0)), math.inf)


def test_workers_are_as_many_as_keep_the_wait(plan: CapacityPlan) -> None:
    found = findings_of(plan)
    service_s = measured("queue.workers_cpu_per_job") / 1000
    assert found["plan.servers.workers"].value == servers_needed(500, service_s, 0.1, 0.99)
    assert found["plan.servers.workers_later"].value == servers_needed(500 * 1.15**24, service_s, 0.1, 0.99)


def test_the_cost_of_now_is_that_of_the_sizes_that_are_stated(plan: CapacityPlan) -> None:
    """db.t3.medium at 0.072 and cache.t3.small at 0.034 an hour, 730 hours."""
    found = findings_of(plan)["plan.cost_now"]
    assert found.value == pytest.approx((0.072 + 0.034) * 730)
    assert found.note == "without Workers on EC2 and Gateway on EC2, whose size is not known"


def test_a_total_with_a_part_that_no_size_holds_is_not_known(plan: CapacityPlan) -> None:
    last = plan.file.quarters - 1
    assert total_monthly(plan, 0) is not None
    assert total_monthly(plan, last) is None
    found = findings_of(plan)["plan.cost_last_quarter"]
    assert found.value is None and found.note.startswith("no size for Database on RDS; the others cost ")


def test_without_growth_nothing_is_outgrown_and_one_size_stays(file: PlanFile) -> None:
    still = make_plan(varied(file, growth=0.0, headroom=0.3, peak=1.0), run_of(FOUND.values()), CATALOG)
    assert (still.first.value, still.first.low) == (math.inf, pytest.approx(0.0))
    for part in still.parts:
        assert len({step.fit.size.key for step in part.steps if step.fit}) <= 1
    found = findings_of(still)["plan.redis_memory.months_to_limit"]
    assert (found.value, found.note) == (math.inf, "never")


def test_a_higher_peak_comes_sooner_and_costs_no_less(file: PlanFile) -> None:
    run = run_of(FOUND.values())
    low, high = (make_plan(varied(file, growth=0.1, headroom=0.3, peak=peak), run, CATALOG) for peak in (0.5, 1.0))
    assert high.first.value < low.first.value
    costs = [total_monthly(each, 0) for each in (low, high)]
    assert None not in costs and costs[0] <= costs[1]  # type: ignore[operator]


def test_another_size_that_runs_now_has_another_limit(file: PlanFile) -> None:
    larger = varied(file, growth=0.15, headroom=0.3, peak=1.0, database="db.m5.xlarge")
    limits = {each.name: each.limit for each in make_plan(larger, run_of(FOUND.values()), CATALOG).resources}
    assert limits["database_iops"] is not None and limits["database_iops"].value == 6000


def test_a_run_of_redis_alone_is_planned_as_far_as_it_goes(file: PlanFile) -> None:
    alone = make_plan(file, run_of(each for each in FOUND.values() if each.section == "redis"), CATALOG)
    assert set(alone.binds) == {"redis_memory", "redis_connections"}
    found = findings_of(alone)
    assert found["plan.redis_cpu.use"].note == "not measured: no finding queue.redis_cpu_per_job"
    assert [part.entry.name for part in alone.parts] == ["redis"]
    assert not [name for name in found if "queue" in name.partition(".")[2] or "database" in name or "gateway" in name]


def test_findings_that_fit_no_limit_are_refused(file: PlanFile) -> None:
    only = [each for each in FOUND.values() if each.name == "queue.throughput"]
    with pytest.raises(CapacityError, match=r"run the notebooks that measure first$"):
        make_plan(file, run_of(only), CATALOG)


def test_a_current_size_that_the_catalogue_lacks_is_named(file: PlanFile) -> None:
    with pytest.raises(CapacityError, match=r"^the catalogue has no rds db\.t9\.huge in us-east-1; it has db\."):
        make_plan(
            varied(file, growth=0.1, headroom=0.3, peak=1.0, database="db.t9.huge"),
            run_of(FOUND.values()),
            CATALOG,
        )


def test_what_comes_from_a_void_finding_is_void_and_the_rest_is_not(file: PlanFile) -> None:
    void = {name: replace(each, void="the generator was the limit") for name, each in FOUND.items() if "redis" in name}
    spoilt = make_plan(file, run_of((FOUND | void).values()), CATALOG)
    found = findings_of(spoilt)
    assert found["plan.redis_memory.months_to_limit"].void == ("redis.memory_utilisation: the generator was the limit")
    for name in (
        "first_limit",
        "redis_cpu.use",
        "cost_first_quarter",
        "margin.redis_latency",
        "signal.redis_evictions.months",
    ):
        assert found[f"plan.{name}"].void is not None
    for name in ("database_storage.use", "servers.pool", "margin.users", "signal.database_latency.months"):
        assert found[f"plan.{name}"].void is None
    assert spoilt.void is not None
