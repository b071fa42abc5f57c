"""One edit of one file changes the level of confidence, or which percentiles are reported, everywhere."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
CONVENTIONS = Path("analysis") / "statistics" / "conventions.py"
SHOWN = """
import json
import numpy as np
import pandas as pd
from capacity.analysis.limits.scalability_fit import fit_usl
from capacity.analysis.measured.latency import latency_table
from capacity.analysis.measured.summary import response_findings
from capacity.analysis.measured.sustained import sustained
from capacity.analysis.planning.growth import Exhaustion
from capacity.analysis.statistics.estimates import mean_rate, proportion
from capacity.analysis.statistics.percentiles import minimum_samples, percentile_interval
from capacity.display.tables import RESPONSES
from capacity.display.tables_plan import months_text
from capacity.recording import open_recording

recording = open_recording({recording!r})
redis = sustained("redis", "redis", recording.samples, recording.gauges, recording.facts)
table = latency_table(recording.samples, by=None)
levels = np.array([1, 2, 4, 8, 16, 32])
throughput = levels / (1 + 0.05 * (levels - 1)) * (1 + 0.02 * np.sin(levels))
print(json.dumps({{
    "percentile": percentile_interval(range(1000), 0.9).high,
    "minimum": minimum_samples(0.99),
    "latency": float(table["p99_high_ms"].iloc[0]),
    "share": proportion(90, 100).low,
    "rate": mean_rate([9, 11, 10, 12, 8, 10], 1.0).high,
    "law": float(fit_usl(levels, throughput).band([16])["high"].iloc[0]),
    "text": months_text(Exhaustion(3.0, 2.0, 4.0), at_least=True),
    "columns": [name for name in table.columns if name.startswith("p99")],
    "headings": list(RESPONSES),
    "findings": [each.name for each in response_findings(redis) if "p99" in each.name and each.name.count(".") == 1],
}}))
"""


def shown(folder: Path, *edits: tuple[str, str]) -> dict[str, object]:
    """What a copy of the code computes and says, after these edits of one file."""
    copy = folder / "capacity"
    shutil.copytree(PROJECT / "capacity", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for before, after in edits:
        text = (copy / CONVENTIONS).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (copy / CONVENTIONS).write_text(text.replace(before, after), encoding="utf-8")
    script = folder / "shown.py"
    script.write_text(SHOWN.format(recording=str(PROJECT / "data" / "recorded" / "redis")), encoding="utf-8")
    ran = subprocess.run([sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    values: dict[str, object] = json.loads(ran.stdout)
    return values


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return shown(tmp_path_factory.mktemp("usual"))


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    further = ('"p99": 0.99', '"p99": 0.99, "p99_9": 0.999')
    return shown(tmp_path_factory.mktemp("edited"), ("CONFIDENCE = 0.95", "CONFIDENCE = 0.8"), further)


@pytest.mark.thorough
def test_another_level_of_confidence_changes_every_interval_and_every_text(
    usual: dict[str, object], edited: dict[str, object]
) -> None:
    assert (usual["minimum"], edited["minimum"]) == (299, 161)
    assert (usual["text"], edited["text"]) == (
        "at least 3.0 months (at 95 %: 2.0)",
        "at least 3.0 months (at 80 %: 2.0)",
    )
    for name in ("percentile", "latency", "rate", "law"):
        assert edited[name] < usual[name], name  # type: ignore[operator]
    assert edited["share"] > usual["share"]  # type: ignore[operator]


@pytest.mark.thorough
def test_p99_9_in_the_tables_is_one_edit(usual: dict[str, object], edited: dict[str, object]) -> None:
    assert usual["columns"] == ["p99_ms", "p99_low_ms", "p99_high_ms"]
    assert edited["columns"] == ["p99_ms", "p99_low_ms", "p99_high_ms", "p99_9_ms", "p99_9_low_ms", "p99_9_high_ms"]
    assert "p99.9, ms" not in usual["headings"]  # type: ignore[operator]
    assert "p99.9, ms" in edited["headings"]  # type: ignore[operator]
    assert usual["findings"] == ["redis.response_p99"]
    assert edited["findings"] == ["redis.response_p99", "redis.response_p99_9"]
