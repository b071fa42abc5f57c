"""The roles of the reference workload: those that are missing are made and marked, and what was made is taken away."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from capacity.system.rights.standing import MARK, ORDINARY, SERVICE, USER, Standing, read_standing

ATTRIBUTES = {USER: "NOLOGIN NOINHERIT", SERVICE: "NOLOGIN NOINHERIT", ORDINARY: "LOGIN NOINHERIT"}
MADE = "SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = %s ORDER BY rolname"
# From version 16 on who makes a role is a member of it.
MEMBERS = """
SELECT m.rolname FROM pg_auth_members JOIN pg_roles r ON r.oid = roleid JOIN pg_roles m ON m.oid = member
WHERE r.rolname = %s AND m.rolname <> current_user
      AND shobj_description(m.oid, 'pg_authid') IS DISTINCT FROM %s
"""
STAYS = (psycopg.errors.DependentObjectsStillExist, psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse)

Connection = psycopg.Connection[tuple[Any, ...]]


def make_roles(connection: Connection, standing: Standing) -> list[str]:
    """Make and mark the roles that are missing, and let `standing.loader` become a user and the service.

    Returns those that it may become from now on and might not before. The rights for that are there.
    """
    for name in (each for each in (USER, SERVICE, standing.loader) if each not in standing.roles):
        _execute(connection, f"CREATE ROLE {{}} {ATTRIBUTES[name]}", name)
        connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(sql.Identifier(name), sql.Literal(MARK)))
    service = standing.roles.get(SERVICE)
    if standing.service_bypasses and not (service and service.bypasses):
        _execute(connection, "ALTER ROLE {} BYPASSRLS", SERVICE)
    roles = read_standing(connection, standing.loader).roles
    given = [name for name in (USER, SERVICE) if not roles[name].taken]
    for name in given:
        _execute(connection, "GRANT {} TO {}", name, standing.loader)
    return given


def take_back(connection: Connection, granted: Iterable[tuple[str | None, str]]) -> None:
    """End the memberships of these roles and their members, as far as that is allowed and they are there.

    Where no role is named it is the use of the schema, which its owner keeps.
    """
    known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    owner = read_standing(connection, "").schema.owner
    for role, member in granted:
        if role is None and member in known - {owner}:
            _tried(connection, "REVOKE ALL ON SCHEMA capacity FROM {}", member)
        if role is not None and {role, member} <= known:
            _tried(connection, "REVOKE {} FROM {}", role, member)


def remove_roles(connection: Connection) -> Iterator[str]:
    """Remove the roles that were made, and say of each, and of those that were there, whether it is gone or stays."""
    for name, there in read_standing(connection, "").roles.items():
        if not there.made:
            yield f"the role {name} stays: capacity prepare did not make it"
    for (name,) in connection.execute(MADE, [MARK]).fetchall():
        members = [member for (member,) in connection.execute(MEMBERS, [name, MARK])]
        why = f"{', '.join(members)} may become it" if members else _tried(connection, "DROP ROLE {}", name)
        yield f"the role {name} stays: {why}" if why else f"the role {name} is removed"


def _tried(connection: Connection, statement: str, *names: str) -> str:
    """Execute a statement by itself; why it is refused, else an empty text."""
    try:
        with connection.transaction():
            _execute(connection, statement, *names)
    except STAYS as error:
        return ", ".join((error.diag.message_detail or error.diag.message_primary or "").splitlines())
    return ""


def _execute(connection: Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
