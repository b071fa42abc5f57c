"""What the README and the pages of docs/ say is so: their commands work, their files, findings and links are there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click
import nbformat
import pytest
import yaml
from PIL import Image

from capacity.analysis.planning.plan_file import PlanFile
from capacity.cli import main
from capacity.findings import read_findings
from capacity.objectives import ObjectivesFile
from capacity.recording import open_recording
from capacity.suite.notebooks import PROFILES, REPORT, RESERVED, notebooks_in
from capacity.suite.parameters import chosen_parameters, notebook_parameters, texts_by_name
from capacity.workload import parse_workload

PROJECT = Path(__file__).parents[1]
RECORDED = PROJECT / "data" / "recorded"
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ASSIGNED = re.compile(r"^[A-Z_]+=")
PROGRAM = re.compile(r"^(?:[A-Z_]+=\S* )*(?:\.venv/bin/)?(\w+) ")
VARIABLE = re.compile(r"\bCAPACITY_[A-Z_]+\b")
PATH = re.compile(r"^(?:capacity|data|docs|notebooks|benchmarks|tests)/[\w./-]*$")
PROGRAMS = {"capacity", "make", "papermill", "pytest", "python", "jupyter", "pip", "export", "source"}
MOST_BYTES = 200_000

# What a command may end with; each is run on a run that is made of the committed recordings.
RUN_HERE = {
    "check": {0},
    "verdict": {0, 1, 3},
    "report": {0},
    "compare": {0, 1, 3},
    "export": {0},
    "audit": {0, 1},
    "doctor": {0},
}
READ_ONLY = {"run", "up", "prepare", "init"}  # these measure, stay or write: only their words are read
INSTALLING = {  # what test_wheel.py does in other words
    "python -m venv ~/capacity",
    "source ~/capacity/bin/activate",
    "source .venv/bin/activate",
    "pip install .",
    "pip wheel --no-deps .",
    "cd our_stack",
    "jupyter lab",
}
WHOLE = click.Context(main)
COMMANDS_OF = {name: cast(click.Command, main.get_command(WHOLE, name)) for name in main.list_commands(WHOLE)}
MEASURES_NOTHING = {"capacity_plan", REPORT}
YAML_OF: dict[str, Callable[[Any], object]] = {
    "workloads.md": parse_workload,
    "objectives_and_verdicts.md": ObjectivesFile.model_validate,
}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[str]:
    return [body for language, body in FENCED.findall(text_of(page)) if language in languages]


def spans(page: Path) -> list[str]:
    """The inline code of a page."""
    return INLINE.findall(FENCED.sub("", text_of(page)))


def anchors(page: Path) -> list[str]:
    return [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in HEADING.findall(text_of(page))]


def words_of(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    while words and ASSIGNED.match(words[0]):
        words.pop(0)
    return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


def commands_of(page: Path) -> list[list[str]]:
    lines = [line for body in blocks(page, "", "sh") for line in body.splitlines()]
    lines += [span for span in spans(page) if (begun := PROGRAM.match(span)) and begun[1] in PROGRAMS]
    return [words for line in lines if (words := words_of(line))]


READ_A_RUN = {"report", "verdict", "compare", "doctor", "export"}


def in_its_tier(words: tuple[str, ...]) -> Any:
    """Those that start a kernel or read a whole run take seconds each, and run where CI is thorough."""
    takes_long = words[0] == "papermill" or (words[0] == "capacity" and (words[1] in READ_A_RUN or len(words) > 3))
    return pytest.param(words, id=" ".join(words), marks=[pytest.mark.thorough] if takes_long else [])


COMMANDS = [in_its_tier(words) for words in sorted({tuple(words) for page in PAGES for words in commands_of(page)})]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the words in capitals stand for: runs made of the committed recordings, and where to write."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("RUN", "A", "B", "C"):
        made = folder / name
        shutil.copytree(RECORDED, made / "recordings", ignore=shutil.ignore_patterns("findings"))
        shutil.copytree(RECORDED / "findings", made / "findings")
        shutil.copytree(PROJECT / "notebooks", made / "notebooks")
        measured = open_recording(RECORDED / "database").manifest
        facts = {key: measured[key] for key in ("profile", "started_at", "machine")}
        finished = [name for name in notebooks_in(PROJECT) if name != REPORT]
        (made / "manifest.json").write_text(json.dumps(facts | {"embedded": True, "finished": finished}))
    files = {"FILE": "data/reference/infrastructure-load-testing-report.yaml", "my_plan.yaml": "data/plan.yaml"}
    there = {word: str(PROJECT / path) for word, path in files.items()}
    return there | {word: str(folder / word) for word in ("RUN", "A", "B", "C", "DIR")}


def with_places(word: str, place: dict[str, str]) -> str:
    first, slash, rest = word.partition("/")
    return place.get(first, first) + slash + rest


def run_here(words: list[str], accepted: set[int]) -> None:
    program = Path(sys.executable).with_name(words[0])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAPACITY_")}
    ran = subprocess.run(
        [program, *words[1:]], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode in accepted, f"{' '.join(words)}\n{ran.stdout[-1000:]}\n{ran.stderr[-2000:]}"
    assert "Traceback" not in ran.stderr


def read_run_words(given: dict[str, Any]) -> None:
    """The profile, notebooks and parameters of `capacity run` are there, and the values of their kind."""
    notebooks = {name: path for name, path in notebooks_in(PROJECT).items() if name != REPORT}
    wanted = [name for word in given["only"] for name in word.split(",")] or list(notebooks)
    assert given["profile"] in PROFILES
    assert set(wanted) <= set(notebooks)
    accepted = {name: notebook_parameters(notebooks[name]) for name in wanted}
    chosen_parameters(accepted, texts_by_name(given["given"]), RESERVED)


def check_capacity(words: list[str], place: dict[str, str]) -> None:
    command = COMMANDS_OF[words[1]]
    if len(words) == 2 and any(each.required for each in command.params):
        return  # the command's name, where a sentence speaks of it
    context = command.make_context(words[1], words[2:])  # raises where an option or an argument is not there
    if words[1] in RUN_HERE:
        run_here([with_places(word, place) for word in words], RUN_HERE[words[1]])
    else:
        assert words[1] in READ_ONLY, f"nothing says how `capacity {words[1]}` is tested here"
        if words[1] == "run":
            read_run_words(context.params)


def check_papermill(words: list[str], place: dict[str, str]) -> None:
    notebooks = {str(path.relative_to(PROJECT)): name for name, path in notebooks_in(PROJECT).items()}
    assert words[1] in notebooks
    given = [(words[at + 1], words[at + 2]) for at, word in enumerate(words) if word == "-p"]
    parameters = notebook_parameters(PROJECT / words[1])
    chosen_parameters({words[1]: parameters}, texts_by_name(given), frozenset())
    if notebooks[words[1]] in MEASURES_NOTHING:
        run_here([with_places(word, place) for word in words], {0})


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_of_the_pages_works(words: tuple[str, ...], place: dict[str, str]) -> None:
    program, *arguments = words
    if program == "capacity":
        check_capacity(list(words), place)
    elif program == "papermill":
        check_papermill(list(words), place)
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", text_of(PROJECT / "Makefile"), re.MULTILINE)
        assert set(arguments) <= set(targets)
    elif program == "export":
        assert all(ASSIGNED.match(word) for word in arguments)
    elif program == "pytest":
        assert arguments[0] == "-m"
        assert f'"{arguments[1]}: ' in text_of(PROJECT / "pyproject.toml")
    else:
        assert " ".join(words) in INSTALLING, f"nothing says how {program} is tested here"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    for body in blocks(page, "python"):
        exec(compile(body, page.name, "exec"), {})
    for body in blocks(page, "yaml"):
        YAML_OF[page.name](yaml.safe_load(body))
    assert {language for language, _ in FENCED.findall(text_of(page))} <= {"", "sh", "python", "yaml"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path) -> None:
    for target in LINK.findall(text_of(page)):
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert target.startswith("https://") or there.exists(), target
        assert not anchor or anchor in anchors(there), target
    for span in spans(page):
        assert not PATH.match(span) or (PROJECT / span).exists(), span
    code = "".join(text_of(path) for path in (PROJECT / "capacity").rglob("*.py"))
    code += "".join(text_of(path) for path in (PROJECT / "tests").rglob("*.py"))
    assert {name for name in VARIABLE.findall(text_of(page)) if name not in code} == set()
    options = {option for command in COMMANDS_OF.values() for each in command.params for option in each.opts}
    assert {span.split()[0] for span in spans(page) if span.startswith("--")} <= options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_findings_that_a_page_names_are_given(page: Path) -> None:
    given = {each.name for each in read_findings(RECORDED / "findings")}
    sections = {name.partition(".")[0] for name in given}
    named = [
        span for span in spans(page) if re.match(r"^[a-z_]+(\.\w+)+$", span) and Path(span).suffix[1:] not in FILES
    ]
    assert {name for name in named if name.partition(".")[0] in sections} <= given


SAY_MORE = {"capacity"}  # what the package itself says has a line more
FILES = {"yaml", "json", "html", "md", "py", "ipynb", "csv", "txt"}


def test_the_keys_of_the_plan_are_those_that_its_page_names() -> None:
    rows = re.findall(r"^\| (`.+?) \|", text_of(PROJECT / "docs" / "plan.md"), re.MULTILINE)
    named = {name for row in rows for name in INLINE.findall(row)}
    assert named | {"months", "region"} == set(PlanFile.model_fields)


def test_the_readme_has_every_notebook_with_its_question() -> None:
    table = text_of(PROJECT / "README.md")
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        question = nbformat.read(path, 4).cells[0].source.splitlines()[0].removeprefix("# ")
        assert f"| `{path.stem}` | {question} |" in table


def test_the_readme_has_every_room_and_every_command() -> None:
    text = text_of(PROJECT / "README.md")
    rooms = {path.parent.name for path in (PROJECT / "capacity").glob("*/__init__.py")}
    assert {room for room in rooms if f"| `{room}` |" not in text} == set()
    whole = "".join(map(text_of, PAGES))
    assert {name for name in COMMANDS_OF if f"capacity {name}" not in whole} == set()


def test_every_room_says_in_one_line_what_is_in_it() -> None:
    for path in (PROJECT / "capacity").rglob("__init__.py"):
        first, *more = text_of(path).splitlines()
        assert re.fullmatch(r'"""[A-Z].+\."""', first) or path.parent.name in SAY_MORE, path
        assert not more or more[0] == "" or path.parent.name in SAY_MORE


def test_the_picture_is_small_and_a_whole_screen() -> None:
    picture = PROJECT / "docs" / "report.png"
    assert picture.stat().st_size < MOST_BYTES
    with Image.open(picture) as image:
        assert image.size == (1280, 800)
