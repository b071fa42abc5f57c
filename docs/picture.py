"""Makes docs/report.png: the first screen of the report on the committed recordings, as Chromium shows it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import papermill
from PIL import Image

from capacity.recording import open_recording
from capacity.suite.run import KERNEL_ARGUMENTS, REPORT, notebooks_in

PROJECT = Path(__file__).parents[1]
RECORDED = PROJECT / "data" / "recorded"
PICTURE = Path(__file__).with_name("report.png")
SCREEN = "1280,800"
COLOURS = 128  # text and few lines need no more, and the file is a third as large


def committed_run(folder: Path) -> Path:
    """A run as the command leaves it, in which the committed recordings stand in place of new ones."""
    shutil.copytree(RECORDED, folder / "recordings", ignore=shutil.ignore_patterns("findings"))
    notebooks = {name: path for name, path in notebooks_in(PROJECT).items() if name != REPORT}
    (folder / "notebooks").mkdir()
    for name, path in notebooks.items():
        recording = folder / "recordings" / name  # a notebook that measures nothing reads what the others have found
        parameters = {"recording": str(recording)} if recording.exists() else {"live": True}
        parameters |= {"results": str(folder / "findings")}
        options = {"progress_bar": False, "kernel_name": "python3", "extra_arguments": KERNEL_ARGUMENTS}
        papermill.execute_notebook(path, folder / "notebooks" / path.name, parameters, cwd=path.parent, **options)
    measured = open_recording(RECORDED / "database").manifest
    facts = {name: measured[name] for name in ("profile", "started_at", "machine")}
    facts |= {"embedded": True, "finished": list(notebooks)}
    (folder / "manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def photographed(page: Path, picture: Path) -> None:
    """Write the first screen of a page as a PNG of few colours."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("no Chromium was found; install it (Debian: apt install chromium)")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SCREEN}"]
    subprocess.run([program, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)
    Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


def main() -> None:
    """Make the report, and its picture."""
    build = PROJECT / "build" / "picture"
    shutil.rmtree(build, ignore_errors=True)
    run = committed_run(build / "committed")
    capacity = Path(sys.executable).with_name("capacity")
    subprocess.run([capacity, "report", run], check=True)
    photographed(run / "report.html", PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
