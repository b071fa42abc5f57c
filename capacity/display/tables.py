"""Findings and verdicts as tables, in text and in HTML."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from capacity.analysis.statistics.conventions import QUANTILES, percentile_text
from capacity.display.text import LINE_WIDTH, NOT_GIVEN, aligned, finding_text, void_lines, wrapped
from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.manifest import Manifest
from capacity.operation import FAILURES

if TYPE_CHECKING:  # the command prints tables of text, which need not wait for pandas
    import pandas as pd
    from pandas.io.formats.style import Styler

INTERVAL = re.compile(r"\((?:[^()\s]+ to|at least|at most) [^()\s]+\)")
COLOURS = {
    Verdict.PASS: "#1b7f3b",
    Verdict.FAIL: "#b00020",
    Verdict.INCONCLUSIVE: "#a15c00",
    Verdict.VOID: "#6b6b6b",
    Verdict.NO_DATA: "#6b6b6b",
}
PERCENTILES = {f"{percentile_text(name)}, ms": f"response_{name}" for name in QUANTILES}
RESPONSES = {**PERCENTILES, "longest, ms": "response_max", "succeeded, %": "success_rate"}
STAGES = {f"{stage} {percentile_text(name)}, ms": f"{stage}_{name}" for stage in ("wait", "run") for name in QUANTILES}
MOST_FAILURES = 12  # reasons that are shown; all of them are findings
ENDPOINTS = {"requests": "volume", **PERCENTILES, "errors, %": "error_rate", "shed, %": "shed_rate"}


def findings_table(findings: Iterable[Finding]) -> str:
    """One line a finding: name, value with interval, the number of samples or readings, and why none was given."""
    rows = []
    for each in findings:
        value, why = (NOT_GIVEN, each.note) if each.value is None else (finding_text(each), "")
        rows.append((each.name, value, f"n = {each.count:,}", why))
    return aligned(rows)


def verdicts_table(judged: Iterable[Judged]) -> str:
    """One line an objective: verdict, section, title, promise and what was found; then why what is void is so."""
    rows = list(judged)
    table = aligned(
        [
            (str(verdict), each.section, each.title, each.promise, finding_text(found, limit=each.limit))
            for each, found, verdict in rows
        ]
    )
    return "\n".join([table, *map(wrapped, void_lines(rows))])


def failures_text(findings: Iterable[Finding], most: int = MOST_FAILURES, width: int = LINE_WIDTH) -> str:
    """What failed and why, the most frequent first; one sentence where nothing did."""
    failed = failures_of(findings)
    if not failed:
        return "no operation failed"
    lines = []
    for each in failed[:most]:
        lines += [f"{each.title}: {failed_share_text(each)}", *wrapped(f"    {each.note}", width, "    ").splitlines()]
    more = [f"and {len(failed) - most:,} more reasons"] if len(failed) > most else []
    return "\n".join([*lines, *more])


def failures_of(findings: Iterable[Finding]) -> list[Finding]:
    """Those of findings that say how often an operation failed for a reason, the most frequent first."""
    failures = [each for each in findings if each.name.split(".")[-2:-1] == [FAILURES]]
    return sorted(failures, key=lambda each: -(each.value or 0))


def failed_share_text(failure: Finding) -> str:
    """How many failed of how many, as `13,599 of 22,637 (60 %)`."""
    share = 100 * (failure.value or 0) / failure.count
    return f"{failure.value:,.0f} of {failure.count:,} ({'<0.1' if share < 0.1 else f'{share:.3g}'} %)"


def unbroken(text: str) -> str:
    """Text as HTML, whose intervals a page need not break: with its number one is two lines at most."""
    return INTERVAL.sub(r'<span class="interval">\g<0></span>', str(escape(text)))


def finding_link(
    finding: Any, *, unit: bool = False, names: Set[str] | None = None, limit: float | None = None
) -> Markup:
    """As `finding_text`, as HTML that leads to the finding's own line in the report, where it is one of `names`."""
    text = Markup(unbroken(finding_text(finding, unit=unit, limit=limit)))
    if finding is None or (names is not None and finding.name not in names):
        return text
    kind = "note" if finding.value is None else "number"
    return Markup('<a class="{}" href="#{}">{}</a>').format(kind, finding.name, text)


def cell_html(value: Any) -> str:
    """A cell of a table for people as HTML: a finding with its unit leads to its own line, all else is escaped text."""
    if isinstance(value, Finding):
        return finding_link(value, unit=True)
    return finding_text(None) if value is None else unbroken(str(value))


def operations_style(findings: Iterable[Finding], figures: Mapping[str, str] = RESPONSES) -> "Styler":
    """A row an operation with its `figures`, column names by the last part of a finding's name."""
    import pandas as pd

    rows: dict[str, dict[str, Finding]] = {}
    for finding in findings:
        figure = finding.name.rpartition(".")[2]
        if figure in figures.values():
            rows.setdefault(finding.title.rpartition(", ")[0], {})[figure] = finding
    table = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
    table = table.astype(object).where(table.notna(), None)
    named = table[list(figures.values())].set_axis(list(figures), axis=1)
    return named.style.format(finding_link).format_index(escape="html")


