"""What is not known of a plan has its own word: not measured, in another currency, of another region."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from capacity.analysis.planning.basis import PlanBasis, read_basis
from capacity.analysis.planning.catalog import Size, read_catalog
from capacity.analysis.planning.findings import plan_findings
from capacity.analysis.planning.plan import make_plan
from capacity.analysis.planning.plan_file import PlanFile, read_plan
from capacity.display import charts_plan, tables_plan
from capacity.findings import read_findings

mpl.use("Agg")
DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def inputs() -> tuple[PlanFile, PlanBasis, list[Size]]:
    folder = DATA / "recorded" / "findings"
    return (
        read_plan(DATA / "plan.yaml"),
        read_basis(folder, read_findings(folder)),
        read_catalog(DATA / "catalog"),
    )


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def test_two_currencies_are_shown_beside_each_other_and_not_added(
    inputs: tuple[PlanFile, PlanBasis, list[Size]],
) -> None:
    file, run, sizes = inputs
    euros = [each.model_copy(update={"currency": "EUR"}) if each.service == "ec2" else each for each in sizes]
    plan = make_plan(file, run, euros)
    assert plan.currency == "USD or EUR"
    assert re.fullmatch(r"[\d,]+ USD \+ [\d,]+ EUR", tables_plan.total_text(plan, 0))
    found = next(each for each in plan_findings(plan) if each.name == "plan.cost_first_quarter")
    assert found.value is None and found.note.startswith("prices of two currencies are not added: ")
    ax = charts_plan.cost_over_time(plan)
    assert not ax.patches and " USD\n+ " in ax.texts[0].get_text()


def test_sizes_of_another_region_are_named_before_what_speaks_against_the_rest(
    inputs: tuple[PlanFile, PlanBasis, list[Size]],
) -> None:
    file, run, sizes = inputs
    there = sizes[0].model_copy(update={"region": "eu-central-1"})
    first = tables_plan.problems_text(make_plan(file, run, [*sizes, there])).splitlines()[0]
    assert first == "- 1 size of ec2 is of eu-central-1, and the plan is of us-east-1: it is not chosen from."


def test_a_part_of_which_nothing_was_measured_has_no_size_and_says_so(
    inputs: tuple[PlanFile, PlanBasis, list[Size]],
) -> None:
    """Not that no size holds it."""
    file, run, sizes = inputs
    without = {name: each for name, each in run.findings.items() if name != "queue.workers_cpu_per_job"}
    plan = make_plan(file, replace(run, findings=without), sizes)
    assert set(tables_plan.sizes_table(plan)["Workers"]) == {"not measured"}
    assert "without Workers on EC2" in tables_plan.summary_text(plan)
    assert "not\nmeasured" in [text.get_text() for text in charts_plan.sizes_by_quarter(plan).texts]
