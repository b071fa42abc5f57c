"""Prometheus itself evaluates every rule: on the breach, on an ordinary day, and with what goes wrong with series."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.display.text import finding_text
from capacity.exports import Source
from capacity.exports.prometheus import SILENT, alert_rules, plain
from capacity.exports.watches import Level, Watch
from capacity.findings import read_findings
from tests.exports.courses import COURSES, Course, Series, Timed

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)"
)
BEFORE, AFTER = 30, 40  # minutes
END = BEFORE + AFTER - 1
OWN = {"db": "db.shop.internal", "database": "shop", "cache": "cache.shop.internal", "queue": "posts", "api": "api.shop.example"}
OTHER = {"db": "db.b.internal", "database": "mail", "cache": "cache.b.internal", "queue": "mails", "api": "api.b.example"}
LABELS = {  # that the series of each exporter have in Prometheus
    "OpenTelemetry of PostgreSQL": 'server_address="{db}", server_port="5432", db_namespace="{database}", instance="app:9464", job="app"',
    "OpenTelemetry of Redis": 'server_address="{cache}", instance="app:9464", job="app"',
    "OpenTelemetry of pools": 'instance="{api}:9464", job="app"',
    "postgres_exporter": 'instance="{db}:9187", job="pg", server="{db}:5432"',
    "redis_exporter": 'instance="redis://{cache}:6379", job="redis"',
    "BullMQ": 'queue="{queue}", instance="app:3000", job="app"',
    "bullmq-otel": 'bullmq_queue_name="{queue}", instance="app:9464", job="app"',
    "bullmq-exporter": 'queue="{queue}", instance="bull:8080", job="bull"',
    "express-prom-bundle": 'instance="{api}:3000", job="app"',
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
    (rule,) = [
        each for each in rules_in(folder) if (each["alert"], each["labels"]["severity"]) == (alert, severity)
    ]
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


def watched(source: Source) -> list[tuple[Watch, Level]]:
    return [(watch, level) for watch in source.watches if not watch.unseen_by_prometheus for level in watch.alarms]


def test_every_rule_is_tried(source: Source, exported: Path) -> None:
    names = {watch.name for watch, _ in watched(source)}
    assert {watch.finding for watch, _ in watched(source)} == {*COURSES}
    assert {rule["alert"] for rule in rules_in(exported)} == {*names, SILENT}
    assert len(rules_in(exported)) == len(watched(source)) + len(LABELS)
    assert {rule["labels"].get("exporter") for rule in rules_in(exported)} == {None, *LABELS}


def values(watch: Watch, level: Level) -> tuple[float, float]:
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


def labelled(watch: Watch, series: Series, system: dict[str, str] = OWN) -> list[dict[str, str]]:
    """The series as promtool reads them, with the labels of their exporter, and what Prometheus knows of its target."""
    assert watch.metric.prometheus is not None
    labels = LABELS[watch.metric.prometheus.exporter].format(**system)
    minutes = max(len(each) for each in series.values())
    instance = labels[labels.index("instance=") :].partition(", ")[0]
    job = labels[labels.index("job=") :].partition(", ")[0]
    up: Series = {f"up{{{instance}, {job}}}": [1.0] * minutes}
    return [
        {
            "series": name.replace("@", labels).replace("shop", system["database"]) if system is OTHER else name.replace("@", labels),
            "values": " ".join("_" if value is None else f"{value:.10g}" for value in each),
        }
        for name, each in {**up, **series}.items()
    ]


def firing(alert: str, minute: int, severities: Sequence[str], within: int = 0) -> dict[str, Any]:
    """That just these alerts of a name fire at a minute, or fired at any time of the minutes before."""
    shown = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
    expression = f"count by (severity) (last_over_time({shown}[{within}m]))" if within else f"count by (severity) ({shown})"
    samples = [{"labels": f'{{severity="{each}"}}', "value": 1} for each in severities]
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}


def passed(rules: Path, folder: Path, tests: Sequence[tuple[list[dict[str, str]], list[dict[str, Any]]]]) -> None:
    """promtool agrees with what is expected of these rules, of each test its series with the expressions."""
    written = [
        {"interval": "1m", "input_series": series, "promql_expr_test": expected} for series, expected in tests
    ]
    file = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": written}
    (folder / "test.yml").write_text(yaml.safe_dump(file), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", str(folder / "test.yml"))


def each_passes(
    source: Source, folder: Path, tried: Callable[[Watch, Level], list[tuple[Series | list[dict[str, str]], list[dict[str, Any]]]]]
) -> None:
    """What is `tried` of each level of each watch, on the rules of that watch alone, in one call of promtool."""
    files = []
    for number, (watch, level) in enumerate(watched(source)):
        rules = folder / f"{watch.name}.yml"
        rules.write_text(alert_rules([watch], source.monitoring, source.selection, "tested"), encoding="utf-8")
        tests = [
            {
                "interval": "1m",
                "input_series": labelled(watch, series) if isinstance(series, dict) else series,
                "promql_expr_test": expected,
            }
            for series, expected in tried(watch, level)
        ]
        file = folder / f"test-{number}.yml"
        wanted = {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}
        file.write_text(yaml.safe_dump(wanted), encoding="utf-8")
        files.append(str(file))
    assert promtool("test", "rules", *files).count("SUCCESS") == len(files)


def breaking(watch: Watch, level: Level) -> Course:
    """An ordinary day, and then the limit is passed: for good, or by one event where not one is promised."""
    ordinary, beyond = values(watch, level)
    if level.is_of_events and not isinstance(COURSES[watch.finding], Timed) and watch.finding != "database.pool_exhaustions":
        return [0.0] * BEFORE + [1.0] + [0.0] * (AFTER - 1)
    return [ordinary] * BEFORE + [beyond or 1.0] * AFTER


def judged_at(level: Level) -> int:
    """The minute at which a breach must have fired: an event's fires at once and for some minutes."""
    return BEFORE + 6 if level.is_of_events else END


@needs_promtool
def test_an_alert_fires_on_the_breach_in_its_severity_alone_and_not_before(source: Source, tmp_path: Path) -> None:
    def tried(watch: Watch, level: Level) -> Any:
        series = COURSES[watch.finding].series(breaking(watch, level))
        at = judged_at(level)
        return [(series, [firing(watch.name, BEFORE - 1, []), firing(watch.name, at, [level.severity])])]

    each_passes(source, tmp_path, tried)
