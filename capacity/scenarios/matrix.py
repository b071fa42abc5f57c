"""Which scenarios a run applies: by the kind of fault; those of the short form take a minute together."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from capacity.errors import CapacityError
from capacity.scenarios.database_restart import DatabaseRestart
from capacity.scenarios.network_fault import NetworkFault
from capacity.scenarios.outbox_restart import OutboxRestart
from capacity.scenarios.pool_exhaustion import DirectExhaustion, PoolExhaustion
from capacity.scenarios.redis_restart import Persistence, RedisRestart
from capacity.scenarios.trial import Scenario
from capacity.scenarios.worker_crash import WorkerCrash
from capacity.system.network import Fault
from capacity.validation.names import chosen_names

FORMS = ("short", "whole")
STOP, KILL, FAST_STOP, FREEZE = signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGSTOP
RESTARTS = [(how, kept) for kept in Persistence for how in (STOP, KILL)]
FAULTS = [each for each in Fault if each is not Fault.PASS]


class Kind(StrEnum):
    """The five kinds of fault."""

    POOL = "pool"
    REDIS = "redis"
    WORKER = "worker"
    DATABASE = "database"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario of the matrix; those of the short form run with the profile smoke."""

    kind: Kind
    scenario: Scenario
    short: bool = False


MATRIX = (
    Row(Kind.POOL, DirectExhaustion(), short=True),
    Row(Kind.POOL, PoolExhaustion(), short=True),
    *(Row(Kind.REDIS, RedisRestart(*each)) for each in RESTARTS),
    *(Row(Kind.REDIS, OutboxRestart(*each), short=each == (KILL, Persistence.RDB)) for each in RESTARTS),
    Row(Kind.WORKER, WorkerCrash(KILL), short=True),
    Row(Kind.WORKER, WorkerCrash(KILL, crashed=2)),
    Row(Kind.WORKER, WorkerCrash(FREEZE)),
    Row(Kind.DATABASE, DatabaseRestart(FAST_STOP)),
    Row(Kind.DATABASE, DatabaseRestart(KILL), short=True),
    Row(Kind.DATABASE, DatabaseRestart(KILL, synchronous_commit="off")),
    *(Row(Kind.NETWORK, NetworkFault("postgres", each)) for each in FAULTS),
    *(Row(Kind.NETWORK, NetworkFault("redis", each), short=each is Fault.BLACK_HOLE) for each in FAULTS),
)


def chosen_rows(profile: str, form: str = "", scenarios: str | Sequence[str] = ()) -> tuple[Row, ...]:
    """The rows of the matrix in a form: by default short with the profile smoke, and whole with any other.

    `scenarios` names some instead. Raises CapacityError for an unknown form or name.
    """
    if form and form not in FORMS:
        raise CapacityError(f"the matrix has no form {form!r}; accepted are {', '.join(FORMS)}")
    rows = {row.scenario.name: row for row in MATRIX}
    if names := chosen_names(scenarios, rows, "scenario"):
        return tuple(rows[name] for name in names)
    short = form == "short" or (not form and profile == "smoke")
    return tuple(row for row in MATRIX if row.short or not short)
