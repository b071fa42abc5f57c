"""A YAML file read and validated; what is wrong with it is one sentence."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from capacity.errors import CapacityError

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, what: str) -> Any:
    """The values in the YAML file `path`; CapacityError names `what` it should be, as "the workload"."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CapacityError(f"cannot read {what} {path}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CapacityError(f"{what} {path} is not YAML: {' '.join(str(error).split())}") from None


def read_model(path: Path, model: type[Model], what: str) -> Model:
    """The YAML file `path` as a model; CapacityError is one sentence naming the key and the value."""
    return parse_model(read_yaml(path, what), model, str(path))


def parse_model(values: Any, model: type[Model], source: str, remedy: str = "") -> Model:
    """Parsed YAML or JSON as a model; errors name with `source` where it came from, and end with `remedy`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise CapacityError(f"{source}: {first_problem(error)}{remedy}") from None


def first_problem(error: ValidationError) -> str:
    """The first problem as one sentence, with the number of further ones."""
    problems = error.errors(include_url=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        text = f"unknown key {where!r}; remove it or correct its spelling"
    elif first["type"] == "missing":
        text = f"the key {where!r} is missing"
    else:
        reason = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict | list) else f" and is {first['input']!r}"
        text = f"{where}: {reason[0].lower()}{reason[1:]}{value}"
    return text if len(problems) == 1 else f"{text} (and {len(problems) - 1} more)"


def refuse_unknown(kind: str, named: Iterable[str | None], accepted: Iterable[str]) -> None:
    """Raise ValueError, for a model's validator, where a name that is given is not accepted; `kind` is as "metric"."""
    known = list(accepted)
    if unknown := sorted({name for name in named if name and name not in known}):
        raise ValueError(f"there is no {kind} {unknown[0]!r}; accepted are {', '.join(known) or 'none'}")
