"""What exporters show, a value a minute, while a watched quantity takes a course: one entry for each finding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

Course = Sequence[float]
Series = dict[str, list[float | None]]
OPERATIONS = 60_000  # a minute


@dataclass(frozen=True)
class Shown:
    """Gauges: each is a function of the value."""

    gauges: dict[str, Callable[[float], float]]

    def series(self, course: Course) -> Series:
        return {name: [of(value) for value in course] for name, of in self.gauges.items()}


@dataclass(frozen=True)
class Counted:
    """Counters: so many a minute, as a function of the value. One is not there before its first event."""

    counters: dict[str, Callable[[float], float]]

    def series(self, course: Course) -> Series:
        counted = {name: list(accumulate(of(value) for value in course)) for name, of in self.counters.items()}
        return {name: [value or None for value in values] for name, values in counted.items()}


@dataclass(frozen=True)
class Timed:
    """A histogram, in which all operations of a minute take the value."""

    bucket: str

    def series(self, course: Course) -> Series:
        edges = sorted({edge for value in course for edge in (0.99 * value, value)})
        counts = {
            f"{edge:.6g}": [OPERATIONS if value <= edge else 0 for value in course] for edge in [*edges, float("inf")]
        }
        return {
            self.bucket.replace("LE", edge.replace("inf", "+Inf")): [float(each) for each in accumulate(values)]
            for edge, values in counts.items()
        }


def _bad(value: float) -> float:
    return OPERATIONS * (1 - value)


def _good(value: float) -> float:
    return OPERATIONS * value


def _http(path: str, method: str = "GET") -> Timed:
    labels = f'method="{method}", path="{path}", status_code="200", le="LE", @'
    return Timed(f"http_request_duration_seconds_bucket{{{labels}}}")


HTTP = 'http_request_duration_seconds_count{method="GET", path="/a", status_code="STATUS", @}'
SQL = 'db_client_operation_duration_count{db_system_name="postgresql", @}'
SQL_FAILED = 'db_client_operation_duration_count{db_system_name="postgresql", error_type="42703", @}'
DEPTH = 'bullmq_job_count{state="waiting", @}'
CPU = "redis_cpu_{}_main_thread_seconds_total{{@}}"
# In the place of @ stand the labels of the exporter.
COURSES: dict[str, Shown | Counted | Timed] = {
    "database.response_p99": Timed('db_client_operation_duration_bucket{db_system_name="postgresql", le="LE", @}'),
    "database.success_rate": Counted({SQL: _good, SQL_FAILED: _bad}),
    "database.pool_utilisation": Shown(
        {
            'pg_stat_activity_count{state="active", @}': lambda value: 97 * value,
            'pg_stat_activity_count{state="idle", @}': lambda value: 40,
            "pg_settings_max_connections{@}": lambda value: 100,
            "pg_settings_superuser_reserved_connections{@}": lambda value: 3,
        }
    ),
    "database.pool_exhaustions": Shown({"db_client_connection_pending_requests{@}": lambda value: value}),
    "database.deadlocks": Counted({'pg_stat_database_deadlocks{datname="shop", @}': lambda value: value}),
    "queue.response_p99": Timed('bullmq_completed_duration_bucket{le="LE", @}'),
    "queue.depth_peak": Shown({DEPTH: lambda value: value, 'bullmq_job_count{state="failed", @}': lambda value: 99999}),
    "queue.depth_slope": Counted({DEPTH: lambda value: 60 * value}),
    "queue.failed_rate": Counted(
        {
            'bullmq_jobs_completed_total{bullmq_job_name="a", @}': _bad,
            'bullmq_jobs_failed_total{bullmq_job_name="a", @}': _good,
        }
    ),
    "queue.dead_letter_growth": Counted({"bullmq_jobs_failed_total{@}": lambda value: value}),
    "gateway.success_rate": Counted({HTTP.replace("STATUS", "200"): _good, HTTP.replace("STATUS", "503"): _bad}),
    "gateway.get_api_connectors.response_p99": _http("/api/connectors"),
    "gateway.post_api_oauth_platform_callback.response_p99": _http("/api/oauth/#val/callback", "POST"),
    "gateway.get_api_posts.response_p99": _http("/api/posts"),
    "gateway.post_api_publish.response_p99": _http("/api/publish", "POST"),
    "gateway.get_api_health.response_p99": _http("/api/health"),
    "gateway.pool_utilisation": Shown(
        {
            'db_client_connection_count{db_client_connection_state="used", @}': lambda value: 20 * value,
            'db_client_connection_count{db_client_connection_state="idle", @}': lambda value: 20,
            "db_client_connection_max{@}": lambda value: 20,
        }
    ),
    "redis.response_p99": Timed('db_client_operation_duration_seconds_bucket{db_system_name="redis", le="LE", @}'),
    "redis.success_rate": Counted(
        {
            'redis_commands_total{cmd="get", @}': lambda value: OPERATIONS,
            'redis_commands_failed_calls_total{cmd="get", @}': _bad,
        }
    ),
    "redis.memory_utilisation": Shown(
        {"redis_memory_used_bytes{@}": lambda value: 1e9 * value, "redis_memory_max_bytes{@}": lambda value: 1e9}
    ),
    "redis.fragmentation": Shown(
        {"redis_mem_fragmentation_ratio{@}": lambda value: value, "redis_memory_used_bytes{@}": lambda value: 2e8}
    ),
    "redis.cpu_share": Counted(
        {CPU.format("user"): lambda value: 40 * value, CPU.format("sys"): lambda value: 20 * value}
    ),
    "redis.evictions": Counted({"redis_evicted_keys_total{@}": lambda value: value}),
    "redis.out_of_memory": Counted({'redis_errors_total{err="OOM", @}': lambda value: value}),
    "redis.connections_refused": Counted({"redis_rejected_connections_total{@}": lambda value: value}),
}
