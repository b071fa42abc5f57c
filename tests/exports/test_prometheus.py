"""Prometheus itself evaluates every rule: on the breach, on an ordinary day, and with what goes wrong with series.

What exporters show while a watched quantity takes a course, a value a minute, is in `COURSES`, an entry a finding.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.display.text import finding_text
from capacity.exports import Source
from capacity.exports.levels import AlertLevel
from capacity.exports.prometheus import SILENT, alert_rules, plain
from capacity.exports.watches import Watch
from capacity.findings import read_findings

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)"
)
Written = dict[str, str]  # series, and their values
Trial = tuple[Written, list[dict[str, Any]]]  # with the expressions that are expected to have a value
BEFORE, AFTER = 12, 24  # minutes; a warning lasts 15 before it counts, of a rate over 5
END = BEFORE + AFTER - 1
OWN = {
    "db": "db.shop.internal",
    "database": "shop",
    "cache": "cache.shop.internal",
    "queue": "posts",
    "api": "api.shop.example",
}
OTHER = {
    "db": "db.b.internal",
    "database": "mail",
    "cache": "cache.b.internal",
    "queue": "mails",
    "api": "api.b.example",
}
LABELS = {  # that the series of each exporter have in Prometheus
    "OpenTelemetry of PostgreSQL": 'server_address="{db}", db_namespace="{database}", instance="app:9464", job="app"',
    "OpenTelemetry of Redis": 'server_address="{cache}", instance="app:9464", job="app"',
    "OpenTelemetry of pools": 'instance="{api}:9464", job="app"',
    "postgres_exporter": 'instance="{db}:9187", job="pg", server="{db}:5432"',
    "redis_exporter": 'instance="redis://{cache}:6379", job="redis"',
    "BullMQ": 'queue="{queue}", instance="app:3000", job="app"',
    "bullmq-otel": 'bullmq_queue_name="{queue}", instance="app:9464", job="app"',
    "bullmq-exporter": 'queue="{queue}", instance="bull:8080", job="bull"',
    "express-prom-bundle": 'instance="{api}:3000", job="app"',
}

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


def promtool(*words: str) -> str:
    ran = subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[:5000]
    return ran.stdout


def rules_in(folder: Path) -> list[dict[str, Any]]:
    groups = yaml.safe_load((folder / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    assert [group["name"] for group in groups] == [
        f"capacity_{name}" for name in ("database", "gateway", "queue", "redis", "exporters")
    ]
    return [rule for group in groups for rule in group["rules"]]


def rule_in(folder: Path, alert: str, severity: str) -> dict[str, Any]:
    (rule,) = [each for each in rules_in(folder) if (each["alert"], each["labels"]["severity"]) == (alert, severity)]
    return rule


@needs_promtool
def test_promtool_finds_nothing_wrong(exported: Path) -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(exported / "alerts.yml"))
    assert f"SUCCESS: {len(rules_in(exported))} rules found" in said


@pytest.mark.parametrize(
    ("alert", "severity", "condition", "minutes"),
    [
        ("DatabaseResponseP99", "critical", "> 0.5", "5m"),  # fires: > 500 ms, in the place of the promise < 500 ms
        ("DatabaseResponseP99", "warning", "> 0.3", "15m"),
        ("DatabaseSuccessRate", "critical", "<= 0.99", "5m"),  # promised: > 99 %
        ("DatabaseSuccessRate", "warning", "<= 0.992", "15m"),  # of the 1 % that may fail a fifth is left
        ("DatabaseDeadlocks", "warning", "> 0", None),  # promised: == 0; a single one fires at once
        ("QueueResponseP99", "warning", ">= 2000", "15m"),  # promise: < 2 s, and the metric is in ms
        ("QueueResponseP99", "critical", "> 3000", "2m"),
        ("QueueFailedRate", "warning", ">= 0.005", "15m"),  # promise: < 0.5 %
        ("QueueDeadLetterGrowth", "critical", "> 100", "5m"),
        ("GatewayGetApiHealthResponseP99", "critical", ">= 0.01", "5m"),
        ("GatewayGetApiHealthResponseP99", "warning", ">= 0.008", "15m"),
        ("RedisEvictions", "warning", "> 0", None),  # promised: == 0
        ("RedisEvictions", "critical", "> 100", "5m"),  # fires: > 100 /min
        ("RedisOutOfMemory", "critical", "> 0", None),
        ("RedisFragmentation", "critical", ">= 1.5", "5m"),
    ],
)
def test_a_limit_is_in_the_unit_of_the_metric(
    exported: Path, alert: str, severity: str, condition: str, minutes: str | None
) -> None:
    rule = rule_in(exported, alert, severity)
    assert rule["expr"].partition(" unless on () ALERTS")[0].rpartition(") ")[2] == condition
    assert rule.get("for") == minutes


def test_a_symptom_has_one_alert_and_at_most_a_rule_for_each_severity(exported: Path) -> None:
    rules = [(rule["alert"], rule["labels"]["severity"]) for rule in rules_in(exported) if rule["alert"] != SILENT]
    assert len(set(rules)) == len(rules)
    assert {severity for _, severity in rules} == {"warning", "critical"}
    assert not {"GatewayStatus5XxRate", "QueueResponseP95", "DatabaseRollbacks"} & {alert for alert, _ in rules}


def test_a_rule_says_what_was_promised_by_whom_what_the_load_test_found_and_what_to_do(
    exported: Path, run: Path
) -> None:
    rule = rule_in(exported, "DatabaseSuccessRate", "critical")
    assert rule["labels"] == {
        "severity": "critical",
        "section": "database",
        "finding": "database.success_rate",
        "system": "db.shop.internal/shop, cache.shop.internal, api.shop.example, queue bull:posts",
    }
    measured = finding_text(
        next(each for each in read_findings(run / "findings") if each.name == "database.success_rate")
    )
    said = rule["annotations"]
    assert said["summary"] == "Transaction success rate: {{ humanizePercentage $value }}, at or below 99 %"
    assert f"Limit: at or below 99 % (report section 1). The load test found: {measured}, PASS." in said["description"]
    assert said["action"].startswith("look at error_type")


def test_every_rule_says_what_to_do(exported: Path) -> None:
    assert all(rule["annotations"]["action"] for rule in rules_in(exported))


def watched(source: Source) -> list[tuple[Watch, AlertLevel]]:
    return [(watch, level) for watch in source.watches if not watch.unseen_by_prometheus for level in watch.alarms]


def test_every_rule_is_tried(source: Source, exported: Path) -> None:
    names = {watch.name for watch, _ in watched(source)}
    assert {watch.finding for watch, _ in watched(source)} == {*COURSES}
    assert {rule["alert"] for rule in rules_in(exported)} == {*names, SILENT}
    assert len(rules_in(exported)) == len(watched(source)) + len(LABELS)
    assert {rule["labels"].get("exporter") for rule in rules_in(exported)} == {None, *LABELS}


def values(watch: Watch, level: AlertLevel) -> tuple[float, float]:
    """An ordinary value of a metric, and one that breaks the level and no severer one."""
    seen = watch.metric.prometheus
    assert seen is not None
    limits = [each.threshold(seen) for each in watch.levels]
    place = watch.levels.index(level)
    if level.holds.relation.startswith(">"):
        lacking = [1 - limit for limit in limits]
        beyond = (lacking[place] + lacking[place + 1]) / 2 if place + 1 < len(lacking) else 1.5 * lacking[place]
        return 1 - 0.3 * lacking[0], 1 - beyond
    return 0.5 * limits[0], (limits[place] + limits[place + 1]) / 2 if place + 1 < len(limits) else 1.3 * limits[place]


def labelled(watch: Watch, series: Series, system: dict[str, str] = OWN) -> Written:
    """The series as promtool reads them, with the labels of their exporter, and what Prometheus knows of its target."""
    assert watch.metric.prometheus is not None
    labels = LABELS[watch.metric.prometheus.exporter].format(**system)
    target = ", ".join(part for part in labels.split(", ") if part.startswith(("instance=", "job=")))
    up: Series = {f"up{{{target}}}": [1.0] * len(next(iter(series.values())))}
    return {
        name.replace("@", labels): " ".join("_" if value is None else f"{value:.10g}" for value in each)
        for name, each in {**up, **series}.items()
    }


def firing(alert: str, minute: int, severities: Sequence[str], within: int = 0) -> dict[str, Any]:
    """That just these alerts of a name fire at a minute, or fired at any time of the minutes before."""
    shown = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    expression = (
        f"count by (severity) (last_over_time({shown}[{within}m]))" if within else f"count by (severity) ({shown})"
    )
    samples = [{"labels": f'{{severity="{each}"}}', "value": 1} for each in severities]
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


def kinds(series: Written) -> set[str]:
    """What no other trial beside this one may have: the names of its metrics, of histograms with the labels."""
    names = {re.sub(r'le="[^"]*"', "", name) if "_bucket{" in name else name.partition("{")[0] for name in series}
    return names - {"up"}


def each_passes(exported: Path, folder: Path, trials: Iterable[Trial]) -> None:
    """promtool agrees with what is expected of all rules in each trial; trials on other metrics are made together."""
    together: list[tuple[set[str], Written, list[dict[str, Any]]]] = []
    for series, expected in trials:
        free = next((each for each in together if not each[0] & kinds(series)), None)
        if free is None:
            together.append(free := (set(), {}, []))
        free[0].update(kinds(series))
        free[1].update(series)
        free[2].extend(expected)
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": expected,
        }
        for _, series, expected in together
    ]
    file = {"rule_files": [str(exported / "alerts.yml")], "evaluation_interval": "1m", "tests": tests}
    (folder / "test.yml").write_text(yaml.safe_dump(file), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", str(folder / "test.yml"))


def breaking(watch: Watch, level: AlertLevel) -> Course:
    """An ordinary day, and then the limit is passed: for good, or by one event where not one is promised."""
    ordinary, beyond = values(watch, level)
    if level.is_of_events and isinstance(COURSES[watch.finding], Counted):
        return [0.0] * BEFORE + [1.0] + [0.0] * (AFTER - 1)
    return [ordinary] * BEFORE + [beyond or 1.0] * AFTER  # 1 where none is promised


def judged_at(level: AlertLevel) -> int:
    """The minute at which a breach must have fired: an event's fires at once and for some minutes."""
    return BEFORE + 6 if level.is_of_events else END


