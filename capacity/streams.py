"""The streams of a recording under way: Arrow IPC files, which lose nothing that was flushed when a process is killed.

The processes that measure import this and not pandas, which takes longer to load than all the rest.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from capacity.writing import writes_to

ROW = struct.Struct("<qqqqhhhh")  # seq, scheduled, sent, finished, operation, outcome, error, step
ROW_TYPE = np.dtype(
    [(name, "<i8") for name in ("seq", "scheduled_ns", "sent_ns", "finished_ns")]
    + [(name, "<i2") for name in ("operation", "outcome", "error", "step")]
)
TIMES = ("scheduled_ns", "sent_ns", "finished_ns")
STREAM_SCHEMA = pa.schema([(name, pa.from_numpy_dtype(ROW_TYPE[name])) for name in ROW_TYPE.names or ()])
GAUGE_SCHEMA = pa.schema([("at_ns", pa.int64()), ("gauge", pa.string()), ("value", pa.float64())])
# A finished job as its queue has it; times in ms of the wall clock, 0 where the queue does not know it.
JOB_SCHEMA = pa.schema(
    {
        "job": pa.string(),
        "operation": pa.string(),
        "added_ms": pa.int64(),
        "delay_ms": pa.int64(),
        "started_ms": pa.int64(),
        "finished_ms": pa.int64(),
        "attempts": pa.int64(),
        "outcome": pa.string(),
        "reason": pa.string(),
    }
)
# What a worker noted itself about an attempt at a job; the time is of the wall clock.
LEDGER_SCHEMA = pa.schema(
    {
        "at_ns": pa.int64(),
        "event": pa.string(),  # started, completed or failed
        "job": pa.string(),
        "type": pa.string(),
        "attempt": pa.int32(),
        "reason": pa.string(),
        "worker": pa.string(),
    }
)
# What a recording keeps when its load has ended.
NAME = pa.dictionary(pa.int16(), pa.string())
SAMPLES_ON_DISK = pa.schema(
    {
        "operation": NAME,
        "scheduled_ns": pa.int64(),
        "sent_ns": pa.int64(),
        "finished_ns": pa.int64(),
        "outcome": NAME,
        "error": NAME,
        "step": pa.int32(),
        "worker": pa.int32(),
        "seq": pa.int64(),
    }
)
SCHEMAS = {"samples": SAMPLES_ON_DISK, "gauges": GAUGE_SCHEMA, "jobs": JOB_SCHEMA, "ledger": LEDGER_SCHEMA}
ROWS_BUFFERED = 32_768
MOST_ERRORS = 200  # classes of failure of one process; more are no classes, and a code has 16 bits
OTHER = "other"
VALUE = re.compile(r"""\d+|"[^"]*"|'[^']*'""")  # numbers and names would each make a class, and may be somebody's data
LONGEST_MESSAGE = 120  # of what a server says: enough for its sentence, too short for a row
LOOKS_PER_S = 50.0  # at PostgreSQL's connections, for who waits for a lock: 1 % of a core


