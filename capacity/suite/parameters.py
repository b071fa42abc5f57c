"""The parameters of a notebook: what its tagged cell assigns, and whether given values fit."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError
from capacity.validation.names import listed

TAG = "parameters"
TRUTHS = {"true": True, "yes": True, "false": False, "no": False}
NUMBERS = {int: re.compile(r"[+-]?[0-9]+"), float: re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")}
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "one text"}


def notebook_parameters(path: Path) -> dict[str, Any]:
    """The names and default values of a notebook's cell tagged `parameters`.

    Raises CapacityError where an assignment there is not a name and a literal, and where it is no notebook.
    """
    try:
        cells = [each for each in notebook_cells(path) if TAG in each["metadata"].get("tags", [])][:1]
        return dict(_assigned(each, path) for cell in cells for each in ast.parse("".join(cell["source"])).body)
    except (LookupError, TypeError, AttributeError, SyntaxError) as error:
        raise CapacityError(f"cannot read the parameters of {path}: {error}; restore the notebook") from None


def notebook_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook; CapacityError where it is none."""
    try:
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]  # nbformat loads for long
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CapacityError(f"cannot read the notebook {path}: {error}; restore it") from None
    return cells


def _assigned(statement: ast.stmt, path: Path) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        try:
            return statement.targets[0].id, ast.literal_eval(statement.value)
        except ValueError:
            pass
    raise CapacityError(f"{path.name}: line {statement.lineno} of its parameters must assign a literal to a name")


def texts_by_name(words: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Texts by the names of their parameters; those of a name that is given more than once are a list."""
    texts: dict[str, list[str]] = {}
    for name, word in words:
        texts.setdefault(name, []).append(word)
    return {name: given[0] if len(given) == 1 else given for name, given in texts.items()}


def chosen_parameters(
    accepted: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any], reserved: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """The given values that each notebook takes, by the notebook's name; `accepted` are the parameters of each.

    A text is read by the type of the default: where that is a text as it is, as true, false, yes or no, as a number, or
    as a list of names: `a,b`, `a b`, or given more than once. Other values are of the default's type already.
    Raises CapacityError for a name that no notebook has, one that the suite sets itself, and a value of another type
    than the default (a whole number will do for a fraction).
    """
    names = sorted({name for parameters in accepted.values() for name in parameters} - reserved)
    for name in given:
        if name in reserved:
            raise CapacityError(f"the parameter {name!r} is set by the suite itself; accepted are {', '.join(names)}")
        if name not in names:
            raise CapacityError(f"no notebook has the parameter {name!r}; accepted are {', '.join(names)}")
    return {
        notebook: {name: _read(name, value, parameters[name]) for name, value in given.items() if name in parameters}
        for notebook, parameters in accepted.items()
    }


def _read(name: str, value: Any, default: Any) -> Any:
    """A value of the default's type, read from text where it is one."""
    if isinstance(default, list):
        return listed(value)
    wanted, read = type(default), value
    if isinstance(value, str) and wanted is bool:
        read = TRUTHS.get(value.lower(), value)
    elif isinstance(value, str) and wanted in NUMBERS and NUMBERS[wanted].fullmatch(value):
        read = wanted(value)
    if type(read) is wanted or (wanted is float and type(read) is int):
        return read
    what = KINDS.get(wanted, f"a {wanted.__name__}")
    raise CapacityError(f"the parameter {name} is {value!r} and must be {what}, as its default {shown(default)}")


def shown(value: Any) -> str:
    """A default as it is given on the command line."""
    return str(value).lower() if isinstance(value, bool) else repr(value)
