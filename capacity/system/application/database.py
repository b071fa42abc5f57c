"""Makes, fills and removes the application's tables; outside the schema `capacity` it adds roles that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql

from capacity.errors import CapacityError
from capacity.system.rights.needs import check_needed
from capacity.system.rights.roles import make_roles, remove_roles, take_back
from capacity.system.rights.standing import MARK, ORDINARY, SERVICE, USER, read_standing

VERSION = 1  # of the tables and the way they are filled
CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Dataset:
    """How much the tables hold: every post has a body of 1 kB, so 1,000 owners × 500 posts are about 600 MB."""

    owners: int
    posts_per_owner: int


DATASETS = {"smoke": Dataset(1000, 80), "standard": Dataset(1000, 500), "full": Dataset(1000, 1800)}

TABLES = ("dataset", "granted", "posts", "connectors", "job_logs", "tokens", "outbox")
FUNCTIONS = "capacity.act_as(bigint), capacity.act_as_service(bigint), capacity.owner_id(bigint), capacity.uid()"
GRANTED = """
INSERT INTO capacity.granted SELECT %(role)s, %(member)s WHERE NOT EXISTS (
    SELECT FROM capacity.granted WHERE role IS NOT DISTINCT FROM %(role)s AND member = %(member)s
)
"""
TO_LOADER = (
    "GRANT USAGE ON SCHEMA capacity TO {}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA capacity TO {}",
    "GRANT SELECT ON capacity.dataset TO {}",
)

# Rows come in the order of time, so that the posts of one owner lie on many pages, as they do in life.
FILL = """
TRUNCATE capacity.connectors, capacity.posts, capacity.dataset RESTART IDENTITY;
INSERT INTO capacity.connectors (owner, platform)
SELECT capacity.owner_id(1 + (n - 1) % {owners}), (ARRAY['mastodon', 'bluesky', 'blog', 'newsletter'])[1 + n % 4]
FROM generate_series(1, {owners} * 4) AS n;
INSERT INTO capacity.posts (owner, connector, title, body, scheduled_at)
SELECT capacity.owner_id(1 + (n - 1) % {owners}), 1 + (n - 1) % ({owners} * 4), 'Post ' || n,
       repeat(md5(n::text), 32), timestamptz '2025-01-01' + n * interval '1 second'
FROM generate_series(1, {owners} * {posts_per_owner}) AS n;
INSERT INTO capacity.dataset VALUES ({version}, {owners}, {posts_per_owner});
"""
GROWING = """
TRUNCATE capacity.job_logs, capacity.tokens, capacity.outbox;
INSERT INTO capacity.job_logs (owner, kind, message)
SELECT capacity.owner_id(1 + (n - 1) % {owners}), 'ConnectorSync', repeat(md5(n::text), 4)
FROM generate_series(1, {owners} * 20) AS n;
ANALYZE capacity.connectors, capacity.posts, capacity.job_logs, capacity.tokens;
"""


def prepare_database(url: str, dataset: Dataset, loader: str = ORDINARY) -> bool:
    """Bring the tables to `dataset`; what grew in an earlier run is emptied. Returns whether they had to be filled.

    `url` is the administrator's, and load comes as the role `loader`. Works through a transaction pooler. What is made
    is marked. Raises CapacityError where the server is down, hangs while connecting, or refuses; where the
    administrator lacks a right; and where the schema `capacity` was made by somebody else.
    """
    numbers = {"owners": dataset.owners, "posts_per_owner": dataset.posts_per_owner, "version": VERSION}
    with connect_as_administrator(url) as connection:
        try:
            with connection.transaction():
                _make(connection, loader)
                filled = connection.execute("SELECT version, owners, posts_per_owner FROM capacity.dataset").fetchall()
                fill = filled != [(VERSION, dataset.owners, dataset.posts_per_owner)]
                connection.execute(((FILL if fill else "") + GROWING).format(**numbers).encode())
        except psycopg.Error as error:
            raise CapacityError(f"the tables could not be made in PostgreSQL: {' '.join(str(error).split())}") from None
        return fill


def prepare_roles(url: str, loader: str = ORDINARY) -> None:
    """Add the roles that are missing, in PostgreSQL at the administrator's address."""
    with connect_as_administrator(url) as connection:
        try:
            standing = read_standing(connection, loader)
            check_needed(standing)
            make_roles(connection, standing)
        except psycopg.Error as error:
            raise CapacityError(f"the roles could not be made in PostgreSQL: {' '.join(str(error).split())}") from None


