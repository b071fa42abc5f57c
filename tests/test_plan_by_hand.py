"""The committed plan, come to once more from CSV, YAML and JSON by plain arithmetic, and its page says what it is."""

import calendar
import csv
import itertools
import json
import math
import runpy
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[1]
DATA = PROJECT / "data"
FOUND = {
    each["name"]: each
    for path in (DATA / "recorded" / "findings").glob("*.json")
    for each in json.loads(path.read_text(encoding="utf-8"))
}
PLAN = yaml.safe_load((DATA / "plan.yaml").read_text(encoding="utf-8"))
ROWS = [
    row for path in (DATA / "catalog").glob("*.csv") for row in csv.DictReader(path.open(encoding="utf-8", newline=""))
]
RATE, ROOM = PLAN["growth"]["value"], 1 - PLAN["headroom"]["value"]
COLUMN = {"connections": "max_connections"}
MOST = 1 + 1e-9  # a use that is exactly the room fits


@pytest.fixture(scope="module")
def plan() -> Any:
    return runpy.run_path(str(PROJECT / "docs" / "plan.py"))["committed_plan"]()


def load(name: str, end: str) -> float:
    entry = PLAN["loads"][name]
    measured = FOUND[entry["measured"]]["value"] if entry.get("measured") else entry.get("tested", 1)
    return float(entry[end] / measured)


def term(use: Mapping[str, Any], end: str) -> float | None:
    """A term at the projected peak; None where it was not measured."""
    found = FOUND.get(use.get("finding", ""), {"value": use.get("constant")})
    known = found.get(end) if found.get(end) is not None and math.isfinite(found[end]) else found["value"]
    if known is None:
        return None
    return float(known * use.get("scale", 1) * (load(use["load"], end) if use.get("load") else 1))


def summed(terms: list[Mapping[str, Any]], end: str) -> float | None:
    values = [term(each, end) for each in terms]
    return None if None in values else math.fsum(each or 0.0 for each in values)


def number(row: Mapping[str, str], column: str) -> float | None:
    return float(row[column]) if row.get(column) else None


def sustained(row: Mapping[str, str], threads: float | None) -> float | None:
    """The CPU of one server without end: the baselines of a burstable one, and of one thread a core at most."""
    vcpu, share = number(row, "vcpu"), number(row, "baseline_share")
    if row["burstable"] == "yes":
        vcpu = None if vcpu is None or share is None else vcpu * share
    return vcpu if vcpu is None or threads is None else min(vcpu, threads)


def rows_of(service: str) -> list[dict[str, str]]:
    return [each for each in ROWS if each["service"] == service and each["region"] in (PLAN["region"], "any")]


def capacity(part: Mapping[str, Any], row: Mapping[str, str], volume: Mapping[str, str] | None, name: str) -> Any:
    """What one server holds of a resource."""
    if name == "cpu":
        return sustained(row, part.get("threads"))
    if name == "storage_gib":
        return number(volume or {}, "storage_gib")
    if name == "iops" and volume is not None:
        both = [number(row, "iops"), number(volume, "iops")]
        return None if None in both else min(each for each in both if each is not None)
    return number(row, COLUMN.get(name, name))


def on_one(terms: list[Mapping[str, Any]], servers: int, grown: float) -> float:
    """The high end of a use on the server that has most of it, of so many."""
    pieces = [each.get("pieces") for each in terms]
    shares = [1 / servers if most is None else math.ceil(most / servers) / most for most in pieces]
    return math.fsum((term(each, "high") or 0.0) * share * grown for each, share in zip(terms, shares, strict=True))


def holding(part: Mapping[str, Any], grown: float) -> Iterator[tuple[tuple[str, int], str, float]]:
    """Size, number of servers, name and monthly price of all that hold the high end of a part's uses."""
    uses = {name: terms for name, terms in part["uses"].items() if summed(terms, "high") is not None}
    volumes = rows_of(part["volume"]) if part.get("volume") else [None]
    for row, servers, volume in itertools.product(
        rows_of(part["service"]), range(1, part.get("servers", 1) + 1), volumes
    ):
        prices = [number(each, "price_per_hour") for each in (row, volume) if each is not None]
        held = {name: capacity(part, row, volume, name) for name in uses}
        if None in prices or None in held.values():
            continue
        if all(on_one(terms, servers, grown) <= ROOM * MOST * held[name] for name, terms in uses.items()):
            name = f"{servers} × {row['size']}" if servers > 1 else row["size"]
            yield (
                (row["size"], servers),
                f"{name} + {volume['size']}" if volume else name,
                730 * servers * sum(each or 0.0 for each in prices),
            )


