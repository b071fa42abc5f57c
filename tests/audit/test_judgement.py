"""Claims are judged by their report's numbers: what was planted is found, what is consistent raises no alarm."""

import math
import operator
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.analysis.planning.growth import months_until
from capacity.analysis.statistics.percentiles import minimum_samples
from capacity.audit.agreement import Agreement, Answer, at_most, fit
from capacity.audit.judgement import JudgedClaim, judge_claims
from capacity.audit.quantities import read_quantity
from capacity.audit.report import Published, parse_published, read_published, untranscribed

REFERENCE = Path(__file__).parents[2] / "data" / "reference" / "infrastructure-load-testing-report.yaml"
FOLLOWS, APART, OPEN = Answer.FOLLOWS, Answer.DOES_NOT_FOLLOW, Answer.CANNOT_BE_TOLD
RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def report(*claims: dict[str, Any], **values: Any) -> Published:
    statement = {"quote": "q", "values": values, "claims": list(claims)}
    sections = [{"name": "s", "heading": "# S", "statements": [statement]}]
    return parse_published({"title": "t", "sections": sections}, "r.yaml")


def judged(claim: dict[str, Any], **values: Any) -> JudgedClaim:
    return judge_claims(report(claim, **values))[0]


@pytest.fixture(scope="module")
def reference() -> Published:
    return read_published(REFERENCE)


@pytest.fixture(scope="module")
def claims(reference: Published) -> list[JudgedClaim]:
    return judge_claims(reference)


PLANTED = [
    ("✓ Redis command latency < 10ms: PASS", "10.3 ms is not < 10 ms, and the report says PASS"),
    ("- ✅ Redis: 95% memory utilization", "stated as 95 % and 90 %"),
    ("- ✅ Redis: 95% memory utilization", "stated as < 10 ms and the largest of 8.2 ms, .* = 10.3 ms"),
    ("- ✅ Connection pools: 80-85%", "stated as 80 to 85 % and 92 %"),
    ("- ✅ Connection pools: 80-85%", "stated as 80 to 85 % and 90 %"),
    ("- ✅ Queue: 1,000\\+ jobs/sec", "stated as < 2 s and 2,100 ms"),
    ("- ✅ Database: 100\\+ concurrent operations", "≥ 100 operations should be at most 92 connections .*"),
    ("Transaction Rollbacks: 0", "stated as 0 and 100 % − 99.8 % = 0.002"),
    ("\\| Retry Success Rate", "97.8 % is stated, and .* = 80.6 % .*"),
    ("Total Failed Jobs", "950,000 jobs is stated, and .* = 1,350,000 jobs .*"),
    ("✓ DLQ growth sustainable", "2,847 jobs / 25 min = 113.9 jobs/min is not ≤ 10 jobs/min, .*"),
    ("Sustain: 500 VU", "500,000 jobs/s is stated, and .* = 5,000 jobs/s .*"),
    ("- Error rate: 5%", "5 % is stated, and .* = 99.58 % .*"),
    ("- Current: cache.t3.small", "1.8 GB should be at most 1.55 GB"),
    ("- Memory headroom after load test", "1.2 GB is stated, and 2 GB − 1.8 GB = 0.2 GB .*"),
    ("- ✅ Connection pool limits reviewed", "92 % is not < 85 %, and the report says PASS"),
    ("- ✅ Capacity headroom available", "20 to 30 % is stated, and 100 % − 92 % = 8 % .*"),
    ("Duration: 48 hours continuous", "48 h is stated, and .* = 34 h"),
    ("Duration: 48 hours continuous", "48 h is stated, and 30 min .* = 1.583 h .*"),
    ("├─ Result: PASS \\(<10ms latency", "stated as < 10 ms and 10.3 ms"),
    ("├─ Scenarios: 5", "5 scenarios is stated, and 1 scenario \\+ 1 scenario \\+ 1 scenario = 3 scenarios"),
    ("\\*\\*Finding\\*\\*: After 2 hours", "2 h should be at most 30 min \\+ 25 min \\+ 20 min = 1.25 h"),
    ("\\*\\*Result\\*\\*: Peak utilization now 85%", "stated as 85 % and 92 %"),
    ("\\*\\*Result\\*\\*: Error rate reduced", "0.8 % is stated, and 2,847 jobs / 950,000 jobs = 0.2997 %"),
    ("Concurrent Users  100 VU", "stated as ~500 jobs/s / 60 to 80 users = .* and .* = 10 job/s/user"),
    ("Connection Pool   92%", "92 % is not < 85 %, and the report says PASS"),
    ("Infrastructure can sustain 2x", "2 x is stated, and the smallest of .* = 0.9135 to 0.9344 x"),
    (
        "Currently sized for 6-12 months",
        "6 to 12 months is stated, and 2.1 x lasts 5.309 months at 15 % a month "
        "\\(4.982 to 5.653 months within rounding\\)",
    ),
    ("- \\*\\*Date\\*\\*: 2025-11-10", ".* 48 h = 2025-11-11T08:00:00Z should be at most 2025-11-10"),
    ("- DLQ growth rate \\(target < 10", "0.3 % × ~500 jobs/s = 90 jobs/min is not < 10 jobs/min"),
    ("RESULT: ✅ QUEUE & REDIS", "2 of 12 checks do not hold, the first is “✓ Redis command latency .*"),
    ("\\*\\*Status\\*\\*: ✅ LOAD TESTS PASSED", "4 of 19 checks do not hold, .*"),
]


