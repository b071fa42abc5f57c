"""Findings of the gateway: what was shed is apart from errors, and statuses from connections that were cut."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from capacity.analysis.measured.gateway import gateway_findings
from capacity.findings import Finding
from capacity.manifest import parse_manifest
from capacity.samples import SAMPLE_COLUMNS

S = 1_000_000_000
SECONDS = 10
FACTS: dict[str, Any] = {
    "stages": [{"name": "sustain", "step": 0, "to": 100, "ramp": False, "start_s": 0.0, "end_s": float(SECONDS)}],
    "sustained_steps": [0],
    "connections": 20,
    "refused": {},
    "workload": {"target": "http"},
}


def samples(errors: dict[str, int], count: int = 1000) -> pd.DataFrame:
    """`count` requests in ten seconds to two endpoints in turn, of which so many failed with each class."""
    due = np.linspace(0, SECONDS * S, count, endpoint=False).astype("int64")
    failed = [name for name, times in errors.items() for _ in range(times)]
    frame = pd.DataFrame({"scheduled_ns": due, "sent_ns": due + 1000, "finished_ns": due + 2_000_000})
    frame["operation"] = ["GET /api/posts", "POST /api/publish"] * (count // 2)
    frame["error"] = failed + [None] * (count - len(failed))
    frame["outcome"] = np.where(frame["error"].isna(), "ok", "error")
    frame = frame.assign(step=0, worker=0, seq=range(count))
    return frame[list(SAMPLE_COLUMNS)].astype(SAMPLE_COLUMNS)


def gauges(**counters: list[float]) -> pd.DataFrame:
    """Readings in each second, from 0."""
    always = {"generator.cpu_share": [0.1] * SECONDS, "generator.in_use": [5.0] * SECONDS}
    rows = [
        (second * S + S // 2, name, value)
        for name, values in (always | counters).items()
        for second, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["at_ns", "gauge", "value"]).astype({"gauge": "category"})


def found(errors: dict[str, int], **counters: list[float]) -> dict[str, Finding]:
    findings = gateway_findings("r", samples(errors), gauges(**counters), parse_manifest(FACTS))
    assert len({each.name for each in findings}) == len(findings)
    return {each.name.removeprefix("gateway."): each for each in findings}


def test_what_was_shed_is_not_an_error() -> None:
    shed = {"503, retry after": 40, "503, retry after 30": 60}  # as it is named, and as it once was
    figures = found({**shed, "503": 20, "404": 10, "connection closed by the server": 5})
    rates = {name: figures[name].value for name in ("shed_rate", "error_rate", "status_5xx_rate", "status_4xx_rate")}
    assert rates == pytest.approx({"shed_rate": 10, "error_rate": 3.5, "status_5xx_rate": 2, "status_4xx_rate": 1})
    assert figures["no_answer_rate"].value == pytest.approx(0.5)


def test_each_endpoint_has_its_volume_and_its_rates() -> None:
    figures = found({"500": 10})
    assert figures["get_api_posts.volume"].value == figures["post_api_publish.volume"].value == 500
    assert figures["get_api_posts.error_rate"].value == pytest.approx(1)
    assert figures["get_api_posts.response_p50"].value == pytest.approx(2.0)


def test_connections_that_were_opened_anew_are_not_reuse() -> None:
    figures = found({}, **{"generator.reconnection_ms": [3.0] * SECONDS})
    assert figures["keep_alive_reuse"].value == pytest.approx(99.0)
    assert figures["connections_opened"].value == pytest.approx(1.0)
    assert figures["connections_utilisation"].value == pytest.approx(25)


def test_connections_that_the_server_ended_before_their_use_are_no_request_on_a_new_one() -> None:
    idle = {"generator.reconnection_ms": [3.0] * SECONDS, "generator.reconnection_of_unused": [1.0] * (SECONDS - 2)}
    figures = found({}, **idle)
    assert figures["keep_alive_reuse"].value == pytest.approx(99.8)
    assert figures["connections_opened"].value == pytest.approx(1.0)


def test_redirections_are_counted_where_there_are_any() -> None:
    told = parse_manifest({**FACTS, "redirected": 12})
    figures = {each.name: each for each in gateway_findings("r", samples({}), gauges(), told)}
    assert figures["gateway.redirected"].value == 12
    assert found({})["redirected"].note == "redirections were not counted when it was recorded"


def test_the_pool_behind_it_is_read_where_the_gateway_tells_it() -> None:
    figures = found(
        {},
        **{
            "gateway.pool_limit": [20.0] * SECONDS,
            "gateway.pool_in_use": [4.0, 9.0] * (SECONDS // 2),
            "gateway.pool_requests_total": [100.0 * second for second in range(SECONDS)],
            "gateway.pool_requests_waited_total": [10.0 * second for second in range(SECONDS)],
            "gateway.pool_wait_seconds_total": [0.2 * second for second in range(SECONDS)],
        },
    )
    assert figures["pool_utilisation"].value == pytest.approx(45)
    assert figures["pool_wait"].value == pytest.approx(2.0)
    assert figures["pool_waited_rate"].value == pytest.approx(10)


def test_what_a_gateway_does_not_tell_of_its_inside_is_no_finding() -> None:
    figures = found({})
    assert not {"pool_utilisation", "pool_wait", "breaker_refusals", "queue_depth"} & set(figures)
    assert figures["cpu_share"].value is None
    assert figures["cpu_share"].note


COUNTS = [50.0] * 5 + [3.0] * 5


@pytest.mark.parametrize(
    ("counted", "why"),
    [
        (COUNTS, "the counter fell: the gateway was started anew"),
        (COUNTS[:5], "there is no reading of it from 4.5 s of the load on"),
    ],
)
def test_what_a_gateway_counted_for_a_part_of_the_load_is_not_given(counted: list[float], why: str) -> None:
    names = ("pool_errors_total", "pool_requests_total", "pool_requests_waited_total", "pool_in_use")
    told = {f"gateway.{name}": counted for name in names} | {"gateway.pool_limit": [60.0] * len(counted)}
    frames = samples({}), gauges(**told)
    figures = {
        each.name: each for each in gateway_findings("r", *frames, parse_manifest({**FACTS, "state": "complete"}))
    }
    whole = len(counted) == SECONDS
    for name in ("pool_errors", "pool_waited_rate", *([] if whole else ["pool_utilisation"])):
        assert (figures[f"gateway.{name}"].value, figures[f"gateway.{name}"].note) == (None, why)
    assert (figures["gateway.pool_utilisation"].value is not None) == whole


def test_a_pool_without_connections_has_no_share_in_use() -> None:
    told = {"gateway.pool_limit": [0.0] * SECONDS, "gateway.pool_in_use": [0.0] * SECONDS}
    assert found({}, **told)["pool_utilisation"].note == "the gateway's pool has no connections: its limit is 0"
