"""Files that are written whole or not at all, so that whoever reads one never finds the half of it."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError


def write_whole(path: Path, text: str) -> None:
    """Write a text file in UTF-8, and its folder where there is none.

    Raises CapacityError where it cannot be written, as on a full disk; what was there before is then still there.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise CapacityError(
            f"cannot write {path}: {error.strerror}; make room, or give a folder that may be written"
        ) from None


def write_json(path: Path, values: Any) -> None:
    """Write JSON as `write_whole` does, indented by one space."""
    write_whole(path, json.dumps(values, indent=1) + "\n")