@pytest.mark.parametrize(("quote", "reason"), PLANTED)
def test_what_the_reference_report_contradicts_is_found(claims: list[JudgedClaim], quote: str, reason: str) -> None:
    found = [each for each in claims if re.match(quote, each.quote) and re.fullmatch(reason, each.reason)]
    assert [(each.answer, each.fits) for each in found] == [(APART, Agreement.APART)]


@pytest.mark.parametrize(
    ("quote", "answer", "fits"),
    [
        ("RESULT: ✅ DATABASE LOAD TEST PASSED", FOLLOWS, Agreement.UNPROVEN),
        ("✓ Query latency p99 < 500ms: PASS (194ms)", FOLLOWS, Agreement.UNPROVEN),
        ("✓ No deadlocks or connection exhaustion: PASS (0 events)", FOLLOWS, Agreement.EXACT),
        ("- Timeout errors: 1,200 (42%)", FOLLOWS, Agreement.ROUNDED),
        ("Peak Connections: 92 / 100 (92% utilization)", FOLLOWS, Agreement.EXACT),
        ("**Timeline**: 2 days of load testing (Nov 9-10, 2025)", FOLLOWS, Agreement.EXACT),
        ("- ✅ Auto-scaling configured for all services", OPEN, Agreement.OPEN),
        ("New Connection Rate: 5.8/sec", OPEN, Agreement.OPEN),
    ],
)
def test_what_follows_and_what_cannot_be_told_is_not_called_a_contradiction(
    claims: list[JudgedClaim], quote: str, answer: Answer, fits: Agreement
) -> None:
    assert (answer, fits) in {(each.answer, each.fits) for each in claims if each.quote == quote}
    assert APART not in {each.answer for each in claims if each.quote == quote}


def test_percentiles_without_a_number_of_samples_cannot_be_told(claims: list[JudgedClaim]) -> None:
    answers = Counter((each.section[:2], each.answer) for each in claims if each.kind == "samples")
    assert answers == {("1.", OPEN): 5, ("2.", OPEN): 5, ("2.", FOLLOWS): 6, ("3.", FOLLOWS): 5, ("5.", OPEN): 1}


def test_every_line_with_a_number_or_a_tick_is_transcribed(reference: Published) -> None:
    assert untranscribed(reference, REFERENCE.parent) == []


DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:]+Z)?")
NUMBER = re.compile(r"(?<![A-Za-z\d.])\d[\d,_]*(?:\.\d+)?")
NO_VALUES = r"### Issue \d|Test \d|- API returns 503|\*\*Timeline\*\*|### (Database|Redis|Bull)"  # counted or named


def numbers_in(*texts: str) -> Counter[str]:
    words = [word for text in texts for word in [*DATE.findall(text), *NUMBER.findall(DATE.sub("", text))]]
    return Counter(re.sub("[,_]", "", word) for word in words)


