"""The folder of a run: whose it is, one process at a time, and what it keeps where the run was broken off."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from capacity.errors import CapacityError
from capacity.writing import writes_to

LOCK = ".lock"  # locked while a process runs into the folder; the system takes the lock from one that has ended


class RunBrokenOffError(CapacityError):
    """A run that had begun did not come to its end; its folder keeps what was measured."""


@contextmanager
def only_here(run: Path) -> Iterator[None]:
    """Meanwhile no other process runs into the folder, which is made where it is missing.

    Raises CapacityError where one does, where the folder holds something else than a run, and where it cannot be made.
    """
    _check_ours(run)
    with writes_to(run):
        run.mkdir(parents=True, exist_ok=True)
        lock = os.open(run / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(lock, run)
        yield
    finally:
        os.close(lock)


def _check_ours(run: Path) -> None:
    from capacity.manifest import MANIFEST

    if run.exists() and not run.is_dir():
        raise CapacityError(f"{run} is a file; give --into a new folder, or that of a run")
    with suppress(FileNotFoundError):
        if not (run / MANIFEST).exists() and any(each.name != LOCK for each in run.iterdir()):
            raise CapacityError(
                f"{run} holds something else than a run: it is not empty and has no {MANIFEST}; "
                "give --into a new folder, or that of a run"
            )


def _take(lock: int, run: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.pread(lock, 32, 0).decode(errors="replace").strip()
        raise CapacityError(
            f"another process{f' ({who})' if who else ''} runs into {run}; wait until it has ended, or give another "
            "folder"
        ) from None
    except OSError:  # a file system without locks
        return
    os.ftruncate(lock, 0)
    os.pwrite(lock, b"%d\n" % os.getpid(), 0)


def kept_text(run: Path, command: str) -> str:
    """What a run that was broken off keeps, where, and the `command` that goes on."""
    from capacity.manifest import read_run_manifest  # what validates it loads for longer than help may take

    try:
        finished = read_run_manifest(run).finished
    except CapacityError:
        return f"nothing was measured yet; begin again with: {command}"
    said = f"{', '.join(finished) or 'no notebook'} {'are' if len(finished) > 1 else 'is'} finished"
    return f"{said}, and what was measured is kept in {run}; go on with: {command}"
