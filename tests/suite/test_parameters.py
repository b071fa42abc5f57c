"""Parameters that a notebook does not have, or of another type, are refused before anything runs."""

from pathlib import Path

import nbformat
import pytest

from capacity.errors import CapacityError
from capacity.suite.parameters import chosen_parameters, notebook_parameters, parse_values

ACCEPTED = {
    "database": {"live": False, "prepared": True, "limit": 1.5},
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
            "no notebook has the parameter 'preparde'; accepted are limit, name, prepared, scenarios",
        ),
        ({"prepared": "no"}, "the parameter prepared is 'no', a str, and must be a bool as True"),
        ({"prepared": 1}, "the parameter prepared is 1, a int, and must be a bool as True"),
        ({"name": ["y", "z"]}, "the parameter name is ['y', 'z'], a list, and must be a str as 'x'"),
        ({"limit": True}, "the parameter limit is True, a bool, and must be a float as 1.5"),
        (
            {"live": True},
            "the parameter 'live' is set by the suite itself; accepted are limit, name, prepared, scenarios",
        ),
    ],
)
def test_a_wrong_one_is_one_sentence(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(CapacityError) as refused:
        chosen(**given)
    assert str(refused.value) == sentence


def test_values_are_read_as_yaml_reads_them() -> None:
    words = [("a", "true"), ("b", "3"), ("c", "2.5"), ("d", "text"), ("e", "x"), ("e", "y")]
    assert parse_values(words) == {"a": True, "b": 3, "c": 2.5, "d": "text", "e": ["x", "y"]}
    with pytest.raises(CapacityError, match=r"^the parameter a is 'x: \[', which YAML cannot read; put it in quotes$"):
        parse_values([("a", "x: [")])


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
