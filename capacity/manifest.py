"""The manifest of a recording or a run: what produced it, read once and validated.

A later version may add keys: they are kept, and what an older manifest lacks has a default.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from capacity.errors import CapacityError
from capacity.writing import write_json
from capacity.yaml_file import parse_model

MANIFEST = "manifest.json"
FORMAT = 2  # higher where a change would be misread by an older version
SEALED_SINCE, SEAL = 2, "sha256"  # of all else that the manifest says, so that a change of it is noticed
DAMAGED = "; restore it, or measure again"
UNBEGUN = "the recording was broken off before its load began, so its {} is not known; measure again"


class Facts(BaseModel):
    """What was noted: what is not known of is kept, and nothing is changed afterwards."""

    model_config = ConfigDict(extra="allow", frozen=True)


class StageSpan(Facts):
    """When a stage of the load began and ended, in seconds from the recording's start, and the load at its end."""

    name: str = ""
    step: int
    to: float
    ramp: bool = False
    look: bool = False
    start_s: float
    end_s: float


class RecordedPart(Facts):
    """A file of a recording, with its rows and SHA-256 sum."""

    file: str
    rows: int
    sha256: str


class Manifest(Facts):
    """What a recording says of itself.

    `connections`, `refused`, `started_at` and `origin_unix_ns` are noted when the load begins, `parts` when it has
    ended. `system` is what the servers told of themselves; `pooler` names a transaction pooler before them; `queue`,
    `queue_before` (how many jobs were in each state), `token` and `slots` only a queue's recording has, `queue_make`
    only that of somebody's own queue. `left_out` says why workloads that belong to it, by name, were not measured
    beside it, and `not_given` why a gauge, or every one whose name begins so, was not read. `messages` has what a
    server said first, by operation and class of failure; `redirected` counts the answers that named another place,
    which is not gone to. `stopped` is why a load was stopped before its plan. `damaged` says of a stream, as
    `samples-0`, what of it could not be read.
    """

    format: int = 1
    state: Literal["recording", "complete", "interrupted"] = "recording"
    name: str = ""
    profile: str = ""
    kind: str = ""
    operations: tuple[str, ...] = ()
    workload: dict[str, Any] = Field(default_factory=dict)
    stages: tuple[StageSpan, ...] = ()
    sustained_steps: tuple[int, ...] = ()
    planned_seconds: float | None = None
    went_on_for: tuple[str, ...] = ()
    generators: int = 1
    prepared: bool = True
    pooler: str = ""
    left_out: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    system: dict[str, Any] = Field(default_factory=dict)
    connections: int | None = None
    refused: dict[str, int] = Field(default_factory=dict)
    started_at: str = ""
    origin_unix_ns: int | None = None
    parts: tuple[RecordedPart, ...] | None = None
    queue: dict[str, Any] | None = None
    queue_make: dict[str, Any] | None = None
    queue_before: dict[str, float] = Field(default_factory=dict)
    token: str = ""
    slots: float | None = None
    not_given: dict[str, str] = Field(default_factory=dict)
    messages: dict[str, dict[str, str]] = Field(default_factory=dict)
    redirected: int | None = None
    stopped: str = ""
    damaged: dict[str, str] = Field(default_factory=dict)

    @property
    def admitted(self) -> int:
        """How many connections were let in; CapacityError where the load never began."""
        if self.connections is None:
            raise CapacityError(UNBEGUN.format("number of connections"))
        return self.connections

    @property
    def origin_ns(self) -> int:
        """When the recording's clock was 0, in ns since 1970; CapacityError where the load never began."""
        if self.origin_unix_ns is None:
            raise CapacityError(UNBEGUN.format("begin"))
        return self.origin_unix_ns

    @property
    def sustained(self) -> list[StageSpan]:
        """The stages at a constant load, which findings are read from."""
        return [stage for stage in self.stages if stage.step in self.sustained_steps]

    @property
    def sustained_seconds(self) -> float:
        """How long these were together."""
        return math.fsum(stage.end_s - stage.start_s for stage in self.sustained)


class RunManifest(Facts):
    """What a run says of itself.

    `machine` is the one that made the load, `embedded` whether the system was the suite's own; `hosts` are those of
    somebody's own servers, by kind as `postgres`, `database` the one in PostgreSQL, and `parameters` what was given to
    the notebooks. `workloads` is the folder of workloads that it was given, empty where it took the project's.
    """

    format: int = 1
    profile: str = ""
    started_at: str = ""
    finished: tuple[str, ...] = ()
    embedded: bool | None = None
    hosts: dict[str, str] = Field(default_factory=dict)
    database: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    workloads: str = ""


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write a folder's manifest in this version's format, whole or not at all, with the sum of what it says."""
    said = json.loads(json.dumps({**facts, "format": FORMAT}))
    write_json(folder / MANIFEST, {**said, SEAL: _seal(said)})


def _seal(facts: Mapping[str, Any]) -> str:
    """The SHA-256 sum of what a manifest says beside it, however its text is laid out."""
    said = {name: value for name, value in facts.items() if name != SEAL}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_facts(folder: Path) -> dict[str, Any]:
    """The names and values of a folder's manifest; CapacityError where it is missing, damaged, or of a newer format."""
    file = folder / MANIFEST
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CapacityError(f"cannot read {file}: {error}{DAMAGED}") from None
    if not isinstance(facts, dict):
        raise CapacityError(f"{file} is no manifest, which has names and values{DAMAGED}")
    if facts.get("format", 1) not in range(1, FORMAT + 1):
        raise CapacityError(
            f"{file} has the format {facts['format']!r} and this version reads up to {FORMAT}; use a newer version"
        )
    sealed = SEAL in facts or facts.get("format", 1) >= SEALED_SINCE
    if sealed and facts.get(SEAL) != _seal(facts):
        raise CapacityError(f"{file} is not what was written (its SHA-256 sum differs){DAMAGED}")
    facts.pop(SEAL, None)
    return facts


def parse_manifest(facts: Mapping[str, Any], source: str = "the manifest") -> Manifest:
    """The manifest of a recording from its names and values; CapacityError names the first that is wrong."""
    return parse_model(facts, Manifest, source, DAMAGED)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the recording in a folder; CapacityError where it cannot be read."""
    return parse_manifest(read_facts(folder), str(folder / MANIFEST))


def read_run_manifest(folder: Path) -> RunManifest:
    """The manifest of the run in a folder; CapacityError where it cannot be read."""
    return parse_model(read_facts(folder), RunManifest, str(folder / MANIFEST), DAMAGED)


def manifests_below(folder: Path) -> list[Manifest]:
    """Those of the recordings in the sub-folders of a recording's folder: what was measured after it."""
    return [read_manifest(file.parent) for file in sorted(folder.glob(f"*/{MANIFEST}"))]


def manifests_beside(findings: Path, recordings: Iterable[str]) -> dict[str, Manifest]:
    """Those of the named recordings that are beside a folder of findings, or below `recordings` there."""
    places = [(name, findings.parent / below / name) for name in recordings for below in ("", "recordings") if name]
    return {name: read_manifest(place) for name, place in places if (place / MANIFEST).exists()}
