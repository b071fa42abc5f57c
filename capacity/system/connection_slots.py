"""How many connections a PostgreSQL lets a role have, by the server's settings and what others use."""

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
           AND pg_has_role(current_user, to_regrole('pg_use_reserved_connections')::oid, 'member')
FROM pg_roles WHERE rolname = current_user
"""
USED = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
LEAVE = "SELECT pg_terminate_backend(pg_backend_pid())"  # returns when the server has given the slot back


@dataclass(frozen=True, slots=True)
class ConnectionSlots:
    """The connections that a role can have: the server's limit, what is reserved for others, and what others use."""

    limit: int
    reserved: int
    used: int

    @property
    def free(self) -> int:
        """How many more the server lets in."""
        return max(0, self.limit - self.reserved - self.used)

    @property
    def sum(self) -> str:
        """The arithmetic in words."""
        return f"{self.limit} max_connections − {self.reserved} reserved − {self.used} in use"


def read_connection_slots(system: System) -> ConnectionSlots:
    """The slots for the system's ordinary role, from the server's settings; none is taken by this look any more.

    Only the administrator sees what others use. Raises CapacityError where the server does not answer.
    """
    url = require(POSTGRES_URL, system.postgres_url)
    limit, superuser, for_superusers, for_members, member = _asked(url, RESERVED)
    reserved = 0 if superuser else for_superusers + (0 if member else for_members)
    (used,) = _asked(system.postgres_admin_url or url, USED)
    return ConnectionSlots(limit, reserved, used)


def _asked(url: str, query: LiteralString) -> tuple[Any, ...]:
    with connect_as_administrator(url) as connection:
        row = connection.execute(query).fetchone()
        with suppress(psycopg.OperationalError):
            connection.execute(LEAVE)
    return row or ()
