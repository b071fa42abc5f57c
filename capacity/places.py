"""A project: the folder of somebody's promises, plan and workloads; what it does not have comes with the package.

A project has the layout of this repository, which is the embedded system's: `data/objectives.yaml`, `data/workloads`,
`data/plan.yaml` and so on, and its runs in `runs`. It may have notebooks of its own in `notebooks`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from capacity.errors import CapacityError

DATA = Path("data")
OBJECTIVES = DATA / "objectives.yaml"
WORKLOADS = DATA / "workloads"
PLAN = DATA / "plan.yaml"
CATALOG = DATA / "catalog"
MONITORING = DATA / "monitoring.yaml"
CHECKLIST = DATA / "checklist.yaml"
SEARCHES = WORKLOADS / "breaking_point.yaml"
NOTEBOOKS = Path("notebooks")
RECORDED = DATA / "recorded"
LATEST = Path("runs") / "latest"
PROJECT = "CAPACITY_PROJECT"  # names the project's folder for processes that are started elsewhere
_PACKAGE = Path(__file__).resolve().parent


def defaults_folder() -> Path:
    """What comes with the package: in a wheel its folder `defaults`, in a checkout the checkout itself."""
    packaged = _PACKAGE / "defaults"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def project_folder(start: Path | None = None) -> Path:
    """The project: that which CAPACITY_PROJECT names, else the nearest folder from `start` (the current one) upwards.

    Where no folder there is a project, it is `start` itself, with everything as it comes with the package. Raises
    CapacityError where the folder that is named does not exist.
    """
    named = os.environ.get(PROJECT)
    first = (start or Path(named or ".")).resolve()
    if not first.is_dir():
        raise CapacityError(f"there is no folder {first} for a project; make one with `capacity init {first}`")
    folders = [first] if named and start is None else [first, *first.parents]
    return next((folder for folder in folders if (folder / OBJECTIVES).exists()), first)


def is_own(project: Path) -> bool:
    """Whether a project is somebody's own, with objectives and workloads that are not those of the package."""
    return project != defaults_folder() and (project / OBJECTIVES).exists()


def in_project(path: Path | str, folder: Path | None = None) -> Path:
    """A path as it is where it is absolute; else that of the project, or of the package where only that has it.

    `folder` is the project's; by default `project_folder()`. What was measured is never taken from elsewhere: in the
    place of the recordings in the package's checkout, a project of one's own has those of its last run. Raises
    CapacityError where that has none.
    """
    project, default = folder or project_folder(), defaults_folder() / path
    own = project / path
    if own.exists() or project == defaults_folder():
        return own
    if Path(path).is_relative_to(RECORDED) and (is_own(project) or not default.exists()):
        return _last_measured(project, Path(path).relative_to(RECORDED))
    shared = Path(path).parts[:1] in ((str(DATA),), (str(NOTEBOOKS),)) and default.exists()
    return default if shared else own


def _last_measured(project: Path, what: Path) -> Path:
    """The findings, the recordings, or the one recording `what` of a project's last run."""
    run = project / LATEST
    if not run.exists():
        raise CapacityError(f"nothing was measured in {project} yet; measure with `capacity run` in that folder")
    if what.parts[:1] in ((), ("findings",)):
        return run / (what if what.parts else "recordings")
    again = re.compile(rf"{re.escape(what.parts[0])}(?:-(\d+))?")  # as a resumed run names what it measures once more
    made = [(int(named[1] or 1), path) for path in run.glob("recordings/*") if (named := again.fullmatch(path.name))]
    if not made:
        name = what.parts[0]
        raise CapacityError(
            f"the last run of {project} has no recording of {name}; measure it with `capacity run --only {name}`"
        )
    return max(made)[1].joinpath(*what.parts[1:])


def workloads_of(name: str, workloads: Path | str = "", folder: Path | None = None) -> Path:
    """The folder that the workload `name` and what goes with it are read from.

    That is the folder `workloads` where one is given, else the project's where it has a file of that name, else the
    package's; files of two folders are not mixed.
    """
    if workloads:
        return in_project(workloads, folder)
    own = (folder or project_folder()) / WORKLOADS
    return own if (own / f"{name}.yaml").exists() else defaults_folder() / WORKLOADS


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Meanwhile these values are in the environment of this process, and of those that it starts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
