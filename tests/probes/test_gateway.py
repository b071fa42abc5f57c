"""The gateway probe on the real application: endpoints, statuses, the pool behind it, and an API of one's own."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.probes.gateway import measure_gateway, read_gateway_findings
from capacity.recording import open_recording
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, prepare_database
from capacity.system.embedded import free_port
from capacity.system.processes import Application, open_application

WORKLOADS = Path(__file__).parents[2] / "data" / "workloads"
ENDPOINTS = (
    "get_api_connectors",
    "post_api_oauth_platform_callback",
    "get_api_posts",
    "post_api_publish",
    "get_api_health",
)


@pytest.fixture(scope="module")
def workloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's workloads with a short shape."""
    folder = tmp_path_factory.mktemp("workloads")
    values = yaml.safe_load((WORKLOADS / "gateway.yaml").read_text(encoding="utf-8"))
    stages = [{"name": "sustain", "seconds": 4, "to": 200}]
    values["shapes"] = {"smoke": {"kind": "rate", "stages": stages}}
    (folder / "gateway.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (folder / "queue.yaml").write_bytes((WORKLOADS / "queue.yaml").read_bytes())
    return folder


@pytest.fixture(scope="module")
def application(system: System, workloads: Path) -> Iterator[Application]:
    prepare_database(system.postgres_admin_url, DATASETS["smoke"])
    with open_application(system, workloads / "queue.yaml", workers=1) as started:
        yield started


@pytest.fixture(scope="module")
def folder(application: Application, workloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measured as somebody's own: the application was started apart from the probe and is known by its addresses."""
    return measure_gateway(application.system, workloads, "smoke", tmp_path_factory.mktemp("gateway") / "recording")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Finding]:
    return {each.name.removeprefix("gateway."): each for each in read_gateway_findings(folder)}


def test_every_endpoint_answers_and_is_measured(found: dict[str, Finding]) -> None:
    for name in ENDPOINTS:
        assert found[f"{name}.success_rate"].value == 100, found[f"{name}.error_rate"]
        response, count = found[f"{name}.response_p50"].value, found[f"{name}.volume"].value
        assert response is not None
        assert count is not None
        assert response > 0
        assert count > 40
    assert found["success_rate"].value == 100
    assert found["keep_alive_reuse"].value == 100


def test_what_lies_behind_is_read_from_the_gateway_itself(found: dict[str, Finding]) -> None:
    for name in ("pool_utilisation", "pool_wait", "pool_waited_rate", "queue_depth"):
        assert found[name].value is not None, found[name]
    assert found["pool_errors"].value == found["breaker_refusals"].value == 0


def test_the_figures_of_database_and_redis_are_in_the_recording(folder: Path) -> None:
    gauges = set(open_recording(folder).gauges["gauge"])
    assert {"postgres.commits", "redis.commands", "gateway.pool_in_use", "generator.cpu_share"} <= gauges


@pytest.mark.thorough
def test_an_api_without_a_page_of_metrics_is_measured_all_the_same(
    application: Application, workloads: Path, tmp_path: Path
) -> None:
    """A plain file server, which answers most of these requests with 404 or 501."""
    values = yaml.safe_load((workloads / "gateway.yaml").read_text(encoding="utf-8"))
    values["shapes"]["smoke"]["stages"] = [{"name": "sustain", "seconds": 1, "to": 100}]
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    port = free_port()
    words = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    server = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        own = System(gateway_url=f"http://127.0.0.1:{port}")
        path = measure_gateway(own, tmp_path, "smoke", tmp_path / "recording")
    finally:
        server.terminate()
        server.wait()
    found = {each.name: each for each in read_gateway_findings(path)}
    assert (found["gateway.status_4xx_rate"].value or 0) > 50
    assert (found["gateway.status_5xx_rate"].value or 0) > 10
    assert "gateway.pool_utilisation" not in found  # it tells nothing of a pool


def test_a_gateway_that_is_down_is_one_sentence(application: Application, workloads: Path, tmp_path: Path) -> None:
    nowhere = replace(application.system, gateway_url="http://127.0.0.1:1")
    with pytest.raises(CapacityError, match=r"the gateway does not answer: .*; start it, or correct its address"):
        measure_gateway(nowhere, workloads, "smoke", tmp_path / "recording")


@pytest.mark.parametrize(
    ("system", "missing"),
    [
        (System(redis_url="redis://127.0.0.1:1/0", queue="mine"), "CAPACITY_POSTGRES_URL"),
        (System(postgres_url="postgresql://a@127.0.0.1:1/x", queue="mine"), "CAPACITY_REDIS_URL"),
    ],
)
def test_a_gateway_is_not_started_on_servers_that_were_not_named(
    system: System, missing: str, workloads: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        CapacityError, match=rf"^{missing} is not set, and nothing is started beside a gateway or queue "
    ):
        measure_gateway(system, workloads, "smoke", tmp_path / "gateway")