@needs_promtool
def test_an_alert_fires_on_the_breach_in_its_severity_alone_and_not_before(
    source: Source, exported: Path, tmp_path: Path
) -> None:
    trials = []
    for watch, level in watched(source):
        series = labelled(watch, COURSES[watch.finding].series(breaking(watch, level)))
        at = judged_at(level)
        trials.append((series, [firing(watch.name, BEFORE - 1, []), firing(watch.name, at, [level.severity])]))
    each_passes(exported, tmp_path, trials)


def all_along(watch: Watch) -> list[dict[str, Any]]:
    """That no alert of it ever fired."""
    return [firing(watch.name, END, [], within=END)]


def without_scrapes(series: Series, first: int, last: int) -> Series:
    return {
        name: [None if first <= minute <= last else value for minute, value in enumerate(each)]
        for name, each in series.items()
    }


def begun_again(watch: Watch, series: Series, at: int) -> Series:
    """Counters that begin at 0 again, as those of a program that is started anew, and the gauges as they are."""
    if isinstance(COURSES[watch.finding], Shown) or watch.finding == "queue.depth_slope":
        return series
    return {
        name: [
            value - (each[at] or 0) if value is not None and minute > at else value for minute, value in enumerate(each)
        ]
        for name, each in series.items()
    }


