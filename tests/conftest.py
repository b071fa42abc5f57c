"""What tests share: the embedded system, started once, Node with its own BullMQ, and who reads which recording."""

import fcntl
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from capacity.analysis.limits.search_result import breaking_point_findings
from capacity.clock import wait_until
from capacity.findings import Finding
from capacity.probes.breaking_point import read_search_results
from capacity.probes.parts import PARTS
from capacity.scenarios.overload import BREAKER, read_overload
from capacity.scenarios.trials import failover_findings, read_trials
from capacity.suite.kernels import CHOSEN_BY, PROVISIONER
from capacity.system.addresses import System
from capacity.system.embedded import free_port, open_system

pytest_plugins = ["tests.versions"]
DEFAULT_TIER = "not slow and not thorough"
os.environ[CHOSEN_BY] = PROVISIONER  # as in a run: notebooks start in a second
NODE = Path(__file__).parent / "node"
INSTALL = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
INSTALL_S = 180


def pytest_configure(config: pytest.Config) -> None:
    """A test file that is named runs whole, its thorough tests too; and signals reach what a test starts.

    What is started in the background, or by nohup, ignores some, and all that it starts inherits that, but no handler.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    if config.args_source is pytest.Config.ArgsSource.ARGS and config.option.markexpr == DEFAULT_TIER:
        config.option.markexpr = "not slow"


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """No file may grow beyond so many bytes, which the system refuses as it does where a disk is full."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


STANDING = """
SELECT 'table ' || relnamespace::regnamespace || '.' || relname FROM pg_class
WHERE relkind IN ('r', 'p', 'v', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema|capacity$)'
UNION ALL SELECT 'role ' || rolname FROM pg_roles
WHERE rolname !~ '^pg_' AND rolname NOT IN ('authenticator', 'authenticated', 'service_role')
UNION ALL SELECT 'database ' || datname FROM pg_database
"""


@pytest.fixture(scope="session")
def shared_system() -> Iterator[System]:
    with open_system({}) as started:
        yield started


@pytest.fixture(scope="session")
def system(shared_system: System) -> System:
    return shared_system


def _standing(system: System) -> set[str]:
    with psycopg.connect(system.postgres_admin_url) as connection:
        return {str(row[0]) for row in connection.execute(STANDING)}


def _end_connections(system: System) -> None:
    """What a file read gauges by ends with its process, which the next file shares."""
    with psycopg.connect(system.postgres_admin_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="module", autouse=True)
def _nothing_stays_for_the_next_file(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a file makes in the PostgreSQL that all share it takes down, or the order of the files decides."""
    shares = any("shared_system" in each.fixturenames for each in _tests_of(request))
    before = _standing(request.getfixturevalue("shared_system")) if shares else set()
    yield
    if shares:
        _end_connections(request.getfixturevalue("shared_system"))
    after = _standing(request.getfixturevalue("shared_system")) if shares else set()
    assert after == before, f"left behind by {request.path.name}: {sorted(after ^ before)}"


def _tests_of(request: pytest.FixtureRequest) -> list[pytest.Function]:
    return [each for each in request.session.items if isinstance(each, pytest.Function) and each.path == request.path]


@pytest.fixture(scope="session")
def redis_url(system: System) -> str:
    return system.redis_url


@pytest.fixture(scope="session")
def postgres_url(system: System) -> str:
    return system.postgres_admin_url


@pytest.fixture(scope="session")
def node() -> str:
    """The program, with Node's BullMQ beside the scripts; it is installed where it is missing."""
    program = shutil.which("node")
    if program is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (Debian: apt install nodejs npm)")
    _install_by_npm("bullmq", NODE / "node_modules" / "bullmq-5", NODE)
    return program


@pytest.fixture(scope="session")
def any_make(node: str) -> Callable[..., AbstractContextManager[None]]:
    """Runs tests/node/any_make.mjs on the queue of a system: what goes on goes on until the end."""

    @contextmanager
    def run(theirs: System, make: str, *words: str, shift_ms: int = 0) -> Iterator[None]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
        environment |= theirs.as_environment() | {"SHIFT_MS": str(shift_ms)}
        command = [node, str(NODE / "any_make.mjs"), make, *words]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                assert process.stdout.readline() == ("ready\n" if words[0] in ("work", "listen") else "")
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(20)

    return run


@pytest.fixture(scope="session")
def install_by_npm() -> Callable[..., None]:
    """Installs what is missing; see `_install_by_npm`."""
    return _install_by_npm


def _install_by_npm(what: str, there: Path, prefix: Path, *words: str) -> None:
    """Install by npm below a folder what is missing `there`; the test is skipped where that cannot be had."""
    prefix.mkdir(exist_ok=True)
    with (prefix / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of the tests must not install at once
        if there.exists():
            return
        try:
            command = [*INSTALL, "--prefix", str(prefix), *words]
            made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm could not install {what} within {INSTALL_S} s")
        if made.returncode:
            pytest.skip(f"npm could not install {what}: {' '.join(made.stderr.split())[:200]}")


PGBOUNCER = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
admin_users = console
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = {clients}
"""


@pytest.fixture(scope="session")
def start_pooler(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[str]]:
    """Starts a real PgBouncer in front of the PostgreSQL at an address; gives the address that leads through it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed (Debian: apt install pgbouncer)")

    @contextmanager
    def started(postgres_url: str, mode: str, size: int = 10, clients: int = 200) -> Iterator[str]:
        info, own_port = conninfo_to_dict(postgres_url), free_port()
        file = tmp_path_factory.mktemp("pooler") / "pgbouncer.ini"
        given = {name: info[name] for name in ("host", "port", "user")}
        file.write_text(PGBOUNCER.format(own_port=own_port, mode=mode, size=size, clients=clients, **given))
        pooler = subprocess.Popen([program, "-q", "-u", "nobody", str(file)], stderr=subprocess.PIPE, text=True)
        url = f"postgresql://{info['user']}@127.0.0.1:{own_port}/{info['dbname']}"
        try:
            assert wait_until(lambda: pooler.poll() is not None or _lets_in(url), 20), "PgBouncer did not answer"
            assert pooler.poll() is None, pooler.stderr and pooler.stderr.read()
            yield url
        finally:
            pooler.terminate()
            pooler.wait()

    return started


def _lets_in(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def read_failover_findings(folder: Path) -> list[Finding]:
    return failover_findings(read_trials(folder))


def read_breaking_point_findings(folder: Path) -> list[Finding]:
    searched = read_search_results(folder).values()
    found = [finding for each in searched for finding in breaking_point_findings(each, folder.name)]
    return [*found, *read_overload(folder / BREAKER).trial.findings]


@pytest.fixture(scope="session")
def readers() -> dict[str, Callable[[Path], list[Finding]]]:
    """What computes the findings of a section from the folder of its recordings."""
    parts = {name: probe.findings for name, probe in PARTS.items()}
    return parts | {"failover": read_failover_findings, "breaking_point": read_breaking_point_findings}
