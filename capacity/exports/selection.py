"""Which series are those of the run's system, by what the run knows of it, and what the system is called."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from capacity.run import Run
from capacity.system.addresses import SOCKET, is_loopback

VARIABLE = re.compile(r"\$(\w+)")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*,?')
EMPTY = re.compile(r",?\s*\}")
SPECIAL = re.compile(r"([\\.^$*+?()\[\]{}|])")
EMBEDDED = "the embedded system"
HOSTS = {"postgres": "postgres_host", "redis": "redis_host", "gateway": "gateway_host"}
IDENTIFIER_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Selection:
    """What the run knows of its system, by the names that `data/monitoring.yaml` has for it, and the system's name."""

    known: Mapping[str, str]
    name: str

    @property
    def identifier(self) -> str:
        """The same for each run of a system, and another for another system."""
        return f"capacity-{hashlib.sha256(self.name.encode()).hexdigest()[:IDENTIFIER_LENGTH]}"

    def of(self, expression: str) -> str:
        """A PromQL expression of this system: labels with what is known, and without those that name something else."""
        filled = MATCHER.sub(self._filled, expression)
        return EMPTY.sub("}", filled).replace("{}", "")

    def unknown(self, expression: str) -> list[str]:
        """What an expression asks for, and the run does not know."""
        asked = (name for _, _, text in MATCHER.findall(expression) for name in VARIABLE.findall(text))
        return [name for name in dict.fromkeys(asked) if name not in self.known]

    def _filled(self, matcher: re.Match[str]) -> str:
        _, relation, text = matcher.groups()
        named = VARIABLE.findall(text)
        if not named:
            return matcher.group()
        if any(name not in self.known for name in named):
            return ""
        return VARIABLE.sub(lambda each: _value(self.known[each[1]], relation), matcher.group())


def _value(text: str, relation: str) -> str:
    """One value, or any of a list, as PostgreSQL's hosts can be one."""
    several = text.split(",") if "~" in relation else [text]
    return quoted(text, relation) if len(several) == 1 else f"({'|'.join(quoted(each, relation) for each in several)})"


def quoted(text: str, relation: str) -> str:
    """Text within the quotes of a label in PromQL, where it stands for itself."""
    plain = SPECIAL.sub(r"\\\1", text) if "~" in relation else text
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def selection_of(run: Run) -> Selection:
    """What a run knows of its system; of one that it started itself, and of this machine's own names, nothing.

    A loopback address is no name by which others see a server.
    """
    facts = run.manifest
    if facts.embedded or not facts.hosts:
        return Selection({}, EMBEDDED)
    known = {HOSTS[kind]: host for kind, host in facts.hosts.items() if not _is_here(host)}
    queues = (each.queue for each in run.loads.values() if each.queue)
    queue = next(queues, {}) if "redis" in facts.hosts else {}
    known |= {"database": facts.database} if facts.database else {}
    known |= {"queue": str(queue["name"])} if queue else {}
    database, prefix = facts.database, queue.get("prefix", "")
    hosts = {**facts.hosts, "postgres": "/".join(filter(None, [facts.hosts.get("postgres", ""), database]))}
    called = [hosts[kind] for kind in HOSTS if kind in facts.hosts]
    called += [f"queue {prefix}:{queue['name']}"] if queue else []
    return Selection(known, ", ".join(dict.fromkeys(called)))


def _is_here(host: str) -> bool:
    return host == SOCKET or is_loopback(host)
