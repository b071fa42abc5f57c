"""What a notebook asks of a probe: measure now, with progress, where it is live; else nothing."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from capacity.clock import utc_name
from capacity.errors import CapacityError
from capacity.places import in_project
from capacity.probes.progress import ProgressLines
from capacity.system.addresses import BATCH, System
from capacity.system.embedded import open_system
from capacity.system.machine import require_linux


def run_probe(live: bool, name: str, folder: Path | str, probe: Callable[[System, Path], object]) -> Path:
    """Where `live`, let `probe` measure the system that the environment names (else an embedded one) into `folder`.

    Returns the folder. An empty one is the project's committed recording `name`, or where `live` a new one below its
    runs. Progress is shown, unless CAPACITY_BATCH is set: then who runs the notebook shows it.
    Raises CapacityError where this is not Linux, or `live` is not a truth value: the text "false" would measure.
    """
    if not isinstance(live, bool):
        raise CapacityError(f"the parameter live is {live!r} and must be True or False")
    into = in_project(folder or (Path("runs") / f"{name}-{utc_name()}" if live else Path("data") / "recorded" / name))
    if live:
        require_linux()
        lines = contextlib.ExitStack() if os.environ.get(BATCH) else ProgressLines({name: None}, print).part(name, into)
        with open_system() as system, lines:
            probe(system, into)
    return into
