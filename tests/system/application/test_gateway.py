"""The gateway as a process: its endpoints, who sees what, what it refuses and why, and its end."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
import redis

Start = Callable[..., Any]
PLATFORMS = ("mastodon", "bluesky", "blog", "newsletter")


@pytest.fixture(scope="module")
def gateway(start_gateway: Start) -> Any:
    return start_gateway()


@pytest.fixture
def administrator(application: Any) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    with psycopg.connect(application.postgres_admin_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def client(application: Any) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(application.redis_url, decode_responses=True) as opened:
        yield opened


def rows(connection: "psycopg.Connection[tuple[Any, ...]]", query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), parameters).fetchall()


def queued(client: redis.Redis, gateway: Any, job: str) -> dict[str, str]:
    return client.hgetall(f"{gateway.system.queue_prefix}:capacity:{job}")


def test_connectors_are_the_callers(gateway: Any, administrator: Any) -> None:
    answer = gateway.ask("GET", "/api/connectors", 3)
    assert answer.status == 200
    expected = rows(administrator, "SELECT id, platform FROM capacity.connectors WHERE owner = capacity.owner_id(3)")
    assert [(each["id"], each["platform"]) for each in answer.json["connectors"]] == sorted(expected)
    assert len(expected) == 4


@pytest.mark.parametrize(
    ("path", "count"), [("/api/posts", 20), ("/api/posts?limit=3", 3), ("/api/posts?limit=100", 25)]
)
def test_posts_are_the_callers_newest(gateway: Any, administrator: Any, path: str, count: int) -> None:
    posts = gateway.ask("GET", path, 7).json["posts"]
    query = "SELECT id FROM capacity.posts WHERE owner = capacity.owner_id(7) ORDER BY scheduled_at DESC LIMIT %s"
    assert [(each["id"],) for each in posts] == rows(administrator, query, count)
    assert len(posts) == count
    assert all(datetime.fromisoformat(each["scheduled_at"]) and each["platform"] in PLATFORMS for each in posts)


def test_no_owner_ever_sees_a_row_of_another(gateway: Any) -> None:
    seen: dict[str, set[int]] = {}
    for owner in range(1, 21):
        for path, key in (("/api/connectors", "connectors"), ("/api/posts?limit=100", "posts")):
            ids = {each["id"] for each in gateway.ask("GET", path, owner).json[key]}
            assert len(ids) == (4 if key == "connectors" else 25)
            assert not ids & seen.get(key, set())
            seen[key] = seen.get(key, set()) | ids
    assert (len(seen["connectors"]), len(seen["posts"])) == (80, 500)
    assert gateway.ask("GET", "/api/posts", 21).json == {"posts": []}


def test_many_callers_at_once_get_their_own_rows(gateway: Any) -> None:
    own = {owner: gateway.ask("GET", "/api/connectors", owner).json for owner in range(1, 21)}
    answers = gateway.ask_for_each("GET", "/api/connectors", list(own) * 10)
    assert [answer.json for answer in answers] == list(own.values()) * 10


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_callback_keeps_a_token_and_asks_for_its_refresh(
    gateway: Any, administrator: Any, client: redis.Redis, platform: str
) -> None:
    answer = gateway.ask("POST", f"/api/oauth/{platform}/callback", 5, {"code": f"code of {platform}"})
    assert answer.status == 201
    found = rows(
        administrator,
        "SELECT id::text FROM capacity.tokens WHERE owner = capacity.owner_id(5) AND secret = %s",
        f"code of {platform}",
    )
    assert len(found) == 1
    job = queued(client, gateway, answer.json["job"])
    assert (job["name"], job["data"]) == (
        "TokenRefresh",
        f'{{"owner":5,"token":"{found[0][0]}","platform":"{platform}"}}',
    )


def test_publishing_marks_the_post_at_that_place_and_asks_for_its_publication(
    gateway: Any, administrator: Any, client: redis.Redis
) -> None:
    answer = gateway.ask("POST", "/api/publish", 9, {"place": 4})
    assert answer.status == 202
    post = gateway.ask("GET", "/api/posts", 9).json["posts"][4]
    assert post["status"] == "published"
    job = queued(client, gateway, answer.json["job"])
    assert (job["name"], job["data"]) == ("PostPublication", f'{{"post":{post["id"]},"owner":9}}')
    assert '"attempts":3' in job["opts"]
    stored = rows(
        administrator,
        "SELECT kind, data->'post', finished_at FROM capacity.outbox WHERE id = %s AND owner = capacity.owner_id(9)",
        int(answer.json["job"].removeprefix("outbox-")),
    )
    assert stored == [("PostPublication", post["id"], None)]


def test_publishing_what_is_not_there_is_404_and_asks_for_nothing(gateway: Any) -> None:
    before = gateway.metric("gateway_jobs_enqueued_total")
    answer = gateway.ask("POST", "/api/publish", 21, {"place": 4})
    assert (answer.status, answer.json) == (404, {"error": "the caller has no post at the place 4"})
    assert gateway.metric("gateway_jobs_enqueued_total") == before


def test_health_and_depth_need_no_caller(gateway: Any, client: redis.Redis) -> None:
    waiting = f"{gateway.system.queue_prefix}:capacity:wait"
    client.delete(waiting)
    client.rpush(waiting, "a", "b", "c")
    gateway.wait_until(lambda: gateway.ask("GET", "/api/health", None).json["queue_depth"] == 3)
    assert gateway.ask("GET", "/api/health", None).json == {"status": "ok", "breaker": "closed", "queue_depth": 3}
    assert gateway.metric("gateway_queue_depth") == 3
    client.delete(waiting)


def test_metrics_count_what_the_pool_did(gateway: Any) -> None:
    before = gateway.metric("gateway_pool_requests_total")
    gateway.ask_at_once(10, "GET", "/api/connectors", 1)
    lines = gateway.ask("GET", "/metrics", None).text.splitlines()
    found = {name: float(value) for name, value in (line.split() for line in lines)}
    assert found["gateway_pool_requests_total"] == before + 10
    expected = {"gateway_pool_limit": 20, "gateway_pool_size": 20, "gateway_pool_in_use": 0, "gateway_pool_waiting": 0}
    expected |= {"gateway_pool_errors_total": 0, "gateway_breaker_state": 0, "gateway_breaker_refusals_total": 0}
    assert {name: found[name] for name in expected} == expected
    assert found["gateway_pool_wait_seconds_total"] > 0
    assert found["process_cpu_seconds_total"] > 0.1


COMPLETE: dict[str, Any] = {"method": "POST", "path": "/api/publish", "owner": 1, "body": {"place": 1}}
WRONG = [
    ({"owner": None}, 401, "the header X-Owner is missing"),
    ({"owner": "x"}, 400, "the header X-Owner must be one whole number from 1 to 2147483647"),
    ({"owner": "0"}, 400, "the header X-Owner must be one whole number from 1 to 2147483647"),
    ({"owner": 2**31}, 400, "the header X-Owner must be one whole number from 1 to 2147483647"),
    ({"owner": "²"}, 400, "the header X-Owner must be one whole number from 1 to 2147483647"),
    ({"method": "DELETE"}, 405, "Method Not Allowed"),
    ({"path": "/api/publish/"}, 404, "Not Found"),
    (
        {"path": "/api/oauth/myspace/callback"},
        404,
        f"there is no platform of that name; there are {', '.join(PLATFORMS)}",
    ),
    ({"headers": {"Content-Type": "text/plain"}}, 415, "the body must be application/json"),
    ({"body": b" " * 16_385}, 413, "the body must have at most 16384 bytes"),
    ({"body": b""}, 400, "the body is not JSON: EOF while parsing a value at line 1 column 0"),
    ({"body": b'{"place": '}, 400, "the body is not JSON: EOF while parsing a value at line 1 column 10"),
    ({"body": b"[" * 16_000}, 400, "the body is not JSON: recursion limit exceeded at line 1 column 20"),
    ({"body": b'{"place": NaN}'}, 422, "place: input should be a valid integer"),
    ({"body": [1]}, 422, "the body: input should be an object"),
    ({"body": {}}, 422, "place: field required"),
    ({"body": {"place": 1, "other": 2}}, 422, "other: extra inputs are not permitted"),
    ({"body": {"place": 1.5}}, 422, "place: input should be a valid integer"),
    ({"body": {"place": True}}, 422, "place: input should be a valid integer"),
    ({"body": b'{"place": 1e400}'}, 422, "place: input should be a valid integer"),
    ({"body": {"place": "1"}}, 422, "place: input should be a valid integer"),
    ({"body": {"place": 10**30}}, 422, "place: input should be less than or equal to 19"),
    ({"body": {"place": -1}}, 422, "place: input should be greater than or equal to 0"),
    ({"path": "/api/oauth/blog/callback", "body": b'{"code": "\\ud800"}'}, 400, "the body is not JSON: "),
    ({"path": "/api/oauth/blog/callback", "body": {"code": "a\0b"}}, 422, "code: string should match pattern"),
    ({"path": "/api/oauth/blog/callback", "body": {"code": "a" * 513}}, 422, "code: string should match pattern"),
    ({"path": "/api/oauth/blog/callback", "body": {"code": ""}}, 422, "code: string should match pattern"),
    ({"method": "GET", "path": "/api/posts?limit=0"}, 422, "limit must be one whole number from 1 to 100"),
    ({"method": "GET", "path": "/api/posts?limit=101"}, 422, "limit must be one whole number from 1 to 100"),
    ({"method": "GET", "path": "/api/posts?limit="}, 422, "limit must be one whole number from 1 to 100"),
    ({"method": "GET", "path": "/api/posts?limit=1&limit=2"}, 422, "limit must be one whole number from 1 to 100"),
]


@pytest.mark.parametrize(("change", "status", "reason"), WRONG, ids=[f"{case[1]}-{n}" for n, case in enumerate(WRONG)])
def test_a_malformed_request_is_refused_with_a_reason(
    gateway: Any, change: dict[str, Any], status: int, reason: str
) -> None:
    answer = gateway.ask(**{**COMPLETE, **change})
    assert (answer.status, answer.json["error"][: len(reason)], list(answer.json)) == (status, reason, ["error"])
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nContent-Length: 11\r\n\r\n", 202),
        (b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nX-Owner: 2\r\nContent-Length: 11\r\n\r\n", 400),
        (b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
    ids=["no media type", "two owners", "declared too long", "no length", "broken chunk", "no HTTP"],
)
def test_raw_bytes_get_a_status_below_500(gateway: Any, sent: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(sent + b'{"place":1}')
        assert connection.recv(65536).startswith(b"HTTP/1.1 %d " % status)


def test_a_body_in_chunks_is_cut_off_at_the_limit(gateway: Any) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        connection.sendall(b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            connection.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_caller_who_leaves_in_the_middle_of_a_body_disturbs_nobody(gateway: Any) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
            connection.sendall(b"POST /api/publish HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\nContent-Length: 100\r\n\r\n{")
    assert gateway.ask("POST", "/api/publish", 1, {"place": 0}).status == 202


def test_the_breaker_refuses_what_would_enqueue_and_closes_after_a_trial(start_gateway: Start, client: Any) -> None:
    gateway = start_gateway("--depth-limit", "5", "--cooldown", "0.6")
    waiting = f"{gateway.system.queue_prefix}:capacity:wait"
    client.rpush(waiting, *"abcdef")
    gateway.wait_until(lambda: gateway.ask("GET", "/api/health", None).json["breaker"] == "open")
    opened = time.monotonic()
    writes = (("/api/publish", {"place": 0}), ("/api/oauth/blog/callback", {"code": "x"}))
    for path, body in writes:
        answer = gateway.ask("POST", path, 2, body)
        assert (answer.status, answer.json) == (503, {"error": "Service busy, retry in 1s"})
        assert answer.headers["retry-after"] == "1"
    assert gateway.ask("GET", "/api/connectors", 2).status == 200
    assert gateway.ask("POST", "/api/publish", 2, b"{").status == 400
    client.delete(waiting)
    statuses = []
    while 202 not in statuses:
        statuses += [answer.status for answer in gateway.ask_at_once(4, "POST", "/api/publish", 2, {"place": 0})]
        assert set(statuses) <= {503, 202}
        assert time.monotonic() - opened < 5
    assert gateway.ask("GET", "/api/health", None).json["breaker"] == "closed"
    assert gateway.metric("gateway_breaker_refusals_total") == 2 + statuses.count(503)


def test_the_breakers_own_words_are_those_of_the_report(start_gateway: Start, client: Any) -> None:
    gateway = start_gateway("--depth-limit", "0")
    client.rpush(f"{gateway.system.queue_prefix}:capacity:wait", "a")
    gateway.wait_until(lambda: gateway.ask("GET", "/api/health", None).json["breaker"] == "open")
    answer = gateway.ask("POST", "/api/publish", 2, {"place": 0})
    assert (answer.status, answer.json) == (503, {"error": "Service busy, retry in 30s"})
    assert answer.headers["retry-after"] == "30"


@pytest.mark.thorough
def test_an_exhausted_pool_is_503_with_a_reason(start_gateway: Start, administrator: Any) -> None:
    gateway = start_gateway("--pool-size", "2", "--pool-waiting", "50")
    gateway.wait_until(lambda: gateway.ask("GET", "/api/connectors", 1).status == 200)
    free = gateway.ask_at_once(60, "GET", "/api/posts", 1)
    assert {answer.status for answer in free} <= {200, 503}
    with administrator.transaction():
        administrator.execute("LOCK TABLE capacity.posts IN ACCESS EXCLUSIVE MODE")
        held = gateway.ask_at_once(60, "GET", "/api/posts", 1)
    statuses = [answer.status for answer in held]
    assert statuses == [503] * 60
    reasons = {answer.json["error"] for answer in held}
    assert reasons == {"all 2 connections to the database are in use", "PostgreSQL did not answer within 2 s"}
    assert not any("retry-after" in answer.headers for answer in held)
    assert gateway.metric("gateway_pool_errors_total") >= 58
    assert gateway.metric("gateway_pool_requests_waited_total") >= 50
    gateway.wait_until(lambda: gateway.ask("GET", "/api/posts", 1).status == 200)
    assert gateway.metric("gateway_pool_in_use") == 0


def test_a_lost_postgres_is_503_with_a_reason_and_no_request_fails_when_it_is_back(
    start_gateway: Start, wire: Callable[[str], Any], application: Any
) -> None:
    line = wire(application.postgres_url)
    gateway = start_gateway(postgres_url=line.url)
    gateway.wait_until(lambda: gateway.ask("GET", "/api/connectors", 1).status == 200)
    line.cut()
    for request in (("GET", "/api/posts", 1), ("POST", "/api/publish", 1, {"place": 0})):
        answer = gateway.ask(*request)
        assert answer.status == 503
        assert answer.json["error"].startswith("PostgreSQL does not answer: ")
        assert answer.seconds < 0.8
    assert gateway.ask("GET", "/api/health", None).status == 200
    line.restore()
    gateway.wait_until(lambda: gateway.ask("GET", "/api/connectors", 1).status == 200)
    line.cut()
    line.restore()
    assert [gateway.ask("GET", "/api/connectors", 1).status for _ in range(30)] == [200] * 30


@pytest.mark.thorough
def test_a_postgres_that_hangs_does_not_hold_the_caller(
    start_gateway: Start, wire: Callable[[str], Any], application: Any
) -> None:
    line = wire(application.postgres_url)
    gateway = start_gateway("--pool-size", "2", postgres_url=line.url)
    gateway.wait_until(lambda: gateway.ask("GET", "/api/connectors", 1).status == 200)
    line.be_silent()
    for answer in gateway.ask_at_once(6, "GET", "/api/connectors", 1):
        assert answer.status == 503
        assert answer.seconds < 3
    line.restore()
    gateway.wait_until(lambda: gateway.ask("GET", "/api/connectors", 1).status == 200)


def test_without_redis_a_request_is_accepted_and_its_job_is_enqueued_later(
    start_gateway: Start, wire: Callable[[str], Any], application: Any, client: Any
) -> None:
    line = wire(application.redis_url)
    gateway = start_gateway(redis_url=line.url)
    for away, back in ((line.cut, line.restore), (line.be_silent, line.restore)):
        away()
        answers = gateway.ask_at_once(20, "POST", "/api/publish", 4, {"place": 1})
        assert [answer.status for answer in answers] == [202] * 20
        assert max(answer.seconds for answer in answers) < 0.8
        jobs = [answer.json["job"] for answer in answers]
        assert len(set(jobs)) == 20
        gateway.wait_until(lambda: gateway.ask("GET", "/api/health", None).json["queue_depth"] is None)
        assert gateway.ask("GET", "/metrics", None).text.count("gateway_queue_depth nan\n") == 1
        back()
        gateway.wait_until(lambda jobs=jobs: all(queued(client, gateway, job) for job in jobs))
    waiting = client.lrange(f"{gateway.system.queue_prefix}:capacity:wait", 0, -1)
    assert len(waiting) == len(set(waiting))
    gateway.wait_until(lambda: gateway.metric("gateway_jobs_reenqueued_total") >= 20)


def test_it_starts_before_its_servers(start_gateway: Start, wire: Callable[[str], Any], application: Any) -> None:
    postgres, cache = wire(application.postgres_url), wire(application.redis_url)
    for line in (postgres, cache):
        line.cut()
    gateway = start_gateway(postgres_url=postgres.url, redis_url=cache.url)
    assert gateway.ask("GET", "/api/posts", 1).status == 503
    for line in (postgres, cache):
        line.restore()
    gateway.wait_until(lambda: gateway.ask("POST", "/api/publish", 1, {"place": 1}).status == 202)


def test_connections_to_redis_are_few_and_kept(gateway: Any, client: Any) -> None:
    before = client.info("stats")["total_connections_received"]
    for _ in itertools.repeat(None, 5):
        gateway.ask_at_once(40, "POST", "/api/publish", 3, {"place": 2})
    assert client.info("stats")["total_connections_received"] - before <= 8


def test_sigterm_ends_it_within_seconds_though_connections_are_kept(start_gateway: Start) -> None:
    gateway = start_gateway()
    with socket.create_connection(("127.0.0.1", gateway.port)) as kept:
        kept.sendall(b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(10)
        assert time.monotonic() - began < 3


@pytest.mark.thorough
def test_sigterm_ends_it_within_seconds_though_postgres_hangs(
    start_gateway: Start, wire: Callable[[str], Any], application: Any
) -> None:
    line = wire(application.postgres_url)
    gateway = start_gateway(postgres_url=line.url)
    gateway.wait_until(lambda: gateway.ask("GET", "/api/connectors", 1).status == 200)
    line.be_silent()
    with socket.create_connection(("127.0.0.1", gateway.port)) as asking:
        asking.sendall(b"GET /api/connectors HTTP/1.1\r\nHost: x\r\nX-Owner: 1\r\n\r\n")
        gateway.wait_until(lambda: gateway.metric("gateway_pool_in_use") == 1)
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(20)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["CAPACITY_POSTGRES_URL", "CAPACITY_REDIS_URL"])
def test_an_address_that_is_missing_is_one_sentence(application: Any, name: str) -> None:
    command = [sys.executable, "-m", "capacity.system.application.gateway", "--port", "1"]
    environment = {**os.environ, **application.as_environment()}
    del environment[name]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    reason = f"Error: the gateway needs {name}; set it to the address of that server\n"
    assert (ended.returncode, ended.stderr) == (2, reason)
