"""Which findings the workloads, searches and plan of a project can give: their names and units, beforehand."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from capacity.analysis.measured.figures import OF_PART, Figures, level_figures, named, part_figures, without_values
from capacity.analysis.planning.plan_file import PlanFile
from capacity.findings import Finding
from capacity.objectives import is_pattern
from capacity.workload import Workload

JOBS = "jobs_acknowledged jobs_ok jobs_lost jobs_unexpected jobs_duplicated jobs_recovered"
OF_SEARCH = named(
    per_s="highest_sustainable recommended peak_throughput by_scalability_law by_waiting_lines",
    percent="errors_beyond utilisation between_rounds between_measurements detectable_change",
    ms="response_p95_at_limit response_p95_beyond",
    s="seconds_for_p99",
    count="scalability_law_ratio waiting_lines_ratio",
)
HALVES = ("with_breaker", "without_breaker")
OF_OVERLOAD = named(
    jobs="depth_peak depth_end waited_behind",
    s="dry closed_after",
    count="admitted shed failed reads_refused",
    percent="admitted_within",
    ms="admitted_p95 wait_longest",
    per_s="served",
)
OF_FAULT = named(
    ms="detected first_success restored down",
    s="drained drained_in_theory began",
    count="served late failed lost backlog ended",
)
SCENARIOS: Mapping[str, Figures] = {  # of a scenario whose name begins so, beside those of every fault
    "direct_connections": named(count="refused admitted other_failures crowded_out", ms="readmitted"),
    "connection_pool": named(count="refused hidden_refusals", ms="longest_wait"),
    "redis_": named(count=f"{JOBS} jobs_lost_of_later jobs_pending", percent="jobs_lost_of_pending"),
    "outbox_": named(
        count=f"{JOBS} writes_refused internal_errors jobs_pending jobs_away jobs_later jobs_between jobs_reenqueued "
        "reenqueued_by_gateway effects_ok effects_lost effects_duplicated",
        percent="jobs_reenqueued_of_pending jobs_reenqueued_of_away jobs_reenqueued_of_later "
        "jobs_reenqueued_of_between",
        ms="jobs_restored",
    ),
    "worker_": named(
        count=f"{JOBS} jobs_given_up effects effects_duplicated jobs_under_way jobs_reprocessed backlog_peak",
        s="first_retaken retaken",
        per_second="arrivals capacity_left",
    ),
    "database_": named(count="acknowledged_writes lost_writes recovered_writes unexpected_writes"),
    "network_": named(
        count=f"{JOBS} unanswered failed_in_all failed_otherwise requests_acknowledged requests_lost "
        "requests_recovered requests_unexpected",
        ms="slowest write_before delay_felt",
        s="caught_up",
    ),
}
ENDS = ("none_stop", "none_kill", "rdb_stop", "rdb_kill", "aof_stop", "aof_kill")
FAULTS = (
    *("direct_connections", "connection_pool", "worker_kill", "worker_kill_2", "worker_stop"),
    *(f"{server}_{end}" for server in ("redis", "outbox") for end in ENDS),
    *("database_fast_stop", "database_kill", "database_kill_asynchronous"),
    *(
        f"network_{server}_{way}"
        for server in ("postgres", "redis")
        for way in ("refuse", "reset", "black_hole", "delay")
    ),
)


def possible_findings(workloads: Mapping[str, Workload], plan: PlanFile | None, currency: str) -> "Possible":
    """Findings without values: of the workloads by the parts that they load, of searches, faults, and of the plan.

    A name that ends with `*` stands for findings whose last words come from what is measured.
    """
    found = [each for part in OF_PART if part in workloads for each in part_figures(part, workloads[part])]
    found += without_values("queue.dead_letters", {"*": "%"}) if "queue" in workloads else []
    for part in OF_PART:
        found += [*level_figures(part), *without_values(f"breaking_point.{part}", OF_SEARCH)]
    found += [each for half in HALVES for each in without_values(f"breaking_point.{half}", OF_OVERLOAD)]
    for fault in FAULTS:
        own = next(figures for name, figures in SCENARIOS.items() if fault.startswith(name))
        found += without_values(f"failover.{fault}", {**OF_FAULT, **own})
    found += without_values("plan", dict(_of_plan(plan, currency))) if plan else []
    return Possible(found)


class Possible:
    """Findings that can be given, without values, and the `sections` that they are of."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self._by_name = {each.name: each for each in findings}
        self._open = [each for name, each in self._by_name.items() if is_pattern(name)]
        self.sections = list(dict.fromkeys(each.section for each in self._by_name.values()))

    def fitting(self, name: str) -> list[Finding]:
        """Those that a name, or a pattern of names, is on."""
        if is_pattern(name):
            return [each for each in self._by_name.values() if fnmatchcase(each.name, name)]
        exact = self._by_name.get(name)
        return [exact] if exact else [each for each in self._open if fnmatchcase(name, each.name)]

    def names(self, section: str) -> list[str]:
        """Those of a section."""
        return [name for name, each in self._by_name.items() if each.section == section]


def _of_plan(plan: PlanFile, currency: str) -> Iterator[tuple[str, str]]:
    months = [f"{each.name}.months_to_limit" for each in plan.resources]
    for each in plan.resources:
        yield f"{each.name}.use", each.unit
        yield f"first_limit.{each.name}", "%"
        limits = [f"{trigger.at:g}".replace(".", "_") for trigger in each.triggers]
        months += [f"{each.name}.months_to_trigger_{limit}" for limit in limits]
    months += ["first_limit", *(f"signal.{each.name}.months" for each in plan.signals)]
    months += [f"margin.{each.name}.months" for each in plan.margins]
    yield from ((name, "months") for name in months)
    yield from ((f"margin.{each.name}", "x") for each in plan.margins)
    yield from ((f"servers.{each.name}{when}", "") for each in plan.waits for when in ("", "_later"))
    yield from ((f"cost_{when}", f"{currency}/month") for when in ("now", "first_quarter", "last_quarter"))
