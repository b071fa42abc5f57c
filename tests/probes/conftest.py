"""What tests of probes share."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from capacity.workload import Workload

WriteWorkloads = Callable[..., Path]


@pytest.fixture(scope="session")
def write_workloads() -> WriteWorkloads:
    """Writes workloads into a folder, each as the file of its name; returns the folder."""

    def write(folder: Path, *workloads: Workload) -> Path:
        for each in workloads:
            (folder / f"{each.name}.yaml").write_text(yaml.safe_dump(each.model_dump()), encoding="utf-8")
        return folder

    return write
