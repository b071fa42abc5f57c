"""Imports go one way: a module imports from its own floor or from those below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "capacity"
FLOORS = [
    {
        "errors",
        "samples",
        "streams",
        "findings",
        "judgement",
        "operation",
        "workload",
        "publication",
        "project",
        "writing",
        "catalog",
        "plan",
    },
    {"analysis"},
    {"recording", "load", "system"},
    {"probes", "scenarios"},
    {"display"},
    {"exports"},
    {"suite"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.stem != "__init__")


# The schedule is drawn from the workload alone, without a clock, so that analysis may draw it again.
PURE = {"capacity.load.schedule": "workload"}


def room(module: str) -> str:
    return PURE.get(module, module.split(".")[1])


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("capacity."):
            yield node.module or ""
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("capacity."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_its_floor_and_below(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imported(path):
        assert FLOOR[room(module)] <= FLOOR[own], f"{own} imports {module}, which stands above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small_enough_to_be_read_at_once(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_only_the_engine_and_its_timer_read_the_monotonic_clock() -> None:
    users = {path.name for path in MODULES if "time.monotonic_ns" in path.read_text(encoding="utf-8")}
    assert users == {"engine.py"}
