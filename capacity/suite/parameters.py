"""The parameters of a notebook: what its tagged cell assigns, and whether given values fit."""

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from capacity.errors import CapacityError, listed

TAG = "parameters"


def notebook_parameters(path: Path) -> dict[str, Any]:
    """The names and default values of a notebook's cell tagged `parameters`.

    Raises CapacityError where an assignment there is not a name and a literal.
    """
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:  # nbformat takes a second and a half to load
        if TAG in cell["metadata"].get("tags", []):
            return dict(_assigned(statement, path) for statement in ast.parse("".join(cell["source"])).body)
    return {}


def _assigned(statement: ast.stmt, path: Path) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        try:
            return statement.targets[0].id, ast.literal_eval(statement.value)
        except ValueError:
            pass
    raise CapacityError(f"{path.name}: line {statement.lineno} of its parameters must assign a literal to a name")


def parse_values(words: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Values by their names, given as text and read as YAML reads them: true, 3, 2.5 or text.

    The values of a name that is given more than once are a list. Raises CapacityError for what is not YAML.
    """
    values: dict[str, list[Any]] = {}
    for name, word in words:
        try:
            values.setdefault(name, []).append(yaml.safe_load(word))
        except yaml.YAMLError:
            raise CapacityError(f"the parameter {name} is {word!r}, which YAML cannot read; put it in quotes") from None
    return {name: given[0] if len(given) == 1 else given for name, given in values.items()}


def chosen_parameters(
    accepted: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any], reserved: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """The given values that each notebook takes, by the notebook's name; `accepted` are the parameters of each.

    Where the default is a list, a value is read as one of names: `a,b`, `a b`, or given more than once.
    Raises CapacityError for a name that no notebook has, one that the suite sets itself, and a value of another type
    than the default (a whole number will do for a fraction).
    """
    names = sorted({name for parameters in accepted.values() for name in parameters} - reserved)
    for name in given:
        if name in reserved:
            raise CapacityError(f"the parameter {name!r} is set by the suite itself; accepted are {', '.join(names)}")
        if name not in names:
            raise CapacityError(f"no notebook has the parameter {name!r}; accepted are {', '.join(names)}")
    chosen: dict[str, dict[str, Any]] = {}
    for notebook, parameters in accepted.items():
        chosen[notebook] = {
            name: listed(value) if isinstance(parameters[name], list) else value
            for name, value in given.items()
            if name in parameters
        }
        for name, value in chosen[notebook].items():
            _check_type(name, value, parameters[name])
    return chosen


def _check_type(name: str, value: Any, default: Any) -> None:
    wanted = type(default)
    if not (type(value) is wanted or (wanted is float and type(value) is int)):
        got = type(value).__name__
        raise CapacityError(
            f"the parameter {name} is {value!r}, a {got}, and must be a {wanted.__name__} as {default!r}"
        )
