"""Writes beside an outage of the queue: which were certainly before, within or after it, and which came again."""

import re

import pandas as pd
import pytest

from capacity.analysis.faults.outbox import Outage, enqueued_again, when_written

OUTAGE = Outage(ended_ns=100, gone_ns=110, started_ns=200, back_ns=220)


@pytest.mark.parametrize(
    ("sent", "finished", "moment"),
    [
        (10, 99, "pending"),
        (10, 100, "between"),  # the answer came as the signal was sent
        (90, 150, "between"),
        (105, 108, "between"),  # it was on its way out
        (111, 199, "away"),
        (110, 150, "between"),
        (111, 200, "between"),
        (150, 230, "between"),
        (210, 215, "between"),  # started, and not known to answer
        (221, 230, "later"),
    ],
)
def test_a_write_is_before_within_or_after_only_where_that_is_certain(sent: int, finished: int, moment: str) -> None:
    frame = pd.DataFrame({"sent_ns": [sent], "finished_ns": [finished]}, index=[7])
    found = when_written(frame, OUTAGE)
    assert found.to_dict() == {7: moment}


def test_no_writes_have_no_moments() -> None:
    assert when_written(pd.DataFrame({"sent_ns": [], "finished_ns": []}), OUTAGE).empty


def test_a_job_that_came_to_the_queue_as_late_as_the_reconciler_comes_is_one_of_its() -> None:
    created = pd.Series([0.0, 0.0, 0.3, 0.0, 0.0], index=list("abcde"))
    queued = pd.Series([3.0, 250.0, 1000.0, 2400.0, float("nan")], index=list("abcde"))
    assert enqueued_again(created, queued, older_than_s=1.0).to_dict() == {
        "a": False,
        "b": False,
        "c": True,  # the queue rounds to whole milliseconds
        "d": True,
        "e": False,
    }


def test_an_outage_whose_moments_are_not_in_order_is_refused() -> None:
    said = (
        "the moments of an outage must be in their order and are Outage(ended_ns=5, gone_ns=4, started_ns=6, back_ns=7)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        Outage(5, 4, 6, 7)
