"""More clients than connections: directly at the server's limit, and through a pool of bounded size.

Both are harmless to the server, but lock others out for as long as they last.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from capacity.clock import monotonic_ns, wait_until
from capacity.errors import CapacityError
from capacity.scenarios.trial import Observed, Proof, Ready, Scenario, counted
from capacity.system.addresses import System
from capacity.system.connection_slots import ConnectionSlots, read_connection_slots

Result = TypeVar("Result")
CONNECT_SECONDS = 10
SETTLE_SECONDS = 10.0
# A refusal at the connect has no SQLSTATE in libpq, so its text must tell it from other failures.
REFUSALS = ("too many clients already", "remaining connection slots are reserved", "too many connections for role")
EDGE = 0.2  # of a turn: nearer to its end, chance decides whether a client is served


@dataclass(frozen=True, slots=True)
class DirectExhaustion(Scenario):
    """So many clients connect at once, each directly to the server, and stay until all have tried.

    Who is refused asks once more when the crowd has its answers. PostgreSQL gives each newcomer a slot before it looks
    whether that slot is a reserved one, so those who arrive together at the last free slots can turn each other away.
    """

    clients: int = 150
    name: str = "direct_connections"
    destructive: bool = False
    source = "the server's settings"

    @contextmanager
    def ready(self, system: System) -> Iterator[Ready]:
        """Refused = clients − (max_connections − reserved − in use by others)."""
        slots = _at_rest(system)
        refused = max(0, self.clients - slots.free)
        reason = f"{self.clients} clients come, and {slots.free} find a connection: {slots.sum}"
        yield Ready((self.expects("refused", "==", refused, reason),), lambda _: self._observe(system, slots))

    def _observe(self, system: System, slots: ConnectionSlots) -> Observed:
        url = system.postgres_url
        with ExitStack() as held:
            tried = _all_at_once(self.clients, lambda: _connected(url))
            turned_away = [each for each in tried if isinstance(each, str)]
            again = [_connected(url) if _is_refusal(each) else each for each in turned_away]
            admitted = [each for each in (*tried, *again) if isinstance(each, psycopg.Connection)]
            for connection in admitted:
                held.callback(connection.close)
            proof = _proof_of_one_more(url)
            released = monotonic_ns()
        readmitted = wait_until(lambda: not _connected_once(url), SETTLE_SECONDS)
        waited_ms = (monotonic_ns() - released) / 1e6 if readmitted else None
        said = [each for each in again if isinstance(each, str)]
        refused, crowded = sum(map(_is_refusal, said)), len(turned_away) - len(said)
        give, again_title = partial(counted, self.name, count=self.clients), "time until the next client was let in"
        findings = (
            give("refused", refused, title="clients refused"),
            give("admitted", len(admitted), title="clients let in"),
            give("other_failures", len(said) - refused, title="clients that failed otherwise"),
            give("crowded_out", crowded, title="clients turned away with a slot free"),
            give("readmitted", waited_ms, unit="ms", title=again_title, count=1),
        )
        return Observed(proof, findings, _still_there(system, slots))


@dataclass(frozen=True, slots=True)
class PoolExhaustion(Scenario):
    """So many clients at once each take a connection of a pool of `size` for `hold_s`, and wait for it `wait_s`.

    The pool has opened what the server lets it before they come.
    """

    clients: int = 150
    size: int = 100
    hold_s: float = 1.0
    wait_s: float = 0.4
    name: str = "connection_pool"
    destructive: bool = False
    source = "the pool's and server's settings"

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
        reason = (
            f"{self.clients} clients come, and {connections} connections serve {turns} each before the others give up: "
            f"the pool has {self.size}, and the server lets in {slots.sum}"
        )
        wanted = f"the pool wants {self.size} connections, and the server lets in {slots.sum}"
        hides = self.expects("hidden_refusals", ">=", hidden, wanted)
        expected = self.expects("refused", "==", refused, reason), hides
        yield Ready(expected, lambda _: self._observe(system, slots, connections))

    def _observe(self, system: System, slots: ConnectionSlots, connections: int) -> Observed:
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
        refused, longest = self.clients - len(served), max(served, default=None)
        findings = (
            counted(self.name, "refused", refused, title="clients that got no connection in time", count=self.clients),
            counted(self.name, "hidden_refusals", hidden, title="refusals that the pool hid", count=self.size),
            counted(self.name, "longest_wait", longest, unit="ms", title="longest wait of a served client"),
        )
        return Observed(Proof(full and without > 0, said), findings, _still_there(system, slots))

    def _use(self, pool: "ConnectionPool[psycopg.Connection]") -> float | None:
        """The milliseconds that one client waited for a connection; None where it gave up."""
        began = monotonic_ns()
        try:
            with pool.connection():
                waited = (monotonic_ns() - began) / 1e6
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


def _connected_once(url: str) -> str:
    """The text of the failure of one client that leaves at once; empty where it was let in."""
    tried = _connected(url)
    if isinstance(tried, str):
        return tried
    tried.close()
    return ""


def _proof_of_one_more(url: str) -> Proof:
    """No connection is left where one more client is refused."""
    failure = _connected_once(url)
    told = f"told: {failure.rpartition('FATAL: ')[2].strip()}" if failure else "let in, so there were connections left"
    return Proof(_is_refusal(failure), f"one more client was {told}")


def _is_refusal(text: str) -> bool:
    return any(each in text for each in REFUSALS)


def _at_rest(system: System) -> ConnectionSlots:
    """The slots when nobody comes or goes: the same number is in use at two looks."""
    seen = [read_connection_slots(system)]

    def unchanged() -> bool:
        seen.append(read_connection_slots(system))
        return seen[-1] == seen[-2]

    if not wait_until(unchanged, SETTLE_SECONDS):
        raise CapacityError(
            "others come to PostgreSQL and go all the time, so what they leave for the clients is not known"
        )
    return seen[-1]


def _still_there(system: System, before: ConnectionSlots) -> str:
    """What has not gone after a time of waiting, empty where all is as before."""
    left = [0]

    def gone() -> bool:
        left[0] = read_connection_slots(system).used - before.used
        return left[0] <= 0

    return "" if wait_until(gone, SETTLE_SECONDS) else f"{left[0]} connections of the clients are still there"
