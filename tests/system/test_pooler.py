"""A pooler in transaction mode is told from one in session mode and from the server, and leaves nothing on it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.application.database import prepare_roles
from capacity.system.pooler import UNNAMED, find_transaction_pooler, prepares

StartPooler = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def url(system: System) -> str:
    """The server's address for an ordinary role."""
    prepare_roles(system.postgres_admin_url)
    return system.postgres_url


def test_the_server_itself_is_no_pooler(url: str) -> None:
    assert find_transaction_pooler(url) is None
    assert prepares(url) == (True, {})
    assert prepares(url, wanted=False) == (False, {})


@pytest.mark.parametrize("size", [1, 10, pytest.param(3, marks=pytest.mark.thorough)])
def test_a_pooler_in_transaction_mode_is_seen(url: str, start_pooler: StartPooler, size: int) -> None:
    """Whether it has one connection for all or more than are asked over, and whoever used them before."""
    with start_pooler(url, mode="transaction", size=size) as pooled:
        with psycopg.connect(pooled, prepare_threshold=None) as first, psycopg.connect(pooled) as second:
            first.execute("SELECT 1")
            if size > 1:
                second.execute("SELECT 1")  # so that it has more than one connection when it is looked at
        found = find_transaction_pooler(pooled)
        assert found
        assert not found.keeps_prepared
        assert prepares(pooled) == (False, {"pooler": found.name or UNNAMED})
        with psycopg.connect(pooled, prepare_threshold=None) as connection:
            assert connection.execute("SELECT name FROM pg_prepared_statements").fetchall() == []


@pytest.mark.parametrize("size", [10, pytest.param(1, marks=pytest.mark.thorough)])
def test_a_pooler_in_session_mode_is_none(url: str, start_pooler: StartPooler, size: int) -> None:
    """Each connection keeps its backend; where there are fewer than clients, those who wait tell nothing."""
    with start_pooler(url, mode="session", size=size) as pooled:
        assert find_transaction_pooler(pooled) is None
        assert prepares(pooled) == (True, {})


def test_a_server_that_does_not_answer_says_so() -> None:
    with pytest.raises(CapacityError, match=r"^PostgreSQL does not answer: .*; start it, or correct its address$"):
        find_transaction_pooler("postgresql://someone@127.0.0.1:1/postgres")
