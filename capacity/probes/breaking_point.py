"""Searches the parts of a system for their breaking points, level by level, and reads what was found again."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from capacity.analysis.breaking_point import LevelResult, Search
from capacity.analysis.levels import Frames, Level, level_of
from capacity.analysis.searched import Searched
from capacity.errors import CapacityError
from capacity.findings import Objective, read_objectives
from capacity.probes.levels import Rig, open_rig, read_frames
from capacity.probes.live import run_probe
from capacity.probes.measurement import Progress, quiet
from capacity.probes.searches import Part, read_searches
from capacity.project import MARK, WORKLOADS, in_project
from capacity.system.addresses import System

SECTION = "breaking_point"
FILE = "search.json"
SEARCHES = "breaking_point.yaml"


def search_part(name: str, rig: Rig, part: Part, profile: str, folder: Path, *, progress: Progress = quiet) -> Searched:
    """Measure levels of a part until its breaking point is known, each into a new recording below `folder`.

    The objectives are those on level_<name> in data/objectives.yaml. search.json is kept up with every level, so that
    what was measured before an interruption can be read.
    """
    objectives = tuple(read_objectives(in_project(MARK), f"level_{name}"))
    search, warm_up_s = part.search(profile), part.window(profile).warm_up_seconds
    results: list[LevelResult] = []
    told: list[dict[str, Any]] = []
    frames: list[Frames] = []
    levels: list[Level] = []
    while (attempt := search.next_level(results)) is not None:
        into = folder / f"{len(results) + 1:02d}"
        rig.measure(attempt.level, attempt.seconds, warm_up_s, into, progress)
        frames.append(read_frames(into))
        level = _level(name, into, frames[-1], attempt.seconds, objectives)
        levels.append(level)
        results.append(level.result)
        told.append({"recording": into.name, **asdict(level.result)})
        answer = asdict(search.answer(results))
        del answer["levels"]
        facts = {"part": name, "search": asdict(search), "objectives": [asdict(each) for each in objectives]}
        _write(folder / FILE, {**facts, "levels": told, "answer": answer})
    return Searched(name, search, tuple(levels), tuple(frames), objectives)


def read_searched(folder: Path) -> Searched:
    """What the search in a folder found, computed anew from its recordings by the objectives that it went by.

    Raises CapacityError where there is none, or a recording is missing or damaged.
    """
    try:
        facts = json.loads((folder / FILE).read_text(encoding="utf-8"))
        objectives = tuple(Objective(**each) for each in facts["objectives"])
        told = [(folder / each["recording"], float(each["seconds"])) for each in facts["levels"]]
        search, name = Search(**facts["search"]), str(facts["part"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CapacityError(f"cannot read the search in {folder}: {error}; search into it first") from None
    frames = tuple(read_frames(path) for path, _ in told)
    levels = tuple(
        _level(name, path, each, seconds, objectives) for (path, seconds), each in zip(told, frames, strict=True)
    )
    return Searched(name, search, levels, frames, objectives)


def read_all_searched(folder: Path) -> dict[str, Searched]:
    """What the searches below a folder found, by part in their usual order; CapacityError where there is none."""
    found = {each.parent.name: read_searched(each.parent) for each in folder.glob(f"*/{FILE}")}
    if not found:
        raise CapacityError(f"there is no search in {folder}: no {FILE} is below it")
    order = list(read_searches(in_project(WORKLOADS) / SEARCHES))
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order)))


def run_breaking_point_probe(
    live: bool, profile: str, workloads: Path | str, folder: Path | str, *, parts: str = ""
) -> Path:
    """Where `live`, search the parts of the system into `folder`; see `run_probe`.

    `workloads` is the folder (empty: the project's) of breaking_point.yaml and the workloads that it names; `parts` are
    the names of those to search, apart by spaces (empty: all that the system has).
    """
    searches = read_searches(in_project(workloads or WORKLOADS) / SEARCHES)
    wanted = parts.split() or list(searches)
    if unknown := [name for name in wanted if name not in searches]:
        raise CapacityError(f"there is no part {unknown[0]!r} to search; accepted are {', '.join(searches)}")

    def probe(system: System, into: Path, progress: Progress) -> None:
        for name in _present(wanted, system) if not parts else wanted:
            part = searches[name]
            with open_rig(name, part, system, workloads, profile) as rig:
                search_part(name, rig, part, profile, into / name, progress=progress)

    return run_probe(live, "breaking_point", folder, probe)


def _present(wanted: Iterable[str], system: System) -> Sequence[str]:
    """The parts that this system has; the suite's own has all."""
    has: Mapping[str, bool] = {
        "database": bool(system.postgres_url),
        "redis": bool(system.redis_url),
        "queue": bool(system.redis_url),
        "gateway": bool(system.gateway_url or (system.postgres_url and system.redis_url)),
    }
    return [name for name in wanted if has.get(name)]


def _level(name: str, folder: Path, frames: Frames, seconds: float, objectives: Sequence[Objective]) -> Level:
    return level_of(f"level_{name}", f"{SECTION}/{name}/{folder.name}", frames, seconds, objectives)


def _write(path: Path, values: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
