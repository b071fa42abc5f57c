"""Where the system under test is, and which hosts may be loaded; secrets stay in the environment."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dotenv import dotenv_values

from capacity.errors import CapacityError
from capacity.places import is_own, project_folder

POSTGRES_URL = "CAPACITY_POSTGRES_URL"
POSTGRES_ADMIN_URL = "CAPACITY_POSTGRES_ADMIN_URL"
REDIS_URL = "CAPACITY_REDIS_URL"
GATEWAY_URL = "CAPACITY_GATEWAY_URL"
QUEUE = "CAPACITY_QUEUE"
QUEUE_PREFIX = "CAPACITY_QUEUE_PREFIX"
LEDGER = "CAPACITY_LEDGER"
EMBEDDED = "CAPACITY_EMBEDDED"
ALLOWED = "CAPACITY_ALLOW_HOSTS"
OWN_QUEUE = "capacity"  # the name of the queue that the reference application makes where none is named
BATCH = "CAPACITY_BATCH"  # set where nobody watches: no progress bar
VARIABLES = {  # of the fields of a System
    "postgres_url": POSTGRES_URL,
    "postgres_admin_url": POSTGRES_ADMIN_URL,
    "redis_url": REDIS_URL,
    "gateway_url": GATEWAY_URL,
    "queue": QUEUE,
    "queue_prefix": QUEUE_PREFIX,
    "ledger": LEDGER,
}
ENV_FILE = ".env"  # of a project: addresses that git does not keep
PREFIX = "CAPACITY_"
REDIS_ADDRESS = "redis://[user:password@]host:port/number, without TLS or options"
SOCKET = "a socket of this machine"  # in the place of a host
LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass(frozen=True, slots=True)
class System:
    """The addresses of a system under test; an empty one is a part that it does not have.

    Load goes to `postgres_url` as an ordinary role; `postgres_admin_url` fills the tables and reads the statistics.
    `queue` is the name of a BullMQ queue in that Redis below `queue_prefix`; `ledger` is the folder in which the
    reference workers note what they did, where these serve the queue.
    `embedded` says that the suite started the servers itself. Addresses may hold passwords, so they are not printed.
    """

    postgres_url: str = field(default="", repr=False)
    postgres_admin_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    gateway_url: str = field(default="", repr=False)
    queue: str = ""
    queue_prefix: str = "bull"
    ledger: str = ""
    embedded: bool = False

    @property
    def is_own(self) -> bool:
        """Whether any of it is somebody's own, and was not started by the suite."""
        return not self.embedded and any((self.postgres_url, self.redis_url, self.gateway_url, self.queue))

    @property
    def hosts(self) -> dict[str, str]:
        """The hosts of the servers that it names, by kind as `postgres`; nothing else of an address."""
        hosts = {"redis": urlsplit(self.redis_url).hostname or "", "gateway": urlsplit(self.gateway_url).hostname or ""}
        if self.postgres_url:
            from psycopg.conninfo import conninfo_to_dict  # loads psycopg, which other commands need not wait for

            parts = conninfo_to_dict(self.postgres_url)
            given = str(parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "")
            hosts["postgres"] = SOCKET if given.startswith(("/", "@")) or not given else given
        return {kind: host for kind, host in hosts.items() if host}

    @property
    def database(self) -> str:
        """The name of the database in PostgreSQL that it names."""
        if not self.postgres_url:
            return ""
        from psycopg.conninfo import conninfo_to_dict

        parts = conninfo_to_dict(self.postgres_url)
        return str(parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or "")

    def as_environment(self) -> dict[str, str]:
        """The variables by which another process finds the same system."""
        values = {variable: getattr(self, name) for name, variable in VARIABLES.items()}
        values |= {QUEUE_PREFIX: self.queue_prefix if self.queue else "", EMBEDDED: "1" if self.embedded else ""}
        return {variable: value for variable, value in values.items() if value}


def require(name: str, address: str) -> str:
    """The address, which the variable `name` gives; CapacityError where there is none."""
    if not address:
        raise CapacityError(f"{name} is not set, and nothing is started beside a gateway or queue of yours; set it")
    return address


