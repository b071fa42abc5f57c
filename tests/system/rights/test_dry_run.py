"""Each operation is tried before the load, by the role and the way that load comes, and nothing of it stays."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.rights.dry_run import check_operations
from capacity.workload import Workload, parse_workload

SET_UP = """
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id bigint PRIMARY KEY, buyer text NOT NULL);
INSERT INTO shop.orders VALUES (1, 'a');
CREATE TABLE shop.secret (n int);
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.orders USING (buyer = 'a') WITH CHECK (buyer = 'a');
CREATE ROLE clerk LOGIN;
GRANT USAGE ON SCHEMA shop TO clerk;
GRANT SELECT, INSERT ON shop.orders TO clerk;
"""
TAKE_DOWN = "DROP SCHEMA shop CASCADE; DROP ROLE clerk"


@pytest.fixture(scope="module")
def shop(system: System) -> Iterator[str]:
    """The address of an ordinary role, which has tables of its own and no other right."""
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        connection.execute(SET_UP)
        yield system.postgres_admin_url.replace("postgres@", "clerk@")
        connection.execute(TAKE_DOWN)


def orders(sql: str, timeout_ms: float = 5000, **parameters: Any) -> Workload:
    statement = {"sql": sql, "parameters": list(parameters)}
    operations = [
        {"name": "look", "weight": 50, "statements": [{"sql": "SELECT count(*) FROM shop.orders"}]},
        {"name": "pay", "weight": 50, "statements": [{"sql": "SELECT 1"}, statement], "parameters": parameters},
    ]
    shapes = {"smoke": {"kind": "rate", "stages": [{"name": "a", "seconds": 1, "to": 1}]}}
    values = {"name": "orders", "target": "postgres", "connections": 1, "timeout_ms": timeout_ms}
    return parse_workload({**values, "operations": operations, "shapes": shapes})


@pytest.mark.parametrize(
    ("sql", "refusal"),
    [
        (
            "UPDATE shop.orders SET buyer = 'b'",
            "permission denied for table orders (InsufficientPrivilege 42501), as the role clerk; "
            "let the owner GRANT it what its statement needs",
        ),
        (
            "SELECT n FROM shop.secret",
            "permission denied for table secret (InsufficientPrivilege 42501), as the role clerk; "
            "let the owner GRANT it what its statement needs",
        ),
        (
            "SELECT * FROM orders",
            'relation "orders" does not exist (UndefinedTable 42P01), as the role clerk; '
            'its search_path is "$user", public',
        ),
        (
            "SELECT 'capacity.posts' FROM orders",
            'relation "orders" does not exist (UndefinedTable 42P01), as the role clerk; its search_path is "$user", '
            "public (the suite's own tables are there where the workload says dataset: reference)",
        ),
        (
            "SELEC 1",
            'syntax error at or near "SELEC" (SyntaxError 42601), as the role clerk; correct the statement',
        ),
    ],
)
def test_what_no_argument_could_mend_is_named_with_its_operation(shop: str, sql: str, refusal: str) -> None:
    with pytest.raises(CapacityError) as refused:
        check_operations(shop, orders(sql))
    assert str(refused.value) == f"PostgreSQL refuses the operation 'pay': {refusal}"


@pytest.mark.parametrize(
    "workload",
    [
        orders("INSERT INTO shop.orders VALUES ($1::bigint, 'a')", id={"kind": "uniform", "low": 1, "high": 1}),
        orders("INSERT INTO shop.orders VALUES (2, 'b')"),
        orders("SELECT pg_sleep(60)", timeout_ms=50),
        orders("VACUUM shop.orders"),
    ],
    ids=["a row that is there", "a row that a policy refuses", "one that takes too long", "none for a transaction"],
)
def test_what_the_rows_or_others_decide_is_for_the_load_to_find_out(shop: str, workload: Workload) -> None:
    check_operations(shop, workload)


def test_nothing_of_it_stays(shop: str) -> None:
    check_operations(shop, orders("INSERT INTO shop.orders VALUES (7, 'a')"))
    with psycopg.connect(shop) as connection:
        assert connection.execute("SELECT id FROM shop.orders").fetchall() == [(1,)]


def test_a_role_that_is_not_let_in_is_one_sentence(shop: str) -> None:
    with pytest.raises(
        CapacityError, match=r"^PostgreSQL does not let the load in: .*role \"stranger\" does not exist$"
    ):
        check_operations(shop.replace("clerk@", "stranger@"), orders("SELECT 1"))
