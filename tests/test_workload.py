"""A wrong workload file is refused in one sentence that names the key and the value."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from capacity.errors import CapacityError
from capacity.workload import parse_workload, read_workload

GOOD: dict[str, Any] = {
    "name": "orders",
    "target": "postgres",
    "connections": 10,
    "operations": [
        {
            "name": "SELECT",
            "weight": 100,
            "statements": [{"sql": "select $1::int", "parameters": ["id"]}],
            "parameters": {"id": {"kind": "uniform", "low": 1, "high": 9}},
        }
    ],
    "shapes": {"smoke": {"kind": "rate", "stages": [{"name": "sustain", "seconds": 1, "to": 5}]}},
}


def changed(*path: Any, to: Any) -> dict[str, Any]:
    values = deepcopy(GOOD)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return values


def looked(*looks: int, to: float = 5) -> dict[str, Any]:
    stages = [
        {"name": "a", "seconds": 1, "to": 5},
        {"name": "b", "seconds": 2, "to": to},
        {"name": "c", "seconds": 4, "to": 5},
    ]
    return changed("shapes", "smoke", "stages", to=[each | {"look": i in looks} for i, each in enumerate(stages)])


def test_a_shape_ends_with_its_look_unless_it_goes_on() -> None:
    shape = parse_workload(looked(1)).shape("smoke")
    assert (shape.sustained_steps, shape.sustained_seconds) == ([0, 2], 5)
    assert (shape.until_look.sustained_steps, shape.until_look.seconds) == ([0], 3)
    whole = parse_workload(looked()).shape("smoke")
    assert whole.until_look == whole


def test_a_good_workload_is_read() -> None:
    assert parse_workload(GOOD).shape("smoke").sustained_steps == [0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed("conections", to=5), "w.yaml: conections: there is no such key; did you mean 'connections'?"),
        (
            changed("operations", 0, "weight", to=60),
            "w.yaml: operations: the weights add up to 60 and must add up to 100",
        ),
        (
            changed("shapes", "smoke", "stages", 0, "to", to=-1),
            "w.yaml: shapes.smoke.stages.0.to: must be 0 or more and is -1",
        ),
        (
            looked(1, 2),
            "w.yaml: shapes.smoke: the shape has 2 stages with `look` and may have one: more looks err more often",
        ),
        (looked(1, to=4), "w.yaml: shapes.smoke: a stage with `look` must go on at the load of the one before it"),
        (
            changed("operations", 0, "parameters", to={}),
            "w.yaml: operations.0: uses 'id', which is missing from its `parameters`",
        ),
    ],
)
def test_a_wrong_workload_gives_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CapacityError) as refused:
        parse_workload(values, source="w.yaml")
    assert str(refused.value) == message


def test_an_unknown_profile_names_the_accepted_ones() -> None:
    with pytest.raises(CapacityError, match="has no shape for the profile 'huge'; it has smoke"):
        parse_workload(GOOD).shape("huge")


def test_a_missing_file_and_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"cannot read the workload .*none\.yaml: No such file"):
        read_workload(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(CapacityError, match="is not YAML"):
        read_workload(broken)
