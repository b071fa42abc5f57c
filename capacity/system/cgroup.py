"""What the cgroups of this process leave it of the machine, as containers and services are held to; v1 and v2."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

UNLIMITED_BYTES = 1 << 60  # version 1 writes "no limit" as a number about this large


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """The cores, as a fraction of time, and the bytes of memory at most; None where nothing holds this process."""

    cores: float | None
    memory_bytes: int | None


def cgroup_limits(root: Path = Path("/")) -> CgroupLimits:
    """The tightest limits of this process's cgroups and of those that they are within.

    `root` is the folder that proc and sys are in. A cgroup that this process cannot see does not count.
    """
    cores = [_share(folder) for folder in _folders(root, "")] + [_quota(folder) for folder in _folders(root, "cpu")]
    memory = [_bytes(folder / "memory.max") for folder in _folders(root, "")]
    memory += [_bytes(folder / "memory.limit_in_bytes") for folder in _folders(root, "memory")]
    least_memory = _least(memory)
    return CgroupLimits(_least(cores), None if least_memory is None else int(least_memory))


def _least(found: list[float | None]) -> float | None:
    return min((each for each in found if each is not None), default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup for a controller, from it upwards; version 2 has the empty name.

    In a container the mount shows a part of the tree only: what lies above its own root is left out.
    """
    own = _own_path(root, controller)
    for mounted, begin in _mounts(root, controller):
        within = Path("/") / own
        with suppress(ValueError):
            within = Path("/") / within.relative_to(begin)
        for path in (within, *within.parents):
            yield root / mounted.relative_to("/") / path.relative_to("/")


def _own_path(root: Path, controller: str) -> str:
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def _mounts(root: Path, controller: str) -> Iterator[tuple[Path, str]]:
    """Where the controller's tree is mounted, and which cgroup is there, from lines as proc(5) describes them."""
    for line in _lines(root / "proc/self/mountinfo"):
        first, _, last = line.partition(" - ")
        fields, (kind, *rest) = first.split(), last.split()
        if kind == ("cgroup" if controller else "cgroup2") and controller in ("", *rest[-1].split(",")):
            yield Path(fields[4]), fields[3]


def _lines(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text(encoding="utf-8").splitlines()
    return []


def _read(file: Path, parse: Callable[[str], float] = float) -> float | None:
    """What a file holds; None where it is not there or holds no number, as `max`."""
    with suppress(OSError, ValueError):
        return parse(file.read_text(encoding="utf-8"))
    return None


def _bytes(file: Path) -> float | None:
    limit = _read(file)
    return None if limit is None or limit >= UNLIMITED_BYTES else limit


def _share(folder: Path) -> float | None:
    """Version 2 writes the quota and its period, both in µs."""
    return _read(folder / "cpu.max", lambda text: float(text.split()[0]) / float(text.split()[1]))


def _quota(folder: Path) -> float | None:
    """Version 1 has a file for each, and −1 where there is no limit."""
    quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota / period if quota and period and quota > 0 else None
