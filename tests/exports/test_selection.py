"""Which series are the run's system's: labels with what the run knows, without those that name what it does not."""

import json
from pathlib import Path

import pytest

from capacity.exports import Source
from capacity.exports.prometheus import alert_rules
from capacity.exports.selection import EMBEDDED, Selection, selection_of
from capacity.findings import Finding, write_findings
from capacity.run import Run

KNOWN = {"postgres_host": "db-1.shop", "queue": r'a "b" \ {{c}}', "redis_host": "one.a,two.a"}


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ('x{a="1", instance=~"$postgres_host(:[0-9]+)?"}', r'x{a="1", instance=~"db-1\\.shop(:[0-9]+)?"}'),
        ('x{queue="$queue"}', r'x{queue="a \"b\" \\ {{c}}"}'),
        ('x{queue=~"$queue"}', r'x{queue=~"a \"b\" \\\\ \\{\\{c\\}\\}"}'),
        ('x{host=~"$redis_host"}', r'x{host=~"(one\\.a|two\\.a)"}'),
        ('x{a="1", datname="$database", b!~"2"}', 'x{a="1", b!~"2"}'),
        ('x{a="1", datname="$database"}', 'x{a="1"}'),
        ('x{datname="$database"} / y{instance=~"$gateway_host"}', "x / y"),
        ('x{datname="$database", queue!=""}[5m]', 'x{queue!=""}[5m]'),
    ],
)
def test_labels_have_what_is_known_and_are_left_out_else(written: str, filled: str) -> None:
    assert " ".join(Selection(KNOWN, "s").of(written).replace("{ ", "{").split()) == filled


def run_with(folder: Path, **facts: object) -> Run:
    manifest = {"profile": "smoke", "started_at": "", "finished": [], **facts}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    write_findings(folder / "findings" / "redis.json", [Finding("redis.throughput", 5.0, "/s")])
    return Run.at(folder)


def test_a_system_is_known_by_its_hosts_its_database_and_its_queue(source: Source) -> None:
    assert source.selection.known == {
        "postgres_host": "db.shop.internal",
        "redis_host": "cache.shop.internal",
        "gateway_host": "api.shop.example",
        "database": "shop",
        "queue": "posts",
    }


def test_names_of_this_machine_are_none_by_which_others_see_a_server(tmp_path: Path) -> None:
    hosts = {"postgres": "a socket of this machine", "redis": "127.0.0.1", "gateway": "localhost"}
    selection = selection_of(run_with(tmp_path, embedded=False, hosts=hosts, database="shop"))
    assert selection.known == {"database": "shop"}
    assert selection.name == "a socket of this machine/shop, 127.0.0.1, localhost"


@pytest.mark.parametrize("facts", [{"embedded": True, "hosts": {}}, {}])
def test_of_the_suites_own_servers_and_of_an_old_run_nothing_is_known_and_the_rules_say_so(
    facts: dict[str, object], source: Source, tmp_path: Path
) -> None:
    selection = selection_of(run_with(tmp_path, **facts))
    assert selection == Selection({}, EMBEDDED)
    head, told, *_ = alert_rules(source.watches, source.monitoring, selection, "made").splitlines()[1:]
    assert head == "# System: the embedded system"
    assert told == (
        "# Not told from other systems: metrics of OpenTelemetry of PostgreSQL, as the run does not know "
        "postgres_host, database; write labels of yours there in data/monitoring.yaml"
    )


def test_every_series_that_a_rule_reads_is_of_the_system(source: Source) -> None:
    """In the package's data, whatever the metric: the labels of its exporter are in each of its series."""
    for metric in source.monitoring.metrics.values():
        seen = metric.prometheus
        text = (seen.expression or seen.events) if seen else ""
        assert text.count("{") == text.count("$labels"), text
    for exporter in source.monitoring.exporters.values():
        assert "$labels" in (exporter.up or exporter.seen)
    rules = alert_rules(source.watches, source.monitoring, source.selection, "made")
    assert "Not told from other systems" not in rules and "$labels" not in rules
