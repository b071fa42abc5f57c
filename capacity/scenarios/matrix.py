"""Which scenarios a run applies: a line each, by the kind of fault; those of the short form take a minute together."""

import signal
from dataclasses import dataclass
from enum import StrEnum

from capacity.errors import CapacityError
from capacity.scenarios.database_restart import DatabaseRestart
from capacity.scenarios.pool_exhaustion import DirectExhaustion, PoolExhaustion
from capacity.scenarios.redis_restart import Persistence, RedisRestart
from capacity.scenarios.trial import Scenario

FORMS = ("short", "whole")
STOP, KILL, FAST_STOP = signal.SIGTERM, signal.SIGKILL, signal.SIGINT
NONE, RDB, AOF = Persistence


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
    Row(Kind.REDIS, RedisRestart(NONE, STOP)),
    Row(Kind.REDIS, RedisRestart(NONE, KILL)),
    Row(Kind.REDIS, RedisRestart(RDB, STOP)),
    Row(Kind.REDIS, RedisRestart(RDB, KILL), short=True),
    Row(Kind.REDIS, RedisRestart(AOF, STOP)),
    Row(Kind.REDIS, RedisRestart(AOF, KILL), short=True),
    Row(Kind.DATABASE, DatabaseRestart(FAST_STOP)),
    Row(Kind.DATABASE, DatabaseRestart(KILL), short=True),
    Row(Kind.DATABASE, DatabaseRestart(KILL, synchronous_commit="off")),
)


def chosen_rows(profile: str, form: str = "", scenarios: str = "") -> tuple[Row, ...]:
    """The rows of the matrix in a form: by default short with the profile smoke, and whole with any other.

    `scenarios` names some instead, with commas between. Raises CapacityError for an unknown form or name.
    """
    if form and form not in FORMS:
        raise CapacityError(f"the matrix has no form {form!r}; accepted are {', '.join(FORMS)}")
    rows = {row.scenario.name: row for row in MATRIX}
    names = [name.strip() for name in scenarios.split(",") if name.strip()]
    if unknown := [name for name in names if name not in rows]:
        raise CapacityError(f"there is no scenario {unknown[0]!r}; accepted are {', '.join(rows)}")
    if names:
        return tuple(row for name, row in rows.items() if name in names)
    short = form == "short" or (not form and profile == "smoke")
    return tuple(row for row in MATRIX if row.short or not short)
