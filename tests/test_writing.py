"""A file is written whole or not at all, and a disk that takes no more is one sentence."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from capacity.errors import CapacityError
from capacity.writing import write_json, write_whole

FullDisk = Callable[[int], AbstractContextManager[None]]


def test_a_file_is_written_with_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    write_json(path, {"latency": "µs"})
    write_json(path, {"latency": "ms"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"latency": "ms"}
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_is_a_sentence_and_leaves_what_was_there(tmp_path: Path, full_disk: FullDisk) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "before")
    sentence = f"cannot write {path}: File too large; make room, or give a folder that may be written"
    with full_disk(4096), pytest.raises(CapacityError, match=f"^{re.escape(sentence)}$"):
        write_whole(path, "after" * 4096)
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "facts.json"
    with pytest.raises(CapacityError, match=f"^cannot write {re.escape(str(path))}: File exists; "):
        write_json(path, {})
