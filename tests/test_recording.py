"""A recording loses nothing that was flushed, whenever its process is killed, and never claims more than it has."""

import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from capacity.analysis.measured.validity.quality import generator_problems
from capacity.errors import CapacityError
from capacity.manifest import read_facts, write_facts
from capacity.recording import UNENDED, create_recording, finish_recording, open_recording
from capacity.samples import check_samples
from capacity.streams import ROW, GaugeWriter, JobWriter, SampleWriter
from capacity.writing import read_frames

FACTS = {"operations": ["SELECT", "INSERT"]}


def write_rows(writer: SampleWriter, first: int, count: int) -> None:
    timed_out = writer.error_code("timed out")
    for seq in range(first, first + count):
        failed = seq % 10 == 9
        row = (seq, seq, seq + 1, seq + 2, seq % 2, 2 if failed else 0, timed_out if failed else 0, 1)
        ROW.pack_into(writer.buffer, writer.position, *row)
        writer.position += ROW.size
        if writer.position == writer.end:
            writer.flush()
    writer.flush()


def record(path: Path, workers: int = 1, rows: int = 1000) -> None:
    create_recording(path, FACTS)
    for worker in range(workers):
        writer = SampleWriter(path, worker)
        write_rows(writer, 0, rows)
        writer.close()
    gauges = GaugeWriter(path, "server")
    gauges.write(5, {"connections": 3.0})
    gauges.close()
    finish_recording(path, {"planned": workers * rows})


def test_what_was_written_is_read_back_with_names_for_codes(tmp_path: Path) -> None:
    record(tmp_path / "r", workers=2)
    recording = open_recording(tmp_path / "r")
    samples = check_samples(recording.samples)
    assert recording.manifest["state"] == "complete"
    assert samples["worker"].value_counts().to_dict() == {0: 1000, 1: 1000}
    assert set(samples["operation"]) == {"SELECT", "INSERT"}
    assert set(samples.loc[samples["outcome"] == "timeout", "error"]) == {"timed out"}
    assert samples.loc[samples["outcome"] == "ok", "error"].isna().all()
    assert recording.gauges.to_dict("records") == [{"at_ns": 5, "gauge": "connections", "value": 3.0}]
    assert not list((tmp_path / "r").glob("*.frames"))


def test_a_full_disk_is_a_sentence_and_costs_nothing_that_was_flushed(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = create_recording(tmp_path / "r", FACTS)
    writer, written = SampleWriter(path, 0), 0
    with full_disk(100_000):
        with pytest.raises(CapacityError, match=r"^cannot write .*/samples-0.frames: File too large; make room, or "):
            for first in range(0, 100_000, 500):
                write_rows(writer, first, 500)
                written += 500
        assert 1000 <= written == len(open_recording(path).samples)
    with full_disk(1000), pytest.raises(CapacityError, match=r"^cannot write .*: File too large; "):
        finish_recording(path, {}, complete=False)
    assert written == len(open_recording(path).samples)
    finish_recording(path, {}, complete=False)
    assert (open_recording(path).manifest["state"], len(open_recording(path).samples)) == ("interrupted", written)


def test_a_recording_is_never_overwritten(tmp_path: Path) -> None:
    record(tmp_path / "r")
    with pytest.raises(CapacityError, match=r"there is a recording in .* already; give another folder"):
        create_recording(tmp_path / "r", FACTS)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    record(tmp_path / "r")
    part = tmp_path / "r" / "samples-0.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(CapacityError, match="is not what its manifest says"):
        open_recording(tmp_path / "r")


def test_a_folder_without_a_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"there is no recording in .*: manifest\.json is missing"):
        open_recording(tmp_path)


def measure_until_killed(path: Path, reports: int) -> None:
    """What the killed child does: flush small batches, report each, finish, and stay."""
    create_recording(path, FACTS)
    writer = SampleWriter(path, 0)
    for first in range(0, 4000, 100):
        write_rows(writer, first, 100)
        os.write(reports, struct.pack("<q", writer.rows))
    writer.close()
    finish_recording(path, {})
    os.write(reports, struct.pack("<q", -1))
    time.sleep(60)


