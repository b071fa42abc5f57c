"""The data of monitoring are whole, come from the report, and what is wrong in them is one sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.errors import CapacityError
from capacity.exports.metrics import converted
from capacity.exports.monitoring import Monitoring, read_monitoring
from capacity.exports.watches import all_watches
from capacity.findings import Objective, Verdict
from capacity.objectives import read_objectives

PROJECT = Path(__file__).parents[2]
DATA = PROJECT / "data"
REPORT = (DATA / "reference" / "infrastructure-load-testing-report.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\d+)\.(.*?)(?=^## |\Z)", REPORT, re.MULTILINE | re.DOTALL))
SMALL: dict[str, Any] = {
    "exporters": {"x": {"page": "https://x", "up": "x_up{$labels}"}},
    "parameters": {"Cache": {"description": "a name"}},
    "severities": {"warning": {"minutes": 15, "means": "look"}, "critical": {"minutes": 5, "means": "woken"}},
    "watches": [{"metric": "a.b", "severity": "critical", "fires": "> 5 ms", "source": "s"}],
    "metrics": {"a.b": {"prometheus": {"expression": "m", "unit": "s", "exporter": "x"}}},
}
SERIES = {"namespace": "N", "metric": "M", "statistic": "Sum", "dimensions": {"Id": "${Cache}"}}


@pytest.mark.parametrize(
    ("limit", "unit", "into", "value"),
    [
        (500, "ms", "s", 0.5),
        (10, "ms", "us", 10000),
        (3, "s", "ms", 3000),
        (99.5, "%", "share", 0.995),
        (95, "%", "%", 95),
        (100, "/min", "/s", 100 / 60),
        (50, "jobs/s", "jobs/min", 3000),
        (0, "", "", 0),
    ],
)
def test_a_limit_is_converted(limit: float, unit: str, into: str, value: float) -> None:
    assert converted(limit, unit, into) == pytest.approx(value, rel=1e-12)


def test_a_limit_is_not_converted_into_another_kind() -> None:
    with pytest.raises(ValueError, match=r"^a limit in 'ms' cannot be given in 'share'$"):
        converted(1, "ms", "share")


def test_every_objective_has_a_metric_or_a_reason_why_not() -> None:
    monitoring = read_monitoring(DATA / "monitoring.yaml")
    objectives = read_objectives(DATA / "objectives.yaml")
    assert all(monitoring.metric_of(each.finding) for each in objectives)
    for watch in all_watches([(each, None, Verdict.NO_DATA) for each in objectives], monitoring):
        for seen in (watch.metric.prometheus, watch.metric.cloudwatch):
            for level in watch.levels:
                assert seen is None or level.threshold(seen) >= 0  # raises where the units do not fit


def test_every_threshold_stands_in_the_section_of_the_report_that_it_names() -> None:
    """All that sections 6, 7 and 12 have; compared without spaces, as `>10,000`, `<0.5%` and `>10/min`."""
    watches = read_monitoring(DATA / "monitoring.yaml").watches
    reported = [watch for watch in watches if watch.source.startswith("report section")]
    assert sum(len(re.findall(r"\d+", watch.source)) for watch in reported) == 20
    for watch in reported:
        limit, unit = re.findall(r"([\d.]+)\s*(\D*)$", watch.fires or watch.promise)[0]
        written = f"{'>' if watch.fires else '<'}{float(limit):,g}{unit}"
        for number in re.findall(r"\d+", watch.source):
            wanted, text = (re.sub(r"\s|jobs", "", each) for each in (written, SECTIONS[number]))
            either = rf"[<>]{re.escape(wanted[1:])}(?![\d,.])"  # the same limit is a target and a trigger
            assert re.search(either, text), f"{watch} is not in the report"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"metrics": {"a.b": {}}}, "a metric has either `prometheus` or `cloudwatch`, or says in `unseen` why not"),
        (
            {"watches": [{"metric": "a.c", "severity": "critical", "fires": "> 5 ms", "source": "s"}]},
            "there is no metric 'a.c'; accepted are a.b",
        ),
        (
            {"watches": [{"metric": "a.b", "severity": "wake", "fires": "> 5 ms", "source": "s"}]},
            "watches.0.severity: must be one of warning, critical and is 'wake'",
        ),
        ({"exporters": {"y": {"page": "y", "up": "u"}}}, "there is no exporter 'x'; accepted are y"),
        (
            {"exporters": {"x": {"page": "y"}}},
            "an exporter has either `up` or `seen`, by which is known that its alerts can fire",
        ),
        (
            {"metrics": {"a.b": {"prometheus": {"unit": "s", "exporter": "x"}}}},
            "a query has either `expression` or `events`",
        ),
        (
            {"metrics": {"a.b": {**SMALL["metrics"]["a.b"], "told_by": "a.c"}}},
            "there is no metric 'a.c'; accepted are a.b",
        ),
        ({"watches": 2 * SMALL["watches"]}, "a.b has more than one watch of the severity 'critical'"),
        (
            {"watches": [{"metric": "a.b", "severity": "critical", "fires": "soon", "source": "s"}]},
            "the limit 'soon' of a.b is not one as '> 500 ms'",
        ),
        (
            {
                "watches": [
                    {"metric": "a.b", "severity": "critical", "fires": "> 1 s", "promise": "< 1 s", "source": "s"}
                ]
            },
            "a watch on a.b has either `fires` or `promise`",
        ),
        (
            {"metrics": {"a.b": {"cloudwatch": {"unit": "s", "series": {"one": SERIES, "two": SERIES}}}}},
            "the series one, two need an expression that makes them one",
        ),
        (
            {"parameters": {}, "metrics": {"a.b": {"cloudwatch": {"unit": "s", "series": {"one": SERIES}}}}},
            "there is no parameter 'Cache'; accepted are none",
        ),
        ({"metric": {}}, "metric: there is no such key; did you mean 'metrics'?"),
    ],
)
def test_what_is_wrong_in_the_data_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **change}), encoding="utf-8")
    with pytest.raises(CapacityError, match=rf"^{re.escape(str(path))}, line \d+: .*{re.escape(sentence)}"):
        read_monitoring(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    with pytest.raises(CapacityError, match=rf"^cannot read the file of metrics {path}: No such file or directory$"):
        read_monitoring(path)


def test_a_limit_in_another_unit_than_its_metric_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "watches": []}), encoding="utf-8")
    objective = Objective("a.b", "<", 5.0, "jobs", "B", "s")
    watch = all_watches([(objective, None, Verdict.NO_DATA)], read_monitoring(path))[0]
    assert watch.metric.prometheus is not None
    sentence = "a.b: a limit in 'jobs' cannot be given in 's'; correct the unit in data/monitoring.yaml"
    with pytest.raises(CapacityError, match=f"^{sentence}$"):
        watch.levels[-1].threshold(watch.metric.prometheus)


@pytest.mark.parametrize(
    ("promised", "given", "expected"),
    [
        ([("<", 500, "ms")], [], [("warning", ">=", 400), ("critical", ">=", 500)]),
        ([(">", 99, "%")], [], [("warning", "<=", 99.2), ("critical", "<=", 99)]),
        ([(">", 500, "/s")], [], [("warning", "<=", 600), ("critical", "<=", 500)]),
        ([("==", 0, "")], [], [("critical", ">", 0)]),
        ([("==", 2, "")], [], [("critical", "!=", 2)]),
        ([("<", 5, "ms"), ("<", 9, "ms")], [], [("warning", ">=", 4), ("critical", ">=", 5)]),
        ([("<", 500, "ms")], [("> 300 ms", "warning")], [("warning", ">", 300), ("critical", ">=", 500)]),
        ([("<", 500, "ms")], [("> 2 s", "critical")], [("warning", ">=", 500), ("critical", ">", 2)]),
        ([("<", 500, "ms")], [("> 0.5 s", "critical")], [("critical", ">", 0.5)]),
        ([("<", 500, "ms")], [("> 300 ms", "critical")], [("critical", ">", 300)]),
        ([("==", 0, "")], [("> 0", "warning")], [("warning", ">", 0)]),
        ([("==", 0, "")], [("> 100 /min", "critical")], [("warning", ">", 0), ("critical", ">", 100)]),
        ([], [("> 80 %", "warning")], [("warning", ">", 80)]),
    ],
)
def test_a_promise_is_critical_a_warning_comes_before_it_and_what_is_given_stands_in_their_place(
    promised: list[tuple[str, float, str]], given: list[tuple[str, str]], expected: list[tuple[str, str, float]]
) -> None:
    watches = [{"metric": "a.b", "fires": fires, "severity": severity, "source": "s"} for fires, severity in given]
    monitoring = Monitoring.model_validate({**SMALL, "watches": watches})
    judged = [(Objective("a.b", *limit), None, Verdict.NO_DATA) for limit in promised]
    (watch,) = all_watches(judged, monitoring)
    assert [(each.severity, each.broken_by, each.holds.limit) for each in watch.levels] == expected


def test_a_least_and_a_most_are_two_alerts_with_names_of_their_own() -> None:
    monitoring = Monitoring.model_validate({**SMALL, "watches": []})
    both = [Objective("a.b", ">", 5, "ms"), Objective("a.b", "<", 9, "ms")]
    watches = all_watches([(each, None, Verdict.NO_DATA) for each in both], monitoring)
    assert [watch.name for watch in watches] == ["AB", "ABN2"]
