"""The settings that decide what PostgreSQL counts and times: which of them are not on for all that it does."""

from collections.abc import Mapping
from typing import Any

import psycopg

TIMES_IO, TIMES_LOG, COUNTS, ACTIVITY = "track_io_timing", "track_wal_io_timing", "track_counts", "track_activities"
TRACKING = (TIMES_IO, TIMES_LOG, COUNTS, ACTIVITY)
OF_SESSION = ("client", "session", "user", "database", "database user", "global")  # sources: not the server's own
SETTINGS = "SELECT name, setting, source FROM pg_settings WHERE name = ANY(%s)"
# The counters of a database are moved by what goes on in it alone, all others by the whole server.
SOMEBODYS = f"""
FROM pg_db_role_setting
     LEFT JOIN pg_roles ON pg_roles.oid = setrole
     LEFT JOIN pg_database ON pg_database.oid = setdatabase,
     unnest(setconfig) AS each, split_part(each, '=', 1) AS name
WHERE CASE WHEN name = {{}} THEN NOT split_part(each, '=', 2)::boolean END
      AND (name <> '{COUNTS}' OR setdatabase = 0 OR datname = current_database())
"""
OFF_FOR = f"""
SELECT name, concat_ws(' in ', 'the role ' || rolname, 'the database ' || datname) {SOMEBODYS.format("ANY(%s)")}
ORDER BY setrole, setdatabase
"""


def on_for_all(setting: str) -> str:
    """SQL for whether a setting is on in this session, and off for no role or database: 1, or 0."""
    somebodys = SOMEBODYS.format(f"'{setting}'")
    return f"(current_setting('{setting}')::boolean AND NOT EXISTS (SELECT {somebodys}))::int"


def untracked(connection: "psycopg.Connection[Any]") -> Mapping[str, str]:
    """Why each of these settings is not on for all sessions and processes of the server; empty where all of them are.

    A role or a database may have it otherwise than the server, and its sessions then count or time nothing.
    """
    rows = connection.execute(SETTINGS, [list(TRACKING)]).fetchall()
    found = {name: f"{name} is off" for name, setting, source in rows if setting != "on" and source not in OF_SESSION}
    for name, whom in connection.execute(OFF_FOR.encode(), [list(TRACKING)]).fetchall():
        found.setdefault(name, f"{name} is off for {whom or 'all roles'}")
    for name, setting, source in rows:
        if source in OF_SESSION:
            told = "is off" if setting != "on" else "is on for this role or database alone, as far as can be seen"
            found.setdefault(name, f"{name} {told}")
    return found
