"""The report: one self-contained page from the executed notebooks of a run and its findings."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import mistune
import nbformat
from jinja2 import Environment
from markupsafe import Markup, escape

from capacity.analysis.statistics.conventions import CONFIDENCE_TEXT
from capacity.display.tables import finding_text
from capacity.findings import Finding, Verdict
from capacity.writing import write_whole

REPORT = "report.html"
TAG, CLOSING = "report", "report-closing"
KEPT = ("manifest.json", "trial.json", "search.json")  # what a recording, a trial or a search is read from
CLOSING_TITLE = "What was checked, and when?"
FIRST_NAME = re.compile(r"^[a-z_]+(?:\.\w+)+(?= )", re.MULTILINE)  # a line of a table of findings begins with its name
Cell = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReportPart:
    """One notebook's part of the page: its question, and the pieces of HTML that its tagged cells showed."""

    name: str
    title: str
    pieces: list[Markup]
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A finding as a line of the page's last part: the place that every number of it leads to."""

    finding: Finding
    text: str
    verdict: Verdict | None
    source: str

    @property
    def name(self) -> Markup:
        """The finding's name, which may break at the end of a line after each of its parts."""
        return Markup(".<wbr>").join(self.finding.name.split("."))

    @property
    def place(self) -> Markup:
        """The recording's folder, which may break likewise."""
        return Markup("/<wbr>").join(self.finding.recording.split("/"))


def write_report(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    notebooks: Sequence[Path],
    *,
    summary: Path | None = None,
    findings: Sequence[tuple[Finding, Verdict | None]] = (),
) -> None:
    """Write the page to `path`, whole or not at all, with the `facts` under its title and a part for each notebook.

    A part holds what the notebook's cells tagged `report` showed, each after the text that stands before it. Those of
    `summary` stand first, and its cells tagged `report-closing` after all. At the end is every finding with its
    recording, which is beside the page below `recordings/`; numbers lead there. Text is escaped; pictures are within
    the page, so that it needs no other file.
    """
    lines = [_line(path.parent, finding, verdict) for finding, verdict in findings]
    parts = [_part(each, {line.finding.name for line in lines}) for each in notebooks]
    if summary is not None:
        closing = ReportPart("closing", CLOSING_TITLE, list(_pieces(_cells(summary), CLOSING, frozenset())), "Sign-off")
        parts = [_part(summary, frozenset()), *parts, closing]
    template = Environment(autoescape=True).from_string(files(__package__).joinpath(REPORT).read_text(encoding="utf-8"))
    page = template.render(title=title, facts=facts, parts=parts, lines=lines, confidence=CONFIDENCE_TEXT)
    write_whole(path, page)


def _line(run: Path, finding: Finding, verdict: Verdict | None) -> Line:
    folder = f"recordings/{finding.recording}"
    kept = (f"{folder}/{name}" for name in KEPT if finding.recording and (run / folder / name).is_file())
    return Line(finding, finding_text(finding), verdict, next(kept, ""))


def _cells(path: Path) -> Sequence[Cell]:
    cells: Sequence[Cell] = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    return cells


def _part(path: Path, names: Set[str]) -> ReportPart:
    """The `report` cells of a notebook; `names` are the findings that a line of text may lead to."""
    cells = _cells(path)
    first = next((cell["source"] for cell in cells if cell["cell_type"] == "markdown"), path.stem)
    label = path.stem.partition("_")[2].replace("_", " ").capitalize()
    return ReportPart(path.stem, first.splitlines()[0].lstrip("# "), list(_pieces(cells, TAG, names)), label)


def _pieces(cells: Sequence[Cell], tag: str, names: Set[str]) -> Iterator[Markup]:
    said: str | None = None
    heading = "picture"
    for cell in cells:
        if cell["cell_type"] == "markdown":
            said = cell["source"]
            heading = cell["source"].splitlines()[0].lstrip("# ")
        elif tag in cell["metadata"].get("tags", []):
            if said and not said.startswith("# "):
                yield _markdown(said.replace("## ", "### ", 1))
            said = None
            for output in cell["outputs"]:
                yield from _shown(output, heading, names)


def _shown(output: Mapping[str, Any], heading: str, names: Set[str]) -> Iterator[Markup]:
    """The richest form of an output that a page without scripts can hold."""
    if output["output_type"] == "stream":
        if not output["text"].strip():
            return
        yield Markup('<pre tabindex="0">{}</pre>').format(_linked(output["text"], names))
        return
    data = output.get("data", {})
    if "image/png" in data:
        yield Markup('<img alt="{}" src="data:image/png;base64,{}">').format(heading, data["image/png"].strip())
    elif "text/markdown" in data:
        yield _markdown(data["text/markdown"])
    elif "text/html" in data:
        yield Markup('<div class="table" tabindex="0">{}</div>').format(Markup(data["text/html"]))
    elif "text/plain" in data:
        yield Markup('<pre tabindex="0">{}</pre>').format(data["text/plain"])


def _linked(text: str, names: Set[str]) -> Markup:
    """Text, escaped, in which a known finding's name at the begin of a line leads to its own line."""

    def link(match: re.Match[str]) -> str:
        name = match.group()
        return f'<a href="#{name}">{name}</a>' if name in names else name

    return Markup(FIRST_NAME.sub(link, str(escape(text))))


def _markdown(text: str) -> Markup:
    return Markup(mistune.create_markdown(escape=True, plugins=["table"])(text))
