"""The streams of a recording under way: batches of Arrow in frames, which outlive the process that wrote them.

The processes that measure import this and not pandas, which takes longer to load than all the rest.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from capacity.writing import BEGIN, FrameWriter, Place, read_frames

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
STREAMED = {**SCHEMAS, "samples": STREAM_SCHEMA}  # as long as the load goes on
SUFFIX = ".frames"
SCHEMA, ROWS, NAMED, END = b"S", b"R", b"N", b"E"  # what a frame of a stream holds
ROWS_BUFFERED = 32_768
MOST_ERRORS = 200  # classes of failure of one process; more are no classes, and a code has 16 bits
OTHER = "other"
VALUE = re.compile(r"""\d+|"[^"]*"|'[^']*'""")  # numbers and names would each make a class, and may be somebody's data
LONGEST_MESSAGE = 120  # of what a server says: enough for its sentence, too short for a row


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
        self._stream = StreamWriter(folder, f"samples-{worker}")

    def error_code(self, name: str) -> int:
        """The code of a class of failure, from 1; its name is on disk before the first sample that has it.

        A server may make up ever new names: those beyond `MOST_ERRORS` are all one class, `OTHER`.
        """
        code = self._errors.get(name)
        if code is None and len(self._errors) >= MOST_ERRORS:
            name, code = OTHER, self._errors.get(OTHER)
        if code is None:
            code = self._errors[name] = len(self._errors) + 1
            self._stream.name(" ".join(name.split()))
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


class StreamWriter:
    """A stream of a recording, as `samples-0`, of its kind's schema; CapacityError where the disk takes no more."""

    def __init__(self, folder: Path, name: str) -> None:
        self._schema = schema_of(name)
        self._frames = FrameWriter(folder / f"{name}{SUFFIX}")
        self._frames.append(SCHEMA, memoryview(self._schema.serialize()))

    def append(self, columns: Sequence[pa.Array]) -> None:
        """Hand a batch of rows to the operating system."""
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        self._frames.append(ROWS, memoryview(batch.serialize()))

    def name(self, name: str) -> None:
        """Give the next code a name, before the first row that has it."""
        self._frames.append(NAMED, name.encode())

    def close(self) -> None:
        """End the stream, which says so, and the file."""
        self._frames.append(END, b"")
        self._frames.close()


class GaugeWriter(StreamWriter):
    """Appends readings of gauges from one source to its stream; each `write` is on disk when it returns."""

    def __init__(self, folder: Path, source: str) -> None:
        super().__init__(folder, f"gauges-{source}")

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


class JobWriter(StreamWriter):
    """Appends finished jobs to their stream; each `write` is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "jobs-queue")

    def write(self, jobs: Sequence[Sequence[str | int]]) -> None:
        """Append jobs, each with its values in the order of JOB_SCHEMA."""
        if jobs:
            columns = [
                _texts(values) if field.type == pa.string() else _column(np.array(values, dtype=np.int64), field.type)
                for field, values in zip(JOB_SCHEMA, zip(*jobs, strict=True), strict=True)
            ]
            self.append(columns)


def schema_of(name: str) -> pa.Schema:
    """The schema of a stream by its name, as `samples-0`, while the load goes on."""
    return STREAMED[name.partition("-")[0]]


def read_stream(stream: Path, place: Place = BEGIN) -> Iterator[tuple[pa.RecordBatch | pa.Schema | str | None, Place]]:
    """What was written whole to a stream from a place on, each with the place after it.

    That is its schema, batches of rows, names of codes, and None for its end. A stream of another schema, as another
    version writes it, ends where it begins.
    """
    schema = schema_of(stream.stem)
    for kind, content, after in read_frames(stream, place):
        if kind == SCHEMA:
            found = pa.ipc.read_schema(pa.py_buffer(content))
            if not found.equals(schema):
                return
            yield found, after
        elif kind == ROWS:
            yield pa.ipc.read_record_batch(pa.py_buffer(content), schema), after
        else:
            yield content.decode() if kind == NAMED else None, after


def _column(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array made of their memory: `pa.array` would import pandas, for a second in mid-load."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def _texts(values: Sequence[Any]) -> pa.Array:
    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])
