"""The generator's memory while ten million samples are recorded."""

import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from capacity.recording import create_recording
from capacity.streams import ROW, SampleWriter

SAMPLES = 10_000_000
CHECKS = 20


def memory_of_recording() -> dict[str, Any]:
    """Resident MiB after the first and at the end of `CHECKS` equal parts, and samples per second."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = create_recording(Path(scratch) / "recording", {"operations": ["GET"]})
        writer, process = SampleWriter(folder, 0), psutil.Process()
        pack, size, seen = ROW.pack_into, ROW.size, []
        begin = time.perf_counter()
        for part in range(CHECKS):
            for seq in range(part * SAMPLES // CHECKS, (part + 1) * SAMPLES // CHECKS):
                pack(writer.buffer, writer.position, seq, seq, seq + 1, seq + 2, 0, 0, 0, 0)
                writer.position += size
                if writer.position == writer.end:
                    writer.flush()
            seen.append(process.memory_info().rss / 2**20)
        seconds = time.perf_counter() - begin
        writer.close()
    return {
        "samples": SAMPLES,
        "first_mib": seen[0],
        "last_mib": seen[-1],
        "most_mib": max(seen),
        "samples_per_s": SAMPLES / seconds,
    }


if __name__ == "__main__":
    import json

    print(json.dumps(memory_of_recording()))
