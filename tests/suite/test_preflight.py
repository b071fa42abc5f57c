"""What is said before a run: what is not fine, in lines that fit the terminal, and nothing of the embedded system."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from capacity.cli import main
from capacity.errors import CapacityError
from capacity.suite.preflight import checks_json, checks_text, show_preflight
from capacity.system.addresses import VARIABLES, System
from capacity.system.embedded import run_postgres
from capacity.system.preflight.check import Check
from capacity.system.server_directory import open_server_directory

CHECKS = [
    Check("reachable", True, False, "PostgreSQL 18.6, as app in shop", part="PostgreSQL"),
    Check("timings", False, False, "track_io_timing is off", "no times of reads", "have it set", "PostgreSQL"),
    Check("reachable", False, True, "does not answer", "nothing is measured", "start it", "Redis"),
]


@pytest.fixture(autouse=True)
def without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


def test_a_part_is_a_paragraph_and_what_is_not_fine_says_what_it_means_and_what_to_do() -> None:
    assert checks_text(CHECKS, 100).splitlines() == [
        "PostgreSQL",
        "  ok       reachable       PostgreSQL 18.6, as app in shop",
        "  note     timings         track_io_timing is off",
        "                           means: no times of reads",
        "                           to do: have it set",
        "",
        "Redis",
        "  MISSING  reachable       does not answer",
        "                           means: nothing is measured",
        "                           to do: start it",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = Check("connections", False, False, *("words that say it " * 20 for _ in range(3)), part="API")
    lines = checks_text([long], width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) > 10


def test_the_same_as_json() -> None:
    first, *_ = json.loads(checks_json(CHECKS))
    assert first == {
        "name": "reachable", "fine": True, "needed": False, "said": "PostgreSQL 18.6, as app in shop", "means": "",
        "to_do": "", "part": "PostgreSQL",
    }  # fmt: skip


def test_nothing_is_said_before_a_run_on_the_embedded_system(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    show_preflight(["database", "failover"], "", said.append)
    for name, value in system.as_environment().items():
        monkeypatch.setenv(name, value)
    show_preflight(["database", "failover"], "", said.append)
    assert said == []


def test_before_a_run_what_is_not_fine_of_the_parts_that_it_loads_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_server_directory() as directory:
        url = run_postgres(directory, track_io_timing="off").url
        monkeypatch.setenv("CAPACITY_POSTGRES_URL", url)
        monkeypatch.setenv("CAPACITY_REDIS_URL", "redis://127.0.0.1:1/0")
        said: list[str] = []
        show_preflight(["database", "capacity_plan"], "", said.append)
        (text,) = said
        assert text.startswith("PostgreSQL\n")
        assert "\n  note     timings" in text
        assert "\n  ok " not in text
        assert "pgbench" not in text
        with pytest.raises(
            CapacityError, match=r"^Redis: .*Connection refused.*; nothing of it can be measured: start"
        ):
            show_preflight(["breaking_point"], "", said.append)


def test_a_server_that_is_down_ends_a_run_before_it_makes_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CAPACITY_GATEWAY_URL", "http://127.0.0.1:1")
    folder = tmp_path / "run"
    ran = CliRunner().invoke(main, ["run", "--only", "gateway", "--into", str(folder)])
    assert ran.exit_code == 2
    assert ran.output.startswith("capacity: API: does not answer: [Errno 111] Connection refused; ")
    assert not folder.exists()


def test_the_doctor_tells_a_pipeline_and_ends_with_2_where_something_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAPACITY_GATEWAY_URL", "http://127.0.0.1:1")
    ran = CliRunner().invoke(main, ["doctor", "--json"])
    assert ran.exit_code == 2
    assert [each["part"] for each in json.loads(ran.output) if each["needed"] and not each["fine"]] == ["API"]
