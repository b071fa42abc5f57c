"""A recording: a folder with samples, gauges and the manifest that says what produced them.

While measuring, rows are appended to streams; an unfinished Parquet file would lose every row when the process is
killed. At the end each stream becomes a checksummed Parquet file (written aside, synced, renamed), and only then does
the manifest say that the recording is complete.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from capacity.errors import CapacityError
from capacity.manifest import DAMAGED, MANIFEST, Manifest, RecordedPart, parse_manifest, read_facts, write_facts
from capacity.samples import OUTCOMES, gauges_frame, jobs_frame, ledger_frame, samples_frame
from capacity.streams import (
    LEDGER_SCHEMA,
    SAMPLES_ON_DISK,
    SCHEMAS,
    SUFFIX,
    StreamWriter,
    read_stream,
)
from capacity.writing import BEGIN, written_whole

LEDGER = "ledger-workers"
UNENDED = "what wrote it was ended before it was done"
DIFFERENCES = {"scheduled_ns", "sent_ns", "finished_ns", "seq", "at_ns", "job", "added_ms", "started_ms", "finished_ms"}
ROWS_PER_GROUP = 262_144  # bounds the memory of the conversion whatever the length of the recording


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording folder holds; `manifest["state"]` is complete or interrupted, `jobs` are those of a queue.

    `facts` is the manifest as the library reads it, with what it may lack. `ledger` is what the workers of that queue
    noted themselves, None where they keep none.
    """

    samples: pd.DataFrame
    gauges: pd.DataFrame
    manifest: dict[str, Any]
    facts: Manifest
    path: Path
    jobs: pd.DataFrame
    ledger: pd.DataFrame | None


def create_recording(path: Path, facts: Mapping[str, Any]) -> Path:
    """Make the folder of a new recording with a manifest that says it is under way.

    `facts` must have `operations` (their names in the order of their codes). Raises CapacityError where a recording
    is already there: what was measured is never overwritten.
    """
    if (path / MANIFEST).exists():
        raise CapacityError(f"there is a recording in {path} already; give another folder, or move it away")
    write_facts(path, {**facts, "state": "recording"})
    return path


def note_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Add facts to the manifest of a recording under way, so that they are known where its process is killed."""
    write_facts(path, {**_read_manifest(path), **facts})


def finish_recording(path: Path, facts: Mapping[str, Any], complete: bool = True) -> None:
    """Turn the streams into Parquet files and say so in the manifest, with row counts and SHA-256 sums.

    `complete` False leaves the state interrupted, and so does a stream that is not whole. The streams go only when the
    manifest stands: where it cannot be written, as on a full disk, CapacityError, and what was measured is still there.
    """
    manifest, ends = {**_read_manifest(path), **facts}, dict[str, _End]()
    streams = [stream for kind in SCHEMAS for stream in sorted(path.glob(f"{kind}-*{SUFFIX}"))]
    parts = [_convert(stream, manifest["operations"], ends) for stream in streams]
    damaged = _damaged(ends) | ({name: UNENDED for name, end in ends.items() if not end.ended} if complete else {})
    state = "complete" if complete and not damaged else "interrupted"
    write_facts(path, {**manifest, "state": state, "parts": parts, "damaged": damaged})
    for stream in streams:
        stream.unlink()


def open_recording(path: Path | str) -> Recording:
    """Read a recording, also one whose process was killed: then its state is interrupted.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    Recording
        `samples` and `gauges` (frames), `manifest` (what produced them); of a queue `jobs` and `ledger`.

    Raises
    ------
    CapacityError
        Where there is none, or where a part is not what the manifest says.

    Examples
    --------
    >>> from capacity import open_recording
    >>> recording = open_recording("data/recorded/redis")
    >>> recording.manifest["state"], list(recording.samples)[:4]
    ('complete', ['operation', 'scheduled_ns', 'sent_ns', 'finished_ns'])
    """
    path = Path(path)
    manifest = _read_manifest(path)
    if "parts" not in manifest:
        manifest |= {"state": "interrupted"}
    facts, ends = parse_manifest(manifest, str(path / MANIFEST)), dict[str, _End]()
    if facts.parts is not None:
        tables = {part.file: _read_part(path, part) for part in facts.parts}
    else:
        tables = {
            stream.name: pa.Table.from_batches(_decoded(stream, facts.operations, ends), _schema(stream))
            for stream in _streams(path)
        }
        facts = facts.model_copy(update={"damaged": _damaged(ends)})
    of = {kind: [table for name, table in tables.items() if name.startswith(f"{kind}-")] for kind in SCHEMAS}
    frames = samples_frame(of["samples"]), gauges_frame(of["gauges"])
    return Recording(*frames, manifest, facts, path, jobs_frame(of["jobs"]), ledger_frame(of["ledger"]))


def add_ledger(path: Path, ledger: pd.DataFrame) -> None:
    """Put what the workers noted into a recording under way; the columns are LEDGER_SCHEMA's."""
    plain = ledger.astype(dict.fromkeys(("event", "type", "reason", "worker"), object))
    table, stream = pa.Table.from_pandas(plain, LEDGER_SCHEMA, preserve_index=False), StreamWriter(path, LEDGER)
    for batch in table.to_batches():
        stream.append(batch.columns)
    stream.close()


