"""Rules of a model's own may be broken in several places, and each is said."""

from capacity.operation import Operation
from capacity.validation.model import given_twice, unknown_names

OPERATION = {"name": "GET", "weight": 100, "command": ["GET", "{key}"], "parameters": {"key": {"kind": "uuid"}}}


def test_values_are_found_by_their_keys_wherever_they_are() -> None:
    operation = Operation.model_validate(OPERATION)
    assert list(operation.values_of("kind", "weight")) == [
        (("weight",), 100.0),
        (("parameters", "key", "kind"), "uuid"),
    ]


def test_each_unknown_name_is_said_with_what_was_meant_or_is_accepted() -> None:
    named = [(("a",), "users"), (("b",), "user"), (("c",), None), (("d",), "moon")]
    assert list(unknown_names("load", named, ["users", "jobs"])) == [
        (("b",), "there is no load 'user'; did you mean 'users'?"),
        (("d",), "there is no load 'moon'; accepted are users, jobs"),
    ]


def test_a_name_that_stands_before_is_there_twice() -> None:
    assert list(given_twice("parts", ["a", "b", "a"])) == [
        (("parts", 2, "name"), "the name 'a' is there twice; keep one of them")
    ]
