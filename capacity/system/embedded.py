"""A real PostgreSQL and a real Redis on free loopback ports, from installed wheels, in a temporary folder."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.system.addresses import System, system_from
from capacity.system.application.database import prepare_roles
from capacity.system.clients import redis_client
from capacity.system.programs import postgres_programs, redis_server
from capacity.system.rights.standing import ORDINARY
from capacity.system.server_directory import ServerDirectory, open_server_directory

NOBODY = 65534  # PostgreSQL refuses to run as root
START_SECONDS = 30.0
TRIES = 5  # a free port may be taken by another process before the server binds it

# Small buffers, so that at the standard profile the data do not fit them; timings of input and output are measured.
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "track_io_timing": "on",
    "track_wal_io_timing": "on",
    "max_wal_size": "1GB",
    "shared_preload_libraries": "",
}
# What BullMQ asks for: nothing may be evicted.
REDIS_SETTINGS = {
    "bind": "127.0.0.1",
    "save": "",
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "set-proc-title": "no",  # its command tells the next start whose it was
}


@dataclass(slots=True)
class RunningServer:
    """A server of ours: how to start it on a port, its address there, to tell that it answers, and to stop it.

    It can be ended in any way and started again on its port and in its folder.
    """

    directory: ServerDirectory
    name: str
    command: Callable[[int], list[str | Path]]
    address: Callable[[int], str]
    answers: Callable[[str], bool]
    stop: signal.Signals
    log: Path
    options: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    pid: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return self.address(self.port)

    def start(self) -> "RunningServer":
        """Start it on a free port, and wait until it answers; CapacityError where it does not."""
        for _ in range(TRIES):
            self.port = free_port()
            if self._answered():
                return self
        raise self._failure()

    def end(self, how: signal.Signals) -> None:
        """End it with a signal, and wait until its process is gone."""
        self.directory.end(self.pid, how)

    def start_again(self) -> None:
        """Start it again, and wait until it answers; what is left of a killed one may keep it from that for a moment.

        Raises CapacityError where it does not answer in time.
        """
        if not wait_until(self._answered, START_SECONDS):
            raise self._failure()

    def _answered(self) -> bool:
        """Start it on its port; whether it answered in time."""
        self.pid = self.directory.start(self.command(self.port), self.stop, self.log, **self.options)
        told = wait_until(lambda: not self.directory.running or self.answers(self.url), START_SECONDS)
        if told and self.directory.running:
            return True
        self.directory.stop_last()
        return False

    def _failure(self) -> CapacityError:
        return CapacityError(f"{self.name} did not start: {last_line(self.log.read_bytes())}")


@contextlib.contextmanager
def open_system(environment: Mapping[str, str] | None = None) -> Iterator[System]:
    """The system that the environment names; what it does not name is embedded, and stopped at the end.

    By default the environment is that of this process with the project's `.env`. Where it names a gateway or a
    queue, the system is somebody's own, and nothing is embedded beside it. Raises CapacityError where an address is
    refused or a server cannot be started.
    """
    named = system_from(environment)
    if (named.postgres_url and named.redis_url) or named.gateway_url or named.queue:
        yield named
        return
    with open_server_directory() as directory:
        system = named
        if not system.postgres_url:
            admin, ordinary = start_postgres(directory)
            system = replace(system, postgres_url=ordinary, postgres_admin_url=admin)
        if not system.redis_url:
            system = replace(system, redis_url=run_redis(directory).url)
        yield replace(system, embedded=not (named.postgres_url or named.redis_url))


def start_postgres(directory: ServerDirectory, **settings: str) -> tuple[str, str]:
    """As `run_postgres`; returns the addresses of its superuser and of an ordinary role, which is there already."""
    server = run_postgres(directory, **settings)
    prepare_roles(server.url)
    return server.url, postgres_url(ORDINARY, server.port)


def run_postgres(directory: ServerDirectory, **settings: str) -> RunningServer:
    """Start PostgreSQL in `directory`, with these settings beside those of the embedded one."""
    programs, other_user = _runnable_programs(directory)
    data, log = directory.folder / "postgres", directory.folder / "postgres.log"
    initialise = f"-D {data} -U postgres -A trust -E UTF8 --no-sync --no-locale".split()
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PG")}  # libpq would obey
    options: dict[str, Any] = {"env": bare, **other_user}
    made = subprocess.run([programs / "initdb", *initialise], cwd="/", capture_output=True, check=False, **options)
    if made.returncode:
        raise CapacityError(f"PostgreSQL could not be set up in {directory.folder}: {last_line(made.stderr)}")
    given = POSTGRES_SETTINGS | settings
    words = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]

    def command(port: int) -> list[str | Path]:
        return [programs / "postgres", "-D", data, "-p", str(port), "-k", directory.folder / "socket", *words]

    def answers(url: str) -> bool:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    address = partial(postgres_url, "postgres")
    return RunningServer(directory, "PostgreSQL", command, address, answers, signal.SIGINT, log, options).start()


def run_redis(directory: ServerDirectory, **settings: str) -> RunningServer:
    """Start Redis in `directory`, with these settings beside those of the embedded one."""
    program = redis_server()
    words = [word for name, value in (REDIS_SETTINGS | settings).items() for word in (f"--{name}", value)]

    def command(port: int) -> list[str | Path]:
        return [program, "--port", str(port), "--dir", directory.folder, *words]

    def answers(url: str) -> bool:
        try:
            with redis_client(url, 2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    log = directory.folder / "redis.log"
    address = "redis://127.0.0.1:{}/0".format
    return RunningServer(directory, "Redis", command, address, answers, signal.SIGTERM, log).start()


def _runnable_programs(directory: ServerDirectory) -> tuple[Path, dict[str, Any]]:
    """The programs of PostgreSQL and the user to run them as; as root they may need a copy that others can reach."""
    programs = postgres_programs()
    if os.geteuid() != 0:
        (directory.folder / "socket").mkdir()
        return programs, {}
    other_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for folder in ("socket", "postgres"):
        (directory.folder / folder).mkdir()
        os.chown(directory.folder / folder, NOBODY, NOBODY)
    return (programs if _runs_as(programs, other_user) else _copied(programs, directory)), other_user


def _runs_as(programs: Path, user: dict[str, Any]) -> bool:
    try:
        tried = subprocess.run([programs / "postgres", "-V"], cwd="/", capture_output=True, check=False, **user)
    except PermissionError:
        return False
    return tried.returncode == 0


def _copied(programs: Path, directory: ServerDirectory) -> Path:
    """A copy of an installation with the libraries that its wheel keeps beside it."""
    tree = programs.parent.parent
    shutil.copytree(tree, directory.folder / tree.name, symlinks=True)
    libraries = tree.with_name(f"{tree.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, directory.folder / libraries.name)
    return directory.folder / programs.relative_to(tree.parent)


def postgres_url(user: str, port: int) -> str:
    """The address of an embedded PostgreSQL for that user."""
    return f"postgresql://{user}@127.0.0.1:{port}/postgres"


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def last_line(output: bytes) -> str:
    """The last line of what a process said."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
