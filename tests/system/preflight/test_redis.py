"""What a Redis says of itself: each line that can be wrong, on real servers, as a user with few rights."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import redis

from capacity.system.clients import redis_product
from capacity.system.embedded import RunningServer, run_redis
from capacity.system.preflight.check import Check
from capacity.system.preflight.redis import redis_checks
from capacity.system.server_directory import open_server_directory
from capacity.workload import Workload, parse_workload

PASSWORD = "a@b:c/d%e"
RULES = (
    "on",
    f">{PASSWORD}",
    "~app:*",
    "+@read",
    "+@write",
    "+@connection",
    "-client|kill",
    "+info",
    "+time",
    "+multi",
    "+discard",
)
GET, SET = ["GET", "app:item:{n}"], ["SET", "app:item:{n}", "x"]


def workload(*commands: list[str], connections: int = 10, name: str = "cart") -> Workload:
    number = {"n": {"kind": "uniform", "low": 1, "high": 9}}
    operations: list[dict[str, Any]] = [
        {"name": f"{each[0]} {place}", "weight": 100 / len(commands), "command": each}
        | ({"parameters": number} if any("{n}" in word for word in each) else {})
        for place, each in enumerate(commands)
    ]
    shape = {"kind": "rate", "stages": [{"name": "hold", "seconds": 1, "to": 1}]}
    values = {"name": name, "target": "redis", "connections": connections, "operations": operations}
    return parse_workload({**values, "shapes": {"smoke": shape}})


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with open_server_directory() as directory:
        yield run_redis(directory, maxmemory="0", maxclients="60", save="3600 1")


@pytest.fixture
def client(server: RunningServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        yield connected
        connected.config_set("maxmemory", 0)


def as_user(server: RunningServer, client: redis.Redis, *rules: str) -> str:
    """The address of a user with these rules, in database 3; its password has to be written with percent signs."""
    client.execute_command("ACL", "SETUSER", "shop", "reset", *RULES, *rules)
    return f"redis://shop:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/3"


def looked(url: str, *workloads: Workload) -> dict[str, list[Check]]:
    found: dict[str, list[Check]] = {}
    for each in redis_checks(url, workloads or [workload(GET, SET)]):
        assert PASSWORD not in f"{each.said} {each.means} {each.to_do}"
        found.setdefault(each.name, []).append(each)
    return found


def test_a_right_that_is_missing_is_known_before_the_load(server: RunningServer, client: redis.Redis) -> None:
    found = looked(as_user(server, client, "-set"), workload(GET, SET))
    assert found["reachable"][0].said.endswith(", as shop, database 3")
    (write,) = found["rights"]
    assert (write.said, write.means) == ("shop may not SET app:item:1 (NOPERM)", "the operation SET 1 fails each time")
    assert write.to_do == "ACL SETUSER shop +set ~app:item:*"
    assert looked(as_user(server, client))["rights"][0].fine
    script = workload(["EVAL", "return redis.call('GET', 'app:item:1') -- " + "a long script " * 9, "0"])
    check = looked(as_user(server, client, "-eval"), script)["rights"][0]
    assert check.said == "shop may not EVAL return redis.call('GET', 'app:item:1') -- a long … (NOPERM)"
    assert check.to_do == "ACL SETUSER shop +eval"


def test_a_key_that_is_not_the_users_and_a_command_that_is_none_are_named(
    server: RunningServer, client: redis.Redis
) -> None:
    other = workload(["GET", "other:{n}"], ["GET", "app:{n}", "too", "many"], ["NOSUCH", "app:{n}"])
    said = [each.said for each in looked(as_user(server, client, "+client|kill"), other)["rights"]]
    assert said[0] == "shop may not GET other:1 (NOPERM)"
    assert said[1] == "GET app:1 too many: wrong number of arguments for 'get' command"
    assert said[2].startswith("NOSUCH app:1: unknown command 'NOSUCH'")


def test_nothing_is_executed_to_see_it(server: RunningServer, client: redis.Redis) -> None:
    before = client.info("commandstats")
    assert looked(server.url, workload(SET, ["FLUSHALL"], ["EXEC"], ["SHUTDOWN", "NOSAVE"]))["rights"][0].fine
    assert client.ping()
    after = client.info("commandstats")
    for name in ("cmdstat_set", "cmdstat_flushall", "cmdstat_shutdown", "cmdstat_client|kill"):
        assert after.get(name, {}).get("calls", 0) == before.get(name, {}).get("calls", 0)
    assert client.dbsize() == 0


def test_without_the_right_to_read_its_figures_they_are_not_given(server: RunningServer, client: redis.Redis) -> None:
    check = looked(as_user(server, client, "-info", "+client|kill"))["rights"][0]
    assert (check.needed, check.said, check.to_do) == (False, "NOPERM for INFO", "ACL SETUSER shop +info")


def test_memory_without_a_limit_and_memory_that_is_nearly_full_are_told(
    server: RunningServer, client: redis.Redis
) -> None:
    (check,) = looked(server.url)["memory"]
    assert check.said == "maxmemory is 0: no limit"
    assert check.means.startswith("memory used of maxmemory (memory_utilisation) is not given")
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", used + 50_000)
    (check,) = looked(server.url)["memory"]
    assert check.means == "it is nearly full: writes are refused (OOM) during the load"
    client.config_set("maxmemory", used * 10)
    assert looked(server.url)["memory"][0].fine


def test_connections_wanted_stand_beside_those_that_are_free(server: RunningServer) -> None:
    (check,) = looked(server.url, workload(GET, connections=100))["connections"]
    assert not check.fine
    assert check.said.startswith("100 wanted by cart and 4 beside it, ")
    assert " free: 60 maxclients − " in check.said
    assert looked(server.url)["connections"][0].fine


def test_a_replica_and_a_node_of_a_cluster_say_what_fails_there(server: RunningServer) -> None:
    with open_server_directory() as directory:
        replica = run_redis(directory, replicaof=f"127.0.0.1 {server.port}", **{"cluster-enabled": "no"})
        (check,) = looked(replica.url)["state"]
        assert check.said == "a replica, which takes no writes"
    with open_server_directory() as directory:
        node = run_redis(directory, **{"cluster-enabled": "yes"})
        (check,) = looked(node.url)["state"]
        assert check.said == "a node of a cluster"
        assert "MOVED" in check.means


def test_the_clock_and_persistence_are_told(server: RunningServer) -> None:
    found = looked(server.url)
    assert found["clock"][0].fine
    assert found["persistence"][0].said.startswith("writes are not appended to a file; ")


@pytest.mark.parametrize(
    ("info", "product"),
    [
        ({"redis_version": "8.2.3"}, "Redis 8.2.3"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
        ({"redis_version": "6.3.4", "executable": "/usr/bin/keydb-server"}, "KeyDB 6.3.4"),
        ({"redis_version": "6.3.4", "executable": "/opt/bin/server", "mvcc_depth": 0}, "KeyDB 6.3.4"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-v1.27.1"}, "Dragonfly 1.27.1"),
        ({"redis_version": "7.1.0", "os": "Amazon ElastiCache"}, "Redis 7.1.0 (ElastiCache)"),
    ],
)
def test_a_server_is_called_by_its_own_name_and_version(info: dict[str, str], product: str) -> None:
    assert redis_product(info) == product
