"""The parts of a system are looked at together: those that are named, beside the workloads that load them."""

from dataclasses import replace
from pathlib import Path

import pytest

from capacity.places import defaults_folder
from capacity.system.addresses import System
from capacity.system.application.database import prepare_roles
from capacity.system.preflight.stack import local_checks, parts_of, read_workloads, stack_checks
from capacity.workload import FILES, Workload

SECRET = "hunter2"


@pytest.fixture(scope="module")
def wanted() -> dict[str, list[Workload]]:
    return {name: read_workloads(name, defaults_folder() / "data" / "workloads") for name in FILES}


def test_the_embedded_system_is_fine_for_the_suites_own_workloads(
    system: System, wanted: dict[str, list[Workload]]
) -> None:
    """But for a role that may not be there yet, nothing is said of it."""
    prepare_roles(system.postgres_admin_url)
    checks = stack_checks(replace(system, queue="", gateway_url=""), wanted)
    assert [each for each in checks if not each.fine] == []
    assert list(dict.fromkeys(each.part for each in checks)) == ["PostgreSQL", "Redis"]


def test_servers_that_are_down_are_a_line_each_without_a_password(wanted: dict[str, list[Workload]]) -> None:
    down = System(
        postgres_url=f"postgresql://app:{SECRET}@127.0.0.1:1/app",
        postgres_admin_url=f"postgresql://app:{SECRET}@127.0.0.1:1/app",
        redis_url=f"redis://app:{SECRET}@127.0.0.1:1/3",
        gateway_url="http://127.0.0.1:1",
        queue="orders",
    )
    checks = stack_checks(down, wanted)
    assert [(each.part, each.name, each.needed) for each in checks] == [
        (part, "reachable", True) for part in ("PostgreSQL", "Redis", "queue", "API")
    ]
    assert [each.to_do.rpartition(" ")[2] for each in checks] == [
        "CAPACITY_POSTGRES_URL", "CAPACITY_REDIS_URL", "CAPACITY_REDIS_URL", "CAPACITY_GATEWAY_URL"
    ]  # fmt: skip
    assert all("Connection refused" in each.said or "connecting to" in each.said for each in checks)
    assert all(SECRET not in f"{each}" for each in checks)


def test_only_parts_that_are_named_and_have_a_workload_are_looked_at(
    system: System, wanted: dict[str, list[Workload]]
) -> None:
    assert stack_checks(System(), wanted) == []
    assert stack_checks(system, {"gateway": wanted["gateway"]}) == []
    assert {each.part for each in stack_checks(system, {"redis": wanted["redis"]})} == {"Redis"}


def test_a_project_of_ones_own_has_the_parts_of_its_workloads(tmp_path: Path) -> None:
    assert parts_of(defaults_folder()) == list(FILES)
    workloads = tmp_path / "data" / "workloads"
    workloads.mkdir(parents=True)
    (tmp_path / "data" / "objectives.yaml").write_text("[]\n")
    (workloads / "redis.yaml").touch()
    assert parts_of(tmp_path) == ["redis"]


def test_this_machine_is_looked_at_for_the_workload_that_wants_most(wanted: dict[str, list[Workload]]) -> None:
    found = {each.name: each for each in local_checks(System(), wanted)}
    assert found["open files"].said.endswith(" 384 are enough")  # 128 connections and the generator's own
    assert {each.part for each in found.values()} == {"this machine"}
