"""What a planted situation is, and where it is planted: servers of any version, and whose state must stay as it was."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import yaml

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.findings import Finding
from capacity.system.embedded import RunningServer, run_postgres, run_redis
from capacity.system.programs import POSTGRES_BIN, REDIS_SERVER
from capacity.system.server_directory import open_server_directory

# The value, or its bounds, or the cause by which it is not given.
Right = float | tuple[float, float] | str
REFUSED = "refused"  # in the place of a finding: nothing is measured, and the sentence says why
UNDER_WAY_S = 60
ROWS = """
SELECT relnamespace::regnamespace || '.' || quote_ident(relname) FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""


@dataclass(frozen=True)
class Situation:
    """What is so, what is right then, and what measures it."""

    name: str
    right: Mapping[str, Right]
    plant: Callable[["Stand"], Mapping[str, Finding]]


@dataclass
class Stand:
    """Where a situation is planted; what is started for it ends with it."""

    folder: Path
    stack: ExitStack
    patch: pytest.MonkeyPatch
    fixture: Callable[[str], Any]
    counted: dict[str, Right] = field(default_factory=dict)  # what was right by what somebody else counted meanwhile
    _kept: list[tuple[Callable[[], object], object]] = field(default_factory=list)

    def postgres(self, version: str, **settings: str) -> RunningServer:
        """A PostgreSQL of its own."""
        if version == "18":
            self.patch.delenv(POSTGRES_BIN, raising=False)
        else:
            self.patch.setenv(POSTGRES_BIN, str(self.fixture("postgres_of")(version)))
        directory = self.stack.enter_context(open_server_directory())
        return run_postgres(directory, **{"deadlock_timeout": "50ms", **settings})

    def redis(self, version: str, **settings: str) -> str:
        """The address of a Redis of its own."""
        if version != "Redis 8.2.3":
            self.patch.setenv(REDIS_SERVER, str(self.fixture("redis_of")(version)))
        directory = self.stack.enter_context(open_server_directory())
        return run_redis(directory, **{name.replace("_", "-"): each for name, each in settings.items()}).url

    def workloads(self, part: str, target: str, operations: list[dict[str, Any]], **more: Any) -> Path:
        """A folder with the workload of a part: two seconds and a half at a constant rate."""
        rate = more.pop("rate", 200)
        stage = {"name": "hold", "seconds": more.pop("seconds", 2.5), "to": rate}
        shape = {"kind": "rate", "arrivals": "uniform", "stages": [stage]}
        for each in operations:
            each.setdefault("weight", 100 / len(operations))
        values = {
            "name": part,
            "target": target,
            "connections": 4,
            "timeout_ms": 1000,
            "operations": operations,
            **more,
        }
        (self.folder / f"{part}.yaml").write_text(yaml.safe_dump(values | {"shapes": {"smoke": shape}}))
        return self.folder

    def keeps(self, read: Callable[[], object]) -> None:
        """What is read here must be the same when all is over."""
        self._kept.append((read, read()))

    def keeps_rows(self, *urls: str, but: str = "") -> None:
        """All tables of these databases keep their rows, but one that the load itself writes."""
        for url in urls:
            self.keeps(lambda url=url: {table: many for table, many in rows_of(url).items() if table != but})

    def keeps_keys(self, url: str, but: Callable[[str], bool] = lambda _: False) -> None:
        """All keys of a Redis keep their values, but those for which that holds."""
        self.keeps(lambda: {key: value for key, value in keys_of(url).items() if not but(key)})

    def forget(self, place: int) -> None:
        """What was noted there is not kept any more: who it belongs to has changed it."""
        del self._kept[place]

    def touched(self) -> int:
        """How much of what was to stay did not."""
        return sum(read() != before for read, before in self._kept)

    @contextmanager
    def meanwhile(self, what: Callable[[], object], after_s: float = 0.8) -> Iterator[None]:
        """Does that so many seconds after the load has begun."""
        manifest, failed = self.folder / "recording" / "manifest.json", list[BaseException]()

        def begun() -> bool:
            return manifest.exists() and "origin_unix_ns" in json.loads(manifest.read_text() or "{}")

        def do() -> None:
            try:
                assert wait_until(begun, UNDER_WAY_S)
                threading.Event().wait(after_s)
                what()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=do)
        thread.start()
        try:
            yield
        finally:
            thread.join()
        assert not failed, failed


def rows_of(url: str) -> dict[str, int]:
    """How many rows each table of a database has."""
    with psycopg.connect(url) as connection:
        tables = [str(row[0]) for row in connection.execute(ROWS)]
        return {each: connection.execute(f"SELECT count(*) FROM {each}".encode()).fetchall()[0][0] for each in tables}


def keys_of(url: str) -> dict[str, bytes | None]:
    """Every key of a database of a Redis, with its value."""
    with redis.Redis.from_url(url) as client:
        return {key.decode(): client.dump(key) for key in client.scan_iter("*")}


def tell(url: str, *statements: str) -> None:
    """Have PostgreSQL do that."""
    with psycopg.connect(url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each.encode())


def refusal_of(measure: Callable[[], Mapping[str, Finding]]) -> Mapping[str, Finding]:
    """The findings, or the sentence by which nothing is measured."""
    try:
        return measure()
    except CapacityError as error:
        return {REFUSED: Finding(REFUSED, None, note=str(error))}