def test_every_number_of_a_quote_is_a_value_and_every_value_is_in_its_quote(reference: Published) -> None:
    for section in reference.sections:
        for statement in section.statements:
            values = numbers_in(*(value.text for value in statement.values.values()))
            limits = numbers_in(*(claim.limit for claim in statement.claims if claim.kind == "check" and claim.stated))
            quoted = numbers_in(statement.quote)
            if not re.match(NO_VALUES, statement.quote):
                assert values <= quoted <= values + limits, statement.quote


CONSISTENT: list[dict[str, Any]] = [
    {
        "quote": "3 of 4 connections (75 %), n = 5,000, p95 20 ms, p99 31.4 ms (30.1 to 33.0) < 40 ms: PASS, max 80 ms",
        "values": {
            "used": "3 connections",
            "size": "4 connections",
            "share": "75 %",
            "n": "5_000 samples",
            "p95": "20 ms",
            "p99": "31.4 ms",
            "low": "30.1 ms",
            "high": "33.0 ms",
            "max": "80 ms",
        },
        "claims": [
            {"kind": "derived", "stated": "share", "by": {"ratio": ["used", "size"]}},
            {"kind": "order", "of": ["p95", "p99", "max"]},
            {"kind": "samples", "quantile": 0.99, "count": "n"},
            {"kind": "check", "value": "p99", "low": "low", "high": "high", "limit": "< 40 ms", "stated": "PASS"},
            {"kind": "check", "value": "max", "low": "max", "high": "max", "limit": "< 90 ms", "stated": "PASS"},
        ],
    },
    {
        "quote": "GET p99 20 ms, PUT p99 40 ms; 1.5x lasts 2.9 months at 15 %; PASS",
        "values": {"get": "20 ms", "put": "40 ms", "margin": "1.5 x", "months": "2.9 months", "rate": "15 %"},
        "claims": [
            {
                "kind": "mixture",
                "stated": "p99",
                "quantile": 0.99,
                "groups": [{"quantiles": {0.99: "get"}}, {"quantiles": {0.99: "put"}}],
            },
            {"kind": "lasts", "stated": "months", "margin": "margin", "monthly_rate": "rate"},
            {"kind": "same", "of": ["p99", "31 ms"], "assuming": "31 ms is p99 without its decimals"},
            {"kind": "evidence", "needs": "a percentile", "shown_by": ["get"]},
            {"kind": "conclusion"},
        ],
    },
]


def test_a_consistent_report_raises_no_alarm() -> None:
    sections = [{"name": "s", "heading": "# S", "statements": CONSISTENT}]
    found = judge_claims(parse_published({"title": "t", "sections": sections}, "r.yaml"))
    wrong = [each for each in found if each.answer is not FOLLOWS]
    assert [(each.kind, each.reason) for each in wrong] == [
        ("same", "stated as 31.4 ms and 31 ms, if 31 ms is p99 without its decimals")
    ]
    assert [each.fits for each in found if each.kind == "check"] == [Agreement.EXACT, Agreement.EXACT]


counts = st.integers(1, 10_000)
decimals = st.integers(0, 3)
shifts = st.integers(2, 1000) | st.integers(-1000, -2)  # of the last written digit: further than any rounding


def rounded(value: float, places: int, shift: int = 0) -> str:
    return f"{value + shift * 10.0**-places:.{places}f}"


OPERATIONS = {
    "sum": lambda a, b, c: a + b + c,
    "product": lambda a, b, c: a * b * c,
    "largest": max,
    "smallest": min,
}


@given(st.sampled_from(list(OPERATIONS)), st.tuples(counts, counts, counts), decimals, shifts)
def test_a_result_follows_as_it_rounds_and_not_beyond(
    name: str, parts: tuple[int, int, int], places: int, shift: int
) -> None:
    result = OPERATIONS[name](*(each / 100 for each in parts))
    by = {name: [f"{each / 100:.2f} x" for each in parts]}
    for moved, answer in ((0, FOLLOWS), (abs(shift), APART)):
        stated = f"{rounded(result, places, moved)} x"
        assert judged({"kind": "derived", "stated": "v", "by": by}, v=stated).answer is answer


