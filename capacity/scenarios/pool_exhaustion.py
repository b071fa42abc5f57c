"""More clients than connections: directly at the server's limit, and through a pool of bounded size.

Both are harmless to the server, but lock others out for as long as they last.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from capacity.errors import CapacityError
from capacity.load.engine import clock
from capacity.scenarios.trial import Observed, Proof, Ready, counted, expected, wait_until
from capacity.system.addresses import POSTGRES_URL, System, require

Result = TypeVar("Result")
CONNECT_SECONDS = 10
SETTLE_SECONDS = 10.0
# A refusal at the connect has no SQLSTATE in libpq, so its text must tell it from other failures.
REFUSALS = ("too many clients already", "remaining connection slots are reserved", "too many connections for role")
RESERVED = """
SELECT current_setting('max_connections')::int, rolsuper,
       coalesce(current_setting('superuser_reserved_connections', true), '0')::int,
       coalesce(current_setting('reserved_connections', true), '0')::int,
       to_regrole('pg_use_reserved_connections') IS NOT NULL
           AND pg_has_role(current_user, to_regrole('pg_use_reserved_connections')::oid, 'member')
FROM pg_roles WHERE rolname = current_user
"""
USED = """
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
LEAVE = "SELECT pg_terminate_backend(pg_backend_pid())"  # returns when the server has given the slot back
EDGE = 0.2  # of a turn: nearer to its end, chance decides whether a client is served


@dataclass(frozen=True, slots=True)
class Slots:
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


def read_slots(system: System) -> Slots:
    """The slots for the system's ordinary role, from the server's settings; none is taken by this look any more.

    Only the administrator sees what others use. Raises CapacityError where the server does not answer.
    """
    url = require(POSTGRES_URL, system.postgres_url)
    limit, superuser, for_superusers, for_members, member = _asked(url, RESERVED)
    reserved = 0 if superuser else for_superusers + (0 if member else for_members)
    (used,) = _asked(system.postgres_admin_url or url, USED)
    return Slots(limit, reserved, used)


def _asked(url: str, query: LiteralString) -> tuple[Any, ...]:
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection:
            row = connection.execute(query).fetchone()
            with suppress(psycopg.OperationalError):
                connection.execute(LEAVE)
    except psycopg.Error as error:
        raise CapacityError(f"PostgreSQL does not answer: {' '.join(str(error).split())}") from None
    return row or ()


