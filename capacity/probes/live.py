"""What a notebook asks of a probe: measure now, with progress, where it is live; else nothing."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from capacity.errors import CapacityError
from capacity.places import in_project
from capacity.probes.measurement import Progress
from capacity.system.addresses import BATCH, System
from capacity.system.embedded import open_system


def run_probe(live: bool, name: str, folder: Path | str, probe: Callable[[System, Path, Progress], object]) -> Path:
    """Where `live`, let `probe` measure the system that the environment names (else an embedded one) into `folder`.

    Returns the folder. An empty one is the project's committed recording `name`, or where `live` a new one below its
    runs. Raises CapacityError where `live` is not a truth value: the text "false" would measure.
    """
    if not isinstance(live, bool):
        raise CapacityError(f"the parameter live is {live!r} and must be True or False")
    into = in_project(folder or (Path("runs") / f"{name}-{_now()}" if live else Path("data") / "recorded" / name))
    if live:
        with open_system() as system, _shown(name) as progress:
            probe(system, into, progress)
    return into


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")


@contextlib.contextmanager
def _shown(name: str) -> Iterator[Progress]:
    """A function of the seconds done and planned that moves a bar; with CAPACITY_BATCH set it shows nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bars(*columns, disable=bool(os.environ.get(BATCH)), transient=True) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, planned: bars.update(task, completed=done, total=planned)
