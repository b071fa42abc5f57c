"""Numbers print with their unit and no more digits than the interval deserves."""

import math
from pathlib import Path
from typing import Any

import pytest

from capacity.display.text import finding_text, load_text, not_judged_text, number_text
from capacity.findings import Finding, Objective
from capacity.manifest import manifests_below, parse_manifest, read_manifest

RECORDED = Path(__file__).parents[2] / "data" / "recorded"
STAGES = [
    {"step": 0, "to": 1000.0, "start_s": 0.0, "end_s": 5.0},
    {"step": 1, "to": 1000.0, "start_s": 5.0, "end_s": 65.0},
    {"step": 2, "to": 2000.0, "start_s": 65.0, "end_s": 75.0},
]
OPERATIONS = [{"name": "read", "weight": 62.5}, {"name": "pay", "weight": 37.5}]

SLOW = Finding("a.x", 12.0, "ms", 11.0, 13.0, 500, "r", "latency")
NONE_LOST = Finding("a.lost", 0.0, "", 0.0, 0.0, 500, "r", "lost")


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (4.5213, 2.5, "4.5"),
        (4.5213, 0.025, "4.521"),
        (1234.5, 60.0, "1,234"),
        (0.00123, 0.0004, "0.00123"),
        (90.0, 0.0, "90"),
        (2.796, 0.0, "2.796"),
        (math.inf, math.inf, "∞"),
    ],
)
def test_the_interval_decides_the_digits(value: float, spread: float, text: str) -> None:
    assert number_text(value, spread) == text


def test_a_finding_says_its_unit_interval_or_why_it_has_none() -> None:
    assert finding_text(SLOW) == "12.0 ms (11.0 to 13.0)"
    assert finding_text(NONE_LOST) == "0"
    assert finding_text(None) == "not measured"
    assert finding_text(Finding("a.x", None, "ms", note="needs 299 and has 20")) == "needs 299 and has 20"


@pytest.mark.parametrize(
    ("ends", "limit", "text"),
    [
        ((0.0916, 1.289), None, "0.4 % (0.1 to 1.3)"),
        ((0.0916, 1.289), 0.1, "0.44 % (0.09 to 1.29)"),  # 0.1 would look like the limit
        ((0.1, 1.289), 0.1, "0.4 % (0.1 to 1.3)"),  # which it is here
        ((0.4401, 0.4401), 0.44, "0.4401 %"),
        ((0.0916, math.inf), 0.1, "0.4401 % (at least 0.09160)"),
        ((-math.inf, 1.289), 0.1, "0.4401 % (at most 1.289)"),
        ((-math.inf, math.inf), 0.1, "0.4401 %"),
    ],
)
def test_an_interval_is_told_from_its_limit_and_an_end_that_is_not_known_is_left_out(
    ends: tuple[float, float], limit: float | None, text: str
) -> None:
    assert finding_text(Finding("a.x", 0.4401, "%", *ends, 9), limit=limit) == text


def load(kind: str, **workload: Any) -> str:
    shape = {"think_ms": 50.0, "arrivals": "uniform"}
    told = {"title": "A shop", "operations": OPERATIONS, "shapes": {"smoke": shape}, **workload}
    facts = {"kind": kind, "profile": "smoke", "connections": 8, "stages": STAGES, "sustained_steps": [1, 2]}
    return load_text(parse_manifest({**facts, "workload": told}))


def test_the_load_of_a_recording_is_told_by_the_recording() -> None:
    assert load("rate").splitlines() == [
        "A shop",
        "open loop, 1,000/s evenly for 60 s, then 2,000/s evenly for 10 s, 8 connections: read 62.5 %, pay 37.5 %",
    ]
    assert load("users", order="cycle").replace("\n      ", " ").splitlines()[1] == (
        "closed loop, 1,000 users who think 50 ms on average for 60 s, then 2,000 users who think 50 ms on average "
        "for 10 s, 8 connections: in turns read, pay"
    )


def test_what_only_some_loads_are_is_said_of_these_alone() -> None:
    plain = {"row_security": False, "statements": [{"sql": "SELECT 1"}]}
    own, theirs = (
        {"row_security": True, "statements": [{"sql": sql}]} for sql in ("SET ROLE x", "SELECT capacity.act_as($1)")
    )
    read, pay = OPERATIONS
    assert "row-level" not in load("rate", operations=[read | plain, pay | plain])
    assert load("rate", operations=[read | own, pay | plain]).endswith("read is under row-level security")
    assert load("rate", operations=[read | theirs, pay | theirs]).endswith(
        "each transaction first becomes a user, as Supabase's gateway does, and is under row-level security"
    )


@pytest.mark.parametrize(
    ("part", "sentences"),
    [
        ("database", ["as Supabase's gateway does", "afterwards 1 user for 20 s: The cost of row-level security"]),
        ("redis", ["3,000/s at random moments for 60 s", "Reads while the server ends all connections every second"]),
        ("queue", ["Background jobs at a fixed rate", "TokenRefresh 20 %"]),
        ("gateway", ["behind the gateway: its database, its queue and workers", "128 connections"]),
    ],
)
def test_the_committed_recordings_tell_what_is_so_of_the_embedded_system(part: str, sentences: list[str]) -> None:
    said = load_text(read_manifest(RECORDED / part), *manifests_below(RECORDED / part))
    assert all(each in said for each in sentences), said


def test_promises_on_what_is_not_there_are_told_once_by_section() -> None:
    ours = [Objective(f"gateway.{name}.response_p99", "<", 1.0, "ms", name) for name in ("a", "b")]
    assert not_judged_text(ours) == "not judged, since what was measured does not have it: gateway: a, b"
    assert not_judged_text([]) == ""
