"""How a PostgreSQL stands to the reference workload: its version, who asks, which roles there are, and whose schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg.rows import dict_row

USER, SERVICE = "authenticated", "service_role"  # as Supabase calls them: load becomes one of them in each transaction
ORDINARY = "authenticator"  # the role that load comes as where the suite starts the server
MARK = "made by capacity prepare; capacity prepare --remove takes it away"
SET_MATTERS = 16  # from here on a member of a role may be forbidden to become it
FIRST_TABLE = ("version integer", "owners integer", "posts_per_owner integer")  # of dataset, which knows the others

ADMINISTRATOR = """
SELECT current_setting('server_version_num')::int / 10000 AS version, rolname AS name,
       current_database()::text AS database, rolsuper AS superuser, rolcreaterole AS creates_roles,
       rolbypassrls AS bypasses,
       has_database_privilege(current_database(), 'CREATE') AS creates_schemas
FROM pg_roles WHERE rolname = current_user
"""
ROLES = """
SELECT r.rolname AS name, r.rolbypassrls OR r.rolsuper AS bypasses,
       coalesce(shobj_description(r.oid, 'pg_authid') = %(mark)s, false) AS made,
       pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION') AS administered,
       coalesce((SELECT pg_has_role(l.oid, r.oid, %(becoming)s) FROM pg_roles l WHERE l.rolname = %(loader)s), false)
           AS taken
FROM pg_roles r WHERE r.rolname = ANY(%(names)s)
"""
# A schema is ours by its comment, its tables are by that of one of them, which earlier versions did not write. The
# catalogue is read by number: a name would be an error to a role that may not use the schema.
OWNERSHIP = """
SELECT pg_has_role(nspowner, 'USAGE') AS owned, pg_get_userbyid(nspowner) AS owner,
       coalesce(obj_description(n.oid, 'pg_namespace') = %(mark)s, false) AS made,
       coalesce(obj_description(d.oid, 'pg_class') = %(mark)s, false) AS tables_made,
       (SELECT coalesce(array_agg(attname || ' ' || format_type(atttypid, NULL) ORDER BY attnum), '{}')
        FROM pg_attribute WHERE attrelid = d.oid AND attnum > 0 AND NOT attisdropped) AS columns,
       EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid)
           OR EXISTS (SELECT FROM pg_proc WHERE pronamespace = n.oid)
           OR EXISTS (SELECT FROM pg_type WHERE typnamespace = n.oid) AS filled
FROM pg_namespace n LEFT JOIN pg_class d ON d.relnamespace = n.oid AND d.relname = 'dataset' AND d.relkind = 'r'
WHERE nspname = 'capacity'
"""


@dataclass(frozen=True, slots=True)
class Role:
    """A role that there is: whether row-level security passes it by, `prepare` made it, who asks may grant it.

    `taken` says that the role that load comes as may become it.
    """

    name: str
    bypasses: bool
    made: bool
    administered: bool
    taken: bool


@dataclass(frozen=True, slots=True)
class SchemaStanding:
    """The schema `capacity`: `ours` where `prepare` filled it, `empty` where nobody did, `foreign` where others did.

    `made` says that the schema itself is ours too, `owned` that who asks has its owner's rights.
    """

    whose: Literal["missing", "ours", "empty", "foreign"] = "missing"
    made: bool = False
    owned: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Administrator:
    """The role that prepares: what it may do, and where: the server's major version and the database."""

    version: int
    name: str
    database: str
    superuser: bool
    creates_roles: bool
    bypasses: bool
    creates_schemas: bool

    @property
    def lifts_row_security(self) -> bool:
        """Whether it may make a role that row-level security passes by."""
        return self.superuser or (self.version >= SET_MATTERS and self.creates_roles and self.bypasses)


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is in a database, for a load that comes as the role `loader`."""

    administrator: Administrator
    loader: str
    roles: Mapping[str, Role]
    schema: SchemaStanding

    def may_make(self, name: str) -> bool:
        """Whether the administrator may make a role; load comes as one of its own, or as Supabase's."""
        named = name in (USER, SERVICE, ORDINARY)
        return named and (self.administrator.superuser or self.administrator.creates_roles)

    def may_grant(self, name: str) -> bool:
        """Whether the administrator may make others members of a role, which it may have to make first."""
        if self.administrator.superuser:
            return True
        if name not in self.roles:
            return self.administrator.creates_roles
        any_role = self.administrator.version < SET_MATTERS and self.administrator.creates_roles
        return any_role or self.roles[name].administered

    @property
    def service_bypasses(self) -> bool:
        """Whether row-level security passes the service by, or will when its role is made."""
        there = self.roles.get(SERVICE)
        may_lift = self.administrator.lifts_row_security
        return may_lift if there is None else there.bypasses or (there.made and there.administered and may_lift)


def read_standing(connection: "psycopg.Connection[tuple[Any, ...]]", loader: str) -> Standing:
    """What there is, as the role of a connection in autocommit sees it; nothing is changed."""
    with connection.cursor(row_factory=dict_row) as cursor:
        administrator = Administrator(**(cursor.execute(ADMINISTRATOR).fetchone() or {}))
        becoming = "SET" if administrator.version >= SET_MATTERS else "MEMBER"
        asked = {"mark": MARK, "becoming": becoming, "loader": loader, "names": [USER, SERVICE, loader]}
        roles = {row["name"]: Role(**row) for row in cursor.execute(ROLES, asked)}
        there = cursor.execute(OWNERSHIP, {"mark": MARK}).fetchone()
    return Standing(administrator, loader, roles, _schema(there) if there else SchemaStanding())


def _schema(there: Mapping[str, Any]) -> SchemaStanding:
    earlier = tuple(there["columns"]) == FIRST_TABLE
    whose: Literal["ours", "empty", "foreign"] = "foreign" if there["filled"] else "empty"
    if there["tables_made"] or earlier:
        whose = "ours"
    made = there["made"] or (earlier and not there["tables_made"])
    return SchemaStanding(whose, made, there["owned"], there["owner"])
