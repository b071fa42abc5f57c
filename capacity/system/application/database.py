"""Makes and fills the application's tables; outside the schema `capacity` it only adds roles that are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg

from capacity.errors import CapacityError

VERSION = 1  # of the tables and the way they are filled
CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Dataset:
    """How much the tables hold: every post has a body of 1 kB, so 1,000 owners × 500 posts are about 600 MB."""

    owners: int
    posts_per_owner: int


DATASETS = {"smoke": Dataset(1000, 80), "standard": Dataset(1000, 500), "full": Dataset(1000, 1800)}

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


def prepare_database(url: str, dataset: Dataset) -> bool:
    """Bring the tables to `dataset`; what grew in an earlier run is emptied. Returns whether they had to be filled.

    `url` is the administrator's. Works through a transaction pooler. Raises CapacityError where the server is down,
    hangs while connecting, or refuses.
    """
    numbers = {"owners": dataset.owners, "posts_per_owner": dataset.posts_per_owner, "version": VERSION}
    prepare_roles(url)
    with connect_as_administrator(url) as connection:
        try:
            with connection.transaction():
                connection.execute(files(__package__).joinpath("schema.sql").read_bytes())
                filled = connection.execute("SELECT version, owners, posts_per_owner FROM capacity.dataset").fetchall()
                fill = filled != [(VERSION, dataset.owners, dataset.posts_per_owner)]
                connection.execute(((FILL if fill else "") + GROWING).format(**numbers).encode())
        except psycopg.Error as error:
            raise CapacityError(f"the tables could not be made in PostgreSQL: {' '.join(str(error).split())}") from None
        return fill


def prepare_roles(url: str) -> None:
    """Add the roles that are missing, in PostgreSQL at the administrator's address."""
    with connect_as_administrator(url) as connection:
        try:
            connection.execute(files(__package__).joinpath("roles.sql").read_bytes())
        except psycopg.Error as error:
            raise CapacityError(f"the roles could not be made in PostgreSQL: {' '.join(str(error).split())}") from None


def remove_database(url: str) -> None:
    """Remove the schema `capacity` with all that is in it; roles stay, because others may use them."""
    execute(url, "DROP SCHEMA IF EXISTS capacity CASCADE")


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
