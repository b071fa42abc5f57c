"""In somebody's own Redis the application's queue is nobody else's, and nothing of it stays."""

from pathlib import Path

import pytest
import redis

from capacity.errors import CapacityError
from capacity.places import defaults_folder
from capacity.system.addresses import System
from capacity.system.own_queue import MARK, own_queue
from capacity.system.processes import open_application

JOBS = Path(defaults_folder() / "data" / "workloads" / "queue.yaml")


@pytest.mark.parametrize("name", ["capacity", "capacity-dead"])
def test_a_queue_by_our_name_that_somebody_else_made_is_refused_and_left_as_it_is(
    url: str, client: redis.Redis, name: str
) -> None:
    client.hset(f"bull:{name}:meta", "version", "bullmq:5.81.5")
    client.hset(f"bull:{name}:1", "name", "Pay")
    with pytest.raises(CapacityError) as refused, own_queue(url):
        pass
    assert str(refused.value) == (
        f"Redis has a queue bull:{name} that the suite did not make, and nothing in it is touched; name it in "
        "CAPACITY_QUEUE where it is to be measured, or another database number in the address"
    )
    assert sorted(client.keys()) == [f"bull:{name}:{part}".encode() for part in ("1", "meta")]


def test_the_applications_queue_leaves_nothing_and_touches_no_other(url: str, client: redis.Redis) -> None:
    client.hset("bull:orders:meta", "version", "bullmq:5.81.5")
    with open_application(System(redis_url=url), JOBS, workers=1, gateway=False):
        for part, value in (("completed", "7"), ("delayed", "8")):
            client.zadd(f"bull:capacity:{part}", {value: 1})
            client.hset(f"bull:capacity:{value}", "name", "TokenRefresh")
        client.lpush("bull:capacity-dead:wait", "9")
        client.hset("bull:capacity-dead:9", "name", "TokenRefresh")
    assert client.keys() == [b"bull:orders:meta"]


def test_one_that_was_left_by_a_kill_is_ours_again(url: str, client: redis.Redis) -> None:
    client.set("bull:capacity:made", MARK)
    client.lpush("bull:capacity:wait", "1")
    with own_queue(url):
        assert client.exists("bull:capacity:wait")
    assert client.keys() == []
