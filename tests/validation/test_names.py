"""One grammar for lists of names, wherever they are given."""

import pytest

from capacity.errors import CapacityError
from capacity.validation.names import chosen_names, did_you_mean, instead, listed

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


def test_a_name_that_is_spelt_nearly_so_is_the_one_that_was_meant() -> None:
    assert did_you_mean("Databse", PARTS) == "; did you mean 'database'?"
    assert did_you_mean("mainframe", PARTS) == ""
    with pytest.raises(CapacityError, match=r"^there is no part 'queu'; did you mean 'queue'\?$"):
        chosen_names("queu", PARTS, "part")


def test_of_many_names_that_are_accepted_not_all_are_shown() -> None:
    assert instead("x", ["one", "two"]) == "; accepted are one, two"
    assert instead("x", []) == "; accepted are none"
    assert instead("x", range(30)).endswith("18, 19, … (30 in all)")


def test_an_error_of_several_sentences_says_the_first() -> None:
    assert CapacityError("one is wrong").sentences == ("one is wrong",)
    assert CapacityError("one (and 1 more)", ["one", "two"]).sentences == ("one", "two")
