"""The series and labels that the rules read are there in what the exporters show of real servers."""

import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from capacity.exports import Source
from capacity.exports.selection import MATCHER
from capacity.system.addresses import System
from capacity.system.embedded import free_port

pytestmark = pytest.mark.thorough
APPLICATION = Path(__file__).parent / "node"
SAMPLE = re.compile(r"^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? ", re.MULTILINE | re.IGNORECASE)
SELECTOR = re.compile(r"([a-z_:][a-z0-9_:]*)?\{([^{}]*)\}")
TARGET = {"instance", "job"}  # which Prometheus itself adds
NOT_YET = {"OOM", "5.."}  # values that come with the fault
UNTRIED = {  # and why
    "bullmq-exporter": "it is given out as a container image",
    "OpenTelemetry of Redis": "there is no instrumentation of Redis for Node that has metrics",
}
START_S = 20
Shown = list[tuple[str, dict[str, str]]]  # the series of an exporter: name and labels


def parsed(text: str) -> Shown:
    return [(name, {key: value for key, _, value in MATCHER.findall(labels)}) for name, labels in SAMPLE.findall(text)]


@contextmanager
def exporter(program: str, *words: str, environment: Mapping[str, str] | None = None) -> Iterator[Shown]:
    """What an exporter of Debian shows; the test is skipped where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: apt install {program})")
    port = free_port()
    started = subprocess.Popen(
        [program, *(word.format(port=port) for word in words)], env=dict(environment or {}), stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + START_S
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=START_S) as answer:
                    yield parsed(answer.read().decode())
                return
            except urllib.error.URLError:
                assert time.monotonic() < until, f"{program} does not answer"
                time.sleep(0.1)
    finally:
        started.terminate()
        started.wait()


def check(source: Source, exporter: str, shown: Shown) -> None:
    """That each selector of each metric of an exporter finds a series, and that this has each label."""
    own = source.monitoring.exporters[exporter]
    metrics = [each.prometheus for each in source.monitoring.metrics.values()]
    texts = [each.promql(own) for each in metrics if each and each.exporter == exporter]
    texts.append((own.up or own.seen).replace("$labels", own.labels))
    asked = {found for text in texts for found in SELECTOR.findall(text.replace("$operation", 'method="", path=""'))}
    assert asked
    for name, labels in asked:
        matchers = [each for each in MATCHER.findall(labels) if each[0] not in TARGET]
        fitting = [seen for seen in shown if all(fits(seen, name, each) for each in matchers) and name in ("", seen[0])]
        assert fitting, f"{exporter} shows no {name}{{{labels}}}"


def fits(seen: tuple[str, dict[str, str]], name: str, matcher: tuple[str, str, str]) -> bool:
    label, relation, value = matcher
    if label == "__name__":
        return re.fullmatch(value, seen[0]) is not None
    if label not in seen[1]:
        return False
    if "$" in value or not value or value in NOT_YET or relation.startswith("!"):
        return True
    return re.fullmatch(value, seen[1][label]) is not None if "~" in relation else seen[1][label] == value


def test_postgres_exporter_has_what_the_rules_read(source: Source, system: System) -> None:
    separator = "&" if "?" in system.postgres_admin_url else "?"
    environment = {"DATA_SOURCE_NAME": f"{system.postgres_admin_url}{separator}sslmode=disable"}
    words = ("prometheus-postgres-exporter", "--web.listen-address=127.0.0.1:{port}")
    with exporter(*words, environment=environment) as shown:
        check(source, "postgres_exporter", shown)


def test_redis_exporter_has_what_the_rules_read(source: Source, system: System) -> None:
    client = redis.Redis.from_url(system.redis_url)
    with pytest.raises(redis.ResponseError):
        client.execute_command("INCRBY", "capacity_test_exporter", "x")  # errors are counted by kind from the first on
    words = ("-redis.addr", system.redis_url, "-web.listen-address", "127.0.0.1:{port}")
    with exporter("prometheus-redis-exporter", *words) as shown:
        check(source, "redis_exporter", shown)


@pytest.fixture(scope="module")
def application(system: System, install_by_npm: Callable[..., None]) -> Shown:
    """What an application in Node shows that asks PostgreSQL, does jobs and answers, each well and badly."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (Debian: apt install nodejs npm)")
    install_by_npm("the packages of the exporters", APPLICATION / "node_modules" / "prom-client", APPLICATION)
    with psycopg.connect(system.postgres_admin_url) as connection:
        postgres = f"postgresql://{connection.info.user}@{connection.info.host}:{connection.info.port}/postgres"
    words = [node, str(APPLICATION / "application.cjs"), postgres, system.redis_url, "exporters"]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return parsed(ran.stdout)


@pytest.mark.parametrize(
    "exporter",
    ["OpenTelemetry of PostgreSQL", "OpenTelemetry of pools", "BullMQ", "bullmq-otel", "express-prom-bundle"],
)
def test_an_application_in_node_has_what_the_rules_read(source: Source, application: Shown, exporter: str) -> None:
    check(source, exporter, application)


def test_every_exporter_is_tried_or_it_is_said_why_not(source: Source) -> None:
    tried = {"postgres_exporter", "redis_exporter", "OpenTelemetry of PostgreSQL", "OpenTelemetry of pools"}
    tried |= {"BullMQ", "bullmq-otel", "express-prom-bundle"}
    assert {*source.monitoring.exporters} == tried | {*UNTRIED}
