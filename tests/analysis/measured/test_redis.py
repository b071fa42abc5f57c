"""What Redis tells is given with what makes it meaningful: enough data, one thread, counters that nobody set back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from capacity.analysis.measured.redis import (
    HEADERS,
    LITTLE,
    MAIN_THREAD,
    PROCESS,
    SET_BACK,
    SWAPPED,
    UNLIMITED,
    UNTOLD,
    redis_findings,
)
from capacity.findings import Finding
from capacity.recording import open_recording
from capacity.units import MB

RECORDED = open_recording(Path(__file__).parents[3] / "data" / "recorded" / "redis")
SAMPLES, GAUGES = RECORDED.samples.iloc[:2000], RECORDED.gauges
AT = sorted(GAUGES.loc[GAUGES["gauge"] == PROCESS, "at_ns"])
MIDDLE = AT[len(AT) // 2]
LESS = "Redis 6.0.16 does not tell the CPU of its main thread"


def found(gauges: pd.DataFrame, not_given: Mapping[str, str] = {}, **system: Any) -> dict[str, Finding]:
    facts = RECORDED.facts
    told = facts.model_copy(update={"system": facts.system | system, "not_given": dict(not_given)})
    every = redis_findings("r", SAMPLES, gauges, told)
    return {each.name.removeprefix("redis."): each for each in every}


def changed(name: str, value: object) -> pd.DataFrame:
    """The recording with other readings of one gauge: a number, or what is made of the readings that were."""
    readings = GAUGES.copy()
    mine = readings["gauge"] == name
    readings.loc[mine, "value"] = value(readings.loc[mine, "value"]) if callable(value) else value
    return readings


def added(name: str, readings: pd.DataFrame = GAUGES, scale: float = 1.0, of: str = PROCESS) -> pd.DataFrame:
    """The recording with one gauge more, which is another one times `scale`."""
    more = readings[readings["gauge"] == of].assign(gauge=name)
    return pd.concat([readings.astype({"gauge": str}), more.assign(value=more["value"] * scale)], ignore_index=True)


@pytest.mark.parametrize(
    ("used_mb", "ratio", "given", "why"),
    [
        (0.9, 12.0, None, LITTLE),
        (63.0, 1.4, None, LITTLE),
        (64.0, 1.4, 1.4, ""),
        (20.0, 6.0, 6.0, ""),  # of 120 MB that are resident, 100 hold nothing any more
        (200.0, 0.6, None, SWAPPED),
    ],
)
def test_fragmentation_is_given_where_the_data_decide_it(
    used_mb: float, ratio: float, given: float | None, why: str
) -> None:
    readings = changed("redis.memory_bytes", used_mb * MB)
    readings.loc[readings["gauge"] == "redis.fragmentation", "value"] = ratio
    fragmentation = found(readings)["fragmentation"]
    assert (fragmentation.value, fragmentation.note) == (given, why)
    of_libc = found(readings, allocator="libc")["fragmentation"]
    assert of_libc.note == (HEADERS if given else why)


def test_the_peak_of_fragmentation_is_not_that_of_a_time_with_little_data() -> None:
    readings = changed("redis.fragmentation", 1.1)
    early = readings["at_ns"] < MIDDLE
    readings.loc[early & (readings["gauge"] == "redis.fragmentation"), "value"] = 9.0
    readings.loc[early & (readings["gauge"] == "redis.memory_bytes"), "value"] = 2.0 * MB
    assert found(readings)["fragmentation"].value == 1.1


def test_memory_of_maxmemory_is_what_counts_towards_it_at_each_reading() -> None:
    assert found(GAUGES)["memory_utilisation"].value == pytest.approx(60.987, abs=1e-3)
    assert found(changed("redis.memory_limit_bytes", 0.0))["memory_utilisation"].note == UNLIMITED
    buffers = added("redis.memory_counted_bytes", scale=0.5, of="redis.memory_bytes")
    half = found(buffers)
    assert half["memory_utilisation"].value == pytest.approx(60.987 / 2, abs=1e-3)
    assert half["memory"].value == pytest.approx(163.711, abs=1e-3)
    raised = changed("redis.memory_limit_bytes", 2e9)
    raised.loc[(raised["gauge"] == "redis.memory_limit_bytes") & (raised["at_ns"] < MIDDLE), "value"] = 2e8
    share = found(raised)["memory_utilisation"].value
    assert share is not None and 75 < share < 82  # of the lower limit, when that held


def test_the_cpu_is_that_of_the_thread_that_runs_the_commands() -> None:
    both = added(MAIN_THREAD, scale=0.25)
    alone = found(both, io_threads=1)["cpu_share"]
    assert alone.value == pytest.approx(6.1087 / 4, abs=1e-4)
    assert (alone.title, alone.note) == ("CPU of the server's main thread, of one core", "")
    threaded = found(both, io_threads=4)["cpu_share"]
    assert threaded.value == alone.value
    assert threaded.note == "of the thread that runs the commands; io-threads beside it: 3"
    assert found(both, io_threads=None)["cpu_share"].value == alone.value


def test_the_cpu_of_a_process_is_that_of_one_thread_only_without_io_threads() -> None:
    whole = found(GAUGES, {MAIN_THREAD: LESS}, io_threads=1)["cpu_share"]
    assert (whole.value, whole.note) == (pytest.approx(6.1087, abs=1e-4), LESS)
    assert whole.title == "CPU of the server's process, of one core"
    for threads, many in ((4, "4"), (None, "an unknown number of")):
        none = found(GAUGES, {MAIN_THREAD: LESS}, io_threads=threads)["cpu_share"]
        assert (none.value, none.note) == (None, f"{LESS}, and the process has {many} threads for its clients")
    assert found(GAUGES)["cpu_share"].note == UNTOLD


@pytest.mark.parametrize("name", ["evictions", "out_of_memory"])
def test_a_counter_is_not_given_where_the_servers_counters_were_set_back(name: str) -> None:
    assert found(GAUGES)[name].value == 0
    later = GAUGES["at_ns"] > MIDDLE
    after = GAUGES.copy()
    after.loc[later & (GAUGES["gauge"] == "redis.commands"), "value"] -= 1e5
    assert (found(after)[name].value, found(after)[name].note) == (None, SET_BACK)
    assert found(after)["cpu_share"].value is not None  # CONFIG RESETSTAT leaves it
    after.loc[later & (GAUGES["gauge"] == PROCESS), "value"] = 0.0
    assert found(after)["cpu_share"].note == SET_BACK


def test_what_was_not_read_until_the_end_is_not_given() -> None:
    """Nor is a peak: it may have come later."""
    told = found(GAUGES[~((GAUGES["at_ns"] > MIDDLE) & GAUGES["gauge"].astype(str).str.startswith("redis."))])
    for name in ("evictions", "out_of_memory", "cpu_share", "memory", "memory_utilisation", "fragmentation"):
        assert told[name].value is None
        assert told[name].note.startswith("there is no reading of it from "), (name, told[name].note)
