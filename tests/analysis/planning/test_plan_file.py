"""The plan's file is checked whole."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.analysis.planning.plan_file import PlanFile, read_plan
from capacity.errors import CapacityError
from capacity.findings import read_findings

DATA = Path(__file__).parents[3] / "data"


def changed(folder: Path, **parts: Any) -> Path:
    entries = yaml.safe_load((DATA / "plan.yaml").read_text(encoding="utf-8"))
    file = folder / "plan.yaml"
    file.write_text(yaml.safe_dump(entries | parts, sort_keys=False), encoding="utf-8")
    return file


def test_the_committed_plan_reads_and_names_only_findings_that_exist_or_are_said_to_be_missing() -> None:
    plan = read_plan(DATA / "plan.yaml")
    there = {each.name for each in read_findings(DATA / "recorded" / "findings")}
    named = {use.finding for each in plan.resources for use in each.use if use.finding}
    named |= {each.finding for each in plan.signals} | {each.finding for each in plan.margins if each.finding}
    assert named - there <= {"database.device_operations"}  # which these recordings do not have
    assert (plan.growth.value, plan.months) == (0.15, 24)


def test_every_number_of_the_plan_that_is_not_measured_has_a_source() -> None:
    plan = read_plan(DATA / "plan.yaml")
    for each in (plan.headroom, plan.growth, *plan.loads.values(), *plan.signals, *plan.margins, *plan.waits):
        assert each.source
    assert all(trigger.source for each in plan.resources for trigger in each.triggers)


GROWTH = {"value": 0.15, "low": 0.2, "high": 0.3, "source": "s"}
RATE = "must be more than -1 and 1 or less (15 % a month is 0.15)"
USERS = {"value": 70, "low": 60, "high": 80, "tested": 100, "unit": "users", "source": "s"}
WAIT = {"name": "x", "title": "X", "rate": {"constant": 1}, "service_ms": {"mean": "a.b"}, "wait_ms": 9, "source": "s"}
PART = {"name": "x", "title": "X", "service": "rds", "current": "", "uses": {}}
RESOURCE = {"name": "x", "title": "X", "unit": "", "use": [{"finding": "a.b"}], "limit": {"why": "w", "value": 1}}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"growth": GROWTH}, "growth: the value 0.15 is not between low 0.2 and high 0.3"),
        ({"growth": GROWTH | {"low": -1}}, f"growth.low: {RATE} and is -1"),
        ({"growth": GROWTH | {"value": 15}}, f"{RATE} and is 15, which would be 1,500% a month; did you mean 0.15,"),
        ({"growth": GROWTH | {"value": 2}}, f"{RATE} and is 2, which would be 200% a month; did you mean 0.02,"),
        ({"growth": GROWTH | {"value": 900}}, f"growth.value: {RATE} and is 900, which would be 90,000% a month"),
        ({"growth": GROWTH | {"value": "15 %"}}, "growth.value: is '15 %'; write it as a share, 0.15"),
        ({"growth": GROWTH | {"high": float("inf")}}, "growth.high: must be more than -1 and 1 or less"),
        ({"growth": GROWTH | {"high": float("nan")}}, "growth.high: must be more than -1 and 1 or less"),
        (
            {"headroom": {"value": 30, "source": "s"}},
            "headroom.value: must be a share from 0 to below 1 and is 30; did you mean 0.3, which is 30 %?",
        ),
        ({"headroom": {"value": "30%", "source": "s"}}, "headroom.value: is '30%'; write it as a share, 0.3"),
        (
            {"waits": [WAIT | {"probability": 99}]},
            "probability: must be a share from 0 to below 1 and is 99; did",
        ),
        ({"months": 600}, "months: must be 120 or less and is 600"),
        ({"loads": {"users": USERS | {"high": float("inf")}}}, "loads.users.high: must be 1e+12 or less and is inf"),
        ({"loads": {"users": USERS | {"measured": "redis.throughput"}}}, "a load has either `tested` or `measured`"),
        ({"change_cost": float("inf")}, "change_cost: must be 1e+12 or less and is inf"),
        (
            {"resources": [RESOURCE | {"use": [{"finding": "a.b", "pieces": 0}]}]},
            "resources.0.use.0.pieces: must be 1 or more and is 0",
        ),
        (
            {"parts": [PART | {"current_volume": "20 GiB"}]},
            "parts.0: a current_volume is of the `volume` that is given beside it",
        ),
        ({"moths": 3}, "moths: there is no such key; did you mean 'months'?"),
        ({"months": 0}, "months: must be more than 0 and is 0"),
        (
            {"resources": [RESOURCE | {"use": [{"finding": "a.b", "load": "visitors"}]}]},
            "resources.0.use.0.load: there is no load 'visitors'; accepted are users, commands, requests, jobs",
        ),
        (
            {"resources": [RESOURCE | {"limit": {"why": "w", "part": "mainframe", "column": "iops"}}]},
            "resources.0.limit.part: there is no part 'mainframe'; accepted are database, supabase, redis, "
            "workers, gateway",
        ),
        (
            {"resources": [RESOURCE | {"limit": {"why": "w"}}]},
            "resources.0.limit: a limit is one of a value, a finding, and a part with a column",
        ),
        (
            {"resources": [RESOURCE | {"limit": {"why": "w", "part": "database"}}]},
            "resources.0.limit: a part and a column are given together",
        ),
        ({"resources": [RESOURCE | {"use": [{"load": "users"}]}]}, "use.0: a term has either a finding or a constant"),
        ({"resources": [RESOURCE, RESOURCE]}, "resources.1.name: the name 'x' is there twice; keep one of them"),
    ],
)
def test_a_plan_that_does_not_hold_together_is_refused(tmp_path: Path, parts: dict[str, Any], sentence: str) -> None:
    file = changed(tmp_path, **parts)
    with pytest.raises(CapacityError) as refused:
        read_plan(file)
    assert re.match(rf"{re.escape(str(file))}, line \d+: ", str(refused.value))
    assert sentence in str(refused.value)


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^cannot read the plan .*plan\.yaml: "):
        read_plan(tmp_path / "plan.yaml")


def test_the_plan_has_no_logic_of_its_own() -> None:
    """The same file gives the same plan."""
    assert read_plan(DATA / "plan.yaml") == PlanFile.model_validate(read_plan(DATA / "plan.yaml").model_dump())