def kill_at_a_random_moment(path: Path, delay: float) -> tuple[int, bool]:
    """The rows that the child reported as flushed, and whether it reported the recording as finished."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            measure_until_killed(path, writing)
        finally:
            os._exit(1)
    os.close(writing)
    first = os.read(reading, 8)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    rest = first
    while piece := os.read(reading, 65536):
        rest += piece
    os.close(reading)
    reports = [value for (value,) in struct.iter_unpack("<q", rest)]
    return max(reports), -1 in reports


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.thorough)])
def test_kills_lose_no_flushed_sample_and_mark_none_complete_wrongly(tmp_path: Path, kills: int) -> None:
    draw = random.Random(7)
    for number in range(kills):
        path = tmp_path / str(number)
        flushed, finished = kill_at_a_random_moment(path, draw.uniform(0, 0.025))
        recording = open_recording(path)
        assert len(recording.samples) >= flushed
        assert recording.samples["seq"].tolist() == list(range(len(recording.samples)))
        if finished:
            assert recording.manifest["state"] == "complete"
        if recording.manifest["state"] == "complete":
            assert len(recording.samples) == 4000


def test_the_processes_that_measure_never_import_pandas(tmp_path: Path) -> None:
    """The import takes a second, which would be a stall of the load where it comes at the first write."""
    code = (
        "import sys; from pathlib import Path; import capacity.load.generator, capacity.probes.gauges\n"
        "from capacity.streams import ROW, GaugeWriter, SampleWriter\n"
        "samples, gauges = SampleWriter(Path(sys.argv[1]), 0), GaugeWriter(Path(sys.argv[1]), 'x')\n"
        "ROW.pack_into(samples.buffer, 0, 0, 1, 2, 3, 0, 0, 0, 0); samples.position = ROW.size\n"
        "samples.close(); gauges.write(1, {'a': 1.0}); gauges.close(); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0


def under_way(path: Path) -> Path:
    """A recording whose process was killed when all of it was on the disk: samples, gauges and jobs."""
    create_recording(path, FACTS)
    samples, gauges, jobs = SampleWriter(path, 0), GaugeWriter(path, "server"), JobWriter(path)
    for number in range(5):
        write_rows(samples, number * 20, 20)
        gauges.write(number, {"connections": 3.0 + number})
        jobs.write([(f"c-{number}", "mail", 1, 0, 2, 3, 1, "completed", "")])
    return path


def seen_in(path: Path) -> tuple[str, ...] | None:
    """All that the recording gives, as text; None where it is refused."""
    try:
        recording = open_recording(path)
    except CapacityError:
        return None
    frames = (recording.samples, recording.gauges, recording.jobs)
    return (*(frame.to_csv() for frame in frames), recording.facts.state, str(recording.facts.damaged))


@pytest.mark.parametrize("step", [97, pytest.param(11, marks=pytest.mark.thorough)])
def test_wherever_a_stream_is_cut_what_stood_before_is_read_and_a_torn_end_is_said(tmp_path: Path, step: int) -> None:
    path = under_way(tmp_path / "r")
    for stream in sorted(path.glob("*.frames")):
        kept = stream.read_bytes()
        ends = {0, *(place[0] for _, _, place in read_frames(stream))}
        for size in range(0, len(kept), step):
            stream.write_bytes(kept[:size])
            recording = open_recording(path)
            assert recording.samples["seq"].tolist() == list(range(len(recording.samples)))
            assert (stream.stem in recording.facts.damaged) == (size not in ends)
        stream.write_bytes(kept)
    assert len(open_recording(path).samples) == 100


@pytest.mark.parametrize("flips", [40, pytest.param(1000, marks=pytest.mark.thorough)])
def test_no_flipped_bit_or_zeroed_end_of_any_file_reads_as_data(tmp_path: Path, flips: int) -> None:
    """In a recording that is complete, and in one that was broken off."""
    draw = random.Random(11)
    record(tmp_path / "complete")
    for path in (tmp_path / "complete", under_way(tmp_path / "broken off")):
        whole, files = seen_in(path), sorted(path.iterdir())
        for number in range(flips):
            file = draw.choice(files)
            kept = file.read_bytes()
            at = draw.randrange(len(kept))
            changed = kept[:at] + bytes([kept[at] ^ 1 << draw.randrange(8)]) + kept[at + 1 :]
            file.write_bytes(changed if number % 3 else kept[:at] + bytes(len(kept) - at))
            seen = seen_in(path)
            assert seen is None or seen == whole or seen[-1] != "{}", (file.name, at)
            file.write_bytes(kept)


def test_a_frame_that_was_left_out_ends_its_stream(tmp_path: Path) -> None:
    path = under_way(tmp_path / "r")
    stream = path / "gauges-server.frames"
    kept, ends = stream.read_bytes(), [place[0] for _, _, place in read_frames(stream)]
    stream.write_bytes(kept[: ends[2]] + kept[ends[3] :])
    recording = open_recording(path)
    assert recording.gauges["value"].tolist() == [3.0, 4.0]
    assert recording.facts.damaged == {
        "gauges-server": f"{len(kept) - ends[3]:,} of its {len(kept) - ends[3] + ends[2]:,} bytes are no whole rows"
    }


def test_a_stream_whose_writer_was_ended_makes_no_complete_recording(tmp_path: Path) -> None:
    path = under_way(tmp_path / "r")
    finish_recording(path, {})
    recording = open_recording(path)
    assert recording.facts.state == "interrupted"
    assert recording.facts.damaged == dict.fromkeys(("samples-0", "gauges-server", "jobs-queue"), UNENDED)
    (problem,) = [
        each
        for each in generator_problems(recording.samples, recording.gauges, None, recording.facts)
        if "damaged" in each.seen
    ]
    assert problem.void


def test_a_part_that_is_no_part_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "r")
    facts = read_facts(tmp_path / "r")
    for file in ("../r/samples-0.parquet", "manifest.json"):
        write_facts(tmp_path / "r", facts | {"parts": [facts["parts"][0] | {"file": file}]})
        with pytest.raises(CapacityError, match=f"names the part '{file}', which is none; restore it, or measure"):
            open_recording(tmp_path / "r")
    write_facts(tmp_path / "r", facts | {"parts": [facts["parts"][0] | {"rows": 999}]})
    with pytest.raises(CapacityError, match="has 1,000 rows and its manifest says 999; restore it, or measure again"):
        open_recording(tmp_path / "r")


def test_what_an_older_version_left_unfinished_is_not_read_as_empty(tmp_path: Path) -> None:
    create_recording(tmp_path / "r", FACTS)
    (tmp_path / "r" / "samples-0.arrows").write_bytes(b"")
    with pytest.raises(CapacityError, match="was broken off under an older version, which alone can read it; use that"):
        open_recording(tmp_path / "r")
