"""What is watched is what was measured: another API's operations by their own path, and no part that was not."""

import json

import pytest
import yaml

from capacity.exports import Source, not_exported, read_source
from capacity.exports.prometheus import alert_rules
from capacity.exports.watches import operation_labels
from capacity.findings import Finding, write_findings
from capacity.run import Run

OPERATIONS = [
    {"name": "GET /v1/orders", "weight": 60.0, "request": {"method": "GET", "path": "/v1/orders"}},
    {"name": "GET /v1/orders/{id}", "weight": 30.0, "request": {"method": "GET", "path": "/v1/orders/{order}"}},
    {"name": "search", "weight": 10.0, "request": {"method": "GET", "path": "/v1/search?q={word}"}},
]
OBJECTIVES = """
- {finding: gateway.get_v1_orders.response_p99, limit: "< 300 ms", title: Orders p99}
- {finding: gateway.get_v1_orders_id.response_p99, limit: "< 300 ms", title: One order p99}
- {finding: gateway.search.response_p50, limit: "< 300 ms", title: Search p50}
- {finding: gateway.search.response_p95, limit: "< 300 ms", title: Search p95}
- {finding: gateway.get_api_connectors.response_p99, limit: "< 180 ms", title: Another's}
- {finding: gateway.pool_utilisation, limit: "< 95 %", title: Its pool}
- {finding: redis.response_p99, limit: "< 10 ms", title: Not measured}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A project of somebody's own with an API alone, and a run of it."""
    project = tmp_path_factory.mktemp("shop")
    (project / "data").mkdir()
    (project / "data" / "objectives.yaml").write_text(OBJECTIVES)
    run = project / "runs" / "one"
    found = [
        Finding(f"gateway.{slug}.response_{quantile}", 5.0, "ms", 4.0, 6.0, 900, "gateway")
        for slug in ("get_v1_orders", "get_v1_orders_id", "search")
        for quantile in ("p50", "p95", "p99")
    ]
    write_findings(run / "findings" / "gateway.json", found)
    (run / "recordings" / "gateway").mkdir(parents=True)
    manifest = {"name": "shop", "workload": {"target": "http", "operations": OPERATIONS}}
    (run / "recordings" / "gateway" / "manifest.json").write_text(json.dumps(manifest))
    (run / "manifest.json").write_text('{"profile": "smoke", "finished": ["gateway"]}')
    return read_source(Run.at(run, project))


def test_an_operation_is_watched_by_its_own_method_and_path(shop: Source) -> None:
    rules = alert_rules(shop.watches, shop.monitoring, shop.selection, shop.made_from)
    group, _ = yaml.safe_load(rules)["groups"]
    seen = {rule["alert"]: rule["expr"].partition("{")[2].partition("}")[0] for rule in group["rules"]}
    assert seen == {
        "GatewayGetV1OrdersResponseP99": 'method="GET", path="/v1/orders"',
        "GatewayGetV1OrdersIdResponseP99": 'method="GET", path=~"/v1/orders/[^/]+"',
    }


def test_what_no_metric_is_known_for_is_one_row_a_part(shop: Source) -> None:
    (row,) = not_exported(shop.watches, ["prometheus"])
    assert row[:3] == ("gateway", "Search p50, Search p95", "< 300 ms")
    assert row[4] == "no metric is known for it in data/monitoring.yaml"


def test_neither_another_application_nor_the_packages_thresholds_are_in_it(shop: Source) -> None:
    assert all(level.promised for each in shop.watches for level in each.levels)
    assert not [each for each in shop.watches if "connectors" in each.finding or each.section != "gateway"]


@pytest.mark.parametrize(
    ("name", "path", "labels"),
    [
        ("GET /a.b/{id}", "/x", r'method="GET", path=~"/a\\.b/[^/]+"'),
        ("pay", "/pay/{n}/now?x=1", r'method="POST", path=~"/pay/[^/]+/now"'),
        ("pay", '/"quoted"', r'method="POST", path="/\"quoted\""'),
    ],
)
def test_what_varies_in_a_path_is_one_segment(name: str, path: str, labels: str) -> None:
    assert operation_labels({"name": name, "request": {"method": "POST", "path": path}}) == labels
