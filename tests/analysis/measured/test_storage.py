"""What was asked of the kernel and what the device did stand apart, and only the device's is a demand for IOPS."""

from typing import Any

import pandas as pd
import pytest

from capacity.analysis.measured.storage import storage_findings
from capacity.analysis.measured.sustained import Sustained
from capacity.findings import Finding
from capacity.manifest import parse_manifest

S, MB = 1_000_000_000, 1e6
SECONDS = 10
ELSEWHERE = "the server's processes are elsewhere, or their storage was not read"
# What each of these rises by in a second.
ASKED = {"reads": 700, "read_ms": 1400, "data_writes": 200, "data_write_ms": 100, "extends": 50, "log_writes": 150}
ASKED |= {"log_syncs": 100, "log_sync_ms": 240, "read_bytes": 56 * MB, "data_write_bytes": 2 * MB}
ASKED |= {"log_write_bytes": 4 * MB, "log_bytes": 3 * MB, "temp_bytes": 20 * MB, "blocks_hit": 9300, "blocks_read": 700}
ASKED |= {"commits": 80, "rollbacks": 0, "all_transactions": 100}
DEVICE = {"device_reads": 2, "device_read_ms": 8, "device_writes": 100, "device_write_ms": 500, "device_bytes": 10 * MB}
OWN = {"fetched_bytes": 1 * MB, "sent_bytes": 8 * MB}


def found(rises: dict[str, float], **facts: Any) -> dict[str, Finding]:
    rows = [
        (int((second + 0.5) * S), f"postgres.{name}", rise * second)
        for name, rise in rises.items()
        for second in range(SECONDS)
    ]
    frame = pd.DataFrame(rows, columns=["at_ns", "gauge", "value"])
    stages = [{"step": 0, "to": 1, "start_s": 0.0, "end_s": float(SECONDS)}]
    manifest = parse_manifest({"stages": stages, "sustained_steps": [0]} | facts)
    samples = pd.DataFrame({"step": []})
    part = Sustained("database", "r", manifest, samples, frame, samples, frame, 10.0, ())
    return {each.name.removeprefix("database."): each for each in storage_findings(part)}


def test_what_was_asked_of_the_kernel_is_no_demand_on_the_device() -> None:
    """The log's writes are among what was asked; of what the device did, reads and writes alone."""
    figures = found(ASKED | DEVICE | OWN, system={"io_method": "sync"})
    values = {name: each.value for name, each in figures.items()}
    assert values == pytest.approx(
        {
            "size": None,
            "cache_hit_rate": 93,
            "temporary_files": 180,
            "read_wait": 2,
            "write_wait": 0.5,
            "log_sync": 2.4,
            "kernel_operations": 1100,
            "kernel_throughput": 62,
            "log_throughput": 3,
            "device_read": 4,
            "device_write": 5,
            "device_operations": 102,
            "device_throughput": 9,
        }
    )
    whole = "of the whole server, 20 % of whose transactions were in other databases"
    assert figures["read_wait"].note == figures["log_sync"].note == whole
    assert figures["device_operations"].note == (
        "of all programs that use the device; of the bytes that it moved the server's processes had 90 %"
    )
    assert figures["cache_hit_rate"].note == ""
    assert all(("whole server" in figures[name].title) == (name in WHOLE) for name in figures)


WHOLE = {"read_wait", "write_wait", "log_sync", "kernel_operations", "kernel_throughput", "log_throughput"}


def test_what_a_read_is_counted_by_is_said_where_it_is_no_call_or_was_begun_ahead() -> None:
    alone = {name: each for name, each in ASKED.items() if name != "all_transactions"}
    ahead = found(alone, system={"io_method": "worker", "io_counted": "calls"})
    assert ahead["read_wait"].note.startswith("io_method is worker: reads are begun ahead")
    assert ahead["kernel_operations"].note == ""
    blocks = found(alone, system={"io_counted": "blocks"})
    said = "counted by blocks, of which one call may move several, up to PostgreSQL 17"
    assert blocks["read_wait"].note == blocks["kernel_operations"].note == said


def test_operations_of_a_device_that_other_programs_use_more_are_not_given() -> None:
    figures = found(DEVICE | OWN | {"sent_bytes": 2 * MB})
    assert figures["device_operations"].value is None
    assert figures["device_operations"].note == (
        "other programs moved most of what the device did: of 90 MB the server's processes had 27"
    )
    assert figures["device_throughput"].value == pytest.approx(3)
    assert figures["device_write"].value == pytest.approx(5)


def test_what_nobody_read_is_not_given_and_what_did_not_happen_says_so() -> None:
    elsewhere = found(ASKED)
    for name in ("device_read", "device_write", "device_operations", "device_throughput"):
        assert (elsewhere[name].value, elsewhere[name].note) == (None, ELSEWHERE)
    idle = found(dict.fromkeys([*ASKED, *DEVICE, *OWN], 0.0) | {"data_writes": 1})
    notes = {name: idle[name].note.partition(" in the stages")[0] for name in ("read_wait", "log_sync", "device_read")}
    assert notes == {
        "read_wait": "no block was read into the buffers",
        "log_sync": "the log was not synced",
        "device_read": "nothing was read from the device",
    }
    assert (idle["kernel_operations"].value, idle["device_throughput"].value) == (1, 0)
