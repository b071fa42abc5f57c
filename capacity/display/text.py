"""Findings and loads in words: units, intervals, no more digits than these deserve, and lines that fit a page."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from capacity.findings import Finding, Judged, Objective, Verdict
from capacity.manifest import Manifest

LINE_WIDTH = 110
NARROWEST = 20  # columns in which a sentence can be read
NOT_GIVEN = "not given"
BECOMES = "capacity.act_as("  # how a transaction of the reference application becomes a user
FINEST = 1e-6  # the width of an interval below which digits tell nobody more


def number_text(value: float, spread: float = 0.0) -> str:
    """A number rounded to two significant digits of its interval's width, or to four of its own without one."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    scale = spread if 0 < spread < math.inf else abs(value) / 100
    whole = scale == 0 or (spread == 0 and float(value).is_integer())
    places = 0 if whole else max(0, 1 - math.floor(math.log10(scale)))
    return f"{value:,.{min(places, 6)}f}".replace("-", "−")


def finding_text(finding: Finding | None, *, unit: bool = True, limit: float | None = None) -> str:
    """The value with its unit and interval, as `4.5 ms (3.7 to 6.2)`; what was not given says so.

    Where it is judged, its digits tell the interval's ends from the `limit`.
    """
    if finding is None:
        return "not measured"
    if finding.value is None:
        return finding.note or NOT_GIVEN
    name = f" {finding.unit}" if finding.unit and unit else ""
    if finding.low is None or finding.high is None:
        return f"{number_text(finding.value)}{name} (no interval)"
    return interval_text(finding.value, finding.low, finding.high, name, limit)


def interval_text(value: float, low: float, high: float, unit: str = "", limit: float | None = None) -> str:
    """A value with its unit, and the ends of its interval in brackets where they are apart; all in the same digits.

    An end that is not known is left out, as in `11 ms (at least 8.3)`. See `finding_text` for the `limit`.
    """
    spread = high - low
    if limit is not None:
        ends = [end for end in (low, high) if end != limit]
        while FINEST < spread < math.inf and number_text(limit, spread) in [number_text(end, spread) for end in ends]:
            spread /= 10
    text = f"{number_text(value, spread)}{unit}"
    if spread == 0 or (math.isinf(low) and math.isinf(high)):
        return text
    if math.isinf(low) or math.isinf(high):
        return f"{text} ({f'at least {number_text(low)}' if math.isinf(high) else f'at most {number_text(high)}'})"
    return f"{text} ({number_text(low, spread)} to {number_text(high, spread)})"


def void_lines(judged: Iterable[Judged]) -> list[str]:
    """What made promises void, said once for all that share it, with what to do; then how many stand in spite of it."""
    rows = [(each, found, verdict) for each, found, verdict in judged if found is not None and found.void]
    shared: dict[tuple[str, str], list[str]] = {}
    for each, found, verdict in rows:
        if verdict is Verdict.VOID:
            shared.setdefault((found.void or "", found.remedy), []).append(each.title)
    lines = []
    for (reason, remedy), titles in shared.items():
        whose = f" ({', '.join(titles)})" if len(shared) > 1 else ""
        lines.append(f"{Verdict.VOID}{whose}: {reason}{f'; {remedy}' if remedy else ''}")
    stand = [verdict for _, _, verdict in rows if verdict in (Verdict.PASS, Verdict.FAIL)]
    if stand and shared:
        lines.append(f"{len(stand)} more keep their verdict, as this cannot have changed it")
    elif stand:
        reasons = "; ".join(dict.fromkeys(found.void or "" for _, found, _ in rows))
        lines.append(f"{len(stand)} keep their verdict, as this cannot have changed it: {reasons}")
    return lines


def tally_text(judged: Sequence[Judged], expected: Sequence[Judged] = ()) -> str:
    """How many promises and expectations hold, and how many of each are broken or undecided, where there are any."""
    said = []
    for rows, name in ((judged, "promises"), (expected, "expectations")):
        kept, broken = (sum(given is each for _, _, given in rows) for each in (Verdict.PASS, Verdict.FAIL))
        rest: dict[str, int | str] = {"broken": broken or "none", "undecided": len(rows) - kept - broken}
        words = [f"{kept} of {len(rows)} {name} hold"]
        words += [f"{count} {word}" for word, count in rest.items() if count and kept < len(rows)]
        said += [", ".join(words)] if rows else []
    return "; ".join(said) or "nothing was judged"


