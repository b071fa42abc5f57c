"""Where the project's own files are."""

from pathlib import Path

from capacity.errors import CapacityError

OBJECTIVES = Path("data") / "objectives.yaml"
WORKLOADS = Path("data") / "workloads"


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
