"""The limits of cgroups, from files as the kernel writes them, in both versions, on hosts and in containers."""

from pathlib import Path

import pytest

from capacity.system.cgroup import CgroupLimits, cgroup_limits

V2 = "30 24 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 25 0:27 {root} /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
    "32 25 0:28 {root} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n"
)
GIB = 2**30


def machine(folder: Path, own: str, mounts: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": own, "proc/self/mountinfo": mounts, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("own", "mounts", "files", "limits"),
    [
        ("0::/\n", V2.format(root="/"), {}, CgroupLimits(None, None)),
        (
            "0::/\n",
            V2.format(root="/"),
            {"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": f"{2 * GIB}\n"},
            CgroupLimits(1.5, 2 * GIB),
        ),
        (
            "0::/system.slice/ours.service\n",
            V2.format(root="/"),
            {
                "sys/fs/cgroup/system.slice/ours.service/cpu.max": "max 100000\n",
                "sys/fs/cgroup/system.slice/ours.service/memory.max": "max\n",
                "sys/fs/cgroup/system.slice/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/system.slice/memory.max": f"{GIB}\n",
            },
            CgroupLimits(0.5, GIB),
        ),
        (  # in a container of version 1 the path is the host's, and the mount shows the container's own part
            "4:memory:/docker/f00d\n3:cpu,cpuacct:/docker/f00d\n",
            V1.format(root="/docker/f00d"),
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{3 * GIB}\n",
            },
            CgroupLimits(2.0, 3 * GIB),
        ),
        (
            "4:memory:/\n3:cpu,cpuacct:/\n",
            V1.format(root="/"),
            {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            CgroupLimits(None, None),
        ),
    ],
    ids=["none", "in a container", "within a slice", "in a container of version 1", "version 1 without limits"],
)
def test_the_tightest_limit_counts(
    tmp_path: Path, own: str, mounts: str, files: dict[str, str], limits: CgroupLimits
) -> None:
    assert cgroup_limits(machine(tmp_path, own, mounts, files)) == limits


def test_a_system_without_cgroups_has_none(tmp_path: Path) -> None:
    assert cgroup_limits(tmp_path) == CgroupLimits(None, None)
