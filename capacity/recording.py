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
from capacity.manifest import FORMAT, MANIFEST, Manifest, RecordedPart, parse_manifest, read_facts
from capacity.samples import OUTCOMES, SAMPLE_COLUMNS
from capacity.streams import GAUGE_SCHEMA, JOB_SCHEMA, LEDGER_SCHEMA, SAMPLES_ON_DISK, SCHEMAS
from capacity.writing import write_json, writes_to, written_whole

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
    write_json(path / MANIFEST, {"format": FORMAT, **facts, "state": "recording"})
    return path


def note_facts(path: Path, facts: Mapping[str, Any]) -> None:
    """Add facts to the manifest of a recording under way, so that they are known where its process is killed."""
    write_json(path / MANIFEST, {**_read_manifest(path), **facts})


def finish_recording(path: Path, facts: Mapping[str, Any], complete: bool = True) -> None:
    """Turn the streams into Parquet files and say so in the manifest, with row counts and SHA-256 sums.

    `complete` False leaves the state interrupted. The streams go only when the manifest stands: where it cannot be
    written, as on a full disk, CapacityError, and what was measured is still in them.
    """
    manifest = {**_read_manifest(path), **facts}
    streams = [stream for kind in SCHEMAS for stream in sorted(path.glob(f"{kind}-*.arrows"))]
    parts = [_convert(stream, manifest["operations"]) for stream in streams]
    state = "complete" if complete else "interrupted"
    write_json(path / MANIFEST, {**manifest, "state": state, "parts": parts})
    for leftover in (*streams, *path.glob("errors-*.txt")):
        leftover.unlink()


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
        manifest["state"] = "interrupted"
    facts = parse_manifest(manifest, str(path / MANIFEST))
    if facts.parts is not None:
        tables = {part.file: _read_part(path, part) for part in facts.parts}
    else:
        tables = {
            stream.name: pa.Table.from_batches(_decoded(stream, facts.operations), _schema(stream))
            for stream in sorted(path.glob("*.arrows"))
        }
    of = {kind: [table for name, table in tables.items() if name.startswith(f"{kind}-")] for kind in SCHEMAS}
    frames = _samples_frame(of["samples"]), _gauges_frame(of["gauges"])
    return Recording(*frames, manifest, facts, path, _jobs_frame(of["jobs"]), _ledger_frame(of["ledger"]))


def _samples_frame(tables: list[pa.Table]) -> pd.DataFrame:
    joined = pa.concat_tables(tables) if tables else SAMPLES_ON_DISK.empty_table()
    frame: pd.DataFrame = joined.unify_dictionaries().to_pandas()
    for name in ("operation", "outcome", "error"):
        frame[name] = frame[name].astype("category")
    frame = frame.astype(SAMPLE_COLUMNS)[list(SAMPLE_COLUMNS)]
    return frame.sort_values(["worker", "seq"], kind="stable", ignore_index=True)


def _gauges_frame(tables: list[pa.Table]) -> pd.DataFrame:
    joined = pa.concat_tables(tables) if tables else GAUGE_SCHEMA.empty_table()
    frame: pd.DataFrame = joined.to_pandas()
    frame["gauge"] = frame["gauge"].astype("category")
    return frame.sort_values("at_ns", kind="stable", ignore_index=True)


def _jobs_frame(tables: list[pa.Table]) -> pd.DataFrame:
    joined = pa.concat_tables(tables) if tables else JOB_SCHEMA.empty_table()
    frame: pd.DataFrame = joined.to_pandas()
    return frame.astype({"operation": "category", "outcome": "category"})


def _ledger_frame(tables: list[pa.Table]) -> pd.DataFrame | None:
    if not tables:
        return None
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas()
    return frame.astype(dict.fromkeys(("event", "type", "reason", "worker"), "category"))


def add_ledger(path: Path, ledger: pd.DataFrame) -> None:
    """Put what the workers noted into a recording under way; the columns are LEDGER_SCHEMA's."""
    plain = ledger.astype(dict.fromkeys(("event", "type", "reason", "worker"), object))
    table = pa.Table.from_pandas(plain, LEDGER_SCHEMA, preserve_index=False)
    file = path / "ledger-workers.arrows"
    with writes_to(file), pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, LEDGER_SCHEMA) as stream:
        stream.write_table(table)


def _schema(stream: Path) -> pa.Schema:
    return SCHEMAS[stream.name.partition("-")[0]]


def _decoded(stream: Path, operations: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The batches of a stream as they will stand on disk; a torn end is where the process was killed."""
    if not stream.name.startswith("samples-"):
        yield from _batches(stream)
        return
    worker = int(stream.stem.partition("-")[2])
    error_file = stream.with_name(f"errors-{worker}.txt")
    errors = error_file.read_text(encoding="utf-8").splitlines() if error_file.exists() else []
    for batch in _batches(stream):
        codes = {name: batch.column(name) for name in batch.schema.names}
        columns = {
            "operation": _named(codes["operation"], operations),
            "outcome": _named(codes["outcome"], OUTCOMES),
            "error": _named(codes["error"], (None, *errors)),
            "step": codes["step"].cast(pa.int32()),
            "worker": pa.array(np.full(len(batch), worker, dtype=np.int32)),
        }
        yield pa.record_batch([columns.get(name, codes.get(name)) for name in SAMPLES_ON_DISK.names], SAMPLES_ON_DISK)


def _named(codes: pa.Array, names: Iterable[str | None]) -> pa.Array:
    known = list(names)
    if known and known[0] is None:  # code 0 of the errors is "none"
        values = codes.to_numpy() - 1
        return pa.DictionaryArray.from_arrays(pa.array(values, mask=values < 0), pa.array(known[1:], pa.string()))
    return pa.DictionaryArray.from_arrays(codes, pa.array(known, pa.string()))


def _batches(stream: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pa.OSFile(str(stream)) as source, pa.ipc.open_stream(source) as reader:
            while True:
                yield reader.read_next_batch()
    except (StopIteration, pa.ArrowInvalid, OSError):
        return


def _convert(stream: Path, operations: Iterable[str]) -> dict[str, Any]:
    target, schema = stream.with_suffix(".parquet"), _schema(stream)
    rows, held, pending = 0, 0, []
    with written_whole(target) as temporary, pq.ParquetWriter(temporary, schema, **_encodings(schema)) as writer:
        for batch in _decoded(stream, operations):
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
    try:
        intact = _sha256(file) == part.sha256
    except OSError as error:
        raise CapacityError(f"the recording {path} has lost its part {part.file}: {error.strerror}") from None
    if not intact:
        raise CapacityError(
            f"{file} is not what its manifest says (its SHA-256 sum differs); restore it, or measure again"
        )
    return pq.read_table(file, page_checksum_verification=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    if not (path / MANIFEST).exists():
        raise CapacityError(f"there is no recording in {path}: {MANIFEST} is missing")
    return read_facts(path)
