"""Where the project's own files are, and what the manifest of a run and of each of its recordings is called."""

import json
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError

OBJECTIVES = Path("data") / "objectives.yaml"
WORKLOADS = Path("data") / "workloads"
MANIFEST = "manifest.json"
DAMAGED = "restore it, or measure again"


def project_folder(start: Path | None = None) -> Path:
    """The nearest folder from `start` (the current one) upwards that is a project; CapacityError where none is."""
    first = (start or Path.cwd()).resolve()
    for folder in (first, *first.parents):
        if (folder / OBJECTIVES).exists():
            return folder
    raise CapacityError(f"{first} is not within a project: no {OBJECTIVES} is there or above; change into its folder")


def in_project(path: Path | str) -> Path:
    """A path as it is where it is absolute, else below the project's folder, wherever a notebook was started."""
    return Path(path) if Path(path).is_absolute() else project_folder() / path


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the manifest of a run or a recording says; CapacityError where it is missing, damaged or another file."""
    file = folder / MANIFEST
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CapacityError(f"cannot read {file}: {error}; {DAMAGED}") from None
    if not isinstance(facts, dict):
        raise CapacityError(f"{file} is no manifest, which has names and values; {DAMAGED}")
    return facts
