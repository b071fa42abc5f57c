"""What a server's processes on this machine really moved to and from its block device, and what that did meanwhile."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from capacity.probes.readers import Reader
from capacity.probes.readers.server import CPU_SHARE, sparing

SECTOR_BYTES = 512  # of these files, whatever the device has
PLACES = (".", "pg_wal", "pg_tblspc/*")  # of a PostgreSQL's data directory, in which its processes run
UNSEEN = "what the server's processes move is told to root and to their own user alone: measure as one of them"
NO_DEVICE = "the server's files are on a file system without a block device to be seen, as tmpfs, overlay or NFS"
Moved = npt.NDArray[np.float64]
PROC, DEVICES = Path("/proc"), Path("/sys/dev/block")


def device_reader(word: str) -> tuple[Reader, dict[str, Any]]:
    """A function that reads the storage of a server by the process that started its others; `word` as `postgres=12`.

    Gauges are counters. `postgres.fetched_bytes` and `postgres.sent_bytes` are what the server's own processes had
    fetched from the storage and sent to it (proc_pid_io(5)): what the page cache answered is not among them, and what
    was written and removed again before it was sent neither. Those of all block devices that hold its files, whoever
    used them, are `postgres.device_reads`, `device_writes`, `device_read_ms`, `device_write_ms` with the time in their
    queues, and `device_bytes` (the kernel's Documentation/block/stat.rst). `not_given` says why they cannot be read.
    """
    role, _, pid = word.partition("=")
    parent = psutil.Process(int(pid))
    try:
        devices = sorted(_devices(PROC / pid / "cwd"))
        moved = _moved(parent)
    except (OSError, psutil.Error):
        return dict, {"not_given": dict.fromkeys((f"{role}.fetched_bytes", *_names(role)), UNSEEN)}

    def read() -> dict[str, float]:
        nonlocal moved
        with suppress(OSError, psutil.Error):
            # What a child that ends had moved is added to its parent's when that has waited for it; till then it lacks.
            moved = np.maximum(moved, _moved(parent))
        fetched, sent, not_sent = moved.tolist()
        found = {f"{role}.fetched_bytes": fetched, f"{role}.sent_bytes": sent - not_sent}
        with suppress(OSError):
            found |= dict(zip(_names(role), _of_devices(devices), strict=True)) if devices else {}
        return found

    return sparing(read, CPU_SHARE), {"not_given": {} if devices else dict.fromkeys(_names(role), NO_DEVICE)}


def _names(role: str) -> list[str]:
    return [f"{role}.device_{each}" for each in ("reads", "read_ms", "writes", "write_ms", "bytes")]


def _devices(folder: Path) -> set[Path]:
    """The files that count what each block device under a data directory does; empty where one cannot be seen."""
    places = [place for each in PLACES for place in (folder.glob(each) if "*" in each else [folder / each])]
    numbers = {place.stat().st_dev for place in places}
    found = {DEVICES / f"{os.major(each)}:{os.minor(each)}" / "stat" for each in numbers}
    return found if all(each.exists() for each in found) else set()


def _of_devices(devices: Sequence[Path]) -> list[float]:
    fields = [np.array(device.read_text(encoding="ascii").split(), dtype=float)[:8] for device in devices]
    reads, _, read_sectors, read_ms, writes, _, written_sectors, write_ms = np.sum(fields, axis=0).tolist()
    return [reads, read_ms, writes, write_ms, (read_sectors + written_sectors) * SECTOR_BYTES]


def _moved(parent: psutil.Process) -> Moved:
    """The bytes that a process and its children fetched, were to send, and then did not send; those that ended too."""
    moved = _of_process(parent.pid)
    for child in _children(parent):
        with suppress(FileNotFoundError, ProcessLookupError):
            moved = moved + _of_process(child)
    return moved


def _children(parent: psutil.Process) -> list[int]:
    """Their numbers, from the one file that has them, or where the kernel has no such file from all processes."""
    with suppress(FileNotFoundError):
        listed = PROC / str(parent.pid) / "task" / str(parent.pid) / "children"
        return [int(each) for each in listed.read_text(encoding="ascii").split()]
    return [each.pid for each in parent.children()]


def _of_process(pid: int) -> Moved:
    lines = (PROC / str(pid) / "io").read_text(encoding="ascii").splitlines()
    told = dict(line.split(": ") for line in lines)
    return np.array([told[name] for name in ("read_bytes", "write_bytes", "cancelled_write_bytes")], dtype=float)
