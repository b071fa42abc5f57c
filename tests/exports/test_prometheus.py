"""The rules are valid, fire beyond the limit and not at it, and show texts as they are."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.display.text import finding_text
from capacity.exports import Source
from capacity.exports.prometheus import alert_rules
from capacity.exports.watches import Watch
from capacity.findings import read_findings

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)"
)
STATEMENT = 'db_client_operation_duration_seconds_bucket{db_system_name="postgresql", le="%s"}'
CALLBACK = 'http_request_duration_seconds_bucket{method="POST", path="/api/oauth/some-platform/callback", le="%s"}'


def promtool(*words: str) -> str:
    ran = subprocess.run([str(PROMTOOL), *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def rules_in(folder: Path) -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((folder / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    assert [group["name"] for group in groups] == [f"capacity_{n}" for n in ("database", "gateway", "queue", "redis")]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    return {rule["alert"]: rule for rule in rules}


@needs_promtool
def test_promtool_finds_nothing_wrong(exported: Path) -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(exported / "alerts.yml"))
    assert f"SUCCESS: {len(rules_in(exported))} rules found" in said


@pytest.mark.parametrize(
    ("alert", "condition", "minutes"),
    [
        ("DatabaseResponseP99Objective", ">= 0.5", "5m"),  # < 500 ms
        ("DatabaseResponseP99Scale", "> 0.3", "2m"),  # fires: > 300 ms
        ("DatabaseResponseP99Target", ">= 0.3", "15m"),  # promise: < 300 ms
        ("DatabaseSuccessRateObjective", "<= 0.99", "5m"),  # > 99 %
        ("DatabaseDeadlocksObjective", "!= 0", "5m"),  # == 0
        ("DatabaseDiskReadObjective", ">= 5", "5m"),  # < 5 ms, and the metric is in ms
        ("QueueResponseP99Objective", ">= 3000", "5m"),
        ("QueueResponseP99Scale", "> 3000", "2m"),  # fires: > 3 s
        ("QueueFailedRateTarget", ">= 0.005", "15m"),  # promise: < 0.5 %
        ("QueueDeadLetterGrowthReview", "> 100", "5m"),
        ("GatewaySuccessRateObjective", "<= 0.995", "5m"),
        ("GatewayGetApiHealthResponseP99Objective", ">= 0.01", "5m"),
        ("RedisMemoryUtilisationPage", "> 0.95", "1m"),
        ("RedisSuccessRateObjective", "<= 0.999", "5m"),
        ("RedisFragmentationObjective", ">= 1.5", "5m"),
    ],
)
def test_a_limit_is_in_the_unit_of_the_metric(exported: Path, alert: str, condition: str, minutes: str) -> None:
    rule = rules_in(exported)[alert]
    assert rule["expr"].rpartition(") ")[2] == condition
    assert rule["for"] == minutes


def test_a_rule_says_what_was_promised_by_whom_and_what_the_load_test_found(exported: Path, run: Path) -> None:
    rule = rules_in(exported)["DatabaseResponseP99Objective"]
    assert rule["labels"] == {"severity": "objective", "section": "database", "finding": "database.response_p99"}
    assert rule["annotations"]["summary"] == "Query latency p99 (< 500 ms) does not hold"
    measured = finding_text(
        next(each for each in read_findings(run / "findings") if each.name == "database.response_p99")
    )
    assert f"Limit: < 500 ms (report section 1). Load test: {measured}, PASS." in (rule["annotations"]["description"])


def histogram(name: str, limit: float, operations: int, slow: int) -> list[dict[str, str]]:
    """A series a bucket: of the `operations` a minute `slow` take from `limit` to 1 second, the others less."""
    counts = {str(limit): operations - slow, "1": operations, "+Inf": operations}
    return [{"series": name % bucket, "values": f"0+{count}x30"} for bucket, count in counts.items()]


def constant(series: str, value: float) -> list[dict[str, str]]:
    return [{"series": series, "values": f"{value}x30"}]


def counting(series: str, per_minute: float) -> list[dict[str, str]]:
    return [{"series": series, "values": f"0+{per_minute}x30"}]


DEPTH = 'bullmq_job_count{queue="q", state="waiting"}'
MEMORY = constant("redis_memory_max_bytes", 1000)
CASES = {
    "the queue is at its alert": ("QueueDepthPeakAlert", constant(DEPTH, 10000), False),
    "the queue is beyond its alert": ("QueueDepthPeakAlert", constant(DEPTH, 10001), True),
    "the queue keeps its promise": ("QueueDepthPeakObjective", constant(DEPTH, 9999), False),
    "the queue is at its promise": ("QueueDepthPeakObjective", constant(DEPTH, 10000), True),
    "failed jobs are not waiting": (
        "QueueDepthPeakAlert",
        constant('bullmq_job_count{queue="q", state="failed"}', 10001),
        False,
    ),
    "memory is at the page": ("RedisMemoryUtilisationPage", MEMORY + constant("redis_memory_used_bytes", 950), False),
    "memory is beyond": ("RedisMemoryUtilisationPage", MEMORY + constant("redis_memory_used_bytes", 951), True),
    "memory has no limit": (
        "RedisMemoryUtilisationPage",
        constant("redis_memory_max_bytes", 0) + constant("redis_memory_used_bytes", 951),
        False,
    ),
    "1 in 200 statements is slow": (
        "DatabaseResponseP99Objective",
        histogram(STATEMENT, 0.5, 20000, 100),
        False,
    ),
    "2 in 100 statements are slow": (
        "DatabaseResponseP99Objective",
        histogram(STATEMENT, 0.5, 20000, 400),
        True,
    ),
    "a callback of any platform is slow": (
        "GatewayPostApiOauthPlatformCallbackResponseP99Objective",
        histogram(CALLBACK, 0.65, 20000, 400),
        True,
    ),
    "no request, no percentile": (
        "GatewayPostApiOauthPlatformCallbackResponseP99Objective",
        histogram(CALLBACK, 0.65, 0, 0),
        False,
    ),
    "99.5 % commit": (
        "DatabaseSuccessRateObjective",
        counting("pg_stat_database_xact_commit", 995) + counting("pg_stat_database_xact_rollback", 5),
        False,
    ),
    "98.5 % commit": (
        "DatabaseSuccessRateObjective",
        counting("pg_stat_database_xact_commit", 985) + counting("pg_stat_database_xact_rollback", 15),
        True,
    ),
    "90 dead letters a minute": ("QueueDeadLetterGrowthReview", counting("bullmq_jobs_failed_total", 90), False),
    "110 dead letters a minute": ("QueueDeadLetterGrowthReview", counting("bullmq_jobs_failed_total", 110), True),
    "no deadlock": ("DatabaseDeadlocksObjective", counting("pg_stat_database_deadlocks", 0), False),
    "a deadlock a minute": ("DatabaseDeadlocksObjective", counting("pg_stat_database_deadlocks", 1), True),
    "the backlog grows by 40 a second": ("QueueDepthSlopeObjective", counting(DEPTH, 40 * 60), False),
    "the backlog grows by 60 a second": ("QueueDepthSlopeObjective", counting(DEPTH, 60 * 60), True),
}


@needs_promtool
def test_an_alert_fires_beyond_its_limit_and_only_there(exported: Path, tmp_path: Path) -> None:
    """Prometheus itself evaluates each case of `CASES` for half an hour."""
    tests = [
        {
            "interval": "1m",
            "input_series": series,
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                    "eval_time": "28m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for alert, series, fires in CASES.values()
    ]
    assert {alert for alert, _, _ in CASES.values()} <= set(rules_in(exported))
    file = {"rule_files": [str(exported / "alerts.yml")], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(file), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


@needs_promtool
def test_a_text_with_templates_is_shown_as_it_is(hostile: Watch, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(alert_rules([hostile], "made {{ here }}"), encoding="utf-8")
    expected = {
        "exp_labels": {"severity": "page", "section": "queue", "finding": "queue.depth_peak"},
        "exp_annotations": {
            # promtool itself expands nothing in what is expected, so these are the texts as they arrive
            "summary": hostile.summary,
            "description": hostile.description,
            "value": "1.234e+04 jobs",
        },
    }
    test = {
        "interval": "1m",
        "input_series": constant(DEPTH, 12340),
        "alert_rule_test": [{"eval_time": "20m", "alertname": hostile.name, "exp_alerts": [expected]}],
    }
    file = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(file, allow_unicode=True), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "test.yml"))


def test_every_objective_with_a_metric_has_a_rule_and_no_other(source: Source, exported: Path) -> None:
    without = {watch.name for watch in source.watches} - set(rules_in(exported))
    assert "QueueThroughputObjective" in without  # drawn, without an alert
    assert {each.metric.prometheus for each in source.watches if each.name in without and not each.metric.no_alert} == {
        None
    }
