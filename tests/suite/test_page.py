"""The page of every section, made of the committed recordings: its numbers are traced, and a browser looks at it."""

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any, Literal

import papermill
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from capacity.analysis.planning.basis import read_basis
from capacity.analysis.planning.catalog import read_catalog
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import make_plan
from capacity.analysis.planning.plan_file import read_plan
from capacity.display.answers import limit_texts, money_text
from capacity.display.tables_plan import date_text
from capacity.display.text import finding_text
from capacity.findings import Finding, read_findings, write_findings
from capacity.objectives import read_objectives
from capacity.places import OBJECTIVES
from capacity.recording import open_recording
from capacity.run import Run
from capacity.suite.answers import read_answers
from capacity.suite.notebook_execution import OPTIONS
from capacity.suite.notebooks import REPORT, notebooks_in
from capacity.suite.run import write_report_of

PROJECT = Path(__file__).parents[2]
DATA = PROJECT / "data"
PLAN, SEED = "capacity_plan", 1  # the notebook that comes from the findings of the others, and its seed
AT_ONCE = 2
PICTURES = 20  # at least three in each of the seven sections but one
SLOW = Finding("redis.response_max", 12.5, "ms", 12.5, 12.5, 600)  # what the run before had, so that there is a change
PAPER_PX = 680  # A4 less its margins, at 96 px an inch
PAPER_HIGH_PX = 1000
PAGES = 12
FOLDED_PX = 2500
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(600)]  # eight notebooks on a busy machine
Readers = dict[str, Callable[[Path], list[Finding]]]
Scheme = Literal["light", "dark"]

LINE = re.compile(
    r'<tr id="([\w.]+)"><td>(?:<a href="([^"]*)">)?\1(?:</a>)?</td><td>([^<]*)</td><td>([\d,]+)</td>', re.ASCII
)
NUMBER = re.compile(r'<a class="(?:number|note)" href="#([\w.]+)">([^<]*)</a>')
TEXT = re.compile(r'^(?:<pre[^>]*>)?<a href="#([\w.]+)">\1</a>  +(.*?)  +n = ([\d,]+) *(.*?)(?:</pre>)?$', re.MULTILINE)

BEYOND = """width => {
  const scrolls = each => /auto|scroll/.test(getComputedStyle(each).overflowX);
  const scrolled = each => each && (scrolls(each) || scrolled(each.parentElement));
  const beyond = each => { const box = each.getBoundingClientRect(); return box.right > width + 1 || box.left < -1; };
  const found = [...document.querySelectorAll("body *")].filter(each => beyond(each) && !scrolled(each.parentElement));
  return found.map(each => each.outerHTML.slice(0, 120));
}"""
CUT = """reachable => [...document.querySelectorAll("body *")]
  .filter(each => each.clientWidth && each.scrollWidth > each.clientWidth + 1
    && getComputedStyle(each).overflowX !== "visible" && !(reachable && each.tabIndex === 0))
  .map(each => each.outerHTML.slice(0, 120))"""
LINES = """() => [...document.querySelectorAll("td, th, caption")].filter(each => each.getClientRects().length)
  .map(each => {
    const range = document.createRange();
    range.selectNodeContents(each);
    const ends = [...range.getClientRects()].map(box => box.bottom).sort((one, other) => one - other);
    return [ends.filter((end, place) => !place || end - ends[place - 1] > 6).length, each.outerHTML.slice(0, 200)];
  }).filter(each => each[0] > 2)"""
SAME = """() => [...document.querySelectorAll("table")].filter(table => table.tBodies[0].rows.length > 1)
  .flatMap(table => [...table.tBodies[0].rows[0].cells].map((first, place) =>
    [...table.tBodies[0].rows].every(row => row.cells[place].innerHTML === first.innerHTML) && first.outerHTML))
  .filter(each => each)"""
TWICE = """() => [...document.querySelectorAll("table")].flatMap(table => {
    const said = [...table.tBodies[0].rows].map(row => row.innerText);
    return said.filter((each, place) => said.indexOf(each) !== place); })"""
