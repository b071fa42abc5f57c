"""What is under way is told from the streams as they grow, each batch read once."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.probes.under_way import BETWEEN, FEWEST, PREPARING, RESTING, Follower, UnderWay
from capacity.recording import create_recording, finish_recording, note_facts
from capacity.samples import Outcome
from capacity.streams import ROW, SampleWriter

STAGES = [
    {"name": "ramp", "step": 0, "to": 1000.0, "ramp": True, "start_s": 0.0, "end_s": 10.0},
    {"name": "sustain", "step": 1, "to": 1000.0, "start_s": 10.0, "end_s": 60.0},
]
FACTS = {"operations": ["GET"], "planned_seconds": 60.0, "stages": STAGES}


def begin(folder: Path, ago_s: float) -> Path:
    create_recording(folder, FACTS)
    note_facts(folder, {"origin_unix_ns": time.time_ns() - int(ago_s * 1e9)})
    return folder


def write(
    writer: SampleWriter,
    responses_ms: Sequence[float],
    finished_s: float,
    outcome: Outcome = Outcome.OK,
    error: int = 0,
) -> None:
    finished = int(finished_s * 1e9)
    for response in responses_ms:
        row = (writer.rows, finished - int(response * 1e6), finished, finished, 0, int(outcome), error, 0)
        ROW.pack_into(writer.buffer, writer.position, *row)
        writer.position += ROW.size
    writer.flush()


def test_one_measurement_is_followed_after_the_other(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "redis")
    assert follower.look() == UnderWay(PREPARING)
    create_recording(tmp_path / "redis", FACTS)
    assert follower.look() == UnderWay(PREPARING)
    note_facts(tmp_path / "redis", {"origin_unix_ns": time.time_ns() - 30 * 10**9})
    seen = follower.look()
    assert (seen.what, seen.planned_s) == ("sustain", 60.0)
    assert 30 <= seen.done_s < 60
    finish_recording(tmp_path / "redis", {})
    assert follower.look() == UnderWay(BETWEEN)
    begin(tmp_path / "redis" / "reconnection", 1.0)
    assert follower.look().what == "reconnection ramp"
    finish_recording(tmp_path / "redis" / "reconnection", {})
    begin(tmp_path / "redis" / "part" / "07", 61.0)
    assert follower.look().what == f"part {RESTING}"


def test_a_manifest_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    assert Follower(tmp_path).look().what in (PREPARING, BETWEEN)


def test_what_was_written_is_counted_once_whatever_processes_wrote_it(tmp_path: Path) -> None:
    folder = begin(tmp_path / "redis", 5.6)
    follower, writers = Follower(folder), [SampleWriter(folder, 0), SampleWriter(folder, 1)]
    responses = np.random.default_rng(1).lognormal(1, 1, 4_000)
    for number, some in enumerate(np.array_split(responses, 8)):
        write(writers[number % 2], some.tolist(), finished_s=4.5)
        follower.look()
    write(writers[0], [1000.0] * 400, 3.5, Outcome.ERROR)
    seen = follower.look()
    assert (seen.count, seen.failed, seen.rate_per_s) == (4_400, 400, 4_000.0)  # a whole second, and what succeeded
    assert (seen.failing, seen.reason) == (0.0, "")  # the failures were before it
    assert seen.p95_ms == pytest.approx(np.quantile(responses, 0.95), rel=0.025)  # the width of a bucket


def test_the_last_second_says_what_fails_and_for_which_reason_mostly(tmp_path: Path) -> None:
    folder = begin(tmp_path / "redis", 5.6)
    writers = [SampleWriter(folder, 0), SampleWriter(folder, 1)]
    for writer, reason, count in ((writers[0], "OOM", 10), (writers[0], "LOADING", 30), (writers[1], "READONLY", 20)):
        write(writer, [1.0] * count, 4.5, Outcome.ERROR, writer.error_code(reason))
    write(writers[1], [1.0] * 180, 4.5)
    write(writers[1], [1.0] * 500, 3.5, Outcome.ERROR, writers[1].error_code("READONLY"))  # a second before
    seen = Follower(folder).look()
    assert (seen.rate_per_s, seen.failing, seen.reason) == (180.0, 0.25, "LOADING")
    assert (seen.count, seen.failed) == (740, 560)


def test_a_slow_load_has_a_p95_of_as_many_seconds_as_have_enough_responses(tmp_path: Path) -> None:
    folder = begin(tmp_path / "redis", 5.6)
    follower, writer = Follower(folder), SampleWriter(folder, 0)
    for second, response in ((1.5, 900.0), (2.5, 20.0), (3.5, 20.0), (4.5, 20.0)):
        write(writer, [response] * 20, second)
    assert follower.look().p95_ms == pytest.approx(20.0, rel=0.025)


def test_a_batch_that_is_only_half_there_is_read_when_it_is_whole(tmp_path: Path) -> None:
    folder, source = begin(tmp_path / "redis", 5.0), tmp_path / "source"
    source.mkdir()
    writer = SampleWriter(source, 0)
    for _ in range(5):
        write(writer, [2.0] * 100, 1.0)
    writer.close()
    whole = (source / "samples-0.frames").read_bytes()
    counts, follower = [], Follower(folder)
    for end in range(0, len(whole) + 97, 97):
        (folder / "samples-0.frames").write_bytes(whole[:end])
        counts.append(follower.look().count)
    assert sorted(set(counts)) == [0, 100, 200, 300, 400, 500]
    assert counts == sorted(counts)


def test_a_p95_is_not_given_of_few_and_is_infinite_where_it_timed_out(tmp_path: Path) -> None:
    assert minimum_samples(0.95) == FEWEST
    folder = begin(tmp_path / "redis", 5.0)
    follower, writer = Follower(folder), SampleWriter(folder, 0)
    write(writer, [2.0] * (FEWEST - 1), 1.0)
    assert follower.look().p95_ms is None
    write(writer, [2.0], 1.0)
    assert follower.look().p95_ms == pytest.approx(2.0, rel=0.025)
    write(writer, [500.0] * 10, 1.0, Outcome.TIMEOUT)
    assert follower.look().p95_ms == float("inf")
