"""What fails on real servers is said with its operation and reason, and what is not given with its cause."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
import redis

from capacity.analysis.measured.database import database_findings
from capacity.analysis.measured.gateway import gateway_findings
from capacity.analysis.measured.redis import redis_findings
from capacity.display.tables import failures_text
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.load.fork_server import ForkServer
from capacity.probes import under_way
from capacity.probes.measurement import GAUGES, GENERATOR, Measurement, gauges_of, measure
from capacity.recording import Recording, open_recording
from capacity.system.addresses import System
from capacity.workload import Workload, parse_workload

SECONDS, RATE = 1.5, 400.0
ROLES = """
CREATE TABLE orders (id int PRIMARY KEY, total numeric);
CREATE TABLE payments (id int);
INSERT INTO orders SELECT n, n FROM generate_series(1, 100) AS n;
CREATE ROLE readers LOGIN;
ALTER ROLE readers SET default_transaction_read_only = on;
ALTER ROLE readers SET statement_timeout = '20ms';
GRANT SELECT, INSERT ON orders TO readers;
"""
TAKE_DOWN = "DROP TABLE orders, payments; DROP ROLE readers"
STATEMENTS = {
    "read": "SELECT total FROM orders WHERE id = 7",
    "order": "INSERT INTO orders VALUES (1000, 1)",
    "pay": "SELECT count(*) FROM payments",
    "refund": "SELECT * FROM refunds WHERE card = '4111111111111111'",
    "cast": "SELECT 'secret'::text::int",
    "report": "SELECT pg_sleep(1)",
}
Findings = Callable[..., list[Finding]]
Measured = Callable[..., Recording]


def workload(target: str, operations: dict[str, dict[str, Any]], seconds: float = SECONDS, **more: Any) -> Workload:
    weighted = [{"name": name, "weight": 100 / len(operations), **what} for name, what in operations.items()]
    stages = [
        {"name": "ramp up", "seconds": 0.5, "to": RATE, "ramp": True},
        {"name": "sustain", "seconds": seconds, "to": RATE},
    ]
    shapes = {"test": {"kind": "rate", "stages": stages}}
    return parse_workload(
        {"name": "own", "target": target, "connections": 8, "operations": weighted, "shapes": shapes} | more
    )


def transactions(*names: str, **more: Any) -> Workload:
    return workload("postgres", {name: {"statements": [{"sql": STATEMENTS[name]}]} for name in names}, **more)


def commands(**words: list[str]) -> Workload:
    return workload("redis", {name: {"command": each} for name, each in words.items()})


def found_in(recording: Recording, read: Findings) -> dict[str, Finding]:
    findings = read("own", recording.samples, recording.gauges, recording.facts)
    assert not [each.name for each in findings if each.value is None and not each.note]
    assert not [each.name for each in findings if each.value is None and "0 readings" in each.note]
    return {each.name.partition(".")[2]: each for each in findings}


@pytest.fixture(scope="module")
def measured() -> Iterator[Callable[..., Recording]]:
    """Measures a workload at an address with these watchers into a folder, by processes that start at once."""
    server = ForkServer(GENERATOR, GAUGES)

    def made(measurement: Measurement, url: str, folder: Path, **sources: str) -> Recording:
        watchers = [gauges_of(**sources)] if sources else []
        return open_recording(measure(measurement, url, watchers, folder, start=server.start))

    yield made
    server.close()


@pytest.fixture(scope="module")
def readers_url(system: System) -> Iterator[str]:
    parts = psycopg.conninfo.conninfo_to_dict(system.postgres_admin_url)
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as admin:
        admin.execute(ROLES)
        yield f"postgresql://readers@{parts['host']}:{parts['port']}/{parts['dbname']}"
        admin.execute(TAKE_DOWN)


def test_postgres_says_of_each_operation_why_it_failed(
    system: System, readers_url: str, measured: Measured, tmp_path: Path
) -> None:
    """A read-only role, a missing GRANT, a table that is not there, a bad value, and the role's statement_timeout."""
    measurement = Measurement(transactions(*STATEMENTS, connections=40), "test", prepared=False)
    recording = measured(measurement, readers_url, tmp_path / "r", postgres=system.postgres_admin_url)
    found = found_in(recording, database_findings)
    failed = {name: each for name, each in found.items() if ".failures." in name}
    said = {
        "order.failures.read_only_sql_transaction_25006": "cannot execute INSERT in a read-only transaction",
        "pay.failures.insufficient_privilege_42501": "permission denied for table payments",
        "refund.failures.undefined_table_42p01": 'relation "refunds" does not exist',
        "cast.failures.invalid_text_representation_22p02": "invalid input syntax for type integer: …",
        "report.failures.query_canceled_57014": "canceling statement due to statement timeout",
    }
    assert {name: each.note.partition("; the server says: ")[2] for name, each in failed.items()} == said
    for each in failed.values():
        assert each.value == each.low == each.high == each.count > 50
        assert re.match(r"\d+ at a constant load; from \d\.\d to \d\.\d s of the load \(\d\d:\d\d:\d\d to ", each.note)
        assert each.void is None
    assert re.fullmatch(r"all \d+ failed with QueryCanceled \(57014\)", found["report.response_p99"].note)
    shown = failures_text(found.values())
    assert re.search(r"^pay: InsufficientPrivilege \(42501\): (\d+) of \1 \(100 %\)$", shown, re.MULTILINE)
    assert "secret" not in shown and "4111" not in shown


