"""What became of jobs: which were lost, came from nowhere, or were done more than once."""

import collections
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

CLASSES = ("acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Counts of jobs by what became of them, in the words of Jepsen's total-queue; `ids` names the jobs themselves.

    acknowledged: the queue said that it has the job. ok: enqueued, acknowledged or not, and completed.
    lost: acknowledged and never completed. recovered: completed although nobody knew whether the queue had it.
    unexpected: completions of what nobody enqueued. duplicated: completions beyond the first of what was enqueued.
    So ok + duplicated + unexpected are all completions, and ok − recovered + lost are the acknowledged jobs.
    """

    acknowledged: int
    ok: int
    lost: int
    unexpected: int
    duplicated: int
    recovered: int
    _ids: Mapping[str, tuple[Hashable, ...]] = field(repr=False, compare=False)

    def ids(self, name: str) -> tuple[Hashable, ...]:
        """The ids of a class in the order in which they were given, one for each that its count counts.

        Raises ValueError for a name that is not a class.
        """
        if name not in CLASSES:
            raise ValueError(f"jobs are not classed as {name!r}; accepted are {', '.join(CLASSES)}")
        return self._ids[name]


def reconcile(
    enqueued: "Iterable[Hashable] | Mapping[Any, bool] | pd.Series[Any]", completed: Iterable[Hashable]
) -> Reconciliation:
    """Compare the jobs that were enqueued with those that were completed, once all that waits has been drained.

    Parameters
    ----------
    enqueued : iterable, mapping or Series
        The ids of jobs that the queue acknowledged; or a mapping (or a Series of booleans) from the id of every job
        tried to whether it was acknowledged, False where nobody knows. What certainly failed does not belong here.
    completed : iterable
        The ids of completions, the same id again each time.

    Returns
    -------
    Reconciliation
        The counts acknowledged, ok, lost, unexpected, duplicated and recovered, and the `ids` of each.

    Raises
    ------
    ValueError
        Where an id is enqueued twice or maps to no boolean, and where the ids of the two sides are of unlike types.

    References
    ----------
    `total-queue` in jepsen.checker, with every id enqueued once.

    Examples
    --------
    >>> from capacity import reconcile
    >>> found = reconcile(enqueued=["a", "b", "c"], completed=["a", "a", "b", "x"])
    >>> found
    Reconciliation(acknowledged=3, ok=2, lost=1, unexpected=1, duplicated=1, recovered=0)
    >>> found.ids("lost")
    ('c',)
    """
    attempts, completions = _attempts(enqueued), collections.Counter(completed)
    _check_types(attempts, completions)
    ids = _ids(attempts, completions)
    return Reconciliation(**{name: len(ids[name]) for name in CLASSES}, _ids=ids)


def _ids(attempts: Mapping[Hashable, bool], completions: collections.Counter[Hashable]) -> dict[str, tuple[Any, ...]]:
    """The ids of each of CLASSES."""
    done = [each for each in attempts if each in completions]
    return {
        "acknowledged": tuple(each for each, known in attempts.items() if known),
        "ok": tuple(done),
        "lost": tuple(each for each, known in attempts.items() if known and each not in completions),
        "unexpected": tuple(each for each in completions.elements() if each not in attempts),
        "duplicated": tuple(each for each in done for _ in range(completions[each] - 1)),
        "recovered": tuple(each for each in done if not attempts[each]),
    }


def _attempts(enqueued: "Iterable[Hashable] | Mapping[Any, bool] | pd.Series[Any]") -> dict[Hashable, bool]:
    """Whether each job was acknowledged, by its id."""
    if isinstance(enqueued, Mapping) or (isinstance(enqueued, pd.Series) and pd.api.types.is_bool_dtype(enqueued)):
        pairs = list(enqueued.items())
    else:
        pairs = [(each, True) for each in enqueued]
    attempts = dict(pairs)
    if len(attempts) < len(pairs):
        twice, times = collections.Counter(each for each, _ in pairs).most_common(1)[0]
        raise ValueError(f"the job {twice!r} is enqueued {times} times; give each job an id of its own")
    for each, known in pairs:
        if not isinstance(known, bool | np.bool_):
            raise ValueError(
                f"the job {each!r} has {known!r} where it says whether it was acknowledged; accepted are True and False"
            )
    return attempts


def _check_types(attempts: Iterable[Hashable], completions: Iterable[Hashable]) -> None:
    """Refuse ids that are texts on one side and something else on the other: none of them would ever match."""
    sides = [{isinstance(each, str) for each in side} for side in (attempts, completions)]
    if all(sides) and not sides[0] & sides[1]:
        texts, others = ("enqueued", "completed") if True in sides[0] else ("completed", "enqueued")
        raise ValueError(
            f"the ids of {texts} jobs are texts and those of {others} jobs are not; give both as the queue has them"
        )
