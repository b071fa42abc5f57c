"""A new project of one's own: the files of the folder `template`, written for the parts of the system that it has."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from capacity.errors import CapacityError
from capacity.places import NOTEBOOKS, SEARCHES, WORKLOADS
from capacity.suite.notebooks import notebooks_for, without_outputs
from capacity.system.addresses import ENV_FILE
from capacity.writing import write_whole

TEMPLATE = Path(__file__).with_name("template")
HIDDEN = {"env": ENV_FILE, "gitignore": ".gitignore"}  # tools would obey these names in the template's own folder
FOR_ALL = SEARCHES.stem  # the workload file that is not one of a part
ONLY_ITS_OWNER = 0o600
BEGINS, ENDS = "#:", ":#"  # a condition in the template: a comment in YAML, so that editors can read it


def make_project(folder: Path, parts: Sequence[str], *, notebooks: bool = False) -> dict[str, str]:
    """Write a project for these parts into a folder, and with `notebooks` copies of the notebooks that it runs.

    Returns the files' names with the first line of each. Raises CapacityError where one of the files is there already:
    then nothing is written.
    """
    files = project_files(folder.resolve().name, parts)
    copies = {str(NOTEBOOKS / path.name): path for path in notebooks_for(parts)} if notebooks else {}
    texts = {**files, **{name: without_outputs(path) for name, path in copies.items()}}
    if there := [name for name in texts if (folder / name).exists() or (folder / name).is_symlink()]:
        raise CapacityError(f"{folder / there[0]} is there already, and nothing was written; name a new folder")
    for name, text in texts.items():
        write_whole(folder / name, text)
    (folder / ENV_FILE).chmod(ONLY_ITS_OWNER)
    shown = {name: text.partition("\n")[0].lstrip("# ") for name, text in files.items()}
    return shown | ({f"{NOTEBOOKS}/": f"{len(copies)} notebooks to open in JupyterLab"} if notebooks else {})


def project_files(name: str, parts: Sequence[str]) -> Mapping[str, str]:
    """The texts of the files of a project called `name`, by their paths within it."""
    reader = Environment(
        loader=FileSystemLoader(TEMPLATE),
        block_start_string=BEGINS,
        block_end_string=ENDS,
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # YAML and Markdown, which nothing from outside is put into but the folder's name
    )
    paths = (path.relative_to(TEMPLATE) for path in sorted(TEMPLATE.rglob("*")) if path.is_file())
    wanted = [path for path in paths if path.parent != WORKLOADS or path.stem in (*parts, FOR_ALL)]
    given = {"name": name, "parts": list(parts)}
    texts = {HIDDEN.get(str(path), str(path)): reader.get_template(path.as_posix()).render(given) for path in wanted}
    return dict(sorted(texts.items()))
