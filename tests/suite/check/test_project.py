"""Every mistake in a file or word is named with its line, its key and a remedy, before anything is started."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from capacity.cli import main
from capacity.errors import CapacityError
from capacity.places import PROJECT as NAMED
from capacity.suite.check.project import check_project, refuse_problems

REPOSITORY = Path(__file__).parents[3]
HEAVY = {"numpy", "pandas", "scipy", "matplotlib", "papermill", "jupyter_client", "psycopg", "pyarrow", "duckdb"}
# What was right, what is there in its place, and the sentence.
TYPOS: dict[str, list[tuple[str, str, str]]] = {
    "data/workloads/redis.yaml": [
        ("weight: 40", "wieght: 40", ": operations.0.wieght: there is no such key; did you mean 'weight'?"),
        ("weight: 40", "weight: 30", ": operations: the weights add up to 90 and must add up to 100"),
        (
            "weight: 40",
            "row_security: no",
            ": operations.0.weight: the key is missing (its share of the mix, in percent; all add up to 100)",
        ),
        (
            "kind: zipf",
            "kind: zip",
            ": operations.0.parameters.item.kind: must be one of uniform, zipf, sequence, uuid, text and is "
            "'zip'; did you mean 'zipf'?",
        ),
        (
            "target: redis",
            "target: rediss",
            ": target: must be one of postgres, redis, http, bullmq and is 'rediss'; did you mean 'redis'?",
        ),
        ("connections: 50", "connections: fifty", ": connections: must be a whole number and is 'fifty'"),
        (
            "timeout_ms: 1000",
            "timeout_ms: 1000 ms",
            ": timeout_ms: must be a number and is '1000 ms'; give the number alone",
        ),
        (
            "capacity:item:{item}",
            "capacity:item:{itme}",
            ": operations.0: uses 'itme', which is missing from its `parameters`; did you mean 'item'?",
        ),
        ("smoke:", "smok:", ": shapes.smok: there is no such profile; did you mean 'smoke'?"),
        ("seed: 20251112", "target: redis", ": the key 'target' is there twice; keep one of them"),
        ("seconds: 10", "seconds: -10", ": shapes.smoke.stages.1.seconds: must be more than 0 and is -10"),
        (
            "length: 1000",
            "lenght: 1000",
            ": operations.1.parameters.value.lenght: there is no such key; did you mean 'length'?",
        ),
    ],
    "data/workloads/breaking_point.yaml": [
        (
            "workload: redis_levels",
            "workload: redis_level",
            ": redis.workload: there is no redis_level.yaml beside it; did you mean 'redis_levels'?",
        ),
        ("\ndatabase:", "\ndatabse:", ": databse: there is no such part; did you mean 'database'?"),
        ("start: 7000", "start: 35000", ": database.start: is 35000, above the limit 28000"),
        ("smoke: {", "somke: {", ": database.windows.somke: there is no such profile; did you mean 'smoke'?"),
        ("share: 0.3", "share: 30", ": database.windows.smoke.share: must be less than 1 and is 30"),
        (
            "rounds: 4",
            "round: 4",
            ": database.windows.standard.round: there is no such key; did you mean 'rounds'?",
        ),
        ("seconds: 0.8", "seconds: 8", ": database.windows.smoke.seconds: is 8, more than confirm_seconds 1.6"),
        ("connections: 24", "connections: 0", ": database.connections: must be more than 0 and is 0"),
        ("  limit: 28000\n", "", ": database.limit: the key is missing (the highest level that is tried, in "),
        ("step: 50", "step: [50]", ": database.step: must be a number"),
    ],
    "data/objectives.yaml": [
        (
            "database.response_p99",
            "database.respone_p99",
            ": finding: nothing in the project can give 'database.respone_p99'; did you mean 'database.response_p99'?",
        ),
        (
            "database.response_p99",
            "database.disk_operations",
            ": finding: database.disk_operations is called database.kernel_operations now, since the kernel's page "
            "cache may answer them; what the device did is database.device_operations",
        ),
        (
            "database.response_p99",
            "databse.x",
            ": finding: there is no section 'databse'; did you mean 'database'?",
        ),
        (
            "gateway.get_api_posts.response_p99",
            "gateway.get_api_post.response_p99",
            ": finding: nothing in the project can give 'gateway.get_api_post.response_p99'; did you mean "
            "'gateway.get_api_posts.response_p99'?",
        ),
        (
            "gateway.get_api_posts.response_p99",
            "gateway.*.respons_p99",
            ": finding: 'gateway.*.respons_p99' fits no finding that the project can give; correct it",
        ),
        (
            "< 500 ms",
            "< 0.5 s",
            ": limit: '< 0.5 s' has not the unit of database.response_p99, which is in ms; write '< 500 ms'",
        ),
        (
            '"== 0 jobs"',
            '"== 0"',
            ": limit: '== 0' has not the unit of queue.lost, which is in jobs; write '== 0 jobs'",
        ),
        (
            "< 500 ms",
            "=< 500 ms",
            ": limit: must be written as '< 500 ms' (one of `<`, `<=`, `>`, `>=`, `==`, then a number and the "
            "unit of the finding) and is '=< 500 ms'",
        ),
        ('"< 500 ms"', "500", ": limit: must be a text and is 500; put it in quotes"),
        ('limit: "< 500 ms"', 'limt: "< 500 ms"', ": limt: there is no such key; did you mean 'limit'?"),
        (
            '"< 500 ms"',
            "> 500 ms",
            "is not YAML: in line 3, found character that cannot start any token; put a text that has",
        ),
        (
            "redis.response_max",
            "redis.response_p99",
            ": finding: redis.response_p99 is promised above, too; keep one of them",
        ),
        (
            "- {finding: database.response_p99,",
            "- {",
            ": finding: the key is missing (the whole name of a finding",
        ),
    ],
    "data/plan.yaml": [
        ("months: 24", "moths: 24", ": moths: there is no such key; did you mean 'months'?"),
        ("months: 24", "months: two years", ": months: must be a whole number and is 'two years'"),
        (
            "value: 0.15",
            "value: 15",
            ": growth.value: must be more than -1 and 1 or less (15 % a month is 0.15) and is 15, which would be "
            "1,500% a month; did you mean 0.15, which is 15 %?",
        ),
        ("us-east-1", "us-eats-1", ": region: there is no region 'us-eats-1'; did you mean 'us-east-1'?"),
        (
            "load: users",
            "load: user",
            ": resources.0.use.0.load: there is no load 'user'; did you mean 'users'?",
        ),
        (
            "part: database",
            "part: databse",
            ": resources.0.limit.part: there is no part 'databse'; did you mean 'database'?",
        ),
        (
            "finding: database.cpu_share",
            "finding: database.cpu_shar",
            ": resources.1.use.0.finding: nothing in the project can give 'database.cpu_shar'; did you mean "
            "'database.cpu_share'?",
        ),
        (
            "of: database",
            "of: datbase",
            ": resources.0.of: there is no part 'datbase'; did you mean 'database'?",
        ),
        (
            "db.t3.medium",
            "db.t3.mediun",
            ": parts.0.current: there is no size of rds 'db.t3.mediun'; did you mean 'db.t3.medium'?",
        ),
        (
            "tested: 100",
            "tested: 20",
            ": loads.users.tested: is 20 users, and database.yaml loads with 100 users; write 100",
        ),
        (
            "unit: users,",
            "unit: users/s,",
            ": loads.users.tested: is 100/s, and database.yaml loads with 100 users; project the users, without '/s'",
        ),
        (
            "measured: redis.throughput",
            "tested: 100",
            ": loads.commands.tested: is 100/s, and redis.yaml loads with 2,000/s; write 2000, or `measured: redis.thr",
        ),
        (
            "volume: rds_gp3",
            "volume: rds_gp4",
            ": parts.0.volume: there is no service 'rds_gp4'; did you mean 'rds_gp3'?",
        ),
        (
            'current_volume: ""',
            "current_volume: 20 GB",
            ": parts.0.current_volume: there is no volume of rds_gp3 '20 GB'; did you mean '20 GiB'?",
        ),
        ("service: rds", "service: rdss", ": parts.0.service: there is no service 'rdss'; did you mean 'rds'?"),
        (
            "name: database_cpu",
            "name: database_connections",
            ": resources.1.name: the name 'database_connections' is there twice; keep one of them",
        ),
        ("at: 80", "at: 80 %", ": resources.12.triggers.0.at: must be a number and is '80 %'; give the number"),
    ],
    "data/monitoring.yaml": [
        ("\nmetrics:", "\nmetric:", ": metric: there is no such key; did you mean 'metrics'?"),
        (
            "severity: warning, source",
            "severity: warn, source",
            ": watches.0.severity: must be one of warning, critical and is 'warn'",
        ),
        (
            "exporter: OpenTelemetry of PostgreSQL",
            "exporter: OpenTelemtry of PostgreSQL",
            ": metrics.database.response_p99.prometheus.exporter: there is no exporter 'OpenTelemtry of PostgreSQL'; "
            "did you mean 'OpenTelemetry of PostgreSQL'?",
        ),
        ("minutes: 5,", "minutes: five,", "severities.critical.minutes: must be a whole number and is 'five'"),
        (
            "scales: workers",
            "scales: worker",
            "watches.8.scales: there is no scaling 'worker'; did you mean 'workers'?",
        ),
        (
            "database.rollbacks:",
            "database.rollback:",
            "metrics.database.rollback: nothing in the project can give 'database.rollback'; did you mean "
            "'database.rollbacks'?",
        ),
        (
            "${CacheCluster}",
            "${CacheClster}",
            "cloudwatch: there is no parameter 'CacheClster'; did you mean 'CacheCluster'?",
        ),
        ("statistic: Average", "statistic: Averag", "series.read.statistic: must be written as 'Average' or 'p99'"),
        ("fires: '> 80 %'", "fires: 'over 80 %'", "the limit 'over 80 %' of database.pool_utilisation is not one as"),
        (
            "metric: database.pool_utilisation",
            "metric: database.pool_utilization",
            "watches.0.metric: there is no metric 'database.pool_utilization'; did you mean "
            "'database.pool_utilisation'?",
        ),
        (
            "unit: s\n",
            "unit: jobs\n",
            ": metrics.database.response_p99.prometheus.unit: a limit in 'ms' cannot be given in 'jobs'; "
            "correct one of them",
        ),
        ("unseen: the server", "unsen: the server", "unsen: there is no such key; did you mean 'unseen'?"),
    ],
    "data/checklist.yaml": [
        ("needs: [redis.*]", "neds: [redis.*]", ": neds: there is no such key; did you mean 'needs'?"),
        ("redis.*", "reddis.*", ": needs.0: there is no section 'reddis'; did you mean 'redis'?"),
        ("[redis.*]", "[]", ": a point has either `needs` or `outside`"),
        ("[redis.*]", "redis.*", ": needs: must be a list and is 'redis.*'"),
        ("[redis.*]", "[redis]", ": needs.0: must be written as 'redis.*' and is 'redis'"),
        (
            "database.connections_open",
            "database.connection_open",
            ": needs.0.finding: nothing in the project can give 'database.connection_open'; did you mean "
            "'database.connections_open'?",
        ),
        (
            ">= 90 connections",
            ">= 90",
            ": needs.0.limit: '>= 90' has not the unit of database.connections_open, which is in connections; "
            "write '>= 90 connections'",
        ),
        (">= 90 connections", "90 connections", ": needs.0.limit: must be written as '< 500 ms'"),
        ("section: Load", "sectoin: Load", ": sectoin: there is no such key; did you mean 'section'?"),
        (
            "- database.response_p99",
            "- database.respons_p99",
            ": needs.1: nothing in the project can give 'database.respons_p99'; did you mean 'database.response_p99'?",
        ),
        ("title: Retries work", "title: ", "title: must be a text and is not given"),
    ],
    "data/catalog/rds.csv": [
        ("vcpu", "vcpus", ": there is no column 'vcpus'; did you mean 'vcpu'?"),
        ("region", "regoin", ": there is no column 'regoin'; did you mean 'region'?"),
        (",2,4,yes", ",two,4,yes", ": vcpu: must be a number and is 'two'"),
        (",2,4,yes", ",-2,4,yes", ": vcpu: must be more than 0 and is '-2'"),
        (",2,4,yes", ",2,4 GiB,yes", ": memory_gib: must be a number and is '4 GiB'; give the number alone"),
        (",2,4,yes", ",2,4,maybe", ": burstable: must be true or false and is 'maybe'"),
        (",0.2,", ",20,", ": baseline_share: must be 1 or less and is '20'"),
        (",USD,", ",,", ": currency: must be given with a price and is ''"),
        ("0.072", "$0.072", ": price_per_hour: must be a number and is '$0.072'"),
        ("0.072", "0,072", ": the row has not as many values as the header; quote a text that has a comma"),
        ("db.t3.large", "db.t3.medium", ": rds db.t3.medium us-east-1 is there twice; keep one of them"),
    ],
}


def problems(project: Path, *words: object) -> list[str]:
    return [each for file in check_project(project, *words) for each in file.problems]  # type: ignore[arg-type]


def spoil(file: Path, right: str, wrong: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert right in text
    file.write_text(text.replace(right, wrong, 1), encoding="utf-8")


@pytest.mark.parametrize("file", TYPOS)
def test_a_mistake_is_one_sentence_with_file_line_key_and_remedy(project: Path, file: str) -> None:
    path = project / file
    right = path.read_text(encoding="utf-8")
    for before, after, sentence in TYPOS[file]:
        spoil(path, before, after)
        (said,) = problems(project)
        assert re.match(rf"{file}, line \d+: |the file of objectives {file} is not YAML: in line \d+, ", said)
        assert sentence in said
        path.write_text(right, encoding="utf-8")


def test_ten_mistakes_or_more_are_tried_in_each_file() -> None:
    assert all(len(cases) >= 10 for cases in TYPOS.values())


def test_all_mistakes_of_all_files_are_listed_at_once(project: Path) -> None:
    for file, cases in TYPOS.items():
        spoil(project / file, *cases[0][:2])
    spoil(project / "data/workloads/redis.yaml", "connections: 50", "connections: fifty")
    said = problems(project, "quick", ["databse"], {"prepraed": False})
    assert [each for each in said if "data/" in each and not any(f"{file}, line" in each for file in TYPOS)] == []
    for sentence in (cases[0][2] for file, cases in TYPOS.items() if "breaking" not in file):
        assert any(sentence in each for each in said), sentence
    assert any("connections: must be a whole number and is 'fifty'" in each for each in said)
    assert "there is no profile 'quick'; accepted are smoke, standard, full" in said
    assert "there is no notebook 'databse'; did you mean 'database'?" in said
    assert any("no notebook has the parameter 'prepraed'" in each for each in said)


def test_the_repository_s_own_files_fit_together() -> None:
    checked = check_project(REPOSITORY)
    assert [each.problems for each in checked if each.problems] == []
    held = {each.name: each.holds for each in checked}
    assert held["data/workloads/database.yaml"] == "4 operations, profiles smoke, standard, full"
    assert held["data/plan.yaml"] == "24 months of 14 resources and 5 parts"


def test_parameters_name_other_files_than_the_project_s(project: Path) -> None:
    other = project / "data" / "other.yaml"
    other.write_text((project / "data" / "plan.yaml").read_text().replace("months: 24", "months: 0"))
    (said,) = problems(project, "smoke", ["capacity_plan"], {"plan": "data/other.yaml"})
    assert re.fullmatch(r"data/other\.yaml, line \d+: months: must be more than 0 and is 0", said)
    (said,) = problems(project, "smoke", ["redis"], {"workloads": "data/nowhere"})
    assert said == (
        "there is no redis.yaml in data/nowhere, by which the notebook redis measures; add it, or leave that out with "
        "--only"
    )


def test_a_profile_needs_a_shape_in_the_workloads_that_are_measured(project: Path) -> None:
    file = project / "data" / "workloads" / "redis_reconnection.yaml"
    file.write_text(file.read_text()[: file.read_text().index("  full:")])
    assert problems(project, "full", ["database"]) == []
    (said,) = problems(project, "full", ["redis"])
    assert said.endswith("shapes: there is none for the profile full; add it, or give --profile smoke")


def test_a_finding_is_promised_once_in_all_files(project: Path) -> None:
    file = project / "data" / "workloads" / "redis.yaml"
    entries = '[{finding: redis.get.response_p99, limit: "< 5 ms"}, {finding: redis.response_p99, limit: "< 9 ms"}]'
    file.write_text(f"{file.read_text()}objectives: {entries}\n")
    (said,) = problems(project)
    assert "objectives.1.finding: redis.response_p99 is promised in data/objectives.yaml, too; keep one" in said


def test_what_a_notebook_of_one_s_own_may_give_is_not_refused(project: Path) -> None:
    spoil(project / "data" / "objectives.yaml", "database.response_p99", "billing.lag")
    assert any("there is no section 'billing'" in each for each in problems(project))
    (project / "notebooks").mkdir()
    for path in (REPOSITORY / "notebooks").glob("*.ipynb"):
        (project / "notebooks" / path.name).symlink_to(path)
    (project / "notebooks" / "45_billing.ipynb").write_text('{"cells": []}')
    assert problems(project) == []


def test_what_comes_with_the_package_is_not_asked_to_fit_an_own_workload(project: Path) -> None:
    for name in ("monitoring", "checklist", "plan"):
        (project / "data" / f"{name}.yaml").unlink()
    (project / "data" / "objectives.yaml").write_text("[]")
    spoil(project / "data" / "workloads" / "gateway.yaml", "name: GET /api/connectors", "name: GET /orders")
    assert problems(project) == []


def test_several_mistakes_are_one_error_with_a_line_each(project: Path) -> None:
    for name in ("plan", "checklist"):
        spoil(project / "data" / f"{name}.yaml", *TYPOS[f"data/{name}.yaml"][0][:2])
    with pytest.raises(
        CapacityError, match=r"^nothing was started, since 2 things are wrong:\n  data/plan.yaml, .*\n  "
    ):
        refuse_problems(project, "smoke", (), {})


def run(project: Path, *words: str) -> tuple[int, str, set[str]]:
    """The exit code of a command, what it says, and what it has loaded, in a process of its own."""
    code = f"""
