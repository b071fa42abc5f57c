"""What the reference workload needs of PostgreSQL and has not, each with why, and the statement that gives it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

from capacity.errors import CapacityError
from capacity.system.rights.standing import SERVICE, SET_MATTERS, USER, Standing

ALL_STATISTICS, CHECKPOINTS = "pg_read_all_stats", "pg_checkpoint"
CHECKPOINTS_SINCE = 15
HELD = "SELECT current_user::text, coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = %s), true)"
NO_COST = f"the role {SERVICE} has no BYPASSRLS, so the cost of row-level security cannot be measured"
WHY_ROLES = "each transaction of the reference workload becomes a user or the service, as Supabase's does"


@dataclass(frozen=True, slots=True)
class MissingRight:
    """What is missing, why it is wanted, and the statement that gives it, for who may; `needed`: nothing goes without.

    Without one that is not needed, something is not given and the rest is measured.
    """

    what: str
    why: str
    statement: str
    needed: bool = True


def missing_for_tables(standing: Standing) -> list[MissingRight]:
    """What an administrator lacks to prepare the reference workload for a load that comes as `standing.loader`.

    Raises CapacityError where a schema `capacity` is there that `prepare` did not make: it is not touched.
    """
    return [*_for_schema(standing), *_for_roles(standing), *_for_pairs(standing)]


def missing_for_statistics(connection: "psycopg.Connection[tuple[Any, ...]]") -> list[MissingRight]:
    """What the role of a connection lacks to see what all others do, and to have the buffers written out."""
    wanted = [(ALL_STATISTICS, "it may not see others' activity", "connections open and waits for locks")]
    if connection.info.server_version // 10_000 >= CHECKPOINTS_SINCE:
        wanted.append((CHECKPOINTS, "it may not ask for a checkpoint", "each search begins with its buffers written"))
    found = []
    for group, what, why in wanted:
        role, held = connection.execute(HELD, [group]).fetchone() or ("", True)
        if not held:
            found.append(MissingRight(f"the role {role}: {what}", why, granted(group, role), needed=False))
    return found


def unseen_activity(connection: "psycopg.Connection[tuple[Any, ...]]") -> str:
    """Why the role of a connection does not see what all others do, and what to do; empty where it does."""
    missing = [each for each in missing_for_statistics(connection) if ALL_STATISTICS in each.statement]
    return "; ".join(f"{each.what}: {each.statement}" for each in missing)


def check_needed(standing: Standing) -> list[MissingRight]:
    """What is missing and only leaves something out; CapacityError where nothing goes without what is missing."""
    missing = missing_for_tables(standing)
    if needed := [each for each in missing if each.needed]:
        what, statements = (", ".join(each.what for each in needed), "; ".join(each.statement for each in needed))
        raise CapacityError(
            f"the role {standing.administrator.name} cannot prepare the reference workload: {what}; "
            f"let a superuser run: {statements}"
        )
    return missing


def granted(role: str, member: str) -> str:
    """The statement that makes one role a member of another."""
    return f"GRANT {role} TO {quoted(member)}"


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return sql.Identifier(name).as_string(None)


def _for_schema(standing: Standing) -> Iterator[MissingRight]:
    schema, administrator = standing.schema, standing.administrator
    why = "the tables of the reference workload are in the schema capacity"
    if schema.whose == "foreign":
        raise CapacityError(
            f"the database {administrator.database} has a schema capacity that capacity prepare did not make, and "
            "nothing in it is touched; rename it (ALTER SCHEMA capacity RENAME TO …), or name another database"
        )
    if schema.whose == "missing" and not administrator.creates_schemas:
        made = f"CREATE SCHEMA capacity AUTHORIZATION {quoted(administrator.name)}"
        yield MissingRight(f"it may not create a schema in the database {administrator.database}", why, made)
    if schema.whose != "missing" and not schema.owned:
        given = granted(quoted(schema.owner), administrator.name)
        yield MissingRight(f"the schema capacity belongs to the role {schema.owner}", why, given)


def _for_roles(standing: Standing) -> Iterator[MissingRight]:
    attributes: dict[str, Literal["", " BYPASSRLS"]] = {USER: "", SERVICE: " BYPASSRLS"}
    for name, attribute in attributes.items():
        if name not in standing.roles and not standing.may_make(name):
            made = f"CREATE ROLE {name} NOLOGIN NOINHERIT{attribute}"
            yield MissingRight(f"it may not create roles and {name} is missing", WHY_ROLES, made)
    if standing.loader not in standing.roles and not standing.may_make(standing.loader):
        what = f"the role {standing.loader}, which the load is to come as, is missing"
        yield MissingRight(what, "load comes as an ordinary role", f"CREATE ROLE {quoted(standing.loader)} LOGIN")
    taken = [name for name, there in standing.roles.items() if there.taken]
    if refused := [name for name in attributes if name not in taken and not standing.may_grant(name)]:
        what = f"it may not let {standing.loader} become {' or '.join(refused)}"
        yield MissingRight(what, WHY_ROLES, granted(", ".join(refused), standing.loader))


def _for_pairs(standing: Standing) -> Iterator[MissingRight]:
    made_for_it = SERVICE not in standing.roles and not standing.may_make(SERVICE)  # with that attribute
    if not (made_for_it or standing.service_bypasses):
        since = f"; below {SET_MATTERS} only a superuser may give that" if _too_old(standing) else ""
        yield MissingRight(
            NO_COST, f"it is the same query with and without{since}", f"ALTER ROLE {SERVICE} BYPASSRLS", needed=False
        )


def _too_old(standing: Standing) -> bool:
    return standing.administrator.version < SET_MATTERS
