"""Makes docs/files.md from the models that files are read as: each key with values, default, meaning and example."""

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from capacity.suite.check.files import ProjectFiles, read_all
from capacity.suite.check.schemas import KINDS, FileKind, schema_of

PROJECT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("files.md")
TITLES = {
    "workload": "A workload",
    "breaking_point": "The searches for a breaking point",
    "objectives": "Objectives",
    "plan": "The plan",
    "monitoring": "Monitoring",
    "checklist": "The checklist",
    "catalog": "The catalogue",
}
BEGIN = """# Files

Made from the models that the files are read as, by `make schemas`: every key, what it may be, its default (without one
it has to be given), what it means, and an example from this repository's own files.

```
capacity check                # says what is wrong in all of them, with file, line, key and remedy
capacity check --schemas DIR  # writes their JSON schemas, by which editors complete and mark keys
```

`capacity check` takes the words of `capacity run` (`--profile`, `--only`, `--set`), needs no server, and ends with exit
code 2 where something is wrong. `capacity run` does the same first. How keys of one list name those of another, and one
file another, is looked at where each is right by itself.

An editor that speaks YAML Schema (VS Code with its YAML extension, for one) finds a schema by a comment in the file:
`# yaml-language-server: $schema=../schemas/workload.json`. Those of this repository are in `data/schemas/`.
"""
MORE = {
    "objectives": """
A pattern is an objective on each finding that fits it in name and unit: `gateway.*.response_p99` on the p99 of every
endpoint. What another entry names itself is left to that one. A pattern that nothing measured fits is NO_DATA.

The same entries may stand in a workload's file under `objectives`, beside the load that they are promised of. Findings
have their whole names there too. Both files together are what is promised, and a finding is promised once.
""",
    "workload": """
The name of the file says what it is for: `database`, `redis`, `queue` and `gateway` are the loads of these parts,
`row_security` and `redis_reconnection` are measured beside them, and others are named by `breaking_point.yaml`.
""",
}
KINDS_OF_TEXT = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
LEAST = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
LONGEST = 44  # letters of an example
WIDTH = 120


def page() -> str:
    """The whole page."""
    examples = _examples()
    shown: set[str] = set()
    return BEGIN + "".join(_section(kind, examples, shown) for kind in KINDS)


def _section(kind: FileKind, examples: Mapping[tuple[str, str], Any], shown: set[str]) -> str:
    """A kind of file with the tables of its models; one that an earlier kind has is `shown` there."""
    schema = schema_of(kind)
    models = {name: model for name, model in _models(kind.model) if name not in shown}
    shown |= set(models)
    first = f"\n## {TITLES[kind.name]}\n\n`{kind.place}`\n\n{_paragraphs(kind.model)}\n{MORE.get(kind.name, '')}"
    tables = []
    for model in models.values():
        part = schema if model is kind.model else schema.get("$defs", {}).get(model.__name__, {})
        if not part.get("properties"):
            continue
        above = "" if model is kind.model else f"\n### {_words(model)}\n\n{_paragraphs(model)}\n"
        tables.append(f"{above}\n{_table(model, part, examples)}")
    return first + "".join(tables)


def _table(model: type[BaseModel], part: Mapping[str, Any], examples: Mapping[tuple[str, str], Any]) -> str:
    lines = ["| key | values | default | what it says | example |", "|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        about = part["properties"][name]
        default = "needed" if field.is_required() else _code(field.get_default(call_default_factory=True))
        example = examples.get((model.__name__, name), next(iter(about.get("examples", [])), None))
        said = about.get("description", "")
        lines.append(f"| `{name}` | {_values(about)} | {default} | {said} | {_code(example)} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def _values(about: Mapping[str, Any]) -> str:
    """What a key may be, in words."""
    options = [each for each in about.get("anyOf", about.get("oneOf", [])) if each.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(map(_values, options)))
    if "$ref" in about:
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", about["$ref"].rpartition("/")[2]).lower()
        return f"[{words}](#{words.replace(' ', '-')})"
    if "enum" in about or "const" in about:
        return " or ".join(f"`{each}`" for each in about.get("enum", [about.get("const")]))
    if about.get("type") == "array":
        return f"list of {_values(about['items'])}"
    if about.get("type") == "object":
        inner = next(iter(about.get("patternProperties", {}).values()), about.get("additionalProperties"))
        return f"by name, {_values(inner)}" if isinstance(inner, Mapping) else "keys with values"
    bounds = [f"{sign} {about[name]:g}" for name, sign in LEAST.items() if name in about]
    return ", ".join([KINDS_OF_TEXT.get(about.get("type", ""), "anything"), *bounds])


def _models(part: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models that a model is made of, itself first, by name."""
    if isinstance(part, type) and issubclass(part, BaseModel):
        yield part.__name__, part
        for field in part.model_fields.values():
            yield from _models(field.annotation)
    for inner in get_args(part):
        yield from _models(inner)


def _examples() -> dict[tuple[str, str], Any]:
    """The first value of each key, of a model's name, that is not its default in the files of this repository."""
    files = ProjectFiles(PROJECT, "smoke")
    read_all(files, {})
    kinds = (files.workloads, files.searches, files.objectives, files.plan, files.monitoring, files.checklist)
    found: dict[tuple[str, str], Any] = {}
    for each in (*kinds, files.sizes):
        _collect(each, found)
    return found


def _collect(part: Any, found: dict[tuple[str, str], Any]) -> None:
    if isinstance(part, BaseModel):
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            if value != _default(field) and _is_short(value):
                found.setdefault((type(part).__name__, name), value)
            _collect(value, found)
    elif isinstance(part, Mapping):
        for inner in part.values():
            _collect(inner, found)
    elif isinstance(part, list | tuple):
        for inner in part:
            _collect(inner, found)


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _is_short(value: Any) -> bool:
    plain = isinstance(value, str | int | float) or (isinstance(value, list) and all(isinstance(x, str) for x in value))
    return plain and len(_yaml(value)) <= LONGEST


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000).removesuffix("...\n").strip()


def _code(value: Any) -> str:
    """A value as it is written, where it is one."""
    if value is None or value in ([], {}, ""):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = _yaml(value.model_dump() if isinstance(value, BaseModel) else value)
    return f"`{text}`".replace("|", "\\|")


def _words(model: type[BaseModel]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__).capitalize()


def _paragraphs(model: type[BaseModel]) -> str:
    """A model's docstring, each paragraph on a line of its own."""
    paragraphs = [" ".join(each.split()) for each in (model.__doc__ or "").split("\n\n")]
    return "\n\n".join(textwrap.fill(each, WIDTH, break_on_hyphens=False) for each in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
