"""Whether a pooler that shares the server's connections among clients, transaction by transaction, is between."""

import select
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from capacity.clock import monotonic_s
from capacity.errors import CapacityError
from capacity.system.application.database import connect_as_administrator

# Each asks alone and again after others did: a pooler that takes turns over as many connections as there are clients
# would give each its own in one fixed order.
TURNS = (0, 1, 2, 0, 0, 1, 1, 2, 2, 1, 0, 2)
CLIENTS = max(TURNS) + 1
ANSWER_S = 2.0  # a pooler that has no connection left for a client keeps it waiting
BACKEND = b"SELECT pg_backend_pid(), pg_postmaster_start_time()"
# A backend tells its statistics late: what was refused here would be counted as the load's (from PostgreSQL 15 on).
LEFT = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_prepared_statements WHERE name = '{0}') THEN EXECUTE 'DEALLOCATE {0}'; END IF;
    IF to_regproc('pg_stat_force_next_flush') IS NOT NULL THEN PERFORM pg_stat_force_next_flush(); END IF;
END $$
"""
OK = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
UNNAMED = "a pooler that does not tell its name"
CONSOLE = "pgbouncer"  # the database that is PgBouncer's own console


@dataclass(frozen=True, slots=True)
class TransactionPooler:
    """A pooler in transaction mode: whether prepared statements work through it, and what its console tells.

    `name` is as `PgBouncer 1.18.0` where its console lets the role in; `clients` the most that it lets in.
    """

    keeps_prepared: bool
    name: str = ""
    clients: int | None = None


def find_transaction_pooler(url: str) -> TransactionPooler | None:
    """The transaction pooler between here and PostgreSQL; None where a connection keeps its backend.

    A connection of a server, or of a pooler in session mode, has one backend to itself for as long as it lasts. Where
    one has several, or several have the same one, a pooler shares them. The server is asked over a few connections at a
    time, and prepares nothing unless a pooler was seen. Raises CapacityError where the server does not answer.
    """
    with ExitStack() as opened:
        clients = [_opened(url, opened)]
        with suppress(CapacityError):  # few connections are left: those that there are must do
            clients += [_opened(url, opened) for _ in range(CLIENTS - 1)]
        try:
            if not _shares_backends(clients):
                return None
        except psycopg.Error as error:
            raise CapacityError(f"PostgreSQL broke a connection off: {' '.join(str(error).split())}") from None
        keeps = _keeps_prepared(clients)
    return TransactionPooler(keeps, **_console(url))


def prepares(url: str, wanted: bool = True) -> tuple[bool, dict[str, str]]:
    """Whether a load at `url` uses prepared statements, which are `wanted` or not, and what its manifest says of it.

    Through a pooler that does not keep them it uses none: they fail on all connections but a few, and the load would go
    on over those. Raises CapacityError where the server does not answer.
    """
    pooler = find_transaction_pooler(url)
    if pooler is None:
        return wanted, {}
    return wanted and pooler.keeps_prepared, {"pooler": pooler.name or UNNAMED}


def _shares_backends(clients: Sequence[pq.abc.PGconn]) -> bool:
    owner: dict[tuple[Any, ...], int] = {}
    backend: dict[int, tuple[Any, ...]] = {}
    silent: set[int] = set()
    for turn in TURNS:
        if turn >= len(clients) or turn in silent:
            continue
        clients[turn].send_query(BACKEND)
        answer = _answer(clients[turn])
        if answer is None:
            silent.add(turn)
            continue
        mine = answer.get_value(0, 0), answer.get_value(0, 1)
        if backend.setdefault(turn, mine) != mine or owner.setdefault(mine, turn) != turn:
            return True
    return False


def _opened(url: str, stack: ExitStack) -> pq.abc.PGconn:
    """A connection until the end of the stack, whatever is under way on it then."""
    return stack.enter_context(closing(connect_as_administrator(url))).pgconn


def _keeps_prepared(clients: Sequence[pq.abc.PGconn]) -> bool:
    """Whether each client can prepare a statement under a name that others use too, and gets its own one back."""
    name = f"capacity_look_{token_hex(4)}"
    try:
        for number, client in enumerate(clients):
            client.send_prepare(name.encode(), b"SELECT %d" % number)
            if _answer(client) is None:
                return False
        for turn in (each for each in TURNS if each < len(clients)):
            clients[turn].send_query_prepared(name.encode(), None)
            answer = _answer(clients[turn])
            if answer is None or answer.get_value(0, 0) != b"%d" % turn:
                return False
        return True
    except psycopg.Error:  # it got no connection, or lost it
        return False
    finally:
        for client in (*clients, *clients):  # what a pooler that does not keep them apart has left on a connection
            with suppress(psycopg.Error):
                client.send_query(LEFT.format(name).encode())
                _answer(client)


def _answer(client: pq.abc.PGconn, seconds: float = ANSWER_S) -> pq.abc.PGresult | None:
    """The answer to what was sent; None where it is an error, or none came within so many seconds."""
    deadline, last = monotonic_s() + seconds, None
    while True:
        while client.is_busy():
            if not select.select([client.socket], [], [], max(0.0, deadline - monotonic_s()))[0]:
                return None
            client.consume_input()
        result = client.get_result()
        if result is None:
            return last
        last = result if result.status in OK else None


def _console(url: str) -> Mapping[str, Any]:
    """What PgBouncer's own console tells this role of it; nothing where it is another pooler, or does not let it in."""
    told: dict[str, Any] = {}
    with suppress(CapacityError, psycopg.Error), ExitStack() as opened:
        own = _opened(make_conninfo(url, dbname=CONSOLE), opened)
        own.send_query(b"SHOW VERSION")
        if (answer := _answer(own)) is not None:
            told["name"] = (answer.get_value(0, 0) or b"").decode()
        own.send_query(b"SHOW CONFIG")
        if (answer := _answer(own)) is not None:
            rows = {answer.get_value(row, 0): answer.get_value(row, 1) for row in range(answer.ntuples)}
            told["clients"] = int(rows[b"max_client_conn"] or 0) or None
    return told