@given(counts, counts, decimals, st.integers(2, 1000))
def test_a_ratio_in_percent_follows_as_it_rounds_and_not_beyond(a: int, b: int, places: int, shift: int) -> None:
    by = {"ratio": [f"{a} jobs", f"{b} jobs"]}
    for moved, answer in ((0, FOLLOWS), (shift, APART)):
        stated = f"{rounded(100 * a / b, places, moved)} %"
        assert judged({"kind": "derived", "stated": "v", "by": by}, v=stated).answer is answer


@given(st.lists(st.tuples(counts, counts), min_size=2, max_size=5), decimals, st.integers(2, 1000))
def test_a_weighted_mean_follows_as_it_rounds_and_not_beyond(
    rows: list[tuple[int, int]], places: int, shift: int
) -> None:
    result = sum(value * weight for value, weight in rows) / sum(weight for _, weight in rows)
    by = {"mean": [f"{value} ms" for value, _ in rows], "weights": [f"{weight} jobs" for _, weight in rows]}
    for moved, answer in ((0, FOLLOWS), (shift, APART)):
        stated = f"{rounded(result, places, moved)} ms"
        assert judged({"kind": "derived", "stated": "v", "by": by}, v=stated).answer is answer


@given(st.floats(0, 1000), decimals, decimals, st.integers(2, 1000))
def test_one_quantity_stated_twice_agrees_as_it_rounds_and_not_beyond(
    value: float, places: int, others: int, shift: int
) -> None:
    one = f"{rounded(value, places)} s"
    same = {"kind": "same", "of": ["a", "b"]}
    assert judged(same, a=one, b=f"{rounded(value, others)} s").answer is FOLLOWS
    coarser = min(places, others)
    moved = value + shift * 10.0**-coarser
    assert judged(same, a=one, b=f"{rounded(moved, others)} s").answer is APART
    assert judged(same, a=one, b=one, c=one) == judged(same, a=one, b=one)


@given(st.lists(st.integers(1, 10_000), min_size=3, max_size=6, unique=True), st.data())
def test_what_rises_is_in_order_and_two_that_change_places_are_not(values: list[int], data: st.DataObject) -> None:
    rising = sorted(values)
    names = [f"v{place}" for place in range(len(rising))]
    claim = {"kind": "order", "of": names}
    given_values = {name: f"{value} events" for name, value in zip(names, rising, strict=True)}
    assert judged(claim, **given_values).answer is FOLLOWS
    one, other = sorted(data.draw(st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True)))
    given_values[one], given_values[other] = given_values[other], given_values[one]
    assert judged(claim, **given_values).answer is APART


@given(st.sampled_from(list(RELATIONS)), st.integers(0, 200), st.integers(0, 200), st.sampled_from(["PASS", "FAIL"]))
def test_a_check_is_judged_by_what_its_value_may_be(relation: str, tenths: int, limit: int, stated: str) -> None:
    """Slow and obvious: both ends of the rounding, and the middle."""
    claim = {"kind": "check", "value": "v", "limit": f"{relation} {limit / 10} ms", "stated": stated}
    holds = {RELATIONS[relation](each, limit / 10) for each in (tenths / 10 - 0.05, tenths / 10, tenths / 10 + 0.05)}
    answer = judged(claim, v=f"{tenths / 10:.1f} ms").answer
    if len(holds) == 2:
        assert answer is OPEN
    else:
        assert answer is (FOLLOWS if holds == {stated == "PASS"} else APART)


@given(st.integers(11, 90), st.integers(5, 40), shifts)
def test_a_margin_lasts_as_long_as_it_grows_and_not_beyond(tenths: int, percent: int, shift: int) -> None:
    claim = {"kind": "lasts", "stated": "m", "margin": f"{tenths / 10} x", "monthly_rate": f"{percent} %"}
    months = months_until(1.0, tenths / 10, percent / 100)
    assert judged(claim, m=f"{months:.1f} months").answer is FOLLOWS
    if months + shift / 10 > 0:
        assert judged(claim, m=f"{months + shift / 10:.1f} months").answer is APART


