"""Arrivals and users follow the stages of a shape."""

from typing import Literal

import numpy as np
import pytest

from capacity.shape import Shape, Stage


def shape(kind: Literal["rate", "users"], to: float) -> Shape:
    return Shape(
        kind=kind,
        stages=[
            Stage(name="ramp", seconds=2, to=to, ramp=True),
            Stage(name="sustain", seconds=4, to=to),
            Stage(name="ramp-down", seconds=2, to=0, ramp=True),
        ],
    )


def test_times_in_a_ramp_are_the_square_root_of_their_number() -> None:
    made = shape("rate", 1000)
    assert made.expected().tolist() == [1000, 5000, 6000]
    up = np.arange(1.0, 1000.0)
    assert made.times_of(up, made.expected()) == pytest.approx(np.sqrt(up * 2 * 2 / 1000), rel=1e-12)
    assert made.times_of(6000 - up, made.expected()) == pytest.approx(8 - np.sqrt(up * 2 * 2 / 1000), rel=1e-12)


def test_times_at_a_constant_rate_are_evenly_apart() -> None:
    made = shape("rate", 1000)
    times = made.times_of(np.arange(1000.0, 5001.0), made.expected())
    assert times == pytest.approx(np.linspace(2, 6, 4001), rel=1e-12)
    assert made.step_at(np.array([0.0, 1.999, 2.0, 5.999, 6.0, 8.0])).tolist() == [0, 0, 1, 1, 2, 2]
    assert (made.seconds, made.ends, made.sustained_steps) == (8, [2, 6, 8], [1])


def test_users_come_and_go_with_the_ramps_and_the_last_to_come_is_the_first_to_go() -> None:
    changes = list(shape("users", 4).user_changes())
    assert changes[:4] == [(0.5, 0, 1), (1.0, 1, 1), (1.5, 2, 1), (2.0, 3, 1)]
    assert changes[4:] == [(6.5, 3, -1), (7.0, 2, -1), (7.5, 1, -1), (8.0, 0, -1)]
