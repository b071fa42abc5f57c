"""How many connections a PostgreSQL lets a role have, by the server's settings, its own limits and what others use."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from capacity.system.addresses import POSTGRES_URL, System, require
from capacity.system.application.database import connect_as_administrator

RESERVED = """
SELECT current_setting('max_connections')::int, rolsuper,
       coalesce(current_setting('superuser_reserved_connections', true), '0')::int,
       coalesce(current_setting('reserved_connections', true), '0')::int,
       to_regrole('pg_use_reserved_connections') IS NOT NULL
           AND pg_has_role(current_user, to_regrole('pg_use_reserved_connections')::oid, 'member'),
       rolname::text, rolconnlimit, datname::text, datconnlimit
FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""
USED = """
SELECT count(*), count(*) FILTER (WHERE usename = %(role)s), count(*) FILTER (WHERE datname = %(database)s)
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
LEAVE = "SELECT pg_terminate_backend(pg_backend_pid())"  # returns when the server has given the slot back


@dataclass(frozen=True, slots=True)
class OwnLimit:
    """A limit on the connections of one role or database, and how many it has."""

    of: str
    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class ConnectionSlots:
    """The connections that a role can have: the server's limit, what is reserved for others, and what others use.

    `own` are the limits that its role and its database have beside the server's.
    """

    limit: int
    reserved: int
    used: int
    own: tuple[OwnLimit, ...] = ()

    @property
    def free(self) -> int:
        """How many more the server lets in."""
        return max(0, min([self._left, *(each.limit - each.used for each in self.own)]))

    @property
    def sum(self) -> str:
        """The arithmetic in words, of the limit that is met first."""
        least = min(self.own, key=lambda each: each.limit - each.used, default=None)
        if least and least.limit - least.used < self._left:
            return f"{least.limit} CONNECTION LIMIT of the {least.of} − {least.used} in use"
        return f"{self.limit} max_connections − {self.reserved} reserved − {self.used} in use"

    @property
    def _left(self) -> int:
        return self.limit - self.reserved - self.used


def read_connection_slots(system: System) -> ConnectionSlots:
    """The slots for the system's ordinary role, from the server's settings; none is taken by this look any more.

    Only the administrator sees what others use. Raises CapacityError where the server does not answer.
    """
    url = require(POSTGRES_URL, system.postgres_url)
    settings = _asked(url, RESERVED)
    used = _asked(system.postgres_admin_url or url, USED, {"role": settings[5], "database": settings[7]})
    return connection_slots(settings, used)


def connection_slots(settings: tuple[Any, ...], used: tuple[Any, ...]) -> ConnectionSlots:
    """The slots by what RESERVED, asked as the role that loads, and USED, asked as the administrator, told."""
    limit, superuser, for_superusers, for_members, member, role, role_limit, database, database_limit = settings
    of_all, of_role, of_database = used
    if superuser:  # who is held by none of these limits but the server's own
        return ConnectionSlots(limit, 0, of_all)
    own = [OwnLimit(f"role {role}", role_limit, of_role), OwnLimit(f"database {database}", database_limit, of_database)]
    reserved = for_superusers + (0 if member else for_members)
    return ConnectionSlots(limit, reserved, of_all, tuple(each for each in own if each.limit >= 0))


def _asked(url: str, query: LiteralString, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
    with connect_as_administrator(url) as connection:
        row = connection.execute(query, parameters).fetchone()
        with suppress(psycopg.OperationalError):
            connection.execute(LEAVE)
    return row or ()
