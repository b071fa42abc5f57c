"""The files of a project: which there are, what each is read as, what it holds in a few words, and its JSON schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from capacity.analysis.planning.catalog import Size
from capacity.analysis.planning.plan_file import PlanFile
from capacity.exports.monitoring import Monitoring
from capacity.objectives import ObjectivesFile
from capacity.probes.searches import SearchesFile
from capacity.suite.checklist import ChecklistFile
from capacity.workload import Workload
from capacity.writing import write_json


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: the name of its schema, where its files are in a project, and the model that they are read as."""

    name: str
    place: str
    model: type[BaseModel]


KINDS = (
    FileKind("objectives", "data/objectives.yaml", ObjectivesFile),
    FileKind("workload", "data/workloads/*.yaml", Workload),
    FileKind("breaking_point", "data/workloads/breaking_point.yaml", SearchesFile),
    FileKind("plan", "data/plan.yaml", PlanFile),
    FileKind("monitoring", "data/monitoring.yaml", Monitoring),
    FileKind("checklist", "data/checklist.yaml", ChecklistFile),
    FileKind("catalog", "data/catalog/*.csv", Size),
)


class _Untitled(GenerateJsonSchema):
    """Leaves out titles, which repeat the names of keys in other letters."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False

    def generate(self, schema: Any, mode: Any = "validation") -> JsonSchemaValue:
        """The schema with the dialect that it is written in first."""
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}


def schema_of(kind: FileKind) -> Mapping[str, Any]:
    """The JSON schema of a kind of file, in which every key has what it means; of a CSV file it is that of a row."""
    return kind.model.model_json_schema(schema_generator=_Untitled)


def write_schemas(folder: Path) -> list[Path]:
    """Write the schema of every kind of file into a folder, as <name>.json; returns their paths."""
    paths = [folder / f"{kind.name}.json" for kind in KINDS]
    for kind, path in zip(KINDS, paths, strict=True):
        write_json(path, schema_of(kind))
    return paths