def one_line(said: str) -> str:
    """The first line of what a server said, as it is shown: shortened where it is long."""
    line = " ".join(said.strip().partition("\n")[0].split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…"


def without_values(said: str) -> str:
    """As `one_line`, without the numbers and the words in quotes, which may be values."""
    return one_line(VALUE.sub("…", said.strip().partition("\n")[0]))


class SampleWriter:
    """Appends the samples of one generator process to its stream.

    The engine packs rows of `ROW` into `buffer` at `position` itself, because a call for each sample would cost as
    much as the rest of its bookkeeping; `flush` writes what is there and must be called when `position` is at
    `end`. Times are packed as the clock gives them and written from `origin_ns`, because numpy subtracts it from
    thousands of rows in the time that Python takes for ten. `error_code` numbers a class of failure, and `messages`
    has what the server said first, by operation and class.
    """

    def __init__(self, folder: Path, worker: int) -> None:
        self.buffer = bytearray(ROW.size * ROWS_BUFFERED)
        self.position = 0
        self.end = len(self.buffer)
        self.rows = 0
        self.origin_ns = 0
        self.messages: dict[tuple[int, int], str] = {}
        self._errors: dict[str, int] = {}
        self._names = folder / f"errors-{worker}.txt"
        with writes_to(self._names):
            self._error_file = self._names.open("a", encoding="utf-8")
        self._stream = _Stream(folder / f"samples-{worker}.arrows", STREAM_SCHEMA)

    def error_code(self, name: str) -> int:
        """The code of a class of failure, from 1; its name is on disk before the first sample that has it.

        A server may make up ever new names: those beyond `MOST_ERRORS` are all one class, `OTHER`.
        """
        code = self._errors.get(name)
        if code is None and len(self._errors) >= MOST_ERRORS:
            name, code = OTHER, self._errors.get(OTHER)
        if code is None:
            code = self._errors[name] = len(self._errors) + 1
            with writes_to(self._names):
                self._error_file.write(" ".join(name.split()) + "\n")
                self._error_file.flush()
        return code

    def note_failure(self, operation: int, code: int, said: Callable[[], str]) -> None:
        """Keep what the server said of an operation's first failure of a class."""
        if (operation, code) not in self.messages:
            self.messages[operation, code] = said()

    def messages_by_name(self, operations: Sequence[str]) -> dict[str, dict[str, str]]:
        """The messages that are not empty, by the names of operation and class."""
        names, named = {code: name for name, code in self._errors.items()}, dict[str, dict[str, str]]()
        for (operation, code), said in self.messages.items():
            if said:
                named.setdefault(operations[operation], {})[names[code]] = said
        return named

    def flush(self) -> None:
        """Hand all packed rows to the operating system, so that they outlive this process."""
        if not self.position:
            return
        rows = np.frombuffer(self.buffer, dtype=ROW_TYPE, count=self.position // ROW.size)
        for name in TIMES:
            rows[name] -= self.origin_ns
        self._stream.append([_column(rows[field.name], field.type) for field in STREAM_SCHEMA])
        self.rows += len(rows)
        self.position = 0

    def close(self) -> None:
        """Flush, and end the stream."""
        self.flush()
        self._stream.close()
        self._error_file.close()


class _Stream:
    """An Arrow stream in a file; CapacityError where that takes no more."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        with writes_to(path):
            self._sink = pa.OSFile(str(path), "wb")
            self._stream = pa.ipc.new_stream(self._sink, schema)

    def append(self, columns: Sequence[pa.Array]) -> None:
        """Hand a batch of rows to the operating system."""
        with writes_to(self._path):
            self._stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """End the stream and the file."""
        with writes_to(self._path):
            self._stream.close()
            self._sink.close()


class GaugeWriter(_Stream):
    """Appends readings of gauges from one source to its stream; each `write` is on disk when it returns."""

    def __init__(self, folder: Path, source: str) -> None:
        super().__init__(folder / f"gauges-{source}.arrows", GAUGE_SCHEMA)

    def write(self, at_ns: int, readings: Mapping[str, float]) -> None:
        """Append the readings of one moment, in nanoseconds from the recording's start."""
        self.write_all([(at_ns, gauge, value) for gauge, value in readings.items()])

    def write_all(self, readings: Sequence[tuple[int, str, float]]) -> None:
        """Append readings of several moments: when, which gauge, and its value."""
        if readings:
            times, gauges, values = zip(*readings, strict=True)
            columns = [
                _column(np.array(times, dtype=np.int64), pa.int64()),
                _texts(gauges),
                _column(np.array(values, dtype=np.float64), pa.float64()),
            ]
            self.append(columns)


class JobWriter(_Stream):
    """Appends finished jobs to their stream; each `write` is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "jobs-queue.arrows", JOB_SCHEMA)

    def write(self, jobs: Sequence[Sequence[str | int]]) -> None:
        """Append jobs, each with its values in the order of JOB_SCHEMA."""
        if jobs:
            columns = [
                _texts(values) if field.type == pa.string() else _column(np.array(values, dtype=np.int64), field.type)
                for field, values in zip(JOB_SCHEMA, zip(*jobs, strict=True), strict=True)
            ]
            self.append(columns)


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array made of their memory: `pa.array` would import pandas, for a second in mid-load."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _texts(values: Sequence[Any]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])
