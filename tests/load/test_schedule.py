"""The schedule is drawn ahead, follows the shape, and its shards are the whole."""

import itertools

import numpy as np
import pytest

from capacity.load.schedule import Schedule
from capacity.workload import Workload, parse_workload


def workload(**changes: object) -> Workload:
    values = {
        "name": "w",
        "target": "redis",
        "connections": 4,
        "operations": [
            {"name": "GET", "weight": 75, "command": ["GET", "a"]},
            {"name": "SET", "weight": 25, "command": ["SET", "a", "1"]},
        ],
        "shapes": {
            "smoke": {
                "kind": "rate",
                "stages": [
                    {"name": "ramp", "seconds": 2, "to": 1000, "ramp": True},
                    {"name": "sustain", "seconds": 4, "to": 1000},
                    {"name": "ramp-down", "seconds": 2, "to": 0, "ramp": True},
                ],
            }
        },
    }
    return parse_workload({**values, **changes})


def schedule(**shape: object) -> Schedule:
    made = workload()
    return Schedule(made, made.shape("smoke").model_copy(update=shape))


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_arrivals_follow_the_rate_of_every_stage(arrivals: str) -> None:
    rows = np.array(list(schedule(arrivals=arrivals).arrivals()))
    tolerance = 5 * np.sqrt(4000) if arrivals == "poisson" else 1.5
    assert np.bincount(rows[:, 3], minlength=3) == pytest.approx([1000, 4000, 1000], abs=tolerance)
    assert (np.diff(rows[:, 1]) >= 0).all()
    assert rows[:, 0].tolist() == list(range(len(rows)))


def test_the_mix_follows_the_weights() -> None:
    operations = np.array([row[2] for row in schedule().arrivals()])
    assert operations.mean() == pytest.approx(0.25, abs=0.03)


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    first, again = list(schedule().arrivals()), list(schedule().arrivals())
    other = workload(seed=2)
    assert first == again
    assert first != list(Schedule(other, other.shape("smoke")).arrivals())


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_shards_together_are_the_whole_schedule(shards: int) -> None:
    whole = [row[1:] for row in schedule().arrivals()]
    parts = [[row[1:] for row in schedule().shard(number, shards).arrivals()] for number in range(shards)]
    assert sorted(itertools.chain(*parts)) == sorted(whole)


def test_operations_take_turns_forwards_and_backwards_where_the_order_is_cycle() -> None:
    made = workload(order="cycle")
    assert list(itertools.islice(Schedule(made, made.shape("smoke")).operations(), 5000)) == [0, 1, 1, 0] * 1250