def test_a_statement_that_cannot_be_prepared_is_named_with_its_operation(
    readers_url: str, measured: Measured, tmp_path: Path
) -> None:
    sentence = (
        "PostgreSQL refuses the operation 'refund': relation \"refunds\" does not exist; create what is missing, or "
        "correct the operation's SQL in the workload"
    )
    with pytest.raises(CapacityError, match=f"^{re.escape(sentence)}$"):
        measured(Measurement(transactions("read", "refund"), "test"), readers_url, tmp_path / "r")
    assert open_recording(tmp_path / "r").facts.state == "interrupted"


def test_a_load_is_not_begun_where_most_of_its_connections_are_refused(
    readers_url: str, measured: Measured, tmp_path: Path
) -> None:
    sentence = r"PostgreSQL let only 9\d of 250 connections in: .* FATAL: .*; allow more connections there, or give"
    with pytest.raises(CapacityError, match=f"^{sentence} the workload fewer$") as stopped:
        measured(Measurement(transactions("read", connections=250), "test"), readers_url, tmp_path / "r")
    facts = open_recording(tmp_path / "r").facts
    assert (facts.state, facts.stopped) == ("interrupted", str(stopped.value))
    assert facts.admitted + sum(facts.refused.values()) == 250


def test_what_a_setting_leaves_untimed_is_not_given(
    system: System, readers_url: str, measured: Measured, tmp_path: Path
) -> None:
    untimed = f"{system.postgres_admin_url}?options=-ctrack_io_timing%3Doff%20-ctrack_wal_io_timing%3Doff"
    recording = measured(Measurement(transactions("read"), "test"), readers_url, tmp_path / "r", postgres=untimed)
    found = found_in(recording, database_findings)
    notes = {name: found[name].note for name in ("read_wait", "write_wait", "log_sync")}
    assert notes == {
        "read_wait": "track_io_timing is off",
        "write_wait": "track_io_timing is off",
        "log_sync": "track_wal_io_timing is off",
    }
    assert {"postgres.reads", "postgres.log_syncs"} <= set(recording.gauges["gauge"])
    assert failures_text(found.values()) == "no operation failed"


@pytest.fixture
def user(redis_url: str) -> Iterator[Callable[[str], str]]:
    """Makes a user with these rights, and gives its address."""
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("reasons:list", "a")

        def made(rights: str) -> str:
            client.execute_command(f"ACL SETUSER app reset on >p@:/% ~* {rights}")
            return redis_url.replace("redis://", "redis://app:p%40%3A%2F%25@")

        yield made
        client.delete("reasons:list")
        client.execute_command("ACL DELUSER app")


