"""Files that are written whole or not at all, so that whoever reads one never finds the half of it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError


@contextmanager
def writes_to(path: Path) -> Iterator[None]:
    """What the system refuses to write in this block, as on a full disk, is a CapacityError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CapacityError(f"cannot write {path}: {reason}; make room, or give a folder that may be written") from None


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The file to write in this block; at its end it is on the disk and takes the place of `path`.

    The folder is made where there is none. Raises CapacityError where it cannot be written; what was there before is
    then still there.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with writes_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as `written_whole` does."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write JSON as `write_whole` does, indented by one space."""
    write_whole(path, json.dumps(values, indent=1) + "\n")
