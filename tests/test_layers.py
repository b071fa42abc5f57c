"""Imports go one way: a module imports from its own floor or from those below it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "capacity"
FLOORS = [
    {"clock", "errors", "manifest", "samples", "streams", "findings", "objectives", "units", "places", "writing"}
    | {"yaml_file", "operation", "shape", "workload", "validation"},
    {"analysis"},
    {"recording", "load", "system", "run"},
    {"probes", "scenarios"},
    {"display"},
    {"exports", "audit"},
    {"suite"},
    {"cli"},
]
ROOMS = [{"statistics"}, {"measured"}, {"limits", "faults"}, {"planning"}]  # of analysis, one above the other
FLOOR = {room: (number, 0) for number, rooms in enumerate(FLOORS) for room in rooms}
FLOOR |= {f"analysis.{room}": (FLOOR["analysis"][0], number) for number, rooms in enumerate(ROOMS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]
MOST_LINES = 250
MOST_MODULES = 16


# The schedule is drawn from the workload alone, without a clock, so that analysis may draw it again.
PURE = {"capacity.load.schedule": "workload"}


def room(module: str) -> str:
    parts = module.split(".")[1:]
    return PURE.get(module, ".".join(parts[:2]) if parts[0] == "analysis" and len(parts) > 1 else parts[0])


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "capacity":
            yield node.module or ""
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("capacity."))


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_imports_only_from_its_floor_and_below(path: Path) -> None:
    own = room(".".join(["capacity", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"))
    for module in imported(path):
        assert module != "capacity", f"{own} imports from capacity itself, which is for its users"
        other = room(module)
        assert FLOOR[other] <= FLOOR[own], f"{own} imports {module}, which stands above it"
        assert other == own or "audit" not in (other, own) or own in ("audit", "cli"), f"{own} imports {module}"


def test_a_room_holds_no_more_than_can_be_taken_in_at_once() -> None:
    for folder in {path.parent for path in MODULES}:
        assert len(list(folder.glob("*.py"))) <= MOST_MODULES + 1, folder  # and its __init__


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_is_small_enough_to_be_read_at_once(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def reads_of_a_clock(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (each.name for each in node.names if each.name != "sleep")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "time" and node.attr not in ("sleep", "CLOCK_MONOTONIC"):
                yield f"time.{node.attr}"
            if node.value.id in ("datetime", "date") and node.attr in ("now", "utcnow", "today"):
                yield f"{node.value.id}.{node.attr}"


def test_only_the_clock_reads_the_time_and_analysis_does_not_ask_it() -> None:
    found = {str(path.relative_to(PACKAGE)): sorted(set(reads_of_a_clock(path))) for path in MODULES}
    assert [name for name, read in found.items() if read] == ["clock.py"], found
    analysis = [path for path in MODULES if "analysis" in path.parts]
    assert not [path for path in analysis if "capacity.clock" in imported(path)]


def test_a_class_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}
