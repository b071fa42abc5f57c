"""The preflight in a terminal or as JSON: what was looked at, and before a run what of it is not fine."""

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from capacity.display.text import LINE_WIDTH, wrapped
from capacity.errors import CapacityError
from capacity.system.addresses import VARIABLES
from capacity.system.preflight.check import Check
from capacity.system.preflight.stack import FILES, read_workloads, stack_checks
from capacity.system.preflight.this_machine import machine_checks

NAME = 14  # columns, at least
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


def show_preflight(notebooks: Collection[str], given: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Say what is not fine of the servers that the environment names and of this machine, before notebooks load them.

    Nothing is said where no server is named. `given` are the parameters of the run. Raises CapacityError where a server
    does not answer: nothing could be measured.
    """
    named = any(os.environ.get(variable) for variable in VARIABLES.values())
    if not named:
        return
    # The other notebooks load all parts that there are.
    parts = [name for name in FILES if name in notebooks] if set(notebooks) <= set(FILES) else []
    workloads = given.get("workloads", "")
    checks = stack_checks(parts, workloads)
    checks += machine_checks([each for name in parts or FILES for each in read_workloads(name, workloads)])
    for each in checks:
        if each.needed and not each.fine:
            raise CapacityError(f"{each.part} {each.said}; {each.means}: {each.to_do}")
    if left := [each for each in checks if not each.fine]:
        say(checks_text(left) + "\n")