def project_environment(project: Path | None = None) -> dict[str, str]:
    """The environment of this process, and beside it what the file `.env` of a project of one's own names.

    Of that file only names with CAPACITY_ count, and an empty value is none. What the environment has wins, an empty
    value too. Raises CapacityError for a name with CAPACITY_ that nothing reads. No value is ever part of a message.
    """
    folder = project or project_folder()
    file = folder / ENV_FILE
    written = dotenv_values(file, interpolate=False) if is_own(folder) and file.is_file() else {}
    named = {name: value for name, value in written.items() if value and name.startswith(PREFIX)}
    accepted = [*VARIABLES.values(), ALLOWED]
    if unknown := [name for name in named if name not in accepted]:
        raise CapacityError(f"{file}: nothing reads {unknown[0]}; accepted are {', '.join(accepted)}")
    return {**named, **os.environ}


def system_from(environment: Mapping[str, str] | None = None) -> System:
    """The system that the environment (by default `project_environment()`) names, its hosts checked beforehand."""
    environment = project_environment() if environment is None else environment
    given = {name: environment[variable] for name, variable in VARIABLES.items() if environment.get(variable)}
    system = System(**given, embedded=environment.get(EMBEDDED) == "1")
    admin = system.postgres_admin_url or system.postgres_url
    system = replace(system, postgres_admin_url=admin, gateway_url=system.gateway_url.rstrip("/"))
    for name, address in ((POSTGRES_URL, system.postgres_url), (POSTGRES_ADMIN_URL, admin)):
        if address:
            _check_postgres(address, environment, name)
    if system.redis_url:
        _check_url(system.redis_url, environment, REDIS_URL, _is_redis, REDIS_ADDRESS)
    if system.gateway_url:
        _check_url(system.gateway_url, environment, GATEWAY_URL, _is_gateway, "http[s]://host:port without a path")
    return system


def _check_postgres(url: str, environment: Mapping[str, str], name: str) -> None:
    """Refuse an address that libpq would take to a host that may not be loaded.

    libpq also looks at `hostaddr`, at lists of hosts and at PGHOST, PGHOSTADDR and PGSERVICE. Raises CapacityError.
    """
    import psycopg  # it takes longer to load than the files of a project to check
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        raise CapacityError(f"{name} is not an address of PostgreSQL; give postgresql://user@host:port/name") from None
    if parts.get("service") or (environment.get("PGSERVICE") and not parts.get("host")):
        raise CapacityError(f"{name} names a service, which hides its host; give the host in the address itself")
    given = {key: str(parts.get(key) or environment.get(variable, "")) for key, variable in LIBPQ_HOSTS.items()}
    for host in (host for hosts in given.values() for host in hosts.split(",") if host):
        if not host.startswith(("/", "@")):  # a socket in the file system is this machine
            _check_host(host, environment, name)


def _check_url(
    url: str, environment: Mapping[str, str], name: str, usable: Callable[[SplitResult], object], accepted: str
) -> None:
    """Refuse an address that is malformed or whose host may not be loaded; raises CapacityError."""
    try:
        parts = urlsplit(url)
        well_formed = parts.port != 0 and usable(parts)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise CapacityError(f"{name} is not an address that can be loaded; give {accepted}")
    _check_host(parts.hostname or "127.0.0.1", environment, name)


def _is_redis(parts: SplitResult) -> bool:
    database = parts.path.strip("/")
    return parts.scheme == "redis" and not parts.query and (not database or database.isdigit())


def _is_gateway(parts: SplitResult) -> bool:
    rest = parts.query or parts.path.strip("/") or parts.username
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not rest


LIBPQ_HOSTS = {"host": "PGHOST", "hostaddr": "PGHOSTADDR"}


def _check_host(host: str, environment: Mapping[str, str], name: str) -> None:
    allowed = {each.strip().lower() for each in environment.get(ALLOWED, "").split(",")}
    if host.lower() not in allowed and not is_loopback(host):
        raise CapacityError(
            f"{name} is on the host {host}, and only this machine is loaded unless a host is allowed by name; "
            f"set {ALLOWED}={host} if that host is yours to load"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name or number; nothing is looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in LOOPBACK_NAMES
