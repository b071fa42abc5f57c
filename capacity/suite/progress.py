"""The progress of a run in a terminal, read from the recordings that its notebooks are writing."""

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from capacity.errors import CapacityError
from capacity.places import MANIFEST, read_manifest

UPDATE_S = 0.5
PREPARING = "preparing"


@contextlib.contextmanager
def shown_progress(name: str, recording: Path) -> Iterator[None]:
    """Meanwhile a bar for the measurement that is under way in `recording` or below it; nothing without a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    stop = threading.Event()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(f"{name}: {PREPARING}", total=None)

        def follow() -> None:
            while not stop.wait(UPDATE_S):
                what, done, planned = measurement_under_way(recording)
                bars.update(task, description=f"{name}: {what}", completed=done, total=planned)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def measurement_under_way(recording: Path) -> tuple[str, float, float | None]:
    """Its name, the seconds since it began and those planned; the last are unknown while none is under way.

    One below `recording` is named by its folder.
    """
    for manifest in sorted(recording.glob(f"**/{MANIFEST}"), reverse=True):
        with contextlib.suppress(OSError, CapacityError, KeyError):
            facts = read_manifest(manifest.parent)
            if facts["state"] == "recording":
                begun, planned = manifest.stat().st_mtime, float(facts["planned_seconds"])
                name = facts["name"] if manifest.parent == recording else manifest.parent.name
                return name, min(time.time() - begun, planned), planned
    return PREPARING, 0.0, None