def verdicts_style(judged: Iterable[Judged], caption: str = "") -> "Styler":
    """The verdicts as a table in colour, for a notebook and the report; above it, why what is void is so."""
    given = list(judged)
    rows = [(verdict, each.section, each.title, each.promise, found, each.grounds) for each, found, verdict in given]
    names = ["verdict", "section", "promise", "limit", "found", "source"]
    return rows_style(rows, names, "; ".join(filter(None, [caption, *void_lines(given)])))


def rows_style(rows: Sequence[tuple[Any, ...]], names: Sequence[str], caption: str = "") -> "Styler":
    """As `verdict_style`, of rows and the names of their columns."""
    import pandas as pd

    return verdict_style(pd.DataFrame(rows, columns=list(names), dtype=object), caption)


def verdict_style(table: "pd.DataFrame", caption: str = "") -> "Styler":
    """As `lean_style`, with a column `verdict` in colour."""
    import pandas as pd

    style = lean_style(table, caption)
    if "verdict" not in style.columns:
        return style
    colour = {verdict: f"color: {code}; font-weight: 600" for verdict, code in COLOURS.items()}
    classes = pd.DataFrame({"verdict": [f"verdict {verdict}" for verdict in table["verdict"]]}, index=table.index)
    return style.set_td_classes(classes).map(lambda verdict: colour[verdict], subset=["verdict"])


def lean_style(table: "pd.DataFrame", caption: str = "") -> "Styler":
    """A table without its index; a column that is the same in every row stands once, in the caption.

    Texts are escaped, and findings lead to their own lines.
    """
    same = [name for name in table.columns if len(table) > 1 and table[name].astype(str).nunique() == 1]
    once = [f"{name} {value}" for name in same if (value := str(table[name].iloc[0])).strip("–")]
    style = table.drop(columns=same).style.hide(axis="index").format(cell_html)
    said = "; ".join(filter(None, [caption, ", ".join(once) and f"in every row: {', '.join(once)}"]))
    return style.set_caption(str(escape(said))) if said else style


def execution_style(log: "pd.DataFrame", judged: Iterable[Judged]) -> "Styler":
    """The execution log with the result of each part: how many of its promises hold."""
    import pandas as pd

    parts = set(log["part"])
    given = [(_part(objective, finding, parts), verdict) for objective, finding, verdict in judged]
    results = []
    for part in log["part"]:
        verdicts = [verdict for of, verdict in given if of == part]
        broken = sum(verdict is Verdict.FAIL for verdict in verdicts)
        said = f"{verdicts.count(Verdict.PASS)} of {len(verdicts)} hold" + (f", {broken} broken" if broken else "")
        results.append(said if verdicts else "no promises")
    minutes = (log["ended"] - log["started"]).dt.total_seconds() / 60
    states = [
        "complete" if complete else "broken off, measured again" if repeated else "broken off"
        for complete, repeated in zip(log["complete"], log["repeated"], strict=True)
    ]
    shown = log.assign(
        started=[f"{each:%Y-%m-%d %H:%M:%S} UTC" if pd.notna(each) else "unknown" for each in log["started"]],
        minutes=[f"{each:.1f}" if pd.notna(each) else "unknown" for each in minutes],
        operations=[f"{each:,}" for each in log["operations"]],
        digest=log["digest"].str[:12],
        result=results,
        state=states,
    )
    return lean_style(shown[["part", "started", "minutes", "recordings", "operations", "state", "result", "digest"]])


def _part(objective: Objective, finding: Finding | None, parts: set[str]) -> str:
    """The part of a run that a promise was judged by: one that was measured again by its last recordings."""
    folder = finding.recording.partition("/")[0] if finding else ""
    return folder if folder in parts else objective.section


def quality_text(
    samples: "pd.DataFrame", gauges: "pd.DataFrame", steps: Sequence[int], manifest: Manifest | None = None
) -> str:
    """Whether every operation is accounted for, Little's law over the load, and what speaks against the measurement."""
    from capacity.analysis.measured.validity.quality import accounting, generator_problems, littles_law

    counts = accounting(samples)
    ended = ", ".join(f"{getattr(counts, name):,} {name}" for name in ("ok", "error", "timeout", "dropped"))
    lines = [f"planned {counts.planned:,} = {ended}; unaccounted {counts.residue:,}"]
    for law in (littles_law(samples, step) for step in steps):
        explained = f"{law.throughput_per_s:,.0f}/s × {law.mean_response_s * 1000:.3g} ms by the samples"
        rest = f"{abs(law.residual):.1%} unexplained"
        lines.append(f"Little's law: {law.mean_in_system:.3g} in the system, {explained}; {rest}")
    if manifest and manifest.went_on_for:
        lines.append(wrapped(f"undecided at the look, so that the load went on: {', '.join(manifest.went_on_for)}"))
    problems = generator_problems(samples, gauges, steps, manifest)
    said = [f"{'VOID' if each.void else 'note'}: {each.seen}; {each.why}; {each.remedy}" for each in problems]
    return "\n".join([*lines, *map(wrapped, said or ["nothing speaks against this measurement"])])


def is_timing(finding: Finding) -> bool:
    """Whether a finding stands in a table of operations already: a time, an operation's own share, or a failure."""
    figure = finding.name.rpartition(".")[2]
    each = {*RESPONSES.values(), *STAGES.values(), *ENDPOINTS.values()}
    own = finding.name.count(".") > 1 and figure in each
    return own or figure.startswith(("response_", "wait_p", "run_p")) or bool(failures_of([finding]))