@dataclass(frozen=True, slots=True)
class DirectExhaustion:
    """So many clients connect at once, each directly to the server, and stay until all have tried.

    Who is refused asks once more when the crowd has its answers. PostgreSQL gives each newcomer a slot before it looks
    whether that slot is a reserved one, so those who arrive together at the last free slots can turn each other away.
    """

    clients: int = 150
    name: str = "direct_connections"
    destructive: bool = False

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Refused = clients − (max_connections − reserved − in use by others)."""
        slots = _at_rest(system)
        reason = f"{self.clients} clients − ({slots.sum})"
        refused = max(0, self.clients - slots.free)
        refusal = expected(self.name, "refused", "==", refused, reason, source="the server's settings")
        yield Ready((refusal,), lambda _: self._observe(system, slots))

    def _observe(self, system: System, slots: Slots) -> Observed:
        url = system.postgres_url
        with ExitStack() as held:
            tried = _all_at_once(self.clients, lambda: _connected(url))
            turned_away = [each for each in tried if isinstance(each, str)]
            again = [_connected(url) if _is_refusal(each) else each for each in turned_away]
            admitted = [each for each in (*tried, *again) if isinstance(each, psycopg.Connection)]
            for connection in admitted:
                held.callback(connection.close)
            proof = _proof_of_one_more(url)
            released = clock()
        readmitted = wait_until(lambda: _connected_once(url) is None, SETTLE_SECONDS)
        waited_ms = (clock() - released) / 1e6 if readmitted else None
        said = [each for each in again if isinstance(each, str)]
        refused, crowded = sum(map(_is_refusal, said)), len(turned_away) - len(said)
        findings = (
            counted(self.name, "refused", refused, title="clients refused", count=self.clients),
            counted(self.name, "admitted", len(admitted), title="clients let in", count=self.clients),
            counted(self.name, "other_failures", len(said) - refused, title="failed otherwise", count=self.clients),
            counted(self.name, "crowded_out", crowded, title="turned away with a slot free", count=self.clients),
            counted(self.name, "readmitted", waited_ms, unit="ms", title="until the next client was let in", count=1),
        )
        return Observed(proof, findings, _still_there(system, slots))


@dataclass(frozen=True, slots=True)
class PoolExhaustion:
    """So many clients at once each take a connection of a pool of `size` for `hold_s`, and wait for it `wait_s`.

    The pool has opened what the server lets it before they come.
    """

    clients: int = 150
    size: int = 100
    hold_s: float = 1.0
    wait_s: float = 0.4
    name: str = "connection_pool"
    destructive: bool = False

    def __post_init__(self) -> None:
        begun = self.wait_s / self.hold_s
        if abs(begun - round(begun)) < EDGE and self.wait_s > 0 and round(begun) > 0:
            raise CapacityError(
                f"clients that hold for {self.hold_s:g} s and wait for {self.wait_s:g} s are served or not by chance; "
                "give a wait that is clearly off a multiple of the hold"
            )

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Refused = clients − connections × turns, where a turn begins every `hold_s` while clients wait.

        A pool that is larger than what the server lets in is as small as that, and hides its refusals: only the pool's
        own count of failed connects tells.
        """
        slots = _at_rest(system)
        connections, turns = min(self.size, slots.free), 1 + math.floor(self.wait_s / self.hold_s)
        refused, hidden = max(0, self.clients - connections * turns), max(0, self.size - slots.free)
        reason = f"{self.clients} clients − min({self.size} in the pool, {slots.sum}) × {turns} turn{'s' * (turns > 1)}"
        expects = partial(expected, self.name)
        expectations = (
            expects("refused", "==", refused, reason, source="the pool's and server's settings"),
            expects("hidden_refusals", ">=", hidden, f"{self.size} in the pool − ({slots.sum})", source=""),
        )
        yield Ready(expectations, lambda _: self._observe(system, slots, connections))

    def _observe(self, system: System, slots: Slots, connections: int) -> Observed:
        with ConnectionPool(
            system.postgres_url,
            min_size=self.size,
            max_size=self.size,
            timeout=self.wait_s,
            kwargs={"connect_timeout": CONNECT_SECONDS},
            open=True,
        ) as pool:
            full = wait_until(lambda: pool.get_stats().get("pool_available", 0) >= connections, SETTLE_SECONDS)
            waits = _all_at_once(self.clients, lambda: self._use(pool))
            figures = pool.get_stats()
        served = [each for each in waits if each is not None]
        without, hidden = figures.get("requests_queued", 0), figures.get("connections_errors", 0)
        said = f"{without} of {self.clients} clients found none of {connections} connections free"
        findings = (
            counted(self.name, "refused", self.clients - len(served), title="clients given up on", count=self.clients),
            counted(self.name, "hidden_refusals", hidden, title="refusals that the pool hid", count=self.size),
            counted(
                self.name, "longest_wait", max(served, default=None), unit="ms", title="longest wait of a served one"
            ),
        )
        return Observed(Proof(full and without > 0, said), findings, _still_there(system, slots))

    def _use(self, pool: "ConnectionPool[psycopg.Connection]") -> float | None:
        """The milliseconds that one client waited for a connection; None where it gave up."""
        began = clock()
        try:
            with pool.connection():
                waited = (clock() - began) / 1e6
                time.sleep(self.hold_s)
        except PoolTimeout:
            return None
        return waited


def _all_at_once(count: int, act: Callable[[], Result]) -> list[Result]:
    """What each of `count` clients gets, each in a thread of its own, all of which begin at the same moment."""
    begin = threading.Barrier(count)

    def client(_: int) -> Result:
        begin.wait()
        return act()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(client, range(count)))


def _connected(url: str) -> "psycopg.Connection | str":
    """A connection, or the text of its failure."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        return " ".join(str(error).split())


def _connected_once(url: str) -> str | None:
    """The text of the failure of one client that leaves at once; None where it was let in."""
    tried = _connected(url)
    if isinstance(tried, str):
        return tried
    tried.close()
    return None


def _proof_of_one_more(url: str) -> Proof:
    """No connection is left where one more client is refused."""
    failure = _connected_once(url)
    if failure is None:
        return Proof(False, "one more client was let in, so there were connections left")
    return Proof(_is_refusal(failure), f"one more client was told: {failure.rpartition('FATAL: ')[2].strip()}")


def _is_refusal(text: str) -> bool:
    return any(each in text for each in REFUSALS)


def _at_rest(system: System) -> Slots:
    """The slots when nobody comes or goes: the same number is in use at two looks."""
    seen = [read_slots(system)]

    def unchanged() -> bool:
        seen.append(read_slots(system))
        return seen[-1] == seen[-2]

    if not wait_until(unchanged, SETTLE_SECONDS):
        raise CapacityError(
            "others come to PostgreSQL and go all the time, so what they leave for the clients is not known"
        )
    return seen[-1]


def _still_there(system: System, before: Slots) -> str:
    """What has not gone after a time of waiting, empty where all is as before."""
    left = [0]

    def gone() -> bool:
        left[0] = read_slots(system).used - before.used
        return left[0] <= 0

    return "" if wait_until(gone, SETTLE_SECONDS) else f"{left[0]} connections of the clients are still there"