@dataclass(frozen=True, slots=True)
class _End:
    """How a stream ends: how many of its bytes could not be read, and whether what wrote it came to its end."""

    unread: int
    size: int
    ended: bool


def _damaged(ends: Mapping[str, _End]) -> dict[str, str]:
    """What could not be read, by stream: what was written as its process was killed, or what was damaged since."""
    return {
        name: f"{end.unread:,} of its {end.size:,} bytes are no whole rows" for name, end in ends.items() if end.unread
    }


def _streams(path: Path) -> list[Path]:
    if any(path.glob("*.arrows")):
        raise CapacityError(
            f"the recording {path} was broken off under an older version, which alone can read it; use that, or "
            "measure again"
        )
    return sorted(path.glob(f"*{SUFFIX}"))


def _schema(stream: Path) -> pa.Schema:
    return SCHEMAS[stream.name.partition("-")[0]]


def _decoded(stream: Path, operations: Iterable[str], ends: dict[str, _End]) -> Iterator[pa.RecordBatch]:
    """The batches of a stream as they will stand on disk; how it ends is in `ends` when all of them were taken."""
    place, ended, errors = BEGIN, False, list[str]()
    for content, after in read_stream(stream):
        place, ended = after, content is None
        if isinstance(content, str):
            errors.append(content)
        elif isinstance(content, pa.RecordBatch):
            yield _on_disk(content, stream, operations, errors) if stream.name.startswith("samples-") else content
    size = stream.stat().st_size
    ends[stream.stem] = _End(size - place[0], size, ended)


def _on_disk(batch: pa.RecordBatch, stream: Path, operations: Iterable[str], errors: Iterable[str]) -> pa.RecordBatch:
    """A batch of samples with names in the place of codes."""
    codes = {name: batch.column(name) for name in batch.schema.names}
    worker = int(stream.stem.partition("-")[2])
    columns = {
        "operation": _named(codes["operation"], operations),
        "outcome": _named(codes["outcome"], OUTCOMES),
        "error": _named(codes["error"], (None, *errors)),
        "step": codes["step"].cast(pa.int32()),
        "worker": pa.array(np.full(len(batch), worker, dtype=np.int32)),
    }
    return pa.record_batch([columns.get(name, codes.get(name)) for name in SAMPLES_ON_DISK.names], SAMPLES_ON_DISK)


def _named(codes: pa.Array, names: Iterable[str | None]) -> pa.Array:
    known = list(names)
    if known and known[0] is None:  # code 0 of the errors is "none"
        values = codes.to_numpy() - 1
        return pa.DictionaryArray.from_arrays(pa.array(values, mask=values < 0), pa.array(known[1:], pa.string()))
    return pa.DictionaryArray.from_arrays(codes, pa.array(known, pa.string()))


def _convert(stream: Path, operations: Iterable[str], ends: dict[str, _End]) -> dict[str, Any]:
    target, schema = stream.with_suffix(".parquet"), _schema(stream)
    rows, held, pending = 0, 0, []
    with written_whole(target) as temporary, pq.ParquetWriter(temporary, schema, **_encodings(schema)) as writer:
        for batch in _decoded(stream, operations, ends):
            pending.append(batch)
            held += len(batch)
            if held >= ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_batches(pending).unify_dictionaries())
                rows, held, pending = rows + held, 0, []
        writer.write_table(pa.Table.from_batches(pending, schema).unify_dictionaries())
    return {"file": target.name, "rows": rows + held, "sha256": _sha256(target)}


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    """How a part is written: times and numbers as differences, names by a dictionary, ids by what they share."""
    plain = {field.name: field.type for field in schema if field.name in DIFFERENCES}
    kinds = {name: "DELTA_BYTE_ARRAY" if kind == pa.string() else "DELTA_BINARY_PACKED" for name, kind in plain.items()}
    named = [field.name for field in schema if field.name not in DIFFERENCES]
    return {"compression": "zstd", "write_page_checksum": True, "use_dictionary": named, "column_encoding": kinds}


def _read_part(path: Path, part: RecordedPart) -> pa.Table:
    file = path / part.file
    if Path(part.file).name != part.file or part.file.partition("-")[0] not in SCHEMAS:
        raise CapacityError(f"{path / MANIFEST} names the part {part.file!r}, which is none{DAMAGED}")
    try:
        intact = _sha256(file) == part.sha256
    except OSError as error:
        raise CapacityError(f"the recording {path} has lost its part {part.file}: {error.strerror}") from None
    if not intact:
        raise CapacityError(f"{file} is not what its manifest says (its SHA-256 sum differs){DAMAGED}")
    table = pq.read_table(file, page_checksum_verification=True)
    if len(table) != part.rows:
        raise CapacityError(f"{file} has {len(table):,} rows and its manifest says {part.rows:,}{DAMAGED}")
    return table


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    if not (path / MANIFEST).exists():
        raise CapacityError(f"there is no recording in {path}: {MANIFEST} is missing")
    return read_facts(path)
