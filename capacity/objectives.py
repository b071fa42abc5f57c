"""Files of objectives: what is promised, and what notebooks expect, read from YAML and written to it."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from capacity.errors import CapacityError
from capacity.findings import Objective
from capacity.project import OBJECTIVES, in_project
from capacity.writing import write_whole
from capacity.yaml_file import read_yaml

LIMIT = re.compile(r"^(<=|>=|==|<|>)\s*([-+]?[\d_.]+(?:e[-+]?\d+)?)\s*(.*)$")


def read_objectives(path: Path, *sections: str) -> list[Objective]:
    """The objectives of a YAML list of `finding`, `limit` (as `< 500 ms`), `title`, `source` and `why`.

    Where `sections` are named, only those on their findings. Raises CapacityError naming the entry and what it accepts.
    """
    entries = read_yaml(path, "the file of objectives")
    if not isinstance(entries, list):
        raise CapacityError(f"{path} must be a list of objectives, each with `finding` and `limit`")
    objectives = [parse_objective(entry, path) for entry in entries]
    return [each for each in objectives if not sections or each.section in sections]


def parse_objective(entry: Any, path: Path) -> Objective:
    """The objective of one entry of the file `path`; CapacityError names the entry and what is accepted."""
    accepted = {"finding", "limit", "title", "source", "why"}
    if not isinstance(entry, Mapping) or not {"finding", "limit"} <= set(entry) <= accepted:
        raise CapacityError(
            f"{path}: the objective {entry!r} must have `finding` and `limit`, and may have `title`, `source`, `why`"
        )
    matched = LIMIT.match(str(entry["limit"]))
    if matched is None:
        raise CapacityError(
            f"{path}: the limit {entry['limit']!r} of {entry['finding']} is not a relation, a number and a unit, "
            "as '< 500 ms'"
        )
    relation, limit, unit = matched.groups()
    said = {name: entry[name] for name in ("title", "source", "why") if name in entry}
    return Objective(entry["finding"], relation, float(limit), unit, **said)


def write_objectives(path: Path, objectives: Iterable[Objective]) -> None:
    """Write objectives as the YAML list that `read_objectives` reads, whole or not at all."""
    entries = [
        {
            "finding": each.finding,
            "limit": f"{each.relation} {float(each.limit)!r} {each.unit}".strip(),
            "title": each.title,
            "source": each.source,
            **({"why": each.why} if each.why else {}),
        }
        for each in objectives
    ]
    write_whole(path, yaml.safe_dump(entries, allow_unicode=True, sort_keys=False, width=120))


def read_expectations(folder: Path) -> list[Objective]:
    """The objectives that notebooks wrote beside their findings in a folder: derived from settings, not promised."""
    return [each for file in sorted(folder.glob("*.yaml")) for each in read_objectives(file)]


def project_objectives(*sections: str) -> list[Objective]:
    """What the project that the current folder is in promises; of some sections where these are named."""
    return read_objectives(in_project(OBJECTIVES), *sections)
