"""What tests share: the embedded system, started once, and Node with its own BullMQ."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capacity.system.addresses import System
from capacity.system.embedded import open_system

NODE = Path(__file__).parent / "node"
INSTALL = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", str(NODE)]
INSTALL_S = 120


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    with open_system({}) as started:
        yield started


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
    if not (NODE / "node_modules" / "bullmq").exists():
        try:
            made = subprocess.run(INSTALL, capture_output=True, text=True, check=False, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm could not install bullmq within {INSTALL_S} s")
        if made.returncode:
            pytest.skip(f"npm could not install bullmq: {' '.join(made.stderr.split())[:200]}")
    return program