def first_levels(source: Source) -> list[Watch]:
    return list({watch.name: watch for watch, _ in watched(source)}.values())


@pytest.mark.thorough
@needs_promtool
@pytest.mark.parametrize("happening", ["nothing", "a scrape gap", "a long scrape gap", "a restart", "an end"])
def test_an_ordinary_day_is_silent_whatever_happens_to_the_series(
    source: Source, exported: Path, tmp_path: Path, happening: str
) -> None:
    trials = []
    for watch in first_levels(source):
        ordinary, _ = values(watch, watch.alarms[0])
        series = COURSES[watch.finding].series([ordinary] * (BEFORE + AFTER))
        if happening == "a restart":
            series = begun_again(watch, series, BEFORE)
        elif happening != "nothing":
            last = {"a scrape gap": BEFORE + 2, "a long scrape gap": BEFORE + 11, "an end": END}[happening]
            series = without_scrapes(series, BEFORE, last)
        trials.append((labelled(watch, series), all_along(watch)))
    each_passes(exported, tmp_path, trials)


@pytest.mark.thorough
@needs_promtool
@pytest.mark.parametrize("happening", ["a scrape gap", "a restart"])
def test_a_breach_is_seen_whatever_happens_to_the_series(
    source: Source, exported: Path, tmp_path: Path, happening: str
) -> None:
    trials = []
    for watch, level in watched(source):
        series = COURSES[watch.finding].series(breaking(watch, level))
        broken = begun_again(watch, series, BEFORE + 4) if happening == "a restart" else None
        series = broken or without_scrapes(series, BEFORE + 1, BEFORE + 3)
        trials.append((labelled(watch, series), [firing(watch.name, judged_at(level), [level.severity])]))
    each_passes(exported, tmp_path, trials)