def test_redis_says_of_each_command_why_it_failed(
    user: Callable[[str], str], measured: Measured, tmp_path: Path
) -> None:
    url = user("+get +client|setinfo")
    wanted = commands(GET=["GET", "k"], SET=["SET", "k", "secret"], WRONG=["GET", "reasons:list"])
    found = found_in(measured(Measurement(wanted, "test"), url, tmp_path / "r", redis=url), redis_findings)
    said = {name: each.note.partition("the server says: ")[2] for name, each in found.items() if ".failures." in name}
    assert said == {
        "set.failures.noperm": "User app has no permissions to run the 'set' command",
        "wrong.failures.wrongtype": "Operation against a key holding the wrong kind of value",
    }
    why = "NOPERM for INFO: the user of the address may not ask Redis for its figures"
    for name in ("memory", "memory_utilisation", "cpu_share", "evictions", "out_of_memory", "connections_open"):
        assert (found[name].value, found[name].note) == (None, why)


@pytest.mark.thorough
def test_a_memory_without_a_limit_has_no_share_in_use(redis_url: str, measured: Measured, tmp_path: Path) -> None:
    with redis.Redis.from_url(redis_url) as client:
        limit = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", 0)
        try:
            measurement = Measurement(commands(GET=["GET", "k"]), "test")
            recording = measured(measurement, redis_url, tmp_path / "r", redis=redis_url)
        finally:
            client.config_set("maxmemory", limit)
    found = found_in(recording, redis_findings)
    assert (found["memory_utilisation"].value, found["memory_utilisation"].note) == (None, "maxmemory is not set")


@contextmanager
def api() -> Iterator[str]:
    """An API that knows one path, and answers every other request to it with a 500."""
    answered = [0]

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answered[0] += self.path == "/half"
            self.send_response(404 if self.path != "/half" else 500 if answered[0] % 2 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def requests(*paths: str, **more: Any) -> Workload:
    return workload("http", {f"GET {path}": {"request": {"path": path}} for path in paths}, **more)


def test_an_api_that_answers_404_and_500_is_said_so_and_its_load_goes_on(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way, "SURE_S", 0.2)
    with api() as url:
        recording = measured(Measurement(requests("/none", "/half"), "test"), url, tmp_path / "r", gateway=url)
    assert (recording.facts.state, recording.facts.stopped) == ("complete", "")
    found = found_in(recording, gateway_findings)
    assert {name for name in found if ".failures." in name} == {"get_none.failures.404", "get_half.failures.500"}
    none, half = found["get_none.failures.404"], found["get_half.failures.500"]
    assert none.value == none.count
    assert half.value == pytest.approx(half.count / 2, abs=1)
    total = found["get_none.volume"].count
    assert found["get_none.response_p99"].note == f"all {total:,} answers were 404"
    assert found["get_none.response_max"].note == f"all {total:,} answers were 404"
    assert re.fullmatch(r"needs 299 and has \d+: \d+ of \d+ failed with 500", found["get_half.response_p99"].note)
    assert "pool_wait" not in found  # it tells nothing of its own pool
    assert found["cpu_share"].note == "the gateway's processes are elsewhere or were not read"


def test_a_load_in_which_nothing_works_is_stopped_and_kept(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way, "SURE_S", 1.0)
    with api() as url, pytest.raises(CapacityError) as stopped:
        measured(Measurement(requests("/none", "/gone", seconds=60), "test", 2), url, tmp_path / "r")
    assert re.fullmatch(
        r"the load was stopped after \d s, because no operation succeeded: GET /\w+, GET /\w+ failed with 404; correct "
        r"the paths in the workload, or the API's address, and measure again \(what was measured is kept in .*\)",
        str(stopped.value),
    )
    recording = open_recording(tmp_path / "r")
    assert (recording.facts.state, recording.facts.stopped) == ("interrupted", str(stopped.value))
    assert set(recording.samples["worker"]) == {0, 1}
    assert len(recording.samples) >= under_way.FEWEST_FAILED


@pytest.mark.thorough
def test_a_load_that_fails_on_purpose_goes_on(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way, "SURE_S", 0.2)
    with api() as url:
        recording = measured(Measurement(requests("/none"), "test", to_its_end=True), url, tmp_path / "r")
    assert (recording.facts.state, recording.facts.stopped) == ("complete", "")
    assert set(recording.samples["error"]) == {"404"}
