"""What pydantic finds wrong with data, a sentence for each problem: what is accepted, what is given, and a remedy."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from capacity.validation.model import OWN_RULES, Place
from capacity.validation.names import did_you_mean, instead

Schema = Mapping[str, Any]
SHOWN = 60  # letters of a wrong value
QUOTED = re.compile(r"'([^']*)'")
WITH_UNIT = re.compile(r"^\s*[-+]?[\d.,_]+\s*[a-z%/]+\s*$", re.IGNORECASE)
RULES = {  # what pydantic's kinds of error say here, by their names or the first words of these
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be {le:g} or less",
    "finite": "must be a finite number",
    "float": "must be a number",
    "int": "must be a whole number",
    "bool": "must be true or false",
    "string": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have {max_length} letters or fewer",
    "list": "must be a list",
    "too_short": "must have {min_length} or more entries",
    "dict": "must be keys with values",
    "model": "must be keys with values",
}


def problems_of(error: ValidationError, values: Any = None, schema: Schema | None = None) -> list[tuple[Place, str]]:
    """What is wrong, a place and a sentence each; a key that is missing where one nearly so was given is said there."""
    found: list[tuple[Place, str]] = []
    missing: dict[Place, str] = {}
    misspelt: set[Place] = set()
    for each in error.errors(include_url=False):
        place, own = _place(each["loc"], values, each["type"], schema or {}), each.get("ctx", {})
        if each["type"] == OWN_RULES:
            found += [((*place, *inner), said) for inner, said in own["found"]]
        elif each["type"] == "missing":
            missing[place] = str(_part(schema or {}, each["loc"]).get("description", ""))
        elif each["type"] == "extra_forbidden":
            accepted = list(_part(schema or {}, each["loc"][:-1]).get("properties", {}))
            like = did_you_mean(place[-1], accepted)
            misspelt |= {(*place[:-1], name) for name in QUOTED.findall(like)}
            known = instead(place[-1], accepted) if accepted else "; remove it or correct its spelling"
            found.append((place, f"there is no such key{known}"))
        else:
            found.append(_said(place, each, _part(schema or {}, each["loc"])))
    absent = {place: _in_brackets(is_what) for place, is_what in missing.items()}
    return found + [(place, f"the key is missing{said}") for place, said in absent.items() if place not in misspelt]


def keys_text(place: Place) -> str:
    """The keys that lead to a value, before what is said of it; where the file is a list, its line tells the entry."""
    keys = place[1:] if place and isinstance(place[0], int) else place
    return f"{'.'.join(map(str, keys))}: " if keys else ""


def _said(place: Place, problem: Mapping[str, Any], about: Schema) -> tuple[Place, str]:
    """The place and the sentence of one of pydantic's problems; `about` is what the schema says of the value."""
    kind, own, given = problem["type"], problem.get("ctx", {}), problem["input"]
    accepted = QUOTED.findall(str(own.get("expected_tags", own.get("expected", ""))))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        place, given = (*place, own["discriminator"].strip("'")), own.get("tag")
        accepted = accepted or list(about.get("discriminator", {}).get("mapping", {}))
    if accepted:
        said = f"must be one of {', '.join(accepted)}"
    elif kind == "string_pattern_mismatch":
        examples = " or ".join(map(repr, about.get("examples", [])))
        said = f"must be written as {examples or own['pattern']}{_in_brackets(about.get('description', ''))}"
    elif rule := RULES.get(kind, RULES.get(kind.partition("_")[0])):
        said = rule.format(**own)
    else:
        reason = problem["msg"].removeprefix("Value error, ")
        said = f"{reason[0].lower()}{reason[1:]}"
    if isinstance(given, dict | list):
        return place, said
    shown = "is not given" if given is None else f"is {given!r}"[:SHOWN]
    return place, f"{said} and {shown}{_remedy(kind, given, accepted)}"


def _in_brackets(description: str) -> str:
    return f" ({description[0].lower()}{description[1:].removesuffix('.')})" if description else ""


def _remedy(kind: str, given: Any, accepted: Sequence[str]) -> str:
    """What is added on how to put a value right, where that can be told from it."""
    if accepted:
        return did_you_mean(given, accepted)
    if kind == "string_type" and given is not None:
        return "; put it in quotes"
    numeric = kind.startswith(("int", "float")) and isinstance(given, str)
    return "; give the number alone" if numeric and WITH_UNIT.match(given) else ""


def _place(steps: Place, values: Any, kind: str, schema: Schema) -> Place:
    """The keys of a problem as they stand in the file: pydantic also names the kind of a value that has several."""
    if values is None:
        return steps
    place: list[int | str] = []
    for number, step in enumerate(steps):
        there = values if isinstance(values, Mapping) else dict(enumerate(values)) if isinstance(values, list) else {}
        if step in there:
            values = there[step]
            place.append(step)
        elif (kind == "missing" and number == len(steps) - 1) or step in _part(schema, steps[:number]).get(
            "properties", {}
        ):
            place.append(step)  # not there, or its default is what is wrong
    return tuple(place)


def _part(schema: Schema, steps: Place) -> Schema:
    """What a JSON schema says of the value that these steps lead to; nothing where it says nothing."""
    node = _resolved(schema, schema)
    for number, step in enumerate(steps):
        options, last = node.get("oneOf", []), number == len(steps) - 1
        mapping = node.get("discriminator", {}).get("mapping", {})
        if step in mapping:
            inner: Any = {"$ref": mapping[step]}
        elif options:
            inner = next((each for each in options if ("$ref" in each) != last), {})  # a model has further steps
        elif step in node.get("properties", {}):
            inner = node["properties"][step]
        elif isinstance(step, int):
            inner = node.get("items", {})
        else:
            inner = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
        node = _resolved(schema, inner if isinstance(inner, Mapping) else {})
    return node


def _resolved(schema: Schema, node: Schema) -> Schema:
    """A part of a schema without references, and the one that is meant where it may be null, too."""
    if "anyOf" in node:
        meant: Schema = next((each for each in node["anyOf"] if each.get("type") != "null"), {})
        node = {**meant, **{key: value for key, value in node.items() if key != "anyOf"}}
    while "$ref" in node:
        target = schema["$defs"][node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node