@cache
def cheapest_path(name: str) -> list[str | None]:
    """The names of a part's sizes by quarter whose months and moves cost least, each path tried a quarter on."""
    part = next(each for each in PLAN["parts"] if each["name"] == name)
    start = (part["current"], 1) if part["current"] else None
    paths: dict[Any, tuple[float, list[str | None]]] = {start: (0.0, [])}
    for quarter in range(math.ceil(PLAN["months"] / 3)):
        best: dict[Any, tuple[float, str]] = {}
        for key, named, price in holding(part, (1 + RATE) ** (3 * quarter + 3)):
            if key not in best or price < best[key][0]:
                best[key] = (price, named)
        if not best:
            paths = {key: (cost, [*names, None]) for key, (cost, names) in paths.items()}
            continue
        paths = {
            key: min(
                (
                    (cost + 3 * price + PLAN["change_cost"] * (before not in (None, key)), [*names, named])
                    for before, (cost, names) in paths.items()
                ),
                key=lambda path: path[0],
            )
            for key, (price, named) in best.items()
        }
    return min(paths.values(), key=lambda path: path[0])[1]


@pytest.mark.parametrize("part", PLAN["parts"], ids=[each["name"] for each in PLAN["parts"]])
def test_plain_arithmetic_chooses_the_same_sizes(plan: Any, part: Mapping[str, Any]) -> None:
    """Or ones of the same price that hold it as well, as two servers and one of twice the size."""
    chosen = next(each for each in plan.parts if each.entry.name == part["name"])
    for step, name in zip(chosen.steps, cheapest_path(part["name"]), strict=True):
        grown = (1 + RATE) ** (3 * step.quarter + 3)
        prices = {named: price for _, named, price in holding(part, grown)}
        assert (step.fit is None) == (name is None)
        if name is not None:
            alike = {named for named, price in prices.items() if math.isclose(price, prices[name])}
            assert step.fit.size.title in alike and step.monthly == pytest.approx(prices[name])


def test_plain_arithmetic_comes_to_the_same_costs(plan: Any) -> None:
    findings = {name: each for name, each in FOUND.items() if name.startswith("plan.cost_")}
    for name, quarter in (("plan.cost_first_quarter", 0), ("plan.cost_last_quarter", -1)):
        total = 0.0
        for part in PLAN["parts"]:
            title = cheapest_path(part["name"])[quarter]
            grown = (1 + RATE) ** (3 if quarter == 0 else PLAN["months"])
            prices = {named: price for _, named, price in holding(part, grown)}
            total += prices[title] if title and part.get("counted", True) else 0.0
        assert findings[name]["value"] == pytest.approx(total)
    now = [row for part in PLAN["parts"] for row in rows_of(part["service"]) if row["size"] == part["current"]]
    assert findings["plan.cost_now"]["value"] == pytest.approx(730 * sum(float(row["price_per_hour"]) for row in now))


def limit_of(resource: Mapping[str, Any]) -> float | None:
    limit = resource["limit"]
    if "part" in limit:
        part = next(each for each in PLAN["parts"] if each["name"] == limit["part"])
        row = next(each for each in rows_of(part["service"]) if each["size"] == part["current"])
        held = (
            sustained(row, part.get("threads")) if limit["column"] == "sustained_vcpu" else number(row, limit["column"])
        )
        return None if held is None else held * limit.get("scale", 1)
    return float(limit["value"] if "value" in limit else FOUND[limit["finding"]]["value"])


def day_after(start: date, months: float) -> date:
    """Whole months by the calendar, and the rest as a share of the month after."""
    ends = []
    for more in (0, 1):
        years, month = divmod(start.month - 1 + math.floor(months) + more, 12)
        year = start.year + years
        ends.append(date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1])))
    return ends[0] + timedelta(days=math.floor((months % 1) * (ends[1] - ends[0]).days))


@pytest.mark.parametrize("resource", PLAN["resources"], ids=[each["name"] for each in PLAN["resources"]])
def test_plain_arithmetic_comes_to_the_same_months_and_days(plan: Any, resource: Mapping[str, Any]) -> None:
    use, limit = summed(resource["use"], "value"), limit_of(resource)
    found = FOUND.get(f"plan.{resource['name']}.months_to_limit")
    if use is None:
        assert found is None
        return
    assert limit is not None and found is not None
    months = max(0.0, math.log(limit / use) / math.log(1 + RATE))
    assert found["value"] == pytest.approx(months)
    assert plan.day(found["value"]) == day_after(plan.run.day, months)


def test_the_page_says_what_the_plan_is() -> None:
    page = runpy.run_path(str(PROJECT / "docs" / "plan.py"))["page"]()
    assert (PROJECT / "docs" / "plan.md").read_text(encoding="utf-8") == page, "python docs/plan.py"
