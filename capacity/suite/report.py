"""The report: one self-contained page from the answers of a run, its executed notebooks and its findings."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import mistune
import nbformat
from jinja2 import Environment
from markupsafe import Markup, escape

from capacity.analysis.planning.answers import HELD_BACK, Answers
from capacity.analysis.statistics.conventions import CONFIDENCE_TEXT
from capacity.display import answers as texts
from capacity.display.tables import failed_share_text, failures_of, finding_link
from capacity.display.text import finding_text, tally_text, void_lines
from capacity.findings import Finding, Judged, Verdict, worst
from capacity.suite.next_steps import ToDo
from capacity.writing import write_whole

REPORT = "report.html"
TAG, CLOSING = "report", "report-closing"
KEPT = ("manifest.json", "trial.json", "search.json")  # what a recording, a trial or a search is read from
IN_SHORT = "In short"
CELL = "<td"  # a table without one has nothing to tell
CLOSING_TITLE = "What was checked, and when?"
FIRST_NAME = re.compile(r"^[a-z_]+(?:\.\w+)+(?= )", re.MULTILINE)  # a line of a table of findings begins with its name
Cell = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """A finding as a line of its section's findings: the place that every number of it leads to."""

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
        return Markup("/<wbr>").join((self.finding.recording or "several findings").split("/"))


@dataclass(slots=True)
class Block:
    """What the tagged cells below one heading of a notebook showed, as pieces of HTML."""

    title: str
    pieces: list[Markup] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReportPart:
    """One notebook's part of the page: its question, what was judged of its section, its blocks and its findings."""

    name: str
    label: str
    question: str
    blocks: Sequence[Block]
    judged: Sequence[Judged] = ()
    lines: Sequence[Line] = ()
    said: str = ""
    worst: str = ""

    @property
    def sources(self) -> set[str]:
        """Who promised it: where it is one, it stands once."""
        return {objective.source for objective, _, _ in self.judged}

    @property
    def places(self) -> set[str]:
        """The recordings that its findings come from."""
        return {line.place for line in self.lines}


def write_report(
    path: Path,
    title: str,
    facts: Mapping[str, str],
    notebooks: Sequence[Path],
    *,
    summary: Path | None = None,
    findings: Sequence[tuple[Finding, Verdict | None]] = (),
    answers: Answers | None = None,
    steps: Sequence[ToDo] = (),
    not_judged: str = "",
) -> None:
    """Write the page to `path`, whole or not at all: the `answers`, the `steps` to take, then a part for each notebook.

    `not_judged` says which promises are on what was not measured.

    A part folds, and so does what the notebook's cells tagged `report` showed below each of its headings, and its
    findings with their recordings, which are beside the page below `recordings/`; numbers lead there. The cells of
    `summary` stand before the parts, and its cells tagged `report-closing` after them. Text is escaped; pictures are
    within the page, so that it needs no other file.
    """
    lines = [_line(path.parent, finding, verdict) for finding, verdict in findings]
    names = {line.finding.name for line in lines}
    parts = [_part(each, lines, names, answers) for each in notebooks]
    left = [line for line in lines if not any(line in part.lines for part in parts)]
    if left:
        parts.append(ReportPart("findings", "Other findings", "What else was found?", (), (), left))
    if summary is not None:
        used = ReportPart(summary.stem, "Promises", "How much of each promise is used?", _blocks(summary, TAG, names))
        parts.insert(0, used)
        parts.append(ReportPart("closing", "Sign-off", CLOSING_TITLE, _blocks(summary, CLOSING, names)))
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    found = partial(finding_link, names=names)
    environment.globals |= {"found": found, "names": names, "texts": texts, "tally_text": tally_text}
    environment.globals["void_lines"] = void_lines
    environment.globals |= {"failures": failures_of(each for each, _ in findings), "failed_share": failed_share_text}
    template = environment.from_string(files(__package__).joinpath(REPORT).read_text(encoding="utf-8"))
    told = {"title": title, "facts": facts, "answers": answers, "steps": steps, "parts": parts}
    pictures = _pictures(answers)
    page = template.render(told, pictures=pictures, not_judged=not_judged, confidence=CONFIDENCE_TEXT)
    write_whole(path, page)


