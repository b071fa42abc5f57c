"""Processes that are started ahead of their task, because to start one takes as long as a short level of load."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from capacity.load.child import Child

Kind = tuple[str, tuple[tuple[str, str], ...]]


class Spares:
    """Starts processes of measurements that follow each other: as many as the last one used stand by for the next."""

    def __init__(self) -> None:
        self._waiting: dict[Kind, list[Child]] = {}
        self._used: Counter[Kind] = Counter()

    def start(self, module: str, task: Mapping[str, Any], secrets: Mapping[str, str]) -> Child:
        """One that stands by, else a new one, with its task."""
        kind = (module, tuple(sorted(secrets.items())))
        self._used[kind] += 1
        waiting = self._waiting.get(kind)
        child = waiting.pop() if waiting else Child(module, None, secrets)
        child.tell(task)
        return child

    def refill(self) -> None:
        """Start as many as were used since the last call; do this when no load is made, or their start disturbs it."""
        for (module, secrets), count in self._used.items():
            waiting = self._waiting.setdefault((module, secrets), [])
            waiting.extend(Child(module, None, dict(secrets)) for _ in range(count - len(waiting)))
        self._used.clear()

    def close(self) -> None:
        """End those that were never needed."""
        for children in self._waiting.values():
            while children:
                children.pop().close()
