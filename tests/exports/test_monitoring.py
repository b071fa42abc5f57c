"""The data of monitoring are whole, come from the report, and what is wrong in them is one sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from capacity.errors import CapacityError
from capacity.exports.monitoring import converted, read_monitoring
from capacity.exports.watches import all_watches
from capacity.findings import Objective, Verdict
from capacity.objectives import read_objectives

PROJECT = Path(__file__).parents[2]
DATA = PROJECT / "data"
REPORT = (DATA / "reference" / "infrastructure-load-testing-report.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\d+)\.(.*?)(?=^## |\Z)", REPORT, re.MULTILINE | re.DOTALL))
SMALL: dict[str, Any] = {
    "exporters": {"x": "https://x"},
    "parameters": {"Cache": {"description": "a name"}},
    "severities": {"objective": {"minutes": 5, "means": "broken"}, "page": {"minutes": 1, "means": "woken"}},
    "watches": [{"metric": "a.b", "severity": "page", "fires": "> 5 ms", "source": "s"}],
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
            assert seen is None or watch.threshold(seen) >= 0  # raises where the units do not fit


def test_every_threshold_stands_in_the_section_of_the_report_that_it_names() -> None:
    """All 20 that sections 6, 7 and 12 have; compared without spaces, as `>10,000`, `<0.5%` and `>10/min`."""
    watches = read_monitoring(DATA / "monitoring.yaml").watches
    assert len(watches) == 20
    for watch in watches:
        number, unit = re.findall(r"([\d.]+)\s*(\D*)$", watch.fires or watch.promise)[0]
        written = f"{'>' if watch.fires else '<'}{float(number):,g}{unit}"
        section = SECTIONS[watch.source.split()[-1]]
        wanted, text = (re.sub(r"\s|jobs", "", each) for each in (written, section))
        assert re.search(rf"{re.escape(wanted)}(?![\d,.])", text), f"{watch} is not in the report"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"metrics": {"a.b": {}}}, "a metric has either `prometheus` or `cloudwatch`, or says in `unseen` why not"),
        (
            {"watches": [{"metric": "a.c", "severity": "page", "fires": "> 5 ms", "source": "s"}]},
            "there is no metric 'a.c'; accepted are a.b",
        ),
        (
            {"watches": [{"metric": "a.b", "severity": "wake", "fires": "> 5 ms", "source": "s"}]},
            "there is no severity 'wake'; accepted are objective, page",
        ),
        ({"exporters": {"y": "https://y"}}, "there is no exporter 'x'; accepted are y"),
        ({"watches": 2 * SMALL["watches"]}, "a.b has more than one watch of the severity 'page'"),
        (
            {"watches": [{"metric": "a.b", "severity": "page", "fires": "soon", "source": "s"}]},
            "the limit 'soon' of a.b is not one as '> 500 ms'",
        ),
        (
            {"watches": [{"metric": "a.b", "severity": "page", "fires": "> 1 s", "promise": "< 1 s", "source": "s"}]},
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
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    objective = Objective("a.b", "<", 5.0, "jobs", "B", "s")
    watch = all_watches([(objective, None, Verdict.NO_DATA)], read_monitoring(path))[0]
    assert watch.metric.prometheus is not None
    sentence = "a.b: a limit in 'jobs' cannot be given in 's'; correct the unit in data/monitoring.yaml"
    with pytest.raises(CapacityError, match=f"^{sentence}$"):
        watch.threshold(watch.metric.prometheus)


def test_two_watches_never_have_one_name(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.yaml"
    path.write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    twice = [(Objective("a.b", "<", limit, "ms"), None, Verdict.NO_DATA) for limit in (5.0, 9.0)]
    names = [watch.name for watch in all_watches(twice, read_monitoring(path))]
    assert names == ["ABObjective", "ABObjectiveN2", "ABPage"]
