"""Each problem is a place and a sentence; what is missing since its name was misspelt is not said again."""

from typing import Any

import pytest
from pydantic import ValidationError

from capacity.validation.problems import problems_of
from capacity.workload import Workload

STAGE = {"name": "all", "seconds": 1, "to": 5}
GOOD: dict[str, Any] = {
    "name": "cache",
    "target": "redis",
    "connections": 1,
    "operations": [{"name": "GET", "weight": 100, "command": ["PING"]}],
    "shapes": {"smoke": {"kind": "rate", "stages": [STAGE]}},
}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"tite": "x"}, [(("tite",), "there is no such key; did you mean 'title'?")]),
        ({"name": "Cache"}, [(("name",), "must be written as 'my_orders' (its name in recordings) and is 'Cache'")]),
        (
            {"operations": [{"nam": "GET", "weight": "all", "command": ["PING"]}]},
            [
                (("operations", 0, "weight"), "must be a number and is 'all'"),
                (("operations", 0, "nam"), "there is no such key; did you mean 'name'?"),
            ],
        ),
        (
            {"operations": [{**GOOD["operations"][0], "parameters": {"a": {"low": 1}}}]},
            [
                (
                    ("operations", 0, "parameters", "a", "kind"),
                    "must be one of sequence, text, uniform, uuid, zipf and is not given",
                )
            ],
        ),
        (
            {"shapes": {"smoke": {"kind": "rate", "stages": []}}},
            [(("shapes", "smoke", "stages"), "must have 1 or more entries")],
        ),
        (
            {"connections": 0, "seed": None, "operations": {}},
            [
                (("connections",), "must be more than 0 and is 0"),
                (("seed",), "must be a whole number and is not given"),
                (("operations",), "must be a list"),
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(change: dict[str, Any], found: list[Any]) -> None:
    values = GOOD | change
    with pytest.raises(ValidationError) as refused:
        Workload.model_validate(values)
    assert problems_of(refused.value, values, Workload.model_json_schema()) == found
