"""A process that reads the servers' own figures a few times a second, beside the load and not within it."""

import contextlib
import json
import os
import select
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import psutil

from capacity.clock import cpu_s, monotonic_ns
from capacity.load.child import read_line, run_child, say
from capacity.probes import readers
from capacity.streams import GaugeWriter

SOURCES = "CAPACITY_GAUGES_SOURCES"
INTERVAL_S = 0.2
SETTLE_S = 0.5  # PostgreSQL's backends add their counts when they end; a task that needs none may say so
# A source's kind is the module of `readers` whose `<kind>_reader` reads it: a further kind is a further module.
MODULES = {each.name: import_module(f"{readers.__name__}.{each.name}") for each in iter_modules(readers.__path__)}
# A server that is down has no figures; `DOWN` is what a module's own library raises then.
DOWN = (OSError, *(module.DOWN for module in MODULES.values() if hasattr(module, "DOWN")))


def main(task: dict[str, Any]) -> None:
    """Read the gauges of all sources until stdin ends, and once more when the load is gone."""
    sources = json.loads(os.environ[SOURCES])
    opened = {kind: getattr(MODULES[kind], f"{kind}_reader")(where) for kind, where in sources.items()}
    writers = {name: GaugeWriter(Path(task["folder"]), name) for name in opened}
    facts = [facts for _, facts in opened.values()]
    servers = [each["server"] for each in facts if "server" in each]
    not_given = {name: why for each in facts for name, why in each.pop("not_given", {}).items()}
    told = {name: value for each in reversed(facts) for name, value in each.items()} | {"servers": servers}
    say({"system": told, "not_given": not_given})
    origin_ns = int(read_line())
    psutil.cpu_percent()
    machines = next(iter(writers.values()))

    def read_all() -> None:
        for name, (read, _) in opened.items():
            with contextlib.suppress(*DOWN):
                writers[name].write(monotonic_ns() - origin_ns, read())

    while not select.select([0], [], [], INTERVAL_S)[0]:
        read_all()
        machine = {
            "machine.cpu_share": psutil.cpu_percent() / 100,
            "machine.cpu_s": _taken_s(),
            "gauges.cpu_s": cpu_s(),
        }
        machines.write(monotonic_ns() - origin_ns, machine)
    select.select([], [], [], task.get("settle_s", SETTLE_S))
    read_all()
    for writer in writers.values():
        writer.close()


def _taken_s() -> float:
    """The CPU seconds of all processes so far, and what the machine's host gave to others; without interrupts."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.steal)


if __name__ == "__main__":
    run_child(main)
