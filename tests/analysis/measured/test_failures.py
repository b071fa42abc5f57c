"""What failed is counted by operation and reason, and what could not be timed says why."""

from typing import Any

import pandas as pd
import pytest

from capacity.analysis.measured.failures import (
    failure_findings,
    failures_table,
    reason_slug,
    why_no_time,
    why_unread,
)
from capacity.manifest import parse_manifest
from capacity.samples import SAMPLE_COLUMNS

S = 1_000_000_000
BEGAN_NS = 1_764_500_400 * S  # 11:00:00 UTC
FACTS: dict[str, Any] = {
    "stages": [
        {"name": "ramp", "step": 0, "to": 10, "ramp": True, "start_s": 0, "end_s": 2},
        {"name": "sustain", "step": 1, "to": 10, "start_s": 2, "end_s": 10},
    ],
    "sustained_steps": [1],
    "origin_unix_ns": BEGAN_NS,
    "messages": {"pay": {"InsufficientPrivilege (42501)": "permission denied for table orders"}},
}
MANIFEST = parse_manifest(FACTS)
DENIED = "InsufficientPrivilege (42501)"


def samples(*rows: tuple[str, float, str, str | None]) -> pd.DataFrame:
    """Operation, second in which it ended, outcome and class of failure."""
    frame = pd.DataFrame(rows, columns=["operation", "ended", "outcome", "error"])
    at_ns = (frame["ended"] * S).astype("int64")
    frame = frame.assign(scheduled_ns=at_ns, sent_ns=at_ns, finished_ns=at_ns, step=(frame["ended"] >= 2).astype(int))
    return frame.assign(worker=0, seq=range(len(frame)))[list(SAMPLE_COLUMNS)].astype(SAMPLE_COLUMNS)


MIXED = samples(
    ("pay", 0.5, "error", DENIED),
    ("pay", 3.0, "error", DENIED),
    ("pay", 9.25, "error", DENIED),
    ("pay", 9.5, "ok", None),
    ("read", 1.0, "ok", None),
    ("read", 6.0, "timeout", "timed out"),
    ("read", 7.0, "dropped", None),
    ("read", 8.0, "error", None),
)


def test_each_operation_and_reason_is_a_row_with_its_counts_and_times() -> None:
    table = failures_table(MIXED, MANIFEST).set_index(["operation", "reason"])
    pay = table.loc[("pay", DENIED)]
    assert (pay["count"], pay["planned"], pay["sustained"]) == (3, 4, 2)
    assert (pay["first_s"], pay["last_s"], pay["message"]) == (0.5, 9.25, "permission denied for table orders")
    assert set(table.loc["read"].index) == {"timed out", "no free connection", "no reason was given"}
    assert table["count"].is_monotonic_decreasing
    assert table["count"].sum() == (MIXED["outcome"] != "ok").sum()


def test_a_finding_counts_exactly_and_its_note_says_when() -> None:
    found = {each.name: each for each in failure_findings("database", "r", MIXED, MANIFEST)}
    pay = found["database.pay.failures.insufficient_privilege_42501"]
    assert (pay.value, pay.low, pay.high, pay.count, pay.void) == (3, 3, 3, 4, None)
    assert pay.title == "pay: InsufficientPrivilege (42501)"
    assert pay.note == (
        "2 at a constant load; from 0.5 to 9.2 s of the load (11:00:00 to 11:00:09 UTC); "
        "the server says: permission denied for table orders"
    )
    once = found["database.read.failures.timed_out"]
    assert once.note == "1 at a constant load; 6.0 s into the load (11:00:06 UTC)"


def test_where_nothing_failed_there_is_no_finding_and_no_row() -> None:
    well = samples(("pay", 3.0, "ok", None))
    assert failure_findings("database", "r", well, MANIFEST) == []
    assert failures_table(well, MANIFEST).empty


def test_two_reasons_that_differ_in_signs_alone_are_two_findings() -> None:
    alike = samples(("pay", 3.0, "error", "rate limit"), ("pay", 4.0, "error", "rate-limit"))
    names = [each.name for each in failure_findings("queue", "r", alike, MANIFEST)]
    assert names == ["queue.pay.failures.rate_limit", "queue.pay.failures.rate_limit_1"]


@pytest.mark.parametrize(
    ("reason", "slug"),
    [
        ("ReadOnlySqlTransaction (25006)", "read_only_sql_transaction_25006"),
        ("UndefinedTable (42P01)", "undefined_table_42p01"),
        ("503, retry after", "503_retry_after"),
        ("NOPERM", "noperm"),
        ("…", "unnamed"),
    ],
)
def test_a_reason_is_a_part_of_a_name(reason: str, slug: str) -> None:
    assert reason_slug(reason) == slug


@pytest.mark.parametrize(
    ("errors", "ok", "why"),
    [
        ({"404": 4975}, 0, "all 4,975 answers were 404"),
        ({DENIED: 12}, 0, "all 12 failed with InsufficientPrivilege (42501)"),
        ({"404": 4955}, 20, "needs 299 and has 20: 4,955 of 4,975 failed with 404"),
        ({"404": 30, "500": 10}, 0, "all 40 failed, 30 of them with 404"),
        ({"404": 30, "500": 10}, 20, "needs 299 and has 20: 40 of 60 failed, 30 of them with 404"),
        ({}, 20, "needs 299 and has 20"),
        ({}, 0, "nothing was due in the stages at a constant load"),
    ],
)
def test_too_few_times_are_explained_by_what_failed(errors: dict[str, int], ok: int, why: str) -> None:
    rows = [("GET", 3.0, "error", name) for name, count in errors.items() for _ in range(count)]
    assert why_no_time(samples(*rows, *[("GET", 3.0, "ok", None)] * ok), 299, ok) == why


@pytest.mark.parametrize(
    ("noted", "gauges", "why"),
    [
        ({"postgres.read_ms": "track_io_timing is off"}, ("postgres.read_ms",), "track_io_timing is off"),
        ({"redis": "NOPERM for INFO"}, ("redis.cpu_s",), "NOPERM for INFO"),
        ({"redis": "NOPERM for INFO"}, ("redis.memory_bytes",), ""),
        ({}, ("gateway.pool_limit",), "the gateway does not tell it at /metrics"),
        ({"gateway": "no page"}, ("gateway.pool_limit",), "no page"),
        ({"gateway": "no page"}, ("gateway.cpu_s",), "the gateway's processes are elsewhere or were not read"),
        ({}, ("redis.memory_bytes", "workers.cpu_s"), "the workers' processes are elsewhere or were not read"),
    ],
)
def test_a_gauge_that_was_not_read_has_the_cause_that_its_reader_noted(
    noted: dict[str, str], gauges: tuple[str, ...], why: str
) -> None:
    assert why_unread(parse_manifest({"not_given": noted}), {"redis.memory_bytes"}, *gauges) == why
