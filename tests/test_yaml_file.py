"""What is wrong with a YAML file is one sentence: the file, the key and the value."""

from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.validation.model import Strict
from capacity.yaml_file import read_model, read_yaml


class Box(Strict):
    """A model with a number and a text."""

    size: int
    name: str


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: 3", ": name: the key is missing"),
        ("{size: 3, name: a, colour: red}", ", line 1: colour: there is no such key; accepted are size, name"),
        ("{size: big}", ", line 1: size: must be a whole number and is 'big'"),
        ("- 3", ": must be keys with values"),
    ],
)
def test_the_first_problem_names_key_and_value(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "box.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CapacityError) as refused:
        read_model(file, Box, "the box")
    assert str(refused.value).removesuffix(" (and 1 more)") == f"{file}{message}"


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=rf"^cannot read the box {tmp_path}/none.yaml: No such file or directory$"):
        read_yaml(tmp_path / "none.yaml", "the box")
    file = tmp_path / "picture.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CapacityError, match=rf"^the box {file} is not YAML: 'utf-8' codec can't decode"):
        read_yaml(file, "the box")
    file.write_text("[1, ", encoding="utf-8")
    with pytest.raises(
        CapacityError, match=rf"^the box {file} is not YAML: in line 2, did not find expected node content; put a text"
    ):
        read_yaml(file, "the box")