@pytest.mark.thorough
@needs_promtool
def test_an_alert_ends_with_its_series(source: Source, exported: Path, tmp_path: Path) -> None:
    trials = []
    for watch, level in watched(source):
        written = labelled(watch, COURSES[watch.finding].series(breaking(watch, level)))
        ended = {name: f"{each} stale{' _' * 16}" for name, each in written.items() if not name.startswith("up{")}
        trials.append(({**written, **ended}, [firing(watch.name, END + 16, [])]))
    each_passes(exported, tmp_path, trials)


@pytest.mark.thorough
@needs_promtool
def test_all_that_fails_from_the_first_on_is_seen(source: Source, exported: Path, tmp_path: Path) -> None:
    """What succeeds has no series at all then."""
    trials = []
    for watch in first_levels(source):
        if watch.finding in (
            "database.success_rate",
            "gateway.success_rate",
            "redis.success_rate",
            "queue.failed_rate",
        ):
            worst = 1.0 if watch.finding == "queue.failed_rate" else 0.0
            series = COURSES[watch.finding].series([worst] * (BEFORE + AFTER))
            there = {name: each for name, each in series.items() if any(each)}
            assert len(there) == 1 or watch.finding == "redis.success_rate"
            trials.append((labelled(watch, there), [firing(watch.name, END, ["critical"])]))
    assert len(trials) == 4
    each_passes(exported, tmp_path, trials)


@pytest.mark.thorough
@needs_promtool
def test_another_system_in_the_same_prometheus_is_not_ours(source: Source, exported: Path, tmp_path: Path) -> None:
    trials = []
    for watch, level in watched(source):
        series = COURSES[watch.finding].series(breaking(watch, level))
        other = {name.replace("shop", "mail"): values for name, values in labelled(watch, series, OTHER).items()}
        trials.append((other, all_along(watch)))
    each_passes(exported, tmp_path, trials)


