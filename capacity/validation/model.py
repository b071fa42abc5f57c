"""A part of a file as a model, and rules of its own that a model may break in several places."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from capacity.validation.names import instead

Place = tuple[int | str, ...]  # keys and numbers of entries that lead to a value
OWN_RULES = "own_rules"  # the type of an error that holds what breaks a model's own rules, by place


class Strict(BaseModel):
    """A part of a file: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def values_of(self, *keys: str) -> Iterator[tuple[Place, Any]]:
        """The values that these keys have in it and in all its parts, each after the keys that lead to it."""
        return _values_of(self, keys, ())


def _values_of(part: Any, keys: tuple[str, ...], place: Place) -> Iterator[tuple[Place, Any]]:
    inner: Iterable[tuple[int | str, Any]] = ()
    if isinstance(part, BaseModel):
        inner = ((name, getattr(part, name)) for name in type(part).model_fields)
    elif isinstance(part, Mapping):
        inner = part.items()
    elif isinstance(part, Sequence) and not isinstance(part, str):
        inner = enumerate(part)
    elif place[-1] in keys:
        yield place, part
    for step, value in inner:
        yield from _values_of(value, keys, (*place, step))


def refuse(found: Iterable[tuple[Place, str]]) -> None:
    """Raise for a model's validator where what it `found` is wrong, a place and a sentence each."""
    if said := list(found):
        raise PydanticCustomError(OWN_RULES, "{first}", {"first": said[0][1], "found": said})


def unknown_names(
    kind: str, named: Iterable[tuple[Place, str | None]], accepted: Iterable[str]
) -> Iterator[tuple[Place, str]]:
    """What `refuse` takes: the names that are given at a place, and not accepted; `kind` is as "metric"."""
    known = list(accepted)
    for place, name in named:
        if name and name not in known:
            yield place, f"there is no {kind} {name!r}{instead(name, known)}"


def given_twice(key: str, names: Sequence[str], field: str = "name") -> Iterator[tuple[Place, str]]:
    """What `refuse` takes: the names of a list's entries that an earlier one has."""
    for number, name in enumerate(names):
        if name in names[:number]:
            yield (key, number, field), f"the name {name!r} is there twice; keep one of them"