UNIT = """() => [...document.querySelectorAll("#answers table.stack td")].map(each => each.innerText).join(" ")"""
PALE = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const shade = ([r, g, b]) => [[r, .2126], [g, .7152], [b, .0722]].reduce((sum, [each, share]) => sum
    + share * (each <= 10 ? each / 3294 : ((each / 255 + .055) / 1.055) ** 2.4), 0);
  const behind = each => { const part = parts(getComputedStyle(each).backgroundColor);
    return part.length < 4 || part[3] > 0 ? part : each.parentElement ? behind(each.parentElement) : [255, 255, 255]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walk.nextNode()) {
    const each = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !each.getClientRects().length || each.tagName === "STYLE") continue;
    const paper = shade(behind(each)), ink = shade(parts(getComputedStyle(each).color));
    if (paper < .9 || (paper + .05) / (ink + .05) < 4.5) found.push(each.outerHTML.slice(0, 120));
  }
  return found;
}"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as `run_suite` leaves it, after an earlier one, with the committed recordings in place of new ones."""
    folder = tmp_path_factory.mktemp("page")
    run = folder / "run"
    shutil.copytree(DATA / "recorded", run / "recordings", ignore=shutil.ignore_patterns("findings"))
    notebooks = {name: path for name, path in notebooks_in(PROJECT).items() if name != REPORT}
    measured = sorted(
        (name for name in notebooks if name != PLAN), key=["failover", "breaking_point"].count, reverse=True
    )
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(
            threads.map(lambda name: execute(notebooks[name], run, recording=str(run / "recordings" / name)), measured)
        )
    execute(notebooks[PLAN], run, live=True)  # which measures nothing: it reads what the others have found
    began(run, "2026-02-02", list(notebooks))
    began(folder / "earlier", "2026-01-01", [])
    before = [SLOW if each.name == SLOW.name else each for each in read_findings(run / "findings")]
    write_findings(folder / "earlier" / "findings" / "all.json", before)
    write_report_of(Run.at(run, PROJECT))
    return run


def execute(path: Path, run: Path, **parameters: Any) -> None:
    output = run / "notebooks" / path.name
    output.parent.mkdir(parents=True, exist_ok=True)
    parameters |= {"results": str(run / "findings")}
    papermill.execute_notebook(path, output, parameters, cwd=path.parent, **OPTIONS)


def began(run: Path, day: str, finished: list[str]) -> None:
    machine = open_recording(DATA / "recorded" / "database").manifest["machine"]
    facts = {"profile": "standard", "started_at": f"{day}T12:00:00+00:00", "embedded": True, "machine": machine}
    run.mkdir(parents=True, exist_ok=True)
    (run / "manifest.json").write_text(json.dumps({**facts, "finished": finished}), encoding="utf-8")


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    page = (run / "report.html").read_text(encoding="utf-8").replace("<wbr>", "")
    return re.sub(r'<span class="interval">([^<]*)</span>', r"\1", page)


@pytest.fixture(scope="module")
def computed(run: Path, readers: Readers) -> dict[str, Finding]:
    """Every finding by its name, computed anew from the recordings beside the page."""
    found = [finding for name, read in readers.items() for finding in read(run / "recordings" / name)]
    outlook = make_plan(
        read_plan(DATA / "plan.yaml"), read_basis(run / "findings", found), read_catalog(DATA / "catalog"), SEED
    )
    return {each.name: each for each in [*found, *plan_findings(outlook)]}


def untraced(page: str, computed: Mapping[str, Finding]) -> set[str]:
    """The names of findings that a page shows otherwise than they are computed, or does not list."""
    said = {name: {finding_text(each), finding_text(each, unit=False)} for name, each in computed.items()}
    for each in read_objectives(PROJECT / OBJECTIVES):  # where a finding is judged, its digits tell it from the limit
        if each.finding in computed:
            judged = (finding_text(computed[each.finding], unit=unit, limit=each.limit) for unit in (True, False))
            said[each.finding].update(judged)
    for name, each in computed.items():  # a load recommended is shown in whole operations
        if name.endswith(".recommended") and each.value is not None:
            said[name].add(finding_text(replace(each, value=math.floor(each.value)), unit=False))
    listed = {name: (unescape(value), count) for name, _, value, count in LINE.findall(page)}
    wrong = {name for name, each in computed.items() if listed.get(name) != (finding_text(each), f"{each.count:,}")}
    wrong |= listed.keys() - computed.keys()
    wrong |= {name for name, value in NUMBER.findall(page) if unescape(value) not in said.get(name, ())}
    return wrong | {
        name
        for name, value, count, why in TEXT.findall(page)
        if (unescape(value), count, unescape(why)) != in_text(computed[name])
    }


