"""The workers' own account of what they did, outside Redis, which forgets and cannot see that a job was done twice.

Each worker process appends to a file of its own. A line is one write to the operating system, so that a killed process
loses nothing that it has written; only the last line of a file can be torn, where the process was killed within it.
"""

import csv
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote

from capacity.clock import unix_ns
from capacity.errors import CapacityError

if TYPE_CHECKING:  # the workers write without it, and pandas takes a second to load
    import pandas as pd

Event = Literal["started", "completed", "failed"]
EVENTS = ("started", "completed", "failed")

LEDGER_COLUMNS = {
    "at_ns": "int64",  # wall clock, nanoseconds since 1970
    "event": "category",  # one of EVENTS, of one attempt at a job
    "job": "str",  # the job's id in the queue
    "type": "category",  # the job's name
    "attempt": "int32",  # from 1
    "reason": "category",  # the category of a failure; null otherwise
    "worker": "category",  # which process: the name it has, and when it began
}
SUFFIX = ".tsv"


class LedgerWriter:
    """Appends what one worker process does to a file in `folder`, which is made where it is missing."""

    def __init__(self, folder: Path, worker: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{worker}-{unix_ns()}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)

    def write(self, event: Event, job: str, job_type: str, attempt: int, reason: str = "") -> None:
        """Append a line; it outlives this process when the call returns."""
        words = f"{event}\t{_plain(job)}\t{_plain(job_type)}\t{attempt}\t{_plain(reason)}"
        os.write(self._file, f"{unix_ns()}\t{words}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_ledger(folder: Path) -> "pd.DataFrame":
    """Everything that the workers wrote into `folder`, in the order of time, with the columns of LEDGER_COLUMNS.

    An empty frame where nothing was written. CapacityError where a file is not one of theirs.
    """
    import pandas as pd

    frames = [_read_file(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if not frames:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in LEDGER_COLUMNS.items()})
    joined = pd.concat(frames, ignore_index=True).sort_values("at_ns", kind="stable", ignore_index=True)
    return joined.astype(LEDGER_COLUMNS)


def _read_file(path: Path) -> "pd.DataFrame":
    import pandas as pd

    written = path.read_bytes()
    whole = written[: written.rfind(b"\n") + 1]
    names = [name for name in LEDGER_COLUMNS if name != "worker"]
    kinds = {name: "str" if kind == "category" else kind for name, kind in LEDGER_COLUMNS.items() if name in names}
    try:
        lines = pd.read_csv(
            io.BytesIO(whole), sep="\t", names=names, dtype=kinds, quoting=csv.QUOTE_NONE, keep_default_na=False
        )
    except (ValueError, UnicodeDecodeError) as error:
        raise CapacityError(f"{path} is not a worker's ledger: {' '.join(str(error).split())}") from None
    if unknown := set(lines["event"]) - set(EVENTS):
        raise CapacityError(
            f"{path} is not a worker's ledger: it has the event {min(unknown)!r}; accepted are {', '.join(EVENTS)}"
        )
    for name in ("job", "type", "reason"):
        escaped = lines[name].str.contains("%", regex=False)
        lines.loc[escaped, name] = lines.loc[escaped, name].map(unquote)
    return lines.assign(reason=lines["reason"].where(lines["reason"] != ""), worker=path.stem)


def _plain(text: str) -> str:
    """`text` without a tab or the end of a line in it; percent signs tell `read_ledger` what was replaced."""
    return text if text.isprintable() and "%" not in text else quote(text, safe=" /")