def _pictures(answers: Answers | None) -> list[str]:
    """The picture of the answers for a wide and a narrow page, as base64; none without a plan or a part."""
    if answers is None or answers.plan is None or not answers.parts:
        return []
    from capacity.display.charts_answers import load_against_limits  # loads matplotlib, which takes a second

    shown = []
    for narrow in (False, True):
        held = BytesIO()
        load_against_limits(answers, answers.plan, narrow=narrow).savefig(held, format="png")
        shown.append(b64encode(held.getvalue()).decode())
    return shown


def _line(run: Path, finding: Finding, verdict: Verdict | None) -> Line:
    folder = f"recordings/{finding.recording}"
    kept = (f"{folder}/{name}" for name in KEPT if finding.recording and (run / folder / name).is_file())
    return Line(finding, finding_text(finding), verdict, next(kept, ""))


def _cells(path: Path) -> Sequence[Cell]:
    cells: Sequence[Cell] = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    return cells


def _part(path: Path, lines: Sequence[Line], names: Set[str], answers: Answers | None) -> ReportPart:
    """A notebook's part; its section is what the notebook's name ends with, as that of the capacity plan."""
    cells = _cells(path)
    first = next((cell["source"] for cell in cells if cell["cell_type"] == "markdown"), path.stem)
    name = path.stem.partition("_")[2]
    mine = [line for line in lines if name.endswith(line.finding.section)]
    promised = [row for row in (answers.judged if answers else ()) if name.endswith(row[0].section)]
    expected = [row for row in (answers.expected if answers else ()) if name.endswith(row[0].section)]
    return ReportPart(
        path.stem,
        name.replace("_", " ").capitalize(),
        first.splitlines()[0].lstrip("# "),
        _blocks(path, TAG, names),
        sorted(promised, key=lambda row: -1 if row[2] in HELD_BACK else 0),
        mine,
        tally_text(promised, expected) if promised or expected else "",
        str(worst(row[2] for row in (*promised, *expected))) if promised or expected else "",
    )


def _blocks(path: Path, tag: str, names: Set[str]) -> list[Block]:
    """What the cells of a notebook with a tag showed, by the heading above, with the text that explains it."""
    blocks: list[Block] = []
    said = title = ""
    for cell in _cells(path):
        if cell["cell_type"] == "markdown":
            first, _, said = cell["source"].partition("\n")
            title = first.lstrip("# ")
            if first.startswith("# "):  # what the notebook reads and writes is not for the page
                title, said = IN_SHORT, ""
        elif tag in cell["metadata"].get("tags", []):
            pieces = [piece for output in cell["outputs"] for piece in _shown(output, title, names)]
            if pieces and (not blocks or blocks[-1].title != title):
                blocks.append(Block(title, [_markdown(said)] if said.strip() else []))
            if pieces:
                blocks[-1].pieces += pieces
    return blocks


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
    elif "text/html" in data and CELL in data["text/html"]:
        yield Markup('<div class="table" tabindex="0">{}</div>').format(Markup(data["text/html"]))
    elif "text/plain" in data and "text/html" not in data:
        yield Markup('<pre tabindex="0">{}</pre>').format(data["text/plain"])


def _linked(text: str, names: Set[str]) -> Markup:
    """Text, escaped, in which a known finding's name at the begin of a line leads to its own line."""

    def link(match: re.Match[str]) -> str:
        name = match.group()
        return f'<a href="#{name}">{name}</a>' if name in names else name

    return Markup(FIRST_NAME.sub(link, str(escape(text))))


def _markdown(text: str) -> Markup:
    return Markup(mistune.create_markdown(escape=True, plugins=["table"])(text))
