"""One thing that was looked at before a measurement, with what it means and what to do; and looks with a time limit."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg
import redis

from capacity.errors import CapacityError
from capacity.workload import Workload

LOOK_S = 15.0  # for all that is looked at of one server; each of its answers has a limit of its own
ANSWER_S = 5
BESIDE = 4  # connections of what reads the server's figures while it is loaded


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    It is `fine` as it is, or not; without what is `needed` nothing works. `said` is what is so, `means` for which
    figure that matters, and `to_do` what to do about it. `part` is where it was looked at.
    """

    name: str
    fine: bool
    needed: bool
    said: str
    means: str = ""
    to_do: str = ""
    part: str = ""


def fact(name: str, said: str) -> Check:
    """Something that is as it should be."""
    return Check(name, True, False, said)


def note(name: str, said: str, means: str, to_do: str) -> Check:
    """Something that makes a figure mean less, or another thing."""
    return Check(name, False, False, said, means, to_do)


def missing(name: str, said: str, means: str, to_do: str) -> Check:
    """Something without which nothing works."""
    return Check(name, False, True, said, means, to_do)


class Look:
    """A look at one server in a thread of its own, so that a server that hangs holds up nothing else."""

    def __init__(self, part: str, variable: str, look: Callable[[], list[Check]]) -> None:
        self._part, self._variable, self._look = part, variable, look
        self._found: list[Check] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def found(self, seconds: float = LOOK_S) -> list[Check]:
        """What was found; one line where the server is down, refuses, or does not answer within so many seconds."""
        self._thread.join(seconds)
        found = self._found
        if found is None:
            found = [self._down(f"does not answer within {seconds:g} s")]
        return [replace(each, part=self._part) for each in found]

    def _run(self) -> None:
        try:
            self._found = self._look()
        except CapacityError as error:
            self._found = [self._down(str(error).partition("; ")[0].removeprefix(f"{self._part} "))]
        except (psycopg.Error, redis.RedisError, OSError) as error:
            self._found = [self._down(f"does not answer: {one_line(error)}")]

    def _down(self, said: str) -> Check:
        return missing(
            "reachable", said, "nothing of it can be measured", f"start it, or correct its address in {self._variable}"
        )


def one_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def seconds_text(seconds: float) -> str:
    """A time in a unit that reads well."""
    return f"{math.ceil(seconds * 1000):.0f} ms" if abs(seconds) < 1 else f"{seconds:,.3g} s"


def widest(workloads: Sequence[Workload]) -> Workload:
    """That of the workloads which wants most connections."""
    return max(workloads, key=lambda each: each.connections)
