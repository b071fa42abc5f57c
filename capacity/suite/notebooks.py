"""The suite's notebooks: which there are, which a run of a project leaves out, and their text without results."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from capacity.places import NOTEBOOKS, SEARCHES, WORKLOADS, defaults_folder, is_own

if TYPE_CHECKING:
    from capacity.system.addresses import System

PROFILES = ("smoke", "standard", "full")
REPORT = "readiness_report"
RESERVED = frozenset({"live", "profile", "recording", "recordings", "results", "findings", "earlier"})  # by the suite
FAILOVER = "failover"
FEW = "few of its faults leave servers of your own in place"


def notebooks_in(project: Path) -> dict[str, Path]:
    """The notebooks by name, as `database` for 10_database.ipynb, in their order; 00 is for people alone.

    They come with the package; a project's own ones stand in their place or beside them.
    """
    return {notebook_name(path): path for path in _files(project) if not path.name.startswith("0")}


def notebook_name(path: Path) -> str:
    """The name that a notebook is asked for by: its file's without the number."""
    return path.stem.partition("_")[2]


def left_out(project: Path, system: "System") -> list[str]:
    """The names of the notebooks that a run leaves out where none is named.

    In a project of one's own these are the ones of parts that it has no workload of, and the faults, unless the suite
    starts all servers.
    """
    if not is_own(project):
        return []
    ours = system.embedded or system == type(system)()
    missing = [name for name in notebooks_in(project) if _loads(name) and not _workload(project, name).exists()]
    return missing if ours else [*missing, FAILOVER]


def left_out_text(names: Sequence[str]) -> str:
    """One line: what is left out, why, and how to ask for it."""
    missing = ", ".join(name for name in names if name != FAILOVER)
    reasons = [f"{missing}, which {WORKLOADS} has no file of"] if missing else []
    reasons += [f"{FAILOVER}, since {FEW}"] if FAILOVER in names else []
    return f"left out: {'; '.join(reasons)}. --only {','.join(names)} runs {'them' if len(names) > 1 else 'it'}"


def without_outputs(notebook: Path) -> str:
    """The text of a notebook as it was before it was run."""
    read = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in read["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps(read, indent=1, ensure_ascii=False) + "\n"


def notebooks_for(parts: Sequence[str]) -> list[Path]:
    """The package's notebooks but those of other parts than these."""
    kept = [*parts, SEARCHES.stem]
    return [
        path for path in _files(defaults_folder()) if notebook_name(path) in kept or not _loads(notebook_name(path))
    ]


def _loads(name: str) -> bool:
    """Whether a notebook is one that loads a part: the package has a workload of its name."""
    return _workload(defaults_folder(), name).exists()


def _workload(project: Path, name: str) -> Path:
    return project / WORKLOADS / f"{name}.yaml"


def _files(project: Path) -> list[Path]:
    """The package's notebooks and the project's, which win, in the order of their numbers."""
    folders = [folder / NOTEBOOKS for folder in (defaults_folder(), project)]
    found = {path.name: path for folder in folders for path in folder.glob("[0-9][0-9]_*.ipynb")}
    return [found[name] for name in sorted(found)]
