"""What tests of queues share: a Redis of the file's own."""

from collections.abc import Iterator

import pytest
import redis

from capacity.system.embedded import run_redis
from capacity.system.server_directory import open_server_directory


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a Redis that the file has to itself."""
    with open_server_directory() as directory:
        yield run_redis(directory).url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    """A client of that Redis, which is empty again afterwards."""
    with redis.Redis.from_url(url) as connected:
        yield connected
        connected.flushdb()
