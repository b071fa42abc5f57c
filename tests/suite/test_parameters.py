"""Parameters that a notebook does not have, or of another type, are refused before anything runs."""

from pathlib import Path

import nbformat
import pytest

from capacity.errors import CapacityError
from capacity.suite.parameters import chosen_parameters, notebook_parameters, texts_by_name

ACCEPTED = {
    "database": {"live": False, "prepared": True, "limit": 1.5, "seed": 1},
    "redis": {"live": False, "name": "x"},
    "failover": {"scenarios": []},
}


def chosen(**given: object) -> dict[str, dict[str, object]]:
    return chosen_parameters(ACCEPTED, given, frozenset({"live"}))


def test_a_value_reaches_the_notebooks_that_have_it() -> None:
    assert chosen(prepared=False, name="y") == {"database": {"prepared": False}, "redis": {"name": "y"}, "failover": {}}
    assert chosen(limit=2) == {"database": {"limit": 2}, "redis": {}, "failover": {}}


@pytest.mark.parametrize("given", ["a,b", "a b", ["a", "b"], ["a", "b,"]])
def test_a_parameter_that_is_a_list_takes_names_in_any_form(given: object) -> None:
    assert chosen(scenarios=given)["failover"] == {"scenarios": ["a", "b"]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"preparde": False},
            "no notebook has the parameter 'preparde'; accepted are limit, name, prepared, scenarios, seed",
        ),
        ({"prepared": "no way"}, "the parameter prepared is 'no way' and must be true or false, as its default true"),
        ({"prepared": ""}, "the parameter prepared is '' and must be true or false, as its default true"),
        ({"prepared": 1}, "the parameter prepared is 1 and must be true or false, as its default true"),
        ({"prepared": "1"}, "the parameter prepared is '1' and must be true or false, as its default true"),
        (
            {"prepared": ["yes", "no"]},
            "the parameter prepared is ['yes', 'no'] and must be true or false, as its default true",
        ),
        ({"name": ["y", "z"]}, "the parameter name is ['y', 'z'] and must be one text, as its default 'x'"),
        ({"limit": True}, "the parameter limit is True and must be a number, as its default 1.5"),
        ({"limit": "fast"}, "the parameter limit is 'fast' and must be a number, as its default 1.5"),
        ({"limit": "nan"}, "the parameter limit is 'nan' and must be a number, as its default 1.5"),
        ({"seed": "1.5"}, "the parameter seed is '1.5' and must be a whole number, as its default 1"),
        ({"seed": "0x10"}, "the parameter seed is '0x10' and must be a whole number, as its default 1"),
        ({"seed": ""}, "the parameter seed is '' and must be a whole number, as its default 1"),
        (
            {"live": True},
            "the parameter 'live' is set by the suite itself; accepted are limit, name, prepared, scenarios, seed",
        ),
    ],
)
def test_a_wrong_one_is_one_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(CapacityError) as refused:
        chosen(**given)
    assert str(refused.value) == sentence


TEXTS = [
    "2026-11-30",
    "@runs",
    "*",
    "my load #2",
    "",
    " ",
    "null",
    "yes",
    "true",
    "1e3",
    "0123",
    "x: [",
    "a,b",
    "~",
    "'",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stays_the_text_that_it_is(text: str) -> None:
    assert chosen(**texts_by_name([("name", text)]))["redis"] == {"name": text}


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        *(("prepared", word, True) for word in ("true", "True", "yes", "YES")),
        *(("prepared", word, False) for word in ("false", "FALSE", "no", "No")),
        ("limit", "2", 2.0),
        ("limit", "1e3", 1000.0),
        ("limit", "-.5", -0.5),
        ("seed", "0123", 123),
        ("seed", "-7", -7),
    ],
)
def test_truth_values_and_numbers_are_read_where_the_default_is_one(name: str, word: str, value: object) -> None:
    read = chosen(**texts_by_name([(name, word)]))["database"][name]
    assert (read, type(read)) == (value, type(value))


def test_a_name_that_is_given_more_than_once_has_all_its_texts() -> None:
    assert texts_by_name([("a", "1"), ("b", "x"), ("b", "y")]) == {"a": "1", "b": ["x", "y"]}


def written(path: Path, source: str) -> Path:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_the_parameters_of_a_notebook_are_its_literals(tmp_path: Path) -> None:
    path = written(tmp_path / "10_x.ipynb", 'live = False  # comment\nrate = -2.5\nname = "a"')
    assert notebook_parameters(path) == {"live": False, "rate": -2.5, "name": "a"}


@pytest.mark.parametrize("source", ["rate = 2 * 3 + len('x')", "import os", "a, b = 1, 2"])
def test_anything_else_is_one_sentence(tmp_path: Path, source: str) -> None:
    with pytest.raises(CapacityError, match=r"^10_x\.ipynb: line 1 of its parameters must assign a literal to a name$"):
        notebook_parameters(written(tmp_path / "10_x.ipynb", source))


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": 3}', '{"cells": [3]}', '{"cells": [{}]}'])
def test_what_is_no_notebook_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "10_x.ipynb").write_text(text)
    with pytest.raises(CapacityError, match=r"^cannot read the (notebook|parameters of) .*10_x\.ipynb: .*restore "):
        notebook_parameters(tmp_path / "10_x.ipynb")
