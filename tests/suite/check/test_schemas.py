"""The committed schemas and the page of all keys are those of the models, and every key says what it is."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from capacity.suite.check.schemas import KINDS, FileKind, schema_of, write_schemas

REPOSITORY = Path(__file__).parents[3]
SCHEMAS = REPOSITORY / "data" / "schemas"
NAMED = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.MULTILINE)


def test_the_committed_schemas_are_those_of_the_models(tmp_path: Path) -> None:
    made = write_schemas(tmp_path)
    assert {path.name for path in made} == {path.name for path in SCHEMAS.glob("*")}
    for path in made:
        assert path.read_text() == (SCHEMAS / path.name).read_text(), "make schemas"


def test_the_page_of_all_keys_is_that_of_the_models() -> None:
    page = runpy.run_path(str(REPOSITORY / "docs" / "files.py"))["page"]()
    assert (REPOSITORY / "docs" / "files.md").read_text(encoding="utf-8") == page, "make schemas"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_key_says_what_it_is(kind: FileKind) -> None:
    def undescribed(part: Any, name: str) -> list[str]:
        keys = part.get("properties", {})
        return [f"{name}.{key}" for key, about in keys.items() if not about.get("description", "").endswith(".")]

    schema = json.loads(json.dumps(schema_of(kind)))
    parts = {kind.name: schema, **schema.get("$defs", {})}
    assert [key for name, part in parts.items() for key in undescribed(part, name)] == []
    assert [name for name, part in parts.items() if part.get("type") == "object" and not part.get("description")] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_file_of_the_repository_names_its_schema(kind: FileKind) -> None:
    wanted = (SCHEMAS / f"{kind.name}.json").resolve()
    for path in (each for each in REPOSITORY.glob(kind.place) if each.suffix == ".yaml"):
        (named,) = NAMED.findall(path.read_text(encoding="utf-8"))
        other = (path.parent / named).resolve()
        assert other == wanted or (path.stem == "breaking_point" and other.stem == "breaking_point")
