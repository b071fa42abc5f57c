"""The names that notebooks and scripts import from `capacity` itself, and what JupyterLab shows of each."""

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import capacity
from capacity.analysis.limits.scalability import ScalabilityModel
from capacity.analysis.measured.ledger import CLASSES

PROJECT = Path(__file__).parents[1]
MODEL = {f"ScalabilityModel.{name}": value for name, value in vars(ScalabilityModel).items() if name[0] != "_"}
ASKED = {name: value for name, value in MODEL.items() if inspect.isfunction(value)}
NAMED = {name: getattr(capacity, name) for name in capacity.__all__}
FUNCTIONS = {name: value for name, value in NAMED.items() if inspect.isfunction(value)} | ASKED
CLASSES_OF = {name: value for name, value in NAMED.items() if inspect.isclass(value)}
FROM_A_SOURCE = {  # the others are arithmetic, or the suite's own rules
    *("latency_table", "percentile_interval", "minimum_samples", "fit_usl", "erlang_c", "servers_needed", "reconcile"),
    "ScalabilityModel.band",
}
SECTION = re.compile(r"^(\w+)\n-{3,}$", re.MULTILINE)
CONTRACT = {
    "latency_table": ["samples", "by", "quantiles"],
    "percentile_interval": ["values", "quantile", "confidence"],
    "minimum_samples": ["quantile", "confidence"],
    "fit_usl": ["concurrency", "throughput"],
    "erlang_c": ["offered_load", "servers"],
    "servers_needed": ["arrival_rate", "service_time", "wait_limit", "probability"],
    "months_until": ["current", "limit", "monthly_rate"],
    "project": ["current", "months", "monthly_rate"],
    "reconcile": ["enqueued", "completed"],
    "judge": ["finding", "objective"],
    "open_recording": ["path"],
}


def sections(value: object) -> dict[str, str]:
    """The numpydoc sections of a docstring by their titles; what stands before the first has none."""
    pieces = SECTION.split(inspect.getdoc(value) or "")
    return {"": pieces[0], **dict(zip(pieces[1::2], pieces[2::2], strict=True))}


def described(text: str) -> list[str]:
    """The names that a section describes: those of its lines that are not indented."""
    lines = [line.partition(" : ")[0] for line in text.splitlines() if line and line[0] != " "]
    return [name for line in lines for name in line.split(", ")]


def test_each_public_name_is_there_and_stays_the_same() -> None:
    for name in capacity.__all__:
        assert getattr(capacity, name) is getattr(capacity, name)
        assert name in dir(capacity)


def test_no_module_has_the_name_of_a_public_one() -> None:
    """The import of such a module would put itself in the place of the function, whenever it happens."""
    assert {path.stem for path in (PROJECT / "capacity").iterdir()} & set(capacity.__all__) == set()


def test_importing_capacity_loads_neither_pandas_nor_scipy() -> None:
    said = "import sys, capacity; print(sorted({'pandas', 'scipy', 'numpy', 'pyarrow'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize("name", CONTRACT)
def test_a_function_of_the_contract_takes_what_it_promises_first(name: str) -> None:
    assert list(inspect.signature(FUNCTIONS[name]).parameters)[: len(CONTRACT[name])] == CONTRACT[name]


def test_what_the_contract_promises_of_results_is_there() -> None:
    assert {"low", "value", "high", "count"} <= set(dir(capacity.percentile_interval(range(100), 0.5)))
    model = capacity.fit_usl([1, 18, 36, 72, 108, 144, 216], [64.9, 995.9, 1652.4, 1853.2, 1828.9, 1775.0, 1702.2])
    names = {"contention", "coherency", "unit_throughput"}
    assert names | {"throughput_at", "latency_at", "concurrency_at", "peak"} <= set(dir(model))
    assert names <= set(dir(model.standard_errors))
    assert {"concurrency", "throughput"} <= set(dir(model.peak))
    assert list(capacity.project(1.0, 2)) == ["month", "value", "low", "high"]
    assert set(CLASSES) <= set(dir(capacity.reconcile(["a"], ["a"])))
    assert [*capacity.Verdict] == ["PASS", "FAIL", "INCONCLUSIVE", "NO_DATA", "VOID"]


def test_a_recording_may_stand_where_a_sample_frame_does() -> None:
    recording = capacity.open_recording(PROJECT / "data" / "recorded" / "redis")
    assert isinstance(recording.samples, pd.DataFrame)
    assert isinstance(recording.gauges, pd.DataFrame)
    assert recording.manifest["state"] == "complete"
    pd.testing.assert_frame_equal(capacity.latency_table(recording), capacity.latency_table(recording.samples))


def test_no_signature_of_the_contract_is_left_out() -> None:
    assert set(CONTRACT) == set(FUNCTIONS) - set(ASKED)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_says_what_it_takes_gives_and_refuses(name: str) -> None:
    function = FUNCTIONS[name]
    found = sections(function)
    assert {"Parameters", "Returns", "Raises"} <= set(found)
    assert "Examples" in found or name in ASKED  # what a model is asked stands in its class
    assert ("References" in found) == (name in FROM_A_SOURCE)
    assert described(found["Parameters"]) == [each for each in inspect.signature(function).parameters if each != "self"]
    assert list(found) == [
        each for each in ("", "Parameters", "Returns", "Raises", "References", "Examples") if each in found
    ]


@pytest.mark.parametrize("name", CLASSES_OF)
def test_a_public_class_says_what_it_holds(name: str) -> None:
    kind = CLASSES_OF[name]
    found = sections(kind)
    fields = list(inspect.signature(kind).parameters) if "Parameters" in found else [each.name for each in kind]
    assert sorted(described(found.get("Parameters") or found["Attributes"])) == sorted(fields)
    assert "Examples" in found


def test_the_examples_give_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for name, value in {**NAMED, **MODEL, "ScalabilityModel": ScalabilityModel}.items():
        for example in finder.find(value, name, globs={}):
            runner.run(example)
    assert runner.tries > 2 * len(capacity.__all__)
    assert runner.failures == 0


@pytest.mark.thorough
def test_a_script_that_uses_the_public_names_passes_a_strict_type_check(tmp_path: Path) -> None:
    names = ", ".join(capacity.__all__)
    script = tmp_path / "script.py"
    script.write_text(
        f"from capacity import {names}\n"
        "reveal_type(minimum_samples(0.99))\n"
        "reveal_type(latency_table(open_recording('recording')))\n"
        "reveal_type(judge(Finding('a.b', 1.0), Objective('a.b', '<', 2.0)))\n"
    )
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", str(script)]  # strict, by pyproject.toml
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert ran.returncode == 0, ran.stdout
    assert re.findall(r'Revealed type is "([^"]+)"', ran.stdout) == [
        "int",
        "pandas.core.frame.DataFrame",
        "capacity.findings.Verdict",
    ]
