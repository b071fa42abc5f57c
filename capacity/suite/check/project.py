"""Whether all files and parameters of a run are right and fit together, before a server or a kernel is there."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from capacity.errors import CapacityError
from capacity.places import is_own
from capacity.suite.check.files import ProjectFiles, ReadFile, read_all
from capacity.suite.check.references import disagreements
from capacity.suite.notebooks import PROFILES, REPORT, RESERVED, left_out, notebooks_in
from capacity.suite.parameters import chosen_parameters, notebook_parameters
from capacity.system.addresses import system_from
from capacity.validation.names import chosen_names, instead


def check_project(
    project: Path, profile: str = "smoke", only: Iterable[str] = (), parameters: Mapping[str, Any] | None = None
) -> list[ReadFile]:
    """Each file that a run of the project with these words reads, and last the words: what it holds, and what is wrong.

    `parameters` are those of notebooks, as `workloads`. How one file speaks of another is looked at where both are
    right by themselves.
    """
    given = dict(parameters or {})
    words, wanted = _words(project, profile, only, given)
    files = ProjectFiles(project, profile, wanted)
    read_all(files, given)
    for path, sentence in disagreements(files):
        files.note(path, sentence)
    return [*files.read.values(), words]


def refuse_problems(project: Path, profile: str, only: Iterable[str], parameters: Mapping[str, Any]) -> None:
    """CapacityError with a line for each problem that `check_project` finds."""
    problems = [each for file in check_project(project, profile, only, parameters) for each in file.problems]
    if len(problems) > 1:
        raise CapacityError("\n  ".join([f"nothing was started, since {len(problems)} things are wrong:", *problems]))
    if problems:
        raise CapacityError(problems[0])


def named_notebooks(only: Iterable[str], notebooks: Iterable[str]) -> list[str]:
    """The notebooks that --only names, none where it is not given; CapacityError where it names none or another."""
    given, accepted = tuple(only), list(notebooks)
    names = chosen_names(given, accepted, "notebook")
    if given and not names:
        raise CapacityError(f"--only names no notebook; accepted are {', '.join(accepted)}, or leave it out for all")
    return names


def _words(
    project: Path, profile: str, only: Iterable[str], given: Mapping[str, Any]
) -> tuple[ReadFile, Sequence[str]]:
    """The words of the command, and the notebooks that they ask for."""
    notebooks = {name: path for name, path in notebooks_in(project).items() if name != REPORT}
    words, wanted = ReadFile("parameters"), list(notebooks)
    try:
        left = left_out(project, system_from()) if is_own(project) else []
        wanted = [name for name in notebooks if name not in left]
    except CapacityError as error:  # of an address
        words.problems.append(str(error))
    if profile not in PROFILES:
        words.problems.append(f"there is no profile {profile!r}{instead(profile, PROFILES)}")
    try:
        wanted = named_notebooks(only, notebooks) or wanted
    except CapacityError as error:
        words.problems.append(str(error))
    for name, value in given.items():
        try:
            chosen_parameters({each: notebook_parameters(notebooks[each]) for each in wanted}, {name: value}, RESERVED)
        except CapacityError as error:
            words.problems.append(str(error))
    words.holds = f"profile {profile}, notebooks {', '.join(wanted)}"
    return words, wanted
