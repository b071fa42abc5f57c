"""The embedded system, started once for all tests."""

from collections.abc import Iterator

import pytest

from capacity.system.addresses import System
from capacity.system.embedded import open_system


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    with open_system({}) as started:
        yield started


@pytest.fixture(scope="session")
def redis_url(system: System) -> str:
    return system.redis_url


@pytest.fixture(scope="session")
def postgres_url(system: System) -> str:
    return system.postgres_admin_url