def remove_database(url: str) -> list[str]:
    """Remove what `prepare_database` made, and nothing else: tables, memberships, the schema and roles.

    Says of each whether it is gone, or why it stays. Raises CapacityError where something of others hangs on a table.
    """
    with connect_as_administrator(url) as connection:
        schema = read_standing(connection, "").schema
        said = ["there is no schema capacity"] if schema.whose == "missing" else []
        if schema.whose == "foreign":
            said = ["the schema capacity stays: capacity prepare did not make it"]
        if schema.whose == "ours":
            said = _removed(connection, schema.made)
        return [*said, *remove_roles(connection)]


def _make(connection: "psycopg.Connection[tuple[Any, ...]]", loader: str) -> None:
    """Make what is missing of roles, schema, tables and functions, and give `loader` what it needs of them."""
    standing = read_standing(connection, loader)
    check_needed(standing)
    given = make_roles(connection, standing)
    if standing.schema.whose == "missing":
        connection.execute("CREATE SCHEMA capacity")
    marked = ["TABLE capacity.dataset"]
    if standing.schema.whose == "missing" or standing.schema.made:
        marked.append("SCHEMA capacity")
    connection.execute(files(__package__).joinpath("schema.sql").read_bytes())
    for each in marked:
        connection.execute(f"COMMENT ON {each} IS '{MARK}'".encode())
    for each in TO_LOADER:
        connection.execute(sql.SQL(each).format(sql.Identifier(loader)))
    for role, member in [*((role, loader) for role in given), *((None, each) for each in (USER, SERVICE, loader))]:
        connection.execute(GRANTED, {"role": role, "member": member})


def _removed(connection: "psycopg.Connection[tuple[Any, ...]]", whole: bool) -> list[str]:
    """Remove the tables and functions, and the schema where it is `whole` ours and nothing else is in it."""
    names = ", ".join(f"capacity.{name}" for name in TABLES)
    try:
        with connection.transaction():
            known = connection.execute("SELECT to_regclass('capacity.granted') IS NOT NULL").fetchone() == (True,)
            take_back(connection, connection.execute("SELECT * FROM capacity.granted").fetchall() if known else [])
            connection.execute(f"DROP TABLE IF EXISTS {names}".encode())
            connection.execute(f"DROP FUNCTION IF EXISTS {FUNCTIONS}".encode())
    except psycopg.errors.DependentObjectsStillExist as error:
        hangs = " ".join((error.diag.message_detail or str(error)).split())
        raise CapacityError(f"the tables in the schema capacity stay: {hangs}; drop that first") from None
    except psycopg.Error as error:
        raise CapacityError(f"the tables could not be removed: {' '.join(str(error).split())}") from None
    if not whole:
        return ["the tables are removed; the schema capacity stays: capacity prepare did not make it"]
    try:
        connection.execute("DROP SCHEMA capacity")
    except psycopg.errors.DependentObjectsStillExist as error:
        others = " ".join((error.diag.message_detail or "").split())
        return [f"the tables are removed; the schema capacity stays, for others are in it: {others}"]
    return ["the schema capacity is removed with its tables"]


def execute(url: str, statement: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
    """Execute a statement as the administrator; returns its rows, none where it has no rows."""
    with connect_as_administrator(url) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def connect_as_administrator(url: str, **options: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    """A connection in autocommit that works through a transaction pooler too; CapacityError says why there is none."""
    try:
        return psycopg.connect(url, autocommit=True, prepare_threshold=None, connect_timeout=CONNECT_SECONDS, **options)
    except psycopg.Error as error:
        raise CapacityError(
            f"PostgreSQL does not answer: {' '.join(str(error).split())}; start it, or correct its address"
        ) from None
