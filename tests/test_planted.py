"""Situations that nobody listed: each figure is right, or not given with the cause, and nothing is touched."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from capacity.findings import Finding
from tests.planted import api, cache, database, jobs
from tests.planted.stand import Right, Situation, Stand

pytestmark = pytest.mark.slow
SITUATIONS = [*database.SITUATIONS, *cache.SITUATIONS, *jobs.SITUATIONS, *api.SITUATIONS]
RELATIVE = 1e-6


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """How many figures came out how; it is printed at the end."""
    counts = Counter[str]()
    yield counts
    print("\nplanted:", json.dumps(counts))


@pytest.fixture
def stand(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    with ExitStack() as stack:
        yield Stand(tmp_path, stack, monkeypatch, request.getfixturevalue)


def outcome(finding: Finding | None, right: Right) -> str:
    """What became of a figure: `right`, `not given` with the cause, `void`, or `wrong`."""
    if finding is None:
        return "wrong"
    if isinstance(right, str):
        return "not given" if finding.value is None and right in finding.note else "wrong"
    low, high = right if isinstance(right, tuple) else (right, right)
    if finding.value is not None and low * (1 - RELATIVE) <= finding.value <= high * (1 + RELATIVE):
        return "right"
    return "wrong"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.name)
def test_what_is_planted_is_seen_rightly_or_not_given(stand: Stand, situation: Situation, tally: Counter[str]) -> None:
    found = situation.plant(stand)
    right = {**situation.right, **stand.counted}
    ended = {name: outcome(found.get(name), each) for name, each in right.items()}
    touched = stand.touched()
    tally.update({"situations": 1, "tried": len(ended), "touched": touched, **Counter(ended.values())})
    wrong = {name: (right[name], found.get(name)) for name, how in ended.items() if how == "wrong"}
    assert not wrong, "\n".join(f"{name}: {each} was right, and it is {got}" for name, (each, got) in wrong.items())
    assert not touched
