"""Objectives in files: what is promised, in a file of its own or beside a load, and what notebooks expect."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from pydantic import Field, RootModel

from capacity.findings import Finding, Objective
from capacity.places import OBJECTIVES, SEARCHES, WORKLOADS, in_project
from capacity.validation.model import Strict
from capacity.writing import write_whole
from capacity.yaml_file import parse_model, read_model, read_yaml

# Findings that only some systems have: their workload, or what they tell of themselves, decides.
NOT_EVERYWHERE = ("database.row_security_*", "redis.reconnection_*", "queue.retry_success_rate", "gateway.pool_*")
LIMIT = re.compile(r"^(<=|>=|==|<|>)\s*([-+]?\d+(?:_\d+)*(?:\.\d+)?(?:e[-+]?\d+)?)\s*(.*)$")
NAME = r"^[\w*?\[\]!-]+(\.[\w*?\[\]!-]+)+$"
IN_WORKLOAD = "objectives"  # the key of a workload's file


class ObjectiveEntry(Strict):
    """A promised limit on a finding, or on each finding whose name fits a pattern.

    In a pattern `*` stands for any letters, `?` for one, and `[ab]` for one of these. It is on the findings that fit it
    in name and unit; one that an entry of its own names is left to that.
    """

    finding: str = Field(
        pattern=NAME,
        examples=["database.response_p99", "gateway.*.response_p99"],
        description="The whole name of a finding, as it stands at the end of a report, or a pattern.",
    )
    limit: str = Field(
        pattern=LIMIT.pattern,
        examples=["< 500 ms"],
        description="One of `<`, `<=`, `>`, `>=`, `==`, then a number and the unit of the finding.",
    )
    title: str = Field("", description="What is promised, in words.")
    source: str = Field("", description="Who says so.")
    why: str = Field("", description="How the limit follows, where it was derived.")

    @property
    def objective(self) -> Objective:
        """It with its limit read."""
        relation, limit, unit = LIMIT.findall(self.limit)[0]
        return Objective(self.finding, relation, float(limit), unit, self.title, self.source, self.why)


class ObjectivesFile(RootModel[list[ObjectiveEntry]]):
    """What is promised: a list of limits. A verdict is the whole interval of a finding against its limit."""


def read_objectives(path: Path, *sections: str) -> list[Objective]:
    """The objectives of a YAML file, as `ObjectivesFile` has them; only those on `sections` where these are named.

    Raises CapacityError naming the entry and what it accepts.
    """
    given = [each.objective for each in read_model(path, ObjectivesFile, "the file of objectives").root]
    return on_sections(given, sections)


def on_sections(objectives: Iterable[Objective], sections: Iterable[str]) -> list[Objective]:
    """Those on findings of some sections; all where none is named."""
    named = list(sections)
    return [each for each in objectives if not named or any(fnmatchcase(name, each.section) for name in named)]


def project_objectives(
    *sections: str, findings: Iterable[Finding] = (), workloads: Path | str = "", folder: Path | None = None
) -> list[Objective]:
    """What a project promises, of some sections where these are named: the only place where that is put together.

    It is what data/objectives.yaml has and then what the workload files have under `objectives`. `workloads` is the
    folder of these (empty: the project's), and `folder` the project's (that which the current folder is in). Where
    `findings` are given, patterns are objectives on those of them that they fit, and those on what these have not are
    left out; see `fitted` and `asked_for`.
    """
    promised = read_objectives(in_project(OBJECTIVES, folder))
    for path in workload_files(workloads, folder):
        if IN_WORKLOAD in path.read_text(encoding="utf-8"):
            values = read_yaml(path, "the workload")
            entries = values.get(IN_WORKLOAD, []) if isinstance(values, dict) else []
            promised += [each.objective for each in parse_model(entries, ObjectivesFile, str(path)).root]
    found = list(findings)
    made = fitted(on_sections(promised, sections), found)
    return asked_for(made, found) if found else made


def workload_files(workloads: Path | str = "", folder: Path | None = None) -> list[Path]:
    """The workloads in a folder (empty: the project's); the searches beside them are none."""
    there = in_project(workloads or WORKLOADS, folder).glob("*.yaml")
    return sorted(path for path in there if path.name != SEARCHES.name)


def is_pattern(name: str) -> bool:
    """Whether an objective on it is on every finding whose name fits."""
    return any(sign in name for sign in "*?[")


def fitted(objectives: Sequence[Objective], findings: Iterable[Finding]) -> list[Objective]:
    """The objectives, where a pattern is one on each finding that it fits in name and unit, in the findings' order.

    A finding that another objective names is left to that. A pattern that fits nothing stays, and its title says so.
    """
    found = list({each.name: each for each in findings}.values())
    named = {each.finding for each in objectives}
    made: list[Objective] = []
    for each in objectives:
        fits = [f for f in found if f.unit == each.unit and fnmatchcase(f.name, each.finding)]
        if not is_pattern(each.finding) or not found:
            made.append(each)
        elif fits:
            made += [_on(each, f.name, f.title or f.name) for f in fits if f.name not in named]
        else:
            why = f"nothing that was measured fits {each.finding}{' in ' + each.unit if each.unit else ''}"
            made.append(_on(each, each.finding, why))
    return made


def _on(objective: Objective, finding: str, title: str) -> Objective:
    return replace(objective, finding=finding, title=": ".join(filter(None, [objective.title, title])))


def asked_for(objectives: Iterable[Objective], found: Iterable[Finding]) -> list[Objective]:
    """Those of the objectives that what was `found` is judged by.

    Left out are those on another section, on an operation, part or scenario of which nothing was found, and on what
    not every system has (`NOT_EVERYWHERE`) where it was not found. A finding that is missing otherwise was to be there.
    """
    names = {each.name for each in found}
    groups = {name.rpartition(".")[0] for name in names}

    def asked(name: str) -> bool:
        if any(fnmatchcase(each, name) for each in names):
            return True
        return name.rpartition(".")[0] in groups and not any(fnmatchcase(name, each) for each in NOT_EVERYWHERE)

    return [each for each in objectives if asked(each.finding)]


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
