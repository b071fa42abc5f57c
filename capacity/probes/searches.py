"""Where each part is searched for its breaking point: read from YAML and validated."""

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt, RootModel, model_validator

from capacity.analysis.limits.search import Search
from capacity.errors import CapacityError
from capacity.validation.model import Strict, refuse
from capacity.yaml_file import read_model


class Windows(Strict):
    """How long a level is warmed up and held, and to what share of itself the answer is wanted.

    `rounds` is how often the breaking point is looked for: the search is the first, and each later one, after all parts
    had theirs, looks again near what it found. With more than one, each measures the load recommended once more.
    """

    warm_up_seconds: PositiveFloat = Field(description="How long the load of a level rises from rest, in seconds.")
    seconds: PositiveFloat = Field(description="How long a level is held, in seconds.")
    confirm_seconds: PositiveFloat = Field(description="How long it is held before it is the answer, in seconds.")
    share: float = Field(ge=0, lt=1, description="To what share of itself the answer is wanted, 0 to 1.")
    rounds: PositiveInt = Field(1, description="How often the breaking point is looked for.")


class SearchSettings(Strict):
    """What loads a part: a workload over so many connections, by `generators` processes, from `start` up to `limit`.

    `counts` is what its rates count, for the reader.
    `workers` are the reference application's worker processes, each with `slots_per_worker` jobs at a time.
    """

    workload: str = Field(
        pattern=r"^\w+$", examples=["database"], description="The workload, by its file's name without `.yaml`."
    )
    counts: str = Field("operations", description="What its rates count, in words.")
    connections: PositiveInt = Field(description="Over how many connections, in place of the workload's own.")
    generators: PositiveInt = Field(1, description="How many processes make the load.")
    workers: PositiveInt = Field(1, description="How many processes of the reference workers do the jobs.")
    slots_per_worker: PositiveInt = Field(50, description="How many jobs each of these does at a time.")
    start: PositiveFloat = Field(description="The first level, in operations a second.")
    limit: PositiveFloat = Field(description="The highest level that is tried, in operations a second.")
    step: PositiveFloat = Field(description="Levels are whole multiples of it, in operations a second.")
    windows: dict[str, Windows] = Field(min_length=1, description="How long levels take, by profile.")

    @model_validator(mode="after")
    def _can_be_searched(self) -> "SearchSettings":
        late = [(("start",), f"is {self.start:g}, above the limit {self.limit:g}")] if self.start > self.limit else []
        windows = ((name, each) for name, each in self.windows.items() if each.seconds > each.confirm_seconds)
        long = (
            (("windows", name, "seconds"), f"is {each.seconds:g}, more than confirm_seconds {each.confirm_seconds:g}")
            for name, each in windows
        )
        refuse([*late, *long])
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


class SearchesFile(RootModel[dict[str, SearchSettings]]):
    """Where each part is searched for its breaking point, by the part: database, redis, queue or gateway."""


def read_searches(path: Path) -> dict[str, SearchSettings]:
    """The searches of the YAML file `path` by part, in its order; CapacityError names the key and the value."""
    return read_model(path, SearchesFile, "the file of searches").root