def in_text(finding: Finding) -> tuple[str, str, str]:
    """What stands in a line of text after the name: what was found and of how many, or why nothing was."""
    count = f"{finding.count:,}"
    return (finding_text(finding), count, "") if finding.value is not None else ("not given", count, finding.note)


def test_every_finding_shown_is_the_one_that_its_recording_gives(
    run: Path, text: str, computed: dict[str, Finding], readers: Readers
) -> None:
    assert {each.section for each in computed.values()} == {*readers, "plan"}
    assert untraced(text, computed) == set()
    sources = {name: source for name, source, _, _ in LINE.findall(text)}
    for name, finding in computed.items():
        if finding.section == "plan":  # from several findings, or from one with its recording
            assert finding.recording == "" or finding.recording.partition("/")[0] in readers
        else:
            assert finding.recording.partition("/")[0] == finding.section
            assert sources[name]
        if sources[name]:
            assert Path(sources[name]).parent == Path("recordings") / finding.recording
    found = {each.name: each for each in read_findings(run / "findings")}
    assert found == computed


def test_each_way_that_the_page_shows_a_number_is_traced(text: str, computed: dict[str, Finding]) -> None:
    """The check itself can fail."""
    each = computed["redis.response_p99"]
    shown = finding_text(each, unit=False)  # its unit stands in the head of the column
    number = NUMBER.findall(text)
    assert {name.partition(".")[0] for name, _ in number} == {each.section for each in computed.values()}
    assert {name.partition(".")[0] for name, *_ in TEXT.findall(text)} >= {"database", "breaking_point", "plan"}
    edited = text.replace(f'href="#{each.name}">{shown}</a>', f'href="#{each.name}">{shown}0</a>', 1)
    assert untraced(edited, computed) == {each.name}
    edited = text.replace(f'<tr id="{each.name}">', '<tr id="redis.nothing">', 1)
    assert each.name in untraced(edited, computed)
    edited = re.sub(r"(>breaking_point\.queue\.between_rounds</a> +not given +n = 1 +)\w+", r"\1no", text)
    assert untraced(edited, computed) == {"breaking_point.queue.between_rounds"}
    edited = re.sub(r"(>plan\.first_limit</a> +)\d", r"\g<1>8", text)
    assert untraced(edited, computed) == {"plan.first_limit"}


