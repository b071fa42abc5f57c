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
from capacity.analysis.planning.plan import CapacityPlan, cost_in, cost_now, make_plan, varied
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


def test_the_connections_that_70_of_100_users_need_grow_into_those_that_the_servers_size_takes(
    plan: CapacityPlan,
) -> None:
    """And not into the connections that the generator opened."""
    found = findings_of(plan)
    use = measured("database.pool_in_use") * 0.7
    assert found["plan.database_connections.use"].value == pytest.approx(use)
    assert found["plan.database_connections.months_to_limit"].value == pytest.approx(months_until(use, 413))
    redis = measured("redis.pool_in_use") * 2100 / measured("redis.throughput") + measured("queue.redis_connections")
    assert found["plan.redis_connections.use"].value == pytest.approx(redis)
    assert found["plan.redis_connections.months_to_limit"].value == pytest.approx(months_until(redis, 46000))


def test_redis_cpu_is_that_of_its_commands_and_of_the_jobs_until_what_the_node_sustains(plan: CapacityPlan) -> None:
    """40 % of a core on cache.t3.small: two vCPU that sustain 20 % each, all of which one thread may use."""
    commands = measured("redis.cpu_share") * 2100 / measured("redis.throughput")
    use = commands + 500 * measured("queue.redis_cpu_per_job") / 1000 * 100
    found = findings_of(plan)
    assert found["plan.redis_cpu.use"].value == pytest.approx(use)
    assert found["plan.redis_cpu.months_to_limit"].value == pytest.approx(months_until(use, 40))
    assert found["plan.redis_cpu.months_to_limit"].value == pytest.approx(5.2, abs=0.05)


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
    many = replace(FOUND["database.pool_in_use"], value=900.0, low=900.0, high=900.0)
    run = run_of((FOUND | {each.name: each for each in (slow, full, many)}).values())
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


def test_the_cost_of_now_is_that_of_the_sizes_that_are_stated_at_least(plan: CapacityPlan) -> None:
    """db.t3.medium at 0.072 and cache.t3.small at 0.034 an hour, 730 hours; its volume and two sizes are not known."""
    found = findings_of(plan)["plan.cost_now"]
    assert found.value == found.low == pytest.approx((0.072 + 0.034) * 730)
    assert found.high == math.inf
    assert found.note == (
        "at least: without Workers on EC2 and Gateway on EC2 (size not known), at least Database on RDS (its volume is "
        "not known)"
    )
    assert cost_now(plan).text == "at least 77 USD"


def test_a_total_is_of_what_is_known_and_says_what_it_is_without(plan: CapacityPlan) -> None:
    last = plan.file.quarters - 1
    first, end = cost_in(plan, 0), cost_in(plan, last)
    assert (first.without, end.without) == ("", "without Redis on ElastiCache")
    found = findings_of(plan)["plan.cost_last_quarter"]
    sizes = [part.steps[last].monthly for part in plan.counted if part.entry.name != "redis"]
    assert found.value == pytest.approx(sum(each or 0.0 for each in sizes))
    assert found.high == math.inf
    assert found.note.startswith("at least: without Redis on ElastiCache (none holds it), at least Database on RDS (")


def test_without_growth_nothing_is_outgrown_and_one_size_stays(file: PlanFile) -> None:
    still = make_plan(varied(file, growth=0.0, headroom=0.3, peak=1.0), run_of(FOUND.values()), CATALOG)
    assert (still.first.value, still.first.low) == (math.inf, math.inf)
    for part in still.parts:
        assert len({step.fit.size.key for step in part.steps if step.fit}) <= 1
    found = findings_of(still)["plan.redis_memory.months_to_limit"]
    assert (found.value, found.note) == (math.inf, "never")


def test_a_higher_peak_comes_sooner_and_costs_no_less(file: PlanFile) -> None:
    run = run_of(FOUND.values())
    low, high = (make_plan(varied(file, growth=0.1, headroom=0.3, peak=peak), run, CATALOG) for peak in (0.5, 1.0))
    months = [findings_of(each)["plan.database_throughput.months_to_limit"].value or 0.0 for each in (low, high)]
    assert months[1] < months[0]
    costs = [cost_in(each, 0).value for each in (low, high)]
    assert None not in costs and costs[0] <= costs[1]  # type: ignore[operator]


def test_a_run_of_redis_alone_is_planned_as_far_as_it_goes(file: PlanFile) -> None:
    alone = make_plan(file, run_of(each for each in FOUND.values() if each.section == "redis"), CATALOG)
    assert set(alone.binds) == {"redis_memory"}
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