import os, sys
os.environ["{NAMED}"] = {str(project)!r}
from capacity.cli import main
try:
    main({list(words)!r})
finally:
    print("LOADED", *sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
    said, _, loaded = ran.stdout.partition("LOADED")
    return ran.returncode, said + ran.stderr, set(loaded.split())


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_mistake_is_named_before_a_folder_is_made_or_anything_heavy_is_loaded(project: Path, command: str) -> None:
    spoil(project / "data" / "plan.yaml", "months: 24", "moths: 24")
    code, said, loaded = run(project, command)
    assert code == 2
    assert "moths: there is no such key; did you mean 'months'?" in said
    assert loaded & HEAVY == set()
    assert not (project / "runs").exists()


def test_what_is_right_is_said_a_line_a_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMED, str(project))
    ran = CliRunner().invoke(main, ["check", "--only", "redis", "--profile", "full"])
    assert ran.exit_code == 0
    assert "ok     data/checklist.yaml: 11 points\n" in ran.output
    assert ran.output.endswith("ok     parameters: profile full, notebooks redis\n")


def test_the_line_is_that_of_the_key(project: Path) -> None:
    file = project / "data" / "plan.yaml"
    spoil(file, "    unit: MB\n", "    unti: MB\n")
    line = file.read_text(encoding="utf-8").splitlines().index("    unti: MB") + 1
    said = problems(project)
    assert f"data/plan.yaml, line {line}: resources.4.unti: there is no such key; did you mean 'unit'?" in said
