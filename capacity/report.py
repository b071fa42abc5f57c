"""The report: one self-contained page from the executed notebooks of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import mistune
import nbformat
from jinja2 import Environment
from markupsafe import Markup, escape

REPORT = "report.html"
TAG = "report"
Cell = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One notebook's part of the page: its question, and the pieces of HTML that its tagged cells showed."""

    name: str
    title: str
    pieces: list[Markup]

    @property
    def label(self) -> str:
        """The name in words, as `Readiness report` for 80_readiness_report."""
        return self.name.partition("_")[2].replace("_", " ").capitalize()


def write_report(path: Path, title: str, facts: Mapping[str, str], notebooks: Sequence[Path]) -> None:
    """Write the page to `path`, whole or not at all, with the `facts` under its title and a part for each notebook.

    A part holds what the notebook's cells tagged `report` showed, each after the text that stands before it. Text is
    escaped; pictures are within the page.
    """
    template = Environment(autoescape=True).from_string(files(__package__).joinpath(REPORT).read_text(encoding="utf-8"))
    page = template.render(title=title, facts=facts, parts=[_part(each) for each in notebooks])
    temporary = path.with_suffix(".tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)


def _part(path: Path) -> Part:
    cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    first = next((cell["source"] for cell in cells if cell["cell_type"] == "markdown"), path.stem)
    return Part(path.stem, first.splitlines()[0].lstrip("# "), list(_pieces(cells)))


def _pieces(cells: Sequence[Cell]) -> Iterator[Markup]:
    said: str | None = None
    for cell in cells:
        if cell["cell_type"] == "markdown":
            said = cell["source"]
        elif TAG in cell["metadata"].get("tags", []):
            if said and not said.startswith("# "):
                yield _markdown(said.replace("## ", "### ", 1))
            said = None
            for output in cell["outputs"]:
                yield from _shown(output)


def _shown(output: Mapping[str, Any]) -> Iterator[Markup]:
    """The richest form of an output that a page without scripts can hold."""
    if output["output_type"] == "stream":
        yield Markup("<pre>{}</pre>").format(output["text"])
        return
    data = output.get("data", {})
    if "image/png" in data:
        alternative = data.get("text/plain", "picture")
        yield Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alternative, data["image/png"].strip())
    elif "text/markdown" in data:
        yield _markdown(data["text/markdown"])
    elif "text/html" in data:
        yield Markup('<div class="table">{}</div>').format(Markup(data["text/html"]))
    elif "text/plain" in data:
        yield Markup("<pre>{}</pre>").format(escape(data["text/plain"]))


def _markdown(text: str) -> Markup:
    return Markup(mistune.create_markdown(escape=True, plugins=["table"])(text))
