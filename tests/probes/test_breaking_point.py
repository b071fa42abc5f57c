"""A search on a real server finds where it breaks, and is read again from what it kept."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from capacity.analysis.limits.rounds import over_rounds
from capacity.analysis.limits.search import Conclusion
from capacity.analysis.limits.search_result import SearchResult, breaking_point_findings
from capacity.analysis.measured.validity import neighbours
from capacity.clock import wait_until
from capacity.errors import CapacityError
from capacity.probes.breaking_point import (
    FILE,
    read_search_result,
    read_search_results,
    run_breaking_point_probe,
    search_again,
    search_part,
)
from capacity.probes.levels import open_load_test
from capacity.probes.searches import SearchSettings, read_searches
from capacity.system.addresses import System
from capacity.system.application.database import DATASETS, Dataset
from capacity.system.embedded import free_port

PROJECT = Path(__file__).parents[2]
SERVERS, SERVICE_S = 8, 0.005
MOST = SERVERS / SERVICE_S  # 1,600 a second, and fewer where the machine is busy
SLOW_S = 0.01
API = f"""
import asyncio, sys
import uvicorn

slots = asyncio.Semaphore({SERVERS})

async def app(scope, receive, send):
    async with slots:
        await asyncio.sleep({SLOW_S})
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}})
    await send({{"type": "http.response.body", "body": b""}})

uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off", loop="uvloop", http="httptools")
"""


@pytest.fixture(scope="module")
def found(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SearchResult, Path]]:
    folder = tmp_path_factory.mktemp("search")
    operations = [{"name": "X", "weight": 100, "statements": [{"sql": f"SELECT pg_sleep({SERVICE_S})"}]}]
    shapes = {"smoke": {"kind": "rate", "stages": [{"name": "all", "seconds": 1, "to": 10}]}}
    values = {"name": "sleep", "target": "postgres", "connections": 1, "operations": operations, "shapes": shapes}
    (folder / "sleep.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    windows = {"smoke": {"warm_up_seconds": 0.2, "seconds": 0.7, "confirm_seconds": 1.4, "share": 0.5, "rounds": 2}}
    settings = SearchSettings(workload="sleep", connections=SERVERS, start=700, limit=11200, step=25, windows=windows)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DATASETS, "smoke", Dataset(1000, 5))
        patch.setattr(neighbours, "TOO_MUCH", 1.0)  # other tests run beside it, and sleeping needs no core
        with open_load_test("database", settings, system, folder) as test:
            searched = search_part("database", test, settings, "smoke", folder / "database")
            search_again("database", test, settings, "smoke", folder / "database")
        yield searched, folder


def test_the_breaking_point_of_a_pool_is_found_where_it_is(found: tuple[SearchResult, Path]) -> None:
    answer = found[0].answer
    assert answer.complete
    assert answer.conclusion is Conclusion.FOUND
    assert answer.high is not None
    assert 0 < answer.low < MOST
    assert answer.low < answer.high <= 2 * MOST
    peak = max(level.finding("completed").value or 0 for level in found[0].levels)
    assert peak <= 1.05 * MOST


def test_what_is_read_again_is_what_was_measured(found: tuple[SearchResult, Path]) -> None:
    searched, folder = found
    again = read_search_result(folder / "database")
    assert again.levels == searched.levels
    assert again.repeated[:1] == searched.repeated
    assert again.answer == searched.answer
    assert again.broke == searched.broke
    first = replace(again, rounds=(), repeated=again.repeated[:1])
    assert breaking_point_findings(first, "r") == breaking_point_findings(searched, "r")
    assert list(read_search_results(folder)) == ["database"]


def test_a_later_round_looks_near_the_answer_and_measures_the_load_recommended_again(
    found: tuple[SearchResult, Path],
) -> None:
    searched, folder = found
    again = read_search_result(folder / "database")
    recommended = searched.answer.recommended
    assert [each.rate for each in again.repeated] == [recommended, recommended]
    (levels,) = again.rounds
    assert levels[0].rate == searched.answer.low
    assert {each.seconds for each in levels} == {1.4}
    names = [each.recording for each in (*levels, *again.repeated)]
    assert names == [f"round-2-{place:02d}" for place in range(1, len(levels) + 1)] + ["repeated-01", "repeated-02"]
    assert all((folder / "database" / name).is_dir() for name in names)
    first, second = again.brackets
    assert (first.low, first.high) == (searched.answer.low, searched.answer.high)
    assert second.low < second.high
    assert again.sustainable == over_rounds(again.brackets)
    assert len(again.table) == len(searched.levels) + len(levels)


def test_the_search_keeps_its_levels_verdicts_and_answer(found: tuple[SearchResult, Path]) -> None:
    searched, folder = found
    kept = json.loads((folder / "database" / FILE).read_text(encoding="utf-8"))
    assert [each["recording"] for each in kept["levels"]] == [
        f"{place:02d}" for place in range(1, len(searched.levels) + 1)
    ]
    assert [each["verdict"] for each in kept["levels"]] == [str(level.verdict) for level in searched.levels]
    assert (kept["answer"]["low"], kept["answer"]["high"]) == (searched.answer.low, searched.answer.high)
    assert {each["finding"] for each in kept["objectives"]} == {
        "level_database.response_p99",
        "level_database.success_rate",
        "level_database.backlog_growth",
    }


@pytest.fixture
def api() -> Iterator[System]:
    """An API of somebody's own: it serves 8 requests at once, for 10 ms each, and tells nobody."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", API, str(port)]) as server:
        try:
            assert wait_until(lambda: listens(port), 20)
            yield System(gateway_url=f"http://127.0.0.1:{port}")
        finally:
            server.terminate()


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@pytest.mark.thorough
def test_of_an_api_of_which_nothing_is_known_no_waiting_lines_are_reckoned(api: System, tmp_path: Path) -> None:
    """The load's own 64 connections are no servers of it: they would give 5,500 a second, and it holds under 800."""
    operations = [{"name": "GET", "weight": 100, "request": {"path": "/"}}]
    shapes = {"smoke": {"kind": "rate", "stages": [{"name": "all", "seconds": 1, "to": 10}]}}
    values = {"name": "api", "target": "http", "connections": 1, "operations": operations, "shapes": shapes}
    (tmp_path / "api.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    windows = {"smoke": {"warm_up_seconds": 0.3, "seconds": 1.2, "confirm_seconds": 2.4, "share": 0.3}}
    settings = SearchSettings(workload="api", connections=64, start=300, limit=4800, step=25, windows=windows)  # type: ignore[arg-type]
    with open_load_test("gateway", settings, api, tmp_path) as test:
        searched = search_part("gateway", test, settings, "smoke", tmp_path / "gateway")
    most = SERVERS / SLOW_S
    assert searched.answer.low < most and searched.answer.high is not None
    measured, law, lines = searched.knees
    assert measured.rate.value is not None and law.rate.value is not None
    assert 0.6 * most < law.rate.value < 1.2 * most
    assert (lines.rate.value, lines.note) == (None, "how many requests the API serves at once is not known")
    found = {each.name.rpartition(".")[2]: each for each in breaking_point_findings(searched, "r")}
    for name in ("by_waiting_lines", "waiting_lines_ratio"):
        assert (found[name].value, found[name].note) == (None, lines.note)


def test_without_a_search_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CapacityError) as refused:
        read_search_results(tmp_path)
    assert str(refused.value) == f"there is no search in {tmp_path}: no search.json is below it"
    with pytest.raises(CapacityError, match="search into it first"):
        read_search_result(tmp_path)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(CapacityError) as refused:
        run_breaking_point_probe(False, "smoke", "", "x", parts="database mainframe")
    assert str(refused.value) == ("there is no part 'mainframe'; accepted are database, redis, queue, gateway")


def test_the_projects_searches_begin_within_their_range() -> None:
    searches = read_searches(PROJECT / "data" / "workloads" / "breaking_point.yaml")
    assert list(searches) == ["database", "redis", "queue", "gateway"]
    for part in searches.values():
        for profile in ("smoke", "standard", "full"):
            assert part.search(profile).next_level([]) is not None
    with pytest.raises(CapacityError) as refused:
        searches["redis"].search("quick")
    assert str(refused.value) == "the search has no windows for the profile 'quick'; it has smoke, standard, full"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("redis: {workload: redis}", "redis.connections: the key is missing"),
        (
            "redis: {workload: redis, connections: 1, start: 20, limit: 10, step: 1, windows: "
            "{smoke: {warm_up_seconds: 1, seconds: 1, confirm_seconds: 2, share: 0.1}}}",
            "redis.start: is 20, above the limit 10",
        ),
        ("[", "the file of searches"),
    ],
)
def test_wrong_settings_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "breaking_point.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CapacityError) as refused:
        read_searches(path)
    assert message in str(refused.value)
    with pytest.raises(CapacityError, match="cannot read the file of searches"):
        read_searches(tmp_path / "none.yaml")
