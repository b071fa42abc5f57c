"""The tables are shaped as Supabase's, and row-level security holds for the role that load comes as."""

import psycopg
import pytest

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.application.database import Dataset, prepare_database, remove_database

SMALL = Dataset(owners=20, posts_per_owner=5)
TABLES = ("connectors", "posts", "job_logs", "tokens")


@pytest.fixture(scope="module")
def prepared(system: System) -> System:
    remove_database(system.postgres_admin_url)
    assert prepare_database(system.postgres_admin_url, SMALL)
    return system


def counts(connection: "psycopg.Connection[tuple[int]]") -> dict[str, int]:
    found = {name: connection.execute(f"SELECT count(*) FROM capacity.{name}".encode()).fetchone() for name in TABLES}
    return {name: row[0] for name, row in found.items() if row}


def test_the_tables_hold_what_the_dataset_says(prepared: System) -> None:
    with psycopg.connect(prepared.postgres_admin_url) as connection:
        assert counts(connection) == {"connectors": 80, "posts": 100, "job_logs": 400, "tokens": 0}


def test_the_same_dataset_is_not_filled_again_and_what_grew_is_emptied(prepared: System) -> None:
    with psycopg.connect(prepared.postgres_admin_url) as connection:
        connection.execute("INSERT INTO capacity.tokens (owner, secret) VALUES (capacity.owner_id(1), 's')")
    assert not prepare_database(prepared.postgres_admin_url, SMALL)
    with psycopg.connect(prepared.postgres_admin_url) as connection:
        assert counts(connection)["tokens"] == 0


def test_load_comes_as_an_ordinary_role_that_has_no_rights_of_its_own(prepared: System) -> None:
    with psycopg.connect(prepared.postgres_url) as connection:
        row = connection.execute(
            "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == ("authenticator", False, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT count(*) FROM capacity.posts")


def test_a_user_sees_own_rows_alone_and_the_service_sees_all(prepared: System) -> None:
    with psycopg.connect(prepared.postgres_url) as connection:
        connection.execute("SELECT capacity.act_as(3)")
        assert counts(connection) == {"connectors": 4, "posts": 5, "job_logs": 20, "tokens": 0}
        connection.rollback()
        connection.execute("SELECT capacity.act_as_service(3)")
        assert counts(connection)["posts"] == 100


def test_a_user_cannot_write_a_row_of_another(prepared: System) -> None:
    with psycopg.connect(prepared.postgres_url) as connection:
        connection.execute("SELECT capacity.act_as(3)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute("INSERT INTO capacity.tokens (owner, secret) VALUES (capacity.owner_id(4), 's')")


def test_the_role_ends_with_its_transaction(prepared: System) -> None:
    with psycopg.connect(prepared.postgres_url, autocommit=True) as connection:
        connection.execute("SELECT capacity.act_as(3)")
        assert connection.execute(
            "SELECT current_user::text, auth_claims FROM (SELECT "
            "current_setting('request.jwt.claims', true) AS auth_claims) c"
        ).fetchone() in [("authenticator", ""), ("authenticator", None)]


def test_a_server_that_is_down_is_one_sentence() -> None:
    with pytest.raises(CapacityError, match=r"^PostgreSQL does not answer: .*; start it, or correct its address$"):
        prepare_database("postgresql://postgres@127.0.0.1:1/postgres", SMALL)
