"""A YAML file read and validated: what is wrong with it is a sentence for each problem, with line, key and remedy."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from capacity.errors import CapacityError
from capacity.validation.model import Place
from capacity.validation.problems import keys_text, problems_of

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML made without libyaml reads ten times as slowly
    from yaml import SafeLoader  # type: ignore[assignment]

Model = TypeVar("Model", bound=BaseModel)
QUOTES = "put a text that has ': ' or ' #', or begins with one of > < * & % @ [ {, in quotes, and indent with spaces"


class _OnceLoader(SafeLoader):
    """Refuses a key that stands twice: YAML alone would take the last one without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping; what is merged into it by `<<` may have its keys, too."""
        seen: set[str] = set()
        begin, end = node.start_mark.index, node.end_mark.index
        for key, _ in node.value:
            if begin <= key.start_mark.index < end and isinstance(key.value, str):
                if key.value in seen:
                    said = f"the key {key.value!r} is there twice; keep one of them"
                    raise CapacityError(f", line {key.start_mark.line + 1}: {said}")
                seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


class Lines:
    """Where the values of a YAML file stand in it, read when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _root(self) -> Any:
        return yaml.compose(self.path.read_text(encoding="utf-8"), SafeLoader)

    def of(self, place: Place) -> str:
        """The line of a place, as `, line 7`; that of the nearest around it where it is not there."""
        node, line = self._root, 0
        for step in place:
            entries = list(enumerate(node.value)) if isinstance(node, yaml.SequenceNode) else []
            if isinstance(node, yaml.MappingNode):
                found = next((each for each in node.value if each[0].value == str(step)), None)
            else:
                found = next(((inner, inner) for number, inner in entries if number == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return f", line {line}" if line else ""

    def said(self, place: Place, sentence: str) -> str:
        """A sentence on the value at a place, with the file, the line and the keys before it."""
        return f"{self.path}{self.of(place)}: {keys_text(place)}{sentence}"


def read_yaml(path: Path, what: str) -> Any:
    """The values in the YAML file `path`; CapacityError names `what` it should be, as "the workload"."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)  # it makes no other objects than SafeLoader
    except OSError as error:
        raise CapacityError(f"cannot read {what} {path}: {error.strerror or error}") from None
    except CapacityError as error:
        raise CapacityError(f"{path}{error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        said = f"in line {mark.line + 1}, {getattr(error, 'problem', '')}; {QUOTES}" if mark else str(error)
        raise CapacityError(f"{what} {path} is not YAML: {' '.join(said.split())}") from None


def read_model(path: Path, model: type[Model], what: str) -> Model:
    """The YAML file `path` as a model; CapacityError has a sentence for each problem, with its line, key and value."""
    return parse_model(read_yaml(path, what), model, str(path), line_of=Lines(path).of)


def parse_model(
    values: Any, model: type[Model], source: str, remedy: str = "", line_of: Callable[[Place], str] = lambda _: ""
) -> Model:
    """Parsed YAML or JSON as a model; errors name with `source` where it came from, and end with `remedy`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = problems_of(error, values, model.model_json_schema())
        sentences = [f"{source}{line_of(place)}: {keys_text(place)}{said}{remedy}" for place, said in found]
        raise CapacityError(f"{sentences[0]}{_further(sentences)}", sentences) from None


def first_problem(error: ValidationError) -> str:
    """The first problem as one sentence, with the number of further ones."""
    sentences = [f"{keys_text(place)}{said}" for place, said in problems_of(error)]
    return f"{sentences[0]}{_further(sentences)}"


def _further(sentences: Sequence[str]) -> str:
    return f" (and {len(sentences) - 1} more)" if len(sentences) > 1 else ""