def test_a_margin_that_is_used_up_lasts_no_time_and_one_without_end_lasts_for_ever() -> None:
    claim = {"kind": "lasts", "stated": "m", "margin": "n", "monthly_rate": "15 %"}
    assert judged(claim, m="6..12 months", n="0.92 x").reason == (
        "6 to 12 months is stated, and 0.92 x lasts 0 months at 15 % a month"
    )
    assert judged(claim, m="6..12 months", n="0.92 x").answer is APART
    assert judged(claim, m="6..12 months", n="> 2 x").answer is OPEN


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=2, max_size=4))
def test_percentiles_of_pooled_samples_raise_no_alarm_and_those_outside_all_groups_do(
    seed: int, shapes: list[tuple[int, int]]
) -> None:
    """Slow and obvious: the parts and the whole are read from real samples, ties included."""
    draw = np.random.default_rng(seed)
    parts = [draw.integers(1, 1 + spread, size) for size, spread in shapes]
    quantiles = (0.5, 0.95, 0.99)
    values: dict[str, Any] = {}
    groups: list[dict[str, Any]] = []
    for place, part in enumerate(parts):
        for each in quantiles:
            values[f"g{place}_p{each * 100:.0f}"] = f"{np.quantile(part, each, method='inverted_cdf')} events"
        named = {each: f"g{place}_p{each * 100:.0f}" for each in quantiles}
        groups.append({"weight": f"{len(part)} events", "quantiles": named})
    for each in quantiles:
        whole = np.quantile(np.concatenate(parts), each, method="inverted_cdf")
        for chosen in (groups, [{"quantiles": group["quantiles"]} for group in groups]):
            claim = {"kind": "mixture", "stated": "whole", "quantile": each, "groups": chosen}
            assert judged(claim, whole=f"{whole} events", **values).answer is FOLLOWS
            of_groups = [np.quantile(part, each, method="inverted_cdf") for part in parts]
            assert judged(claim, whole=f"{max(of_groups) + 1} events", **values).answer is APART
            assert judged(claim, whole=f"{min(of_groups) - 1} events", **values).answer is APART


def test_an_averaged_percentile_can_be_found_out_by_weights() -> None:
    """99 jobs in 100 take 10 ms or less and the rest 1 s or more: a p95 of 500 ms lies between and is impossible."""
    groups = [
        {"weight": "99 %", "quantiles": {0.95: "9 ms", 0.99: "10 ms"}},
        {"weight": "1 %", "quantiles": {0.95: "1 s", 0.99: "2 s"}},
    ]
    claim = {"kind": "mixture", "stated": "v", "quantile": 0.95, "groups": groups}
    assert judged(claim, v="500 ms").answer is APART
    assert judged(claim, v="9 ms").answer is FOLLOWS


@given(st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]), st.integers(0, 4000))
def test_a_percentile_needs_its_minimum_of_samples(quantile: float, count: int) -> None:
    answer = judged({"kind": "samples", "quantile": quantile, "count": "n"}, n=f"{count} samples").answer
    assert answer is (FOLLOWS if count >= minimum_samples(quantile) else APART)


def test_the_reasons_name_what_is_missing() -> None:
    assert judged({"kind": "samples", "quantile": 0.999}).reason == (
        "a p99.9 needs 2,995 samples, and their number is not given"
    )
    assert judged({"kind": "evidence", "needs": "a run"}).reason == "the report does not give a run"
    assert judged({"kind": "check", "limit": "< 5 ms", "stated": "PASS"}).reason == (
        "no value is given beside the limit < 5 ms"
    )
    assert judged({"kind": "check", "value": "v", "limit": "< 10 ms"}, v="10 ms").reason == (
        "within its rounding 10 ms may be < 10 ms or not"
    )
    assert judged({"kind": "conclusion"}).reason == "there is no check to conclude from"


@pytest.mark.parametrize(
    ("values", "answer", "fits", "reason"),
    [
        (("1 ms", "0 events"), FOLLOWS, Agreement.UNPROVEN, "all 2 checks hold as stated"),
        (("9 ms", "0 events"), APART, Agreement.APART, "1 of 2 checks do not hold, the first is “q”"),
        (("5 ms", "0 events"), OPEN, Agreement.OPEN, "1 of 2 checks cannot be told, the first is “q”"),
    ],
)
def test_a_conclusion_is_as_good_as_its_checks(
    values: tuple[str, str], answer: Answer, fits: Agreement, reason: str
) -> None:
    checks = [
        {"kind": "check", "value": "v", "limit": "< 5 ms", "stated": "PASS"},
        {"kind": "check", "value": "w", "limit": "== 0 events", "stated": "PASS"},
        {"kind": "check", "value": "v", "limit": "< 0.1 ms", "title": "without a verdict of the report's own"},
    ]
    for sections in ([], ["s"]):
        found = judge_claims(report(*checks, {"kind": "conclusion", "sections": sections}, v=values[0], w=values[1]))
        assert (found[-1].answer, found[-1].fits, found[-1].reason) == (answer, fits, reason)


