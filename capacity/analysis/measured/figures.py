"""The names and units of the findings that measuring a part can give, known before anything is measured."""

from collections.abc import Mapping

from capacity.analysis.statistics.conventions import QUANTILES
from capacity.findings import Finding
from capacity.operation import FAILURES, operation_slug
from capacity.workload import Workload

Figures = Mapping[str, str]  # units by the names of findings
UNITS = {"percent": "%", "count": "", "per_s": "/s", "MB_per_s": "MB/s", "jobs_per_s": "jobs/s", "per_second": "1/s"}


def named(**names_by_unit: str) -> dict[str, str]:
    """Units by name, from names by the word of their unit."""
    return {name: UNITS.get(word, word) for word, names in names_by_unit.items() for name in names.split()}


def percentiles(*stems: str) -> dict[str, str]:
    """Those in ms that begin with each stem, as `response_p99`."""
    return {f"{stem}_{each}": "ms" for stem in stems for each in QUANTILES}


EACH = percentiles("response") | named(ms="response_max", percent="success_rate")  # operation, and all together
POOL = named(
    connections="pool_in_use connections_idle connections_open",
    percent="pool_utilisation",
    count="connections_refused pool_exhaustions",
    ms="acquisition_p50 acquisition_p99",
)
EACH_OF = {
    "queue": EACH | percentiles("wait", "run"),
    "gateway": EACH | named(requests="volume", percent="error_rate shed_rate"),
}
OF_PART = {
    "database": POOL
    | named(
        per_s="row_security_rate disk_operations",
        percent="lock_wait_share cache_hit_rate cpu_share memory_utilisation",
        count="deadlocks rollbacks",
        MB="size memory",
        ms="disk_read disk_write log_sync row_security_cost",
        MB_per_s="disk_throughput",
    ),
    "redis": POOL
    | named(
        MB="memory",
        percent="memory_utilisation cpu_share",
        count="fragmentation evictions out_of_memory",
        ms="reconnection_p50 reconnection_p95 reconnection_max",
    ),
    "queue": named(
        ms="add_p99 workers_cpu_per_job redis_cpu_per_job",
        percent="add_success_rate failed_rate retried_rate retry_success_rate workers_cpu_share",
        jobs="depth_peak active_peak dead_letters acknowledged ok lost unexpected duplicated recovered "
        "not_done_yet removed",
        jobs_per_s="depth_slope",
        MB="redis_memory",
        count="redis_connections",
    ),
    "gateway": named(
        percent="status_4xx_rate status_5xx_rate no_answer_rate connections_utilisation keep_alive_reuse "
        "pool_utilisation pool_waited_rate cpu_share",
        connections="connections_in_use",
        per_s="connections_opened",
        ms="acquisition_p99 pool_wait",
        count="pool_errors breaker_refusals",
        jobs="queue_depth",
    ),
}
OF_LEVEL = percentiles("response", "service", "dispatch") | named(
    per_s="offered completed",
    percent="success_rate backlog_growth littles_law",
    operations="in_system in_service",
)


def operation_figures(part: str, workload: Workload) -> list[Finding]:
    """The findings, without values, of each operation of a part's workload and of all together."""
    slugs = dict.fromkeys(["", *(operation_slug(each.name) for each in workload.operations)])
    names = {f"{slug}.{name}".lstrip("."): unit for slug in slugs for name, unit in EACH_OF.get(part, EACH).items()}
    return without_values(part, names)


def part_figures(part: str, workload: Workload) -> list[Finding]:
    """All findings, without values, that measuring a part by a workload can give."""
    reasons = {reason for each in workload.operations if each.job for reason in each.job.failures}
    slugs = ["", *(operation_slug(each.name) for each in workload.operations)]
    failures = {f"{slug}.{FAILURES}.*".lstrip("."): "" for slug in slugs}  # by reasons that only the failure tells
    dead = {f"dead_letters.{operation_slug(each)}": "%" for each in reasons} if part == "queue" else {}
    return operation_figures(part, workload) + without_values(
        part, {"throughput": "/s"} | OF_PART[part] | dead | failures
    )


def level_figures(part: str) -> list[Finding]:
    """All findings, without values, of a level of load on a part in the search for its breaking point."""
    return without_values(f"level_{part}", OF_LEVEL)


def without_values(prefix: str, figures: Figures) -> list[Finding]:
    """Findings that say no more than their names, which begin with `prefix`, and units."""
    return [Finding(f"{prefix}.{name}", None, unit) for name, unit in figures.items()]