@needs_promtool
def test_an_exporter_that_is_silent_or_has_other_labels_is_told(source: Source, exported: Path, tmp_path: Path) -> None:
    """As without any series no other alert can fire, and none does."""
    shown = f'count by (exporter) (ALERTS{{alertname="{SILENT}", alertstate="firing"}})'
    labels = {name: text.format(**OWN) for name, text in LABELS.items()}
    there = {
        f"pg_up{{{labels['postgres_exporter']}}}": "1x60",
        f"redis_up{{{labels['redis_exporter']}}}": "0x60",  # it cannot reach its server
        f'bullmq_job_count{{state="waiting", {LABELS["BullMQ"].format(**OTHER)}}}': "0x60",
        f"bullmq_job_duration_count{{{labels['bullmq-otel']}}}": "1x60",
        f"http_request_duration_seconds_count{{{labels['express-prom-bundle']}}}": "1x60",  # without methods and paths
    }
    fine = {"postgres_exporter", "bullmq-otel"}
    silent = [{"labels": f'{{exporter="{name}"}}', "value": 1} for name in LABELS if name not in fine]
    assert {rule["labels"]["severity"] for rule in rules_in(exported) if rule["alert"] == SILENT} == {
        "warning",
        "critical",
    }
    others = f'count(ALERTS{{alertname!="{SILENT}"}})'
    expected = [
        {"expr": shown, "eval_time": "59m", "exp_samples": silent},
        {"expr": others, "eval_time": "59m", "exp_samples": []},
    ]
    each_passes(exported, tmp_path, [(there, expected)])


@pytest.mark.thorough
@needs_promtool
def test_what_happens_on_any_day_wakes_nobody(source: Source, exported: Path, tmp_path: Path) -> None:
    """A tiny Redis is fragmented, a few of a quiet night's requests are slow, and an application rolls back."""
    by_finding = {watch.finding: watch for watch in first_levels(source)}
    tiny = by_finding["redis.fragmentation"]
    ratio = {"redis_mem_fragmentation_ratio{@}": [12.0] * 36, "redis_memory_used_bytes{@}": [9e5] * 36}
    health = by_finding["gateway.get_api_health.response_p99"]
    bucket = 'http_request_duration_seconds_bucket{method="GET", path="/api/health", status_code="200", le="LE", @}'
    quiet = {
        "0.003": [60.0 + minute for minute in range(36)],
        "+Inf": [60.0 + minute + (minute > 20) for minute in range(36)],
    }
    slow: Series = {bucket.replace("LE", edge): list(each) for edge, each in quiet.items()}
    back = by_finding["database.deadlocks"]
    rolled: Series = {'pg_stat_database_xact_rollback{datname="shop", @}': [3000.0 * minute for minute in range(36)]}
    trials = [
        (labelled(watch, series), all_along(watch)) for watch, series in ((tiny, ratio), (health, slow), (back, rolled))
    ]
    each_passes(exported, tmp_path, trials)


@needs_promtool
def test_a_text_with_templates_is_shown_as_it_is(source: Source, hostile: Watch, tmp_path: Path) -> None:
    rules = alert_rules([hostile], source.monitoring, source.selection, "made {{ here }}")
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    level = hostile.levels[-1]
    expected = {
        "exp_labels": {
            "severity": "critical",
            "section": "queue",
            "finding": "queue.depth_peak",
            "system": source.selection.name,
        },
        "exp_annotations": {
            # promtool itself expands nothing in what is expected, so these are the texts as they arrive
            "summary": f"{plain(hostile.title)}: 1.234e+04 jobs, above 10,000 jobs",
            "description": plain(hostile.description(level)),
            "action": plain(hostile.metric.action),
        },
    }
    assert "<" not in expected["exp_annotations"]["description"] and "://" not in expected["exp_annotations"]["action"]
    depth = f'bullmq_job_count{{state="waiting", {LABELS["BullMQ"].format(**OWN)}}}'
    test = {
        "interval": "1m",
        "input_series": [{"series": depth, "values": "12340x30"}],
        "alert_rule_test": [{"eval_time": "20m", "alertname": hostile.name, "exp_alerts": [expected]}],
    }
    file = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


def test_every_promise_with_a_metric_has_a_rule_and_no_other(source: Source, exported: Path) -> None:
    alerts = {rule["alert"] for rule in rules_in(exported)}
    without = [each for each in source.watches if each.name not in alerts]
    assert "QueueThroughput" in {watch.name for watch in without}  # drawn, without an alert
    assert {each.metric.prometheus for each in without if not each.metric.no_alert} == {None}
