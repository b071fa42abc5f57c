"""Who waits for a lock in PostgreSQL, seen by many cheap looks a second: such a wait lasts about a millisecond."""

import contextlib
import threading
from typing import Any

import psycopg

from capacity.probes.readers import LOOKER, Reader
from capacity.streams import LOOKS_PER_S
from capacity.system.application.database import connect_as_administrator
from capacity.system.rights.needs import unseen_activity

AT_ONCE = 10  # looks in a query, which spares the server a query for each
# The server itself waits between looks, at random, so that they keep no step with the load. What is busy is whatever
# does not wait for its client. Connections that the role may not see are left out. A look costs a third of one at
# pg_stat_activity, which makes 31 columns of each connection; each stage below depends on the one above, so that the
# server takes them in this order.
LOOKS = f"""
SELECT count(*) FILTER (WHERE wait <> 'Client'), count(*) FILTER (WHERE wait = 'Lock') FROM (
    SELECT pg_stat_get_backend_pid(each) AS pid, pg_stat_get_backend_dbid(each) AS database,
           coalesce(pg_stat_get_backend_wait_event_type(each), 'none') AS wait
    FROM generate_series(1, {AT_ONCE}) AS look,
         LATERAL (SELECT concat(pg_sleep({2 / LOOKS_PER_S} * random()), pg_stat_clear_snapshot(), look) AS after) AS a,
         LATERAL (SELECT pg_stat_get_backend_idset() AS each, after) AS b
    OFFSET 0
) AS connections
WHERE pid <> pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND wait <> '<insufficient privilege>'
"""


def locks_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that gives what the looks since its last call have seen; CapacityError where the server is down.

    Gauges are `postgres.looks`, how many; `postgres.looks_busy` and `postgres.looks_lock_waiting`, the connections to
    the address's database that were busy, and that waited for a lock, in all of them together. A server that is down
    is looked at no more. The fact `not_given` says why a role may have seen none.
    """
    connection = connect_as_administrator(url, application_name=LOOKER)
    seen, held = [0, 0, 0], threading.Lock()

    def look_again_and_again() -> None:
        with contextlib.suppress(psycopg.Error), connection:
            while True:
                busy, waiting = connection.execute(LOOKS.encode()).fetchone() or (0, 0)
                with held:
                    seen[:] = [seen[0] + AT_ONCE, seen[1] + busy, seen[2] + waiting]

    why = unseen_activity(connection)
    threading.Thread(target=look_again_and_again, daemon=True).start()

    def read() -> dict[str, float]:
        with held:
            looks, busy, waiting = seen
            seen[:] = [0, 0, 0]
        found = {"looks": looks, "looks_busy": busy, "looks_lock_waiting": waiting}
        return {f"postgres.{name}": float(value) for name, value in found.items()} if looks else {}

    return read, {
        "not_given": {f"postgres.{name}": why for name in ("looks_busy", "looks_lock_waiting")}
    } if why else {}