def test_all_links_resolve(run: Path, text: str) -> None:
    places = re.findall(r'\bid="([^"]+)"', text)
    assert len(places) == len(set(places))
    led = re.findall(r'href="([^"]*)"', text)
    assert {link[1:] for link in led if link.startswith("#")} <= set(places)
    files = {link for link in led if not link.startswith("#")}
    assert len(files) > 15
    assert all((run / link).is_file() for link in files)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed: the page is not looked at in a browser")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def opened(
    browser: Browser, run: Path, width: int, scheme: Scheme, *, height: int = 900, unfolded: bool = True
) -> tuple[Page, list[str], list[str]]:
    """The page in a browser, and what its console says and which addresses it asks while it is looked at."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((run / "report.html").as_uri())
    if unfolded:
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    return page, said, asked


@pytest.mark.parametrize("unfolded", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_finds_no_fault_in_the_page(
    run: Path, browser: Browser, *, width: int, scheme: Scheme, unfolded: bool
) -> None:
    page, said, asked = opened(browser, run, width, scheme, unfolded=unfolded)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(BEYOND, width) == []
    assert page.evaluate(CUT, True) == []  # what is wider is in an area that scrolls, by keyboard also
    assert page.evaluate("document.images.length") >= PICTURES
    assert page.evaluate("[...document.images].every(each => each.complete && each.naturalWidth > 100 && each.alt)")
    faults = Axe().run(page).response["violations"]
    serious = [each for each in faults if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
    assert said == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "seen_px"), [(1280, 800), (390, 2 * 844)])
def test_the_first_screen_answers_all_four_questions_and_has_the_picture(
    run: Path, browser: Browser, *, width: int, seen_px: int, scheme: Scheme
) -> None:
    page, _, _ = opened(browser, run, width, scheme, unfolded=False)
    assert page.evaluate("document.getElementById('answers').getBoundingClientRect().bottom") <= seen_px
    seen = page.inner_text("#answers")
    answers = read_answers(Run.at(run, PROJECT))
    assert answers.verdict in seen
    assert all(objective.title in seen for objective, _, _ in answers.held_back)
    for part in answers.parts:
        told = [part.name.capitalize(), part.broke, *limit_texts(part, answers.plan)[:2]]
        told += [finding_text(each, unit=False) for each in (part.held, part.recommended, part.projected)]
        assert [each for each in told if each not in seen] == []
    assert answers.plan is not None and date_text(answers.plan, answers.plan.first) in seen
    assert answers.plan.title_of(next(iter(answers.plan.binds))) in seen
    assert money_text(answers.cost, unit=False) in seen
    assert money_text(answers.cost_today, unit=False) in seen
    shown = page.evaluate("document.querySelector('#answers img').currentSrc.length")
    assert shown > 10_000  # one of the two pictures, drawn
    page.close()


def test_folded_the_page_is_short_and_each_section_is_one_line(run: Path, browser: Browser) -> None:
    page, _, _ = opened(browser, run, 1280, "light", height=800, unfolded=False)
    assert page.evaluate("document.documentElement.scrollHeight") < FOLDED_PX
    heights = page.evaluate("[...document.querySelectorAll('.part')].map(each => each.clientHeight)")
    assert len(heights) >= 8
    assert max(heights) < 50
    page.close()


def test_a_number_leads_to_its_evidence_though_that_was_folded(run: Path, browser: Browser) -> None:
    page, _, _ = opened(browser, run, 1280, "light", height=800, unfolded=False)
    for name in ("breaking_point.database.highest_sustainable", "plan.first_limit", "plan.cost_first_quarter"):
        page.click(f'#answers a[href="#{name}"]')
        place = page.evaluate("name => document.getElementById(name).getBoundingClientRect().top", name)
        assert page.evaluate("name => document.getElementById(name).getClientRects().length", name) == 1
        assert 0 <= place < 800
    page.close()


def test_no_cell_has_more_than_two_lines_no_column_says_one_thing_and_no_two_lines_are_the_same(
    run: Path, browser: Browser
) -> None:
    page, _, _ = opened(browser, run, 1280, "light", height=800)
    assert page.evaluate("[...document.querySelectorAll('.table')].every(each => each.scrollWidth <= each.clientWidth)")
    assert page.evaluate(LINES) == []
    assert page.evaluate(SAME) == []
    assert page.evaluate(TWICE) == []
    assert not re.search(r"\d (?:/s|jobs|requests|transactions)", page.evaluate(UNIT))  # units stand in the header
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_print_nothing_is_cut_and_text_is_dark_on_white(run: Path, browser: Browser, scheme: Scheme) -> None:
    page, said, _ = opened(browser, run, PAPER_PX, scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate(BEYOND, PAPER_PX) == []
    assert page.evaluate(CUT, False) == []
    assert page.evaluate(PALE) == []
    assert page.evaluate("[...document.images].every(each => getComputedStyle(each).breakInside === 'avoid')")
    assert page.evaluate("Math.max(...[...document.images].map(each => each.height))") < PAPER_HIGH_PX
    assert pages(page) > PAGES  # what was open is printed
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = false)")
    assert 0 < pages(page) <= PAGES
    assert said == []
    page.close()


def pages(page: Page) -> int:
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    return len(re.findall(rb"/Type /Page\b", printed))


def test_the_checks_notice_what_is_too_wide_cut_or_pale(run: Path, browser: Browser) -> None:
    page, _, _ = opened(browser, run, PAPER_PX, "light")
    page.emulate_media(media="print")
    page.add_style_tag(content="h1 { width: 900px }")
    page.add_style_tag(content="header p { width: 200px; overflow: hidden; white-space: nowrap; display: block }")
    assert any(each.startswith("<h1") for each in page.evaluate(BEYOND, PAPER_PX))
    assert [each[:3] for each in page.evaluate(CUT, False)] == ["<p>"]
    assert page.evaluate(CUT, True) == page.evaluate(CUT, False)
    page.add_style_tag(content="h2 { color: #aaa }")
    assert {each[:3] for each in page.evaluate(PALE)} == {"<h2"}
    page.close()
