"""Searches the parts of a system for their breaking points, level by level, and reads what was found again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from capacity.analysis.limits.levels import Level, level_of
from capacity.analysis.limits.rounds import next_in_round
from capacity.analysis.limits.search import Conclusion, Search
from capacity.analysis.limits.search_result import SECTION, SearchResult
from capacity.analysis.measured.figures import level_figures
from capacity.errors import CapacityError
from capacity.findings import Objective
from capacity.objectives import project_objectives
from capacity.places import SEARCHES, in_project, workloads_of
from capacity.probes.levels import LoadTest, open_load_test, read_frames
from capacity.probes.live import run_probe
from capacity.probes.parts import PARTS
from capacity.probes.searches import SearchSettings, read_searches
from capacity.system.addresses import System
from capacity.validation.names import chosen_names
from capacity.writing import write_json

FILE = "search.json"


def search_part(
    name: str, test: LoadTest, settings: SearchSettings, profile: str, folder: Path, *, workloads: Path | str = ""
) -> SearchResult:
    """Measure levels of a part until its breaking point is known, each into a new recording below `folder`.

    Where rounds are to follow, the load recommended is measured once more. The objectives are those on level_<name>, in
    data/objectives.yaml or in a workload of the folder `workloads` (empty: the project's). search.json is kept up with
    every level, so that what was measured before an interruption can be read.
    """
    figures = level_figures(name)
    objectives = tuple(project_objectives(f"level_{name}", findings=figures, workloads=workloads))
    search, windows = settings.search(profile), settings.window(profile)
    found = SearchResult(name, search, (), objectives, counts=settings.counts)

    def measured(rate: float, seconds: float, into: str) -> Level:
        test.measure(rate, seconds, windows.warm_up_seconds, folder / into)
        return _read_level(name, folder / into, seconds, objectives)

    while (attempt := search.next_level(level.result for level in found.levels)) is not None:
        level = measured(attempt.level, attempt.seconds, f"{len(found.levels) + 1:02d}")
        found = replace(found, levels=(*found.levels, level))
        write_json(folder / FILE, _facts(found))
    if windows.rounds > 1 and found.answer.recommended:
        found = replace(found, repeated=(measured(found.answer.recommended, windows.seconds, "repeated-01"),))
    write_json(folder / FILE, _facts(found))
    return found


def search_again(name: str, test: LoadTest, settings: SearchSettings, profile: str, folder: Path) -> None:
    """Look once more near what the search in `folder` found, as a further round of it, and measure its load once more.

    What is measured is added to its search.json when the round is over; one that was broken off is left out. Nothing is
    done where the search found no breaking point.
    """
    facts, windows, search = _kept(folder), settings.window(profile), settings.search(profile)
    objectives, answer = [Objective(**each) for each in facts["objectives"]], facts["answer"]
    if answer["conclusion"] != Conclusion.FOUND or not answer["recommended"]:
        return

    def measured(rate: float, seconds: float, into: Path) -> Level:
        test.measure(rate, seconds, windows.warm_up_seconds, into)
        return _read_level(name, into, seconds, objectives)

    number, levels = len(facts["rounds"]) + 2, list[Level]()
    while (attempt := next_in_round(search, answer["low"], [level.result for level in levels])) is not None:
        into = folder / f"round-{number}-{len(levels) + 1:02d}"
        levels.append(measured(attempt.level, attempt.seconds, into))
    again = measured(answer["recommended"], windows.seconds, folder / f"repeated-{number:02d}")
    facts["rounds"].append(_told(levels))
    facts["repeated"] += _told([again])
    write_json(folder / FILE, facts)


def read_search_result(folder: Path) -> SearchResult:
    """What the search in a folder found, computed anew from its recordings by the objectives that it went by.

    Raises CapacityError where there is none, or a recording is missing or damaged.
    """
    facts = _kept(folder)
    try:
        objectives = tuple(Objective(**each) for each in facts["objectives"])
        search, name = Search(**facts["search"]), str(facts["part"])
        told = [
            [(folder / each["recording"], float(each["seconds"])) for each in levels]
            for levels in (facts["levels"], facts["repeated"], *facts["rounds"])
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise CapacityError(f"cannot read the search in {folder}: {error!r}; search into it first") from None

    levels, repeated, *rounds = (tuple(_read_level(name, *each, objectives) for each in kind) for kind in told)
    return SearchResult(name, search, levels, objectives, repeated, tuple(rounds), facts["counts"])


def read_search_results(folder: Path) -> dict[str, SearchResult]:
    """What the searches below a folder found, by part in their usual order; CapacityError where there is none."""
    found = {each.parent.name: read_search_result(each.parent) for each in folder.glob(f"*/{FILE}")}
    if not found:
        raise CapacityError(f"there is no search in {folder}: no {FILE} is below it")
    order = list(read_searches(in_project(SEARCHES)))
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order)))


def run_breaking_point_probe(
    live: bool, profile: str, workloads: Path | str, folder: Path | str, *, parts: str | Sequence[str] = ()
) -> Path:
    """Where `live`, search the parts of the system into `folder`; see `run_probe`.

    `workloads` is the folder (empty: the project's) of breaking_point.yaml and the workloads that it names; `parts` are
    the names of those to search (empty: all that the system has).
    """
    searches = read_searches(_searches_file(workloads))
    wanted = chosen_names(parts, searches, "part")

    def probe(system: System, into: Path) -> None:
        present = wanted or [name for name in searches if name in PARTS and PARTS[name].present(system)]
        rounds = {name: searches[name].window(profile).rounds for name in present}
        for number in range(max(rounds.values(), default=0)):
            for name in (each for each in present if number < rounds[each]):
                look = search_again if number else partial(search_part, workloads=workloads)
                with open_load_test(name, searches[name], system, workloads, profile) as test:
                    look(name, test, searches[name], profile, into / name)

    return run_probe(live, "breaking_point", folder, probe)


def _searches_file(workloads: Path | str) -> Path:
    return workloads_of(SEARCHES.stem, workloads) / SEARCHES.name


def _facts(found: SearchResult) -> dict[str, Any]:
    """What is kept of a search: what was measured, by what it was judged, and what it says."""
    facts: dict[str, Any] = {"part": found.name, "counts": found.counts, "search": asdict(found.search)}
    facts["objectives"] = [asdict(each) for each in found.objectives]
    facts |= {"levels": _told(found.levels), "rounds": [_told(each) for each in found.rounds]}
    return facts | {"repeated": _told(found.repeated), "answer": asdict(found.answer)}


def _told(levels: Iterable[Level]) -> list[dict[str, Any]]:
    return [{"recording": each.recording, **asdict(each.result)} for each in levels]


def _kept(folder: Path) -> dict[str, Any]:
    """What search.json of a folder holds; CapacityError where there is none."""
    try:
        facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {"counts": "", "levels": [], "rounds": [], "repeated": [], **facts}
    except (OSError, ValueError, TypeError) as error:
        raise CapacityError(f"cannot read the search in {folder}: {error}; search into it first") from None


def _read_level(name: str, folder: Path, seconds: float, objectives: Sequence[Objective]) -> Level:
    recording = f"{SECTION}/{name}/{folder.name}"
    return level_of(f"level_{name}", recording, read_frames(folder), seconds, objectives)
