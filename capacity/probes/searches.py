"""Where each part is searched for its breaking point: read from YAML and validated."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from capacity.analysis.limits.search import Search
from capacity.errors import CapacityError
from capacity.operation import Strict
from capacity.yaml_file import parse_model, read_yaml


class Windows(Strict):
    """How long a level is warmed up and held, and to what share of itself the answer is wanted.

    `rounds` is how often the breaking point is looked for: the search is the first, and each later one, after all parts
    had theirs, looks again near what it found. With more than one, each measures the load recommended once more.
    """

    warm_up_seconds: PositiveFloat
    seconds: PositiveFloat
    confirm_seconds: PositiveFloat
    share: Annotated[float, Field(ge=0, lt=1)]
    rounds: PositiveInt = 1


class SearchSettings(Strict):
    """What loads a part: a workload over so many connections, by `generators` processes, from `start` up to `limit`.

    `counts` is what its rates count, for the reader.
    `workers` are the reference application's worker processes, each with `slots_per_worker` jobs at a time.
    """

    workload: str
    counts: str = "operations"
    connections: PositiveInt
    generators: PositiveInt = 1
    workers: PositiveInt = 1
    slots_per_worker: PositiveInt = 50
    start: PositiveFloat
    limit: PositiveFloat
    step: PositiveFloat
    windows: dict[str, Windows]

    @model_validator(mode="after")
    def _can_be_searched(self) -> "SearchSettings":
        for profile in self.windows:
            self.search(profile)
        return self

    def search(self, profile: str) -> Search:
        """The search in that profile's windows; CapacityError names the accepted ones."""
        windows = self.window(profile)
        return Search(self.start, self.limit, self.step, windows.seconds, windows.confirm_seconds, windows.share)

    def window(self, profile: str) -> Windows:
        """The windows of that profile."""
        if profile not in self.windows:
            raise CapacityError(
                f"the search has no windows for the profile {profile!r}; it has {', '.join(self.windows)}"
            )
        return self.windows[profile]


class _Searches(Strict):
    parts: Annotated[dict[str, SearchSettings], Field(min_length=1)]


def read_searches(path: Path) -> dict[str, SearchSettings]:
    """The searches of the YAML file `path` by part, in its order; CapacityError is one sentence with key and value."""
    return parse_model({"parts": read_yaml(path, "the file of searches")}, _Searches, str(path)).parts
