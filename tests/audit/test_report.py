"""A report as data is refused in one sentence where it is wrong, and its quotes are its text's own words."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from capacity.audit.expressions import Expression, evaluated, expression_text
from capacity.audit.quantities import quantity_text, read_quantity
from capacity.audit.report import parse_published, read_published
from capacity.audit.transcript import left_over
from capacity.errors import CapacityError

GOOD: dict[str, Any] = {
    "title": "A small report",
    "sections": [
        {
            "name": "pool",
            "heading": "## Pool",
            "statements": [
                {
                    "quote": "92 of 100 in use (92 %)",
                    "values": {"used": "92 connections", "size": "100 connections", "share": "92 %"},
                    "claims": [{"kind": "derived", "stated": "share", "by": {"ratio": ["used", "size"]}}],
                }
            ],
        }
    ],
}
PLACE = ("sections", 0, "statements", 0)
AT = "r.yaml: at '92 of 100 in use (92 %)': "


def changed(*path: Any, to: Any) -> dict[str, Any]:
    values = deepcopy(GOOD)
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return values


def claiming(**claim: Any) -> dict[str, Any]:
    return changed(*PLACE, "claims", to=[claim])


def test_a_good_report_is_read() -> None:
    report = parse_published(GOOD, "r.yaml")
    assert [claim.kind for _, _, claim in report.claims()] == ["derived"]
    assert report.values["pool.used"].value == 92
    assert report.lookup("pool")("share") == report.lookup("elsewhere")("pool.share")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed("tite", to="x"), "r.yaml: tite: there is no such key; remove it or correct its spelling"),
        (changed("sections", to=[]), "r.yaml: sections: must have 1 or more entries"),
        (
            changed(*PLACE, "values", "share", to="92 per cent"),
            AT + "sections.0.statements.0.values.share: '92 per cent' is not a quantity; accepted is a number with a "
            "unit as '45 ms', '< 10 ms', '~500 jobs/s', '80..85 %', or a date and is '92 per cent'",
        ),
        (
            claiming(kind="same", of=["share", "shares"]),
            "r.yaml: '92 of 100 in use (92 %)' in 'Pool': there is no value 'pool.shares'",
        ),
        (
            claiming(kind="same", of=["share", "used"]),
            "r.yaml: '92 of 100 in use (92 %)' in 'Pool': "
            "92 % and 92 connections are not of the same kind; check the units",
        ),
        (
            claiming(kind="check", value="used", limit="< 95 %", stated="PASS"),
            "r.yaml: '92 of 100 in use (92 %)' in 'Pool': "
            "95 % and 92 connections are not of the same kind; check the units",
        ),
        (
            claiming(kind="conclusion", sections=["queue"]),
            "r.yaml: '92 of 100 in use (92 %)' in 'Pool': there is no section 'queue'",
        ),
        (
            claiming(kind="check", value="share", limit="below 95 %"),
            AT + "sections.0.statements.0.claims.0.check.limit: "
            "it must be a relation, a number and a unit, as '< 500 ms', and is 'below 95 %'",
        ),
        (
            claiming(kind="derived", stated="share", by={"ratio": ["used", "size"], "sum": ["used", "size"]}),
            AT + "sections.0.statements.0.claims.0.derived.by: "
            "it is one of sum, difference, product, ratio, largest, smallest, and mean with weights",
        ),
        (
            claiming(kind="check", value="share", limit="< 90..95 %"),
            AT + "sections.0.statements.0.claims.0.check.limit: "
            "it must be a relation, a number and a unit, as '< 500 ms', and is '< 90..95 %'",
        ),
        (
            claiming(kind="derived", stated="share", by={"mean": ["share", "share"]}),
            AT + "sections.0.statements.0.claims.0.derived.by: "
            "it is one of sum, difference, product, ratio, largest, smallest, and mean with weights",
        ),
        (
            claiming(kind="derived", stated="share", by={"ratio": ["used", {"sum": ["size", "__import__('os')"]}]}),
            "r.yaml: '92 of 100 in use (92 %)' in 'Pool': \"__import__('os')\" is not a quantity; accepted "
            "is a number with a unit as '45 ms', '< 10 ms', '~500 jobs/s', '80..85 %', or a date",
        ),
        (
            claiming(kind="guess", of=["share", "share"]),
            AT + "sections.0.statements.0.claims.0.kind: must be one of derived, same, order, check, lasts, mixture, "
            "samples, evidence, conclusion and is 'guess'",
        ),
    ],
)
def test_a_wrong_report_gives_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CapacityError) as refused:
        parse_published(values, "r.yaml")
    assert str(refused.value) == message


def test_a_name_is_given_once() -> None:
    values = deepcopy(GOOD)
    values["sections"][0]["statements"].append({"quote": "again", "values": {"used": "1 connection"}})
    with pytest.raises(CapacityError, match=r"^r\.yaml: the name 'pool\.used' is given more than once$"):
        parse_published(values, "r.yaml")


@pytest.mark.parametrize("values", [None, [], "text", {"sections": [1]}, {"title": "x", "sections": {"a": 1}}])
def test_what_is_no_report_at_all_is_one_sentence(values: Any) -> None:
    with pytest.raises(CapacityError, match=r"^r\.yaml: ") as refused:
        parse_published(values, "r.yaml")
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_broken_yaml_and_a_missing_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"^cannot read the report .*none\.yaml: No such file or directory$"):
        read_published(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("title: [")
    with pytest.raises(CapacityError, match=r"^the report .*broken\.yaml is not YAML: "):
        read_published(broken)
    broken.write_text("{title: x, text: none.md, sections: [{name: a, heading: A, statements: []}]}")
    with pytest.raises(CapacityError, match=r"^cannot read the report's text .*none\.md: "):
        read_published(broken)


@pytest.mark.parametrize(
    ("by", "value", "text"),
    [
        ({"sum": ["5 min", "90 s"]}, 390, "5 min + 90 s"),
        ({"difference": [{"product": ["2 s", "3"]}, {"sum": ["1 s", "2 s"]}]}, 3, "2 s × 3 − (1 s + 2 s)"),
        ({"ratio": [{"ratio": ["8 s", "2"]}, {"product": ["2", "2"]}]}, 1, "(8 s / 2) / (2 × 2)"),
        ({"largest": ["1 s", "3 s", "2 s"]}, 3, "the largest of 1 s, 3 s, 2 s"),
        ({"smallest": ["1 s", "3 s"]}, 1, "the smallest of 1 s, 3 s"),
        ({"mean": ["1 s", "3 s"], "weights": [3, 1]}, 1.5, "the mean of 1 s (weight 3), 3 s (weight 1)"),
    ],
)
def test_operations_come_to_their_value_and_read_as_they_are_meant(by: dict[str, Any], value: float, text: str) -> None:
    expression = Expression.model_validate(by)
    assert evaluated(expression, read_quantity).value == pytest.approx(value)
    assert expression_text(expression, read_quantity) == text
    assert quantity_text(evaluated(expression, read_quantity), read_quantity("1 ms").unit).endswith("ms")


TEXT = "# Report\n\nDuration: 5 min\n- done ✓\n\n## Next\nDuration: 5 min\nnothing\n"


def test_a_number_or_tick_that_no_quote_holds_is_left_over() -> None:
    everything = [("# Report", ["Duration: 5 min", "- done ✓"]), ("## Next", ["Duration: 5 min"])]
    assert left_over(TEXT, everything) == []
    assert left_over(TEXT, [("# Report", ["Duration: "]), ("## Next", [])]) == ["5 min", "- done ✓", "Duration: 5 min"]
    assert left_over("Before 1\n" + TEXT, everything) == ["Before 1"]
    assert left_over("nothing but 1", []) == ["nothing but 1"]


@pytest.mark.parametrize(
    ("quoted", "message"),
    [
        (
            [("# Report", ["- done ✓", "Duration: 5 min"]), ("## Next", [])],
            "the quote 'Duration: 5 min' is not in the text of '# Report' after the quotes before it; "
            "quote letter for letter and in order",
        ),
        (
            [("# Report", ["Duration: 5 min", "Duration: 5 min"]), ("## Next", [])],
            "the quote 'Duration: 5 min' is not in the text of '# Report' after the quotes before it; "
            "quote letter for letter and in order",
        ),
        ([("# Reports", [])], "the text has no line '# Reports' after the sections before it; correct the heading"),
        (
            [("## Next", []), ("# Report", [])],
            "the text has no line '# Report' after the sections before it; correct the heading",
        ),
    ],
)
def test_a_quote_that_is_not_the_texts_own_is_refused(quoted: list[tuple[str, list[str]]], message: str) -> None:
    with pytest.raises(CapacityError) as refused:
        left_over(TEXT, quoted)
    assert str(refused.value) == message
