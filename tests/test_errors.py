"""One grammar for lists of names, wherever they are given."""

import pytest

from capacity.errors import CapacityError, chosen_names, listed

PARTS = {"database": 1, "redis": 2, "queue": 3}


@pytest.mark.parametrize(
    "given",
    ["redis,queue", "redis queue", " redis ,  queue,", ["redis", "queue"], ("redis,queue", ""), ["queue redis"]],
)
def test_commas_spaces_and_several_texts_are_one_list(given: object) -> None:
    assert chosen_names(given, PARTS, "part") == ["redis", "queue"]


def test_nothing_given_is_no_name_and_a_number_is_a_name() -> None:
    assert (listed(""), listed([]), listed(()), listed([3, "a"])) == ([], [], [], ["3", "a"])


def test_names_come_once_and_in_the_order_of_those_that_there_are() -> None:
    assert chosen_names("queue,database,queue", PARTS, "part") == ["database", "queue"]


def test_an_unknown_name_is_a_sentence_with_those_accepted() -> None:
    with pytest.raises(CapacityError, match=r"^there is no part 'mainframe'; accepted are database, redis, queue$"):
        chosen_names("redis mainframe", PARTS, "part")
