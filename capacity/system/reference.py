"""What the reference workload is measured on, on a system: its tables and its cache, filled and taken away again."""

from psycopg.conninfo import conninfo_to_dict

from capacity.errors import CapacityError
from capacity.system.addresses import System
from capacity.system.application.cache import ITEMS, prepare_cache
from capacity.system.application.database import (
    DATASETS,
    connect_as_administrator,
    prepare_database,
)
from capacity.system.rights.dry_run import Call, check_calls
from capacity.system.rights.needs import (
    MissingRight,
    missing_for_statistics,
    missing_for_tables,
)
from capacity.system.rights.standing import read_standing

ROW_SECURITY = "row_security"  # the workload whose pairs need a service that row-level security passes by
TRIED: dict[str, list[Call]] = {  # what the reference application and workload begin with
    "a user's": [
        (b"SELECT capacity.act_as(1)", []),
        (b"INSERT INTO capacity.tokens (owner, secret) VALUES (capacity.owner_id(1), '')", []),
    ],
    "the service's": [
        (b"SELECT capacity.act_as_service(1)", []),
        (b"SELECT id FROM capacity.outbox LIMIT 1", []),
    ],
}
TRIED_MS = 5000.0


def prepare_tables(system: System, profile: str) -> dict[str, str]:
    """Fill the tables for a profile, for the role that load comes as, and see that it may do what it has to.

    Returns why a workload has to be left out, by its name. Raises CapacityError as `prepare_database`, and where the
    role that load comes as is refused what it needs.
    """
    if profile not in DATASETS:
        raise CapacityError(f"there is no dataset for the profile {profile!r}; it has {', '.join(DATASETS)}")
    with connect_as_administrator(system.postgres_admin_url):  # a server that is away is waited for once
        loader = loading_role(system.postgres_url)
    prepare_database(system.postgres_admin_url, DATASETS[profile], loader)
    check_calls(system.postgres_url, TRIED, TRIED_MS)
    with connect_as_administrator(system.postgres_admin_url) as connection:
        missing = missing_for_tables(read_standing(connection, loader))
    why = "; ".join(f"{each.what}: {each.statement}" for each in missing)
    return {ROW_SECURITY: f"not given: {why}"} if why else {}


def prepare_keys(system: System, profile: str) -> None:
    """Fill the cache for a profile; raises CapacityError as `prepare_cache`."""
    if profile not in ITEMS:
        raise CapacityError(f"there is no cache for the profile {profile!r}; it has {', '.join(ITEMS)}")
    prepare_cache(system.redis_url, ITEMS[profile])


def missing_rights(url: str, admin_url: str, *, reference: bool = True) -> list[MissingRight]:
    """What PostgreSQL does not let its roles do that a measurement wants; load comes to `url`.

    For a workload that is not the `reference`'s that is what concerns statistics alone. Nothing is changed. Raises
    CapacityError where the server is down, and where a schema `capacity` is there that others made.
    """
    with connect_as_administrator(admin_url or url) as connection:
        for_tables = missing_for_tables(read_standing(connection, loading_role(url))) if reference else []
        return [*for_tables, *missing_for_statistics(connection)]


def loading_role(url: str) -> str:
    """The role that load to an address comes as: as the server tells it, for a pooler may name it otherwise.

    Where the server lets nobody in, it is the address's; it may have to be made.
    """
    try:
        with connect_as_administrator(url) as connection:
            return str((connection.execute("SELECT session_user").fetchone() or [""])[0])
    except CapacityError:
        return str(conninfo_to_dict(url).get("user") or "")
