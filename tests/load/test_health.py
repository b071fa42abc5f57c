"""The generator tells what its own pauses did."""

from pathlib import Path

import pyarrow as pa

from capacity.load.health import CATCHING_UP, Health
from capacity.streams import GaugeWriter, read_stream

MS = 1_000_000


def test_an_exhaustion_counts_as_after_a_pause_until_what_was_overdue_is_sent(tmp_path: Path) -> None:
    gauges = GaugeWriter(tmp_path, "generator-0")
    health = Health(gauges)
    health.begin(0, 2)
    health.waits(10 * MS, 1)
    health.paused(100 * MS, 30 * MS)
    health.waits(101 * MS, 1)
    health.waits(102 * MS, 2)  # the same one: some wait already
    end = (100 + CATCHING_UP * 30) * MS
    health.waits(end - 1, 1)
    health.waits(end, 1)
    health.write(300 * MS, 2, 0, 0)
    gauges.close()
    stream = read_stream(tmp_path / "gauges-generator-0.frames")
    rows = [row for batch, _ in stream if isinstance(batch, pa.RecordBatch) for row in batch.to_pylist()]
    read = {row["gauge"]: row["value"] for row in rows}
    assert (read["generator.exhaustions"], read["generator.exhaustions_after_pause"]) == (4, 2)
    assert read["generator.waiting"] == 2
