"""The execution log: what was recorded in a run, when, for how long, and by which hash it can be told again."""

import hashlib
from operator import add
from pathlib import Path
from typing import Any

import pandas as pd

from capacity.manifest import MANIFEST, read_manifest

COLUMNS = ("part", "started", "ended", "recordings", "operations", "complete", "digest")


def execution_log(recordings: Path) -> pd.DataFrame:
    """A row for each part of a run, in the order of its begin, from the manifests below `recordings`.

    Columns: `part` (its folder), `started` and `ended` (UTC, of the load as planned; NaT where none began),
    `recordings` and `operations` (their number), `complete` (whether none was broken off), `digest` (SHA-256 over its
    JSON files; its manifests hold the SHA-256 of every other file), `repeated` (whether it was measured once more
    later). Raises CapacityError where a manifest cannot be read.
    """
    folders = sorted(each for each in recordings.glob("*") if each.is_dir()) if recordings.is_dir() else []
    rows = [_row(folder, manifests) for folder in folders if (manifests := sorted(folder.rglob(MANIFEST)))]
    log = pd.DataFrame(rows, columns=list(COLUMNS))
    times = {name: pd.to_datetime(log[name], utc=True) for name in ("started", "ended")}  # also where there are none
    log = log.assign(**times).sort_values("started", ignore_index=True)
    numbered = [_numbered(part) for part in log["part"]]
    last = dict(sorted(numbered))
    return log.assign(repeated=[number < last[name] for name, number in numbered])


def _numbered(part: str) -> tuple[str, int]:
    """What was measured, and the number of this measurement of it: the second one of a part is called <part>-2."""
    name, _, number = part.rpartition("-")
    return (name, int(number)) if name and number.isdecimal() else (part, 1)


def _row(folder: Path, paths: list[Path]) -> tuple[Any, ...]:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.json")):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode() + path.read_bytes())
    manifests = [read_manifest(path.parent) for path in paths]
    begun = [each for each in manifests if each.started_at]
    started = [pd.Timestamp(each.started_at) for each in begun]
    lasted = [pd.Timedelta(seconds=each.planned_seconds or 0.0) for each in begun]
    parts = [part for each in manifests for part in each.parts or ()]
    operations = sum(part.rows for part in parts if part.file.startswith("samples"))
    complete = all(each.state == "complete" for each in manifests)
    first, last = min(started, default=pd.NaT), max(map(add, started, lasted), default=pd.NaT)
    return (folder.name, first, last, len(paths), operations, complete, digest.hexdigest())
