"""The preflight in a terminal or as JSON: what was looked at, and before a run what of it is not fine."""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from capacity.display.text import LINE_WIDTH, wrapped
from capacity.errors import CapacityError
from capacity.places import SEARCHES, project_folder, workloads_of
from capacity.probes.searches import read_searches
from capacity.system.addresses import system_from
from capacity.system.preflight.check import Check
from capacity.system.preflight.stack import local_checks, parts_of, read_workloads, stack_checks
from capacity.system.preflight.this_machine import TOOLS
from capacity.workload import Workload, read_workload

NAME = 14  # columns, at least
OF_ALL_PARTS = {"failover", "breaking_point"}  # notebooks that load each part that there is
STATE = 8  # columns, of MISSING the longest word


def checks_text(checks: Sequence[Check], width: int = 0) -> str:
    """A paragraph a part, a line each of what was looked at, and where it is not fine what it means and what to do.

    `width` is that of the terminal by default.
    """
    columns = width or shutil.get_terminal_size((LINE_WIDTH, 0)).columns
    names = max([NAME, *(len(each.name) for each in checks)])
    lines: list[str] = []
    for part, group in groupby(checks, key=lambda each: each.part):
        lines += ["", part] if lines else [part]
        lines += [line for each in group for line in _lines(each, names, columns)]
    return "\n".join(lines)


def _lines(check: Check, names: int, columns: int) -> Iterator[str]:
    state = "ok" if check.fine else "MISSING" if check.needed else "note"
    begin = f"  {state:{STATE}} {check.name:{names}}  "
    hanging = " " * len(begin)
    yield wrapped(begin + check.said, columns, hanging)
    for word, told in (("means", check.means), ("to do", check.to_do)):
        if told and not check.fine:
            yield wrapped(f"{hanging}{word}: {told}", columns, f"{hanging}  ")


def checks_json(checks: Sequence[Check]) -> str:
    """The same as a list of names and values, for pipelines."""
    return json.dumps([asdict(each) for each in checks], indent=2, ensure_ascii=False)


def wanted_of(parts: Sequence[str], workloads: Path | str = "", *, searched: bool = True) -> dict[str, list[Workload]]:
    """The workloads of these parts; where they are `searched`, too, those of the search over its connections.

    Raises CapacityError where a file is wrong.
    """
    wanted = {name: read_workloads(name, workloads) for name in parts}
    searches = read_searches(workloads_of(SEARCHES.stem, workloads) / SEARCHES.name) if searched else {}
    for name, search in searches.items():
        file = workloads_of(search.workload, workloads) / f"{search.workload}.yaml"
        if name in wanted and file.exists():
            over = {"connections": search.connections}
            wanted[name].append(read_workload(file).model_copy(update=over))
    return wanted


def show_preflight(notebooks: Collection[str], workloads: Path | str, say: Callable[[str], None]) -> None:
    """Say what is not fine of the servers that the environment names and of this machine, before notebooks load them.

    `workloads` is the folder of the workload files (empty: the project's). Nothing is said of servers that the suite
    starts itself. Raises CapacityError where a server does not answer, or nothing could be measured otherwise.
    """
    system, parts = system_from(), parts_of(project_folder())
    if system.embedded or not (system.postgres_url or system.redis_url or system.gateway_url):
        return
    if not set(notebooks) & OF_ALL_PARTS:
        parts = [name for name in parts if name in notebooks]
    wanted = wanted_of(parts, workloads, searched="breaking_point" in notebooks)
    checks = [*stack_checks(system, wanted), *(local_checks(system, wanted) if parts else [])]
    left = [each for each in checks if not each.fine and each.name not in TOOLS]
    for each in left:
        if each.needed:
            raise CapacityError(f"{each.part}: {each.said}; {each.means}: {each.to_do}")
    if left:
        say(f"{checks_text(left)}\n")