def not_judged_text(objectives: Iterable[Objective]) -> str:
    """The promises that were not judged, by section, since what was measured has not what they are on; else empty."""
    titles: dict[str, list[str]] = {}
    for each in objectives:
        titles.setdefault(each.section, []).append(each.title or each.finding)
    said = "; ".join(f"{section}: {', '.join(names)}" for section, names in titles.items())
    return f"not judged, since what was measured does not have it: {said}" if said else ""


def load_text(manifest: Manifest, *after: Manifest) -> str:
    """What load a recording holds, as it tells itself: its title, the stages at a constant load, connections and mix.

    `after` are the manifests of what was measured afterwards, as pairs of queries.
    """
    operations, loop = manifest.workload["operations"], "closed" if manifest.kind == "users" else "open"
    if manifest.workload.get("order") == "cycle":
        mix = f"in turns {', '.join(each['name'] for each in operations)}"
    else:
        mix = ", ".join(f"{each['name']} {each['weight']:g} %" for each in operations)
    lines = [
        manifest.workload.get("title") or manifest.name,
        f"{loop} loop, {_held_text(manifest)}, {manifest.admitted} connections: {mix}",
        _users_text(operations),
        f"through a transaction pooler ({manifest.pooler})" if manifest.pooler else "",
        "" if manifest.prepared else "without prepared statements: each one is parsed and planned anew",
        "behind the gateway: its database, its queue and workers" if "gateway" in _started(manifest) else "",
        *(f"afterwards {_held_text(each)}: {each.workload.get('title') or each.name}" for each in after),
    ]
    return "\n".join(wrapped(line) for line in lines if line)


def _held_text(manifest: Manifest) -> str:
    """The stages at a constant load, with what lies between the operations of a user, or how they arrive."""
    shape = manifest.workload.get("shapes", {}).get(manifest.profile, {})
    if manifest.kind == "users":
        think = f" who think {shape['think_ms']:g} ms on average" if shape.get("think_ms") else ""
        of = [f"{each.to:,g} user{'s' * (each.to != 1)}{think}" for each in manifest.sustained]
    else:
        moments = {"poisson": " at random moments", "uniform": " evenly"}.get(shape.get("arrivals", ""), "")
        of = [f"{each.to:,g}/s{moments}" for each in manifest.sustained]
    seconds = [each.end_s - each.start_s for each in manifest.sustained]
    return ", then ".join(f"{said} for {lasting:g} s" for said, lasting in zip(of, seconds, strict=True))


def _users_text(operations: Sequence[Mapping[str, Any]]) -> str:
    """Which transactions are under row-level security, where any is."""
    secured = [each for each in operations if each.get("row_security")]
    if not secured:
        return ""
    who = "each transaction" if len(secured) == len(operations) else ", ".join(each["name"] for each in secured)
    first = [each["statements"][0]["sql"] for each in secured]
    how = " first becomes a user, as Supabase's gateway does, and" if all(BECOMES in each for each in first) else ""
    return f"{who}{how} is under row-level security"


def _started(manifest: Manifest) -> Mapping[str, int]:
    """The processes of the reference application that were read, by their role: the suite has started them."""
    processes: Mapping[str, int] = manifest.system.get("processes", {})
    return processes


def aligned(rows: Sequence[tuple[str, ...]], width: int = 0) -> str:
    """Rows of text in columns of equal width; where a `width` is given, the last column fits it in several lines."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))] if rows else []
    lines = ["  ".join(word.ljust(size) for word, size in zip(row, widths, strict=True)).rstrip() for row in rows]
    begin = sum(widths[:-1]) + 2 * (len(widths) - 1)
    hanging = " " * (begin if width - begin >= NARROWEST else 4)
    return "\n".join(wrapped(line, width, hanging) if width else line for line in lines)


def wrapped(said: str, width: int = LINE_WIDTH, indent: str = "      ") -> str:
    """A sentence in lines that fit a page, its further lines indented."""
    return "\n".join(textwrap.wrap(said, width, subsequent_indent=indent, break_on_hyphens=False))
