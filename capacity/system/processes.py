"""The reference application's processes: a gateway and workers, started and ended with the servers."""

import contextlib
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.system.addresses import OWN_QUEUE, System
from capacity.system.embedded import START_SECONDS, free_port, last_line
from capacity.system.own_queue import own_queue
from capacity.system.server_directory import ServerDirectory, open_server_directory

WORKERS = 4  # processes, as the report has them
READY = b"ready"


@dataclass(frozen=True, slots=True)
class Application:
    """A system with its gateway and queue, and the processes that were started for it, by role."""

    system: System
    pids: dict[str, list[int]] = field(default_factory=dict)

    @property
    def processes(self) -> str:
        """The processes as the reader of gauges takes them, as `workers=12,13 gateway=14`."""
        return " ".join(f"{role}={','.join(map(str, pids))}" for role, pids in self.pids.items())


@contextlib.contextmanager
def open_application(
    system: System, jobs: Path, workers: int = WORKERS, gateway: bool = True, **options: int
) -> Iterator[Application]:
    """The system with its application: what it does not name is started, and stopped at the end.

    `jobs` is the workload file that says what the workers do with each type of job; `options` are further ones of
    their command line. Where the system names a queue, its own workers serve it and none are started; where it names a
    gateway, that is the one. The tables must be there.
    Raises CapacityError where a process cannot be started, or where a queue in somebody's Redis has the name of the
    application's and is another's.
    """
    starts_workers, starts_gateway = workers and not system.queue, gateway and not system.gateway_url
    if not (starts_workers or starts_gateway):
        yield Application(system)
        return
    own = contextlib.nullcontext() if system.embedded or system.queue else own_queue(system.redis_url)
    with own, open_server_directory() as directory:
        running = Application(system)
        if starts_workers:
            running = start_workers(directory, running, jobs, workers, **options)
        if starts_gateway:
            running = start_gateway(directory, running)
        yield running


def application_command(module: str, **options: object) -> list[str]:
    """The command that starts one of the application's processes, with such options on its command line."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", f"capacity.system.application.{module}", *words]


def start_workers(
    directory: ServerDirectory, before: Application, jobs: Path, count: int, *, first: int = 0, **options: float
) -> Application:
    """Start worker processes on the queue `capacity`, numbered from `first`, and wait until all of them take jobs.

    `options` are further ones of their command line, as lock_s=2.
    """
    ledger = directory.folder / "ledger"
    ledger.mkdir(exist_ok=True)
    system = replace(before.system, queue=OWN_QUEUE, ledger=str(ledger))
    logs = {number: directory.folder / f"worker-{number}.log" for number in range(first, first + count)}
    given = {"directory": directory.folder, "ledger": ledger, "jobs": jobs, **options}
    commands = {number: application_command("worker", number=number, **given) for number in logs}
    pids = [
        directory.start(commands[number], signal.SIGTERM, log, env=_environment(system)) for number, log in logs.items()
    ]
    _wait(directory, "the workers", [*logs.values()], lambda: all(READY in log.read_bytes() for log in logs.values()))
    return Application(system, {**before.pids, "workers": pids})


def start_gateway(directory: ServerDirectory, before: Application, **options: float | Path) -> Application:
    """Start a gateway on a free port, and wait until it answers; `options` are further ones of its command line."""
    port, log = free_port(), directory.folder / "gateway.log"
    system = replace(before.system, gateway_url=f"http://127.0.0.1:{port}", queue=before.system.queue or OWN_QUEUE)
    words = application_command("gateway", directory=directory.folder, port=port, **options)
    pid = directory.start(words, signal.SIGTERM, log, env=_environment(system))

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{system.gateway_url}/api/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    _wait(directory, "the gateway", [log], answers)
    return Application(system, {**before.pids, "gateway": [pid]})


def _environment(system: System) -> dict[str, str]:
    """This environment with the addresses of the system; an address that it has and the system has not is left out."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    return {**others, **system.as_environment()}


def _wait(directory: ServerDirectory, name: str, logs: list[Path], ready: Callable[[], bool]) -> None:
    if not (wait_until(lambda: not directory.running or ready(), START_SECONDS) and directory.running):
        said = "; ".join({last_line(log.read_bytes()) for log in logs})
        raise CapacityError(f"{name} did not start: {said}")
