"""The matrix is a list of which a profile takes the short form or the whole."""

import re

import pytest

from capacity.errors import CapacityError
from capacity.scenarios.matrix import MATRIX, chosen_rows


def test_each_name_is_there_once_and_the_short_form_has_each_kind_of_the_whole() -> None:
    names = [row.scenario.name for row in MATRIX]
    assert len(set(names)) == len(names)
    assert {row.kind for row in chosen_rows("smoke")} == {row.kind for row in MATRIX}


def test_smoke_is_short_and_the_others_are_whole_unless_it_is_said() -> None:
    assert chosen_rows("standard") == chosen_rows("full") == MATRIX
    assert chosen_rows("smoke") == tuple(row for row in MATRIX if row.short)
    assert chosen_rows("standard", "short") == chosen_rows("smoke")
    assert chosen_rows("smoke", "whole") == MATRIX


def test_those_that_are_named_run_whatever_the_form_in_the_order_of_the_matrix() -> None:
    chosen = chosen_rows("smoke", "", "redis_none_stop, direct_connections")
    assert [row.scenario.name for row in chosen] == ["direct_connections", "redis_none_stop"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("smoke", "long"), r"the matrix has no form 'long'; accepted are short, whole"),
        (
            ("smoke", "", "redis_aof_kill,redis_melts"),
            r"there is no scenario 'redis_melts'; accepted are direct_connections, .*redis_aof_kill.*",
        ),
    ],
)
def test_an_unknown_form_or_scenario_is_one_sentence(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CapacityError, match=f"^{sentence}$"):
        chosen_rows(*words)


def test_a_name_is_of_small_letters_as_it_stands_in_findings() -> None:
    assert all(re.fullmatch(r"[a-z0-9_]+", row.scenario.name) for row in MATRIX)
