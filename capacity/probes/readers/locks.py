"""Who waits for a row in PostgreSQL, seen by many cheap looks a second: such a wait lasts a few milliseconds."""

import contextlib
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from capacity.probes.readers import LOOKER, Reader
from capacity.system.application.database import connect_as_administrator
from capacity.system.rights.needs import unseen_activity

GAUGES = ("postgres.row_lock_waits", "postgres.looked_s")
AT_ONCE = 20  # looks in a query, which spares the server a query for each; who is connected is read once in it
PAUSE_S = 0.001  # between looks; PostgreSQL makes about 2 ms of it
CLOSE_S = 0.005  # from a look to the next: a wait that lasts longer is seen
MOST_OF_A_CORE = 0.05  # what looks may cost the server; beside many connections they come more seldom
# A wait for a row is one for the transaction that has it, for the turn to wait for that one, or for what it inserts.
# Waits for tables, pages, or a file that grows are none. The server itself pauses between looks. What a connection
# waits for is read anew in each, at a tenth of the cost of pg_stat_activity, which makes 31 columns of each connection;
# what depends on `after` comes after the pause. Only clients have a port (no autovacuum), and only those that the role
# may see.
LOOKS = f"""
SELECT extract(epoch FROM begun)::float8, extract(epoch FROM clock_timestamp() - begun)::float8, waiting
FROM (SELECT array_agg(each) AS clients FROM pg_stat_get_backend_idset() AS each
      WHERE pg_stat_get_backend_dbid(each) = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND pg_stat_get_backend_pid(each) <> pg_backend_pid()
            AND pg_stat_get_backend_client_port(each) IS NOT NULL OFFSET 0) AS connected,
     generate_series(1, {AT_ONCE}) AS look,
     LATERAL (SELECT concat(pg_sleep(%s), look) AS after, clock_timestamp() AS begun OFFSET 0) AS pause,
     LATERAL (SELECT array_agg(client) FILTER (WHERE pg_stat_get_backend_wait_event(client)
                  IN ('transactionid', 'tuple', 'spectoken')) AS waiting
              FROM unnest(clients) AS client WHERE after <> '' OFFSET 0) AS seen
"""


@dataclass(slots=True)
class Looks:
    """What successive looks saw: how many waits began from one to the next, and for how long these were close."""

    waits: int = 0
    looked_s: float = 0.0
    last_s: float | None = None
    waiting: frozenset[int] = field(default_factory=frozenset)

    def see(self, at_s: float, waiting: Iterable[int]) -> None:
        """Who waits at a look: one that also waited at the look before still waits; see `CLOSE_S`."""
        now = frozenset(waiting)
        if self.last_s is not None and 0 < at_s - self.last_s <= CLOSE_S:
            self.looked_s += at_s - self.last_s
            self.waits += len(now - self.waiting)
        self.last_s, self.waiting = at_s, now

    def taken(self) -> dict[str, float]:
        """What was seen since this was asked for last."""
        found = dict(zip(GAUGES, (float(self.waits), self.looked_s), strict=True))
        self.waits, self.looked_s = 0, 0.0
        return found


def locks_reader(url: str) -> tuple[Reader, dict[str, Any]]:
    """A function that gives what the looks since its last call have seen; CapacityError where the server is down.

    Gauges are `postgres.row_lock_waits`, how many waits for a row began among the clients of the address's database,
    and `postgres.looked_s`, in how many seconds of looks that were close to each other. A wait longer than `CLOSE_S` is
    always among them, a shorter one as often as a look falls into it. A server that is down is looked at no more. A
    role that does not see what others wait for has no such gauges; the fact `not_given` says so.
    """
    connection = connect_as_administrator(url, application_name=LOOKER)
    seen, held = Looks(), threading.Lock()

    def look_again_and_again() -> None:
        pause_s = PAUSE_S
        with contextlib.suppress(psycopg.Error), connection, connection.cursor(binary=True) as cursor:
            while True:
                looks = cursor.execute(LOOKS.encode(), [pause_s]).fetchall()
                with held:
                    for at_s, _, waiting in looks:
                        seen.see(at_s, waiting or ())
                pause_s = _pause_s([cost_s for _, cost_s, _ in looks])

    if why := unseen_activity(connection):
        return dict, {"not_given": dict.fromkeys(GAUGES, why)}
    threading.Thread(target=look_again_and_again, daemon=True).start()

    def read() -> dict[str, float]:
        with held:
            return seen.taken()

    return read, {}


def _pause_s(costs_s: Sequence[float]) -> float:
    """How long to pause between looks of such costs."""
    return max(PAUSE_S, sorted(costs_s)[len(costs_s) // 2] / MOST_OF_A_CORE)