def test_a_check_that_the_report_itself_fails_lets_no_good_conclusion_follow() -> None:
    check = {"kind": "check", "value": "v", "limit": "< 5 ms", "stated": "FAIL"}
    failed, concluded = judge_claims(report(check, {"kind": "conclusion"}, v="9 ms"))
    assert (failed.answer, failed.reason) == (FOLLOWS, "9 ms is not < 5 ms, and the report says FAIL")
    assert (concluded.answer, concluded.reason) == (APART, "1 of 1 checks do not hold, the first is “q”")
    wrong, held = judge_claims(report(check, {"kind": "conclusion"}, v="1 ms"))
    assert (wrong.answer, held.answer) == (APART, FOLLOWS)


def test_what_rests_on_an_assumption_cannot_be_told_to_be_wrong() -> None:
    wrong = {"kind": "same", "of": ["1 s", "2 s"]}
    assert judged(wrong).answer is APART
    assert judged({**wrong, "assuming": "both are means"}).answer is OPEN
    assert judged({**wrong, "assuming": "both are means"}).reason == "stated as 1 s and 2 s, if both are means"
    assert judged({"kind": "same", "of": ["1 s", "1 s"], "assuming": "x"}).answer is FOLLOWS
    check = {"kind": "check", "value": "9 ms", "limit": "< 5 ms", "stated": "PASS"}
    concluded = judge_claims(report(check, {"kind": "conclusion", "assuming": "the check counts"}))[-1]
    assert concluded.answer is OPEN
    assert concluded.reason == "1 of 1 checks do not hold, the first is “q”, if the check counts"


@pytest.mark.parametrize(
    ("stated", "computed", "fits"),
    [
        ("80..85 %", "85 %", Agreement.ROUNDED),
        ("80..85 %", "83 %", Agreement.EXACT),
        ("80..85 %", "86 %", Agreement.APART),
        ("80..85 %", "70..82 %", Agreement.OPEN),
        ("80..85 %", "81..82 %", Agreement.EXACT),
        ("< 10 jobs", "10 jobs", Agreement.APART),
        ("<= 10 jobs", "10 jobs", Agreement.EXACT),
        ("> 99.5 %", "99.5 %", Agreement.OPEN),
        ("> 99.5 %", "99.6 %", Agreement.EXACT),
        ("2 s", "2.1 s", Agreement.ROUNDED),
        ("2.0 s", "2.1 s", Agreement.ROUNDED),
        ("2.0 s", "2.2 s", Agreement.APART),
        ("2000 ms", "2 s", Agreement.EXACT),
        ("5 s", "< 6 s", Agreement.OPEN),
    ],
)
def test_ranges_bounds_and_numbers_fit_as_far_as_they_say(stated: str, computed: str, fits: Agreement) -> None:
    assert fit(read_quantity(stated), read_quantity(computed)) is fits


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("1 s", "2 s", Agreement.EXACT),
        ("2 s", "2 s", Agreement.EXACT),
        ("2.1 s", "2 s", Agreement.ROUNDED),
        ("3 s", "1 s", Agreement.APART),
        (">= 100 jobs", "92 jobs", Agreement.APART),
        ("< 5 s", "3 s", Agreement.OPEN),
        ("< 5 s", "6 s", Agreement.EXACT),
    ],
)
def test_one_is_at_most_the_other_as_far_as_they_say(one: str, other: str, fits: Agreement) -> None:
    assert at_most(read_quantity(one), read_quantity(other)) is fits


def test_a_computed_value_without_any_end_cannot_be_told() -> None:
    claim = {"kind": "derived", "stated": "v", "by": {"ratio": ["5 jobs", "0 jobs"]}}
    assert judged(claim, v="3 x").answer is OPEN
    assert math.isinf(read_quantity(">= 1 x").high)
