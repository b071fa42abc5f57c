"""The page holds what the tagged cells showed, escapes what is not ours, and asks no other host for anything."""

import base64
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from capacity.suite.report import write_report

PIXEL = base64.b64encode(b"not really a picture").decode()
v4 = nbformat.v4


def tagged(*outputs: Any) -> Any:
    return v4.new_code_cell("x", metadata={"tags": ["report"]}, outputs=list(outputs))


@pytest.fixture
def page(tmp_path: Path) -> str:
    cells = [
        v4.new_markdown_cell("# How fast?\n\nReads a recording."),
        v4.new_code_cell("x", outputs=[v4.new_output("stream", text="not tagged")]),
        v4.new_markdown_cell("## Pictures\n\nWhat is *seen* <script>alert(1)</script>."),
        tagged(
            v4.new_output("stream", text="a < b & c"),
            v4.new_output("display_data", data={"image/png": PIXEL, "text/plain": "<Figure>"}),
        ),
        v4.new_markdown_cell("## Nothing in it"),
        tagged(v4.new_output("execute_result", data={"text/html": "<table><th>head</th></table>", "text/plain": "x"})),
        v4.new_markdown_cell("## Not shown"),
        v4.new_code_cell("y"),
        tagged(v4.new_output("execute_result", data={"text/markdown": "**Ready.**", "text/plain": "x"})),
    ]
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "10_database.ipynb")
    facts = {"Profile": "<smoke>"}
    write_report(tmp_path / "report.html", "Capacity report", facts, [tmp_path / "10_database.ipynb"])
    return (tmp_path / "report.html").read_text()


def test_tagged_cells_are_shown_after_the_text_before_them(page: str) -> None:
    assert page.index("How fast?") < page.index("<h3>Pictures</h3>") < page.index("a &lt; b &amp; c")
    assert page.index("a &lt; b") < page.index(f"data:image/png;base64,{PIXEL}") < page.index("<strong>Ready.</strong>")
    assert "not tagged" not in page
    assert "Reads a recording" not in page
    assert "Nothing in it" not in page  # a table without a row tells nothing


def test_text_is_escaped(page: str) -> None:
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;smoke&gt;" in page


def test_nothing_is_asked_of_another_host(page: str) -> None:
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "default-src 'none'" in page
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page).replace("<!--", "")
