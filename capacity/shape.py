"""The shape of a load over time: its stages, and when each operation of a rate and each user of a number comes.

All that a further form of stage needs stands here: what the file may say, and the times that follow from it.
"""

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, model_validator

from capacity.validation.model import Strict

if TYPE_CHECKING:  # NumPy takes longer to load than a workload to read
    import numpy as np
    from numpy.typing import NDArray

    Times = NDArray[np.float64]


class Stage(Strict):
    """`seconds` of load at `to` (operations per second, or users), reached in a straight line where `ramp` is set.

    Where `look` is set the load is as before, the promises are judged meanwhile by what was measured until then, and
    the load ends with this stage, unless one of them is undecided and the stages that follow would decide it.
    """

    name: str = Field(min_length=1, max_length=40, description="What it is called in tables and pictures.")
    seconds: PositiveFloat = Field(description="How long it is, in seconds.")
    to: float = Field(ge=0, description="The load: operations a second of a `rate`, or how many users.")
    ramp: bool = Field(False, description="Whether the load is reached in a straight line; a ramp is not judged.")
    look: bool = Field(False, description="Whether the load ends here where all promises are decided; one a shape.")

    @property
    def sustained(self) -> bool:
        """Whether findings are read from it: a constant load, beside which nothing is judged."""
        return not (self.ramp or self.look) and self.to > 0


class Shape(Strict):
    """Stages of either `rate` (open loop, operations a second) or `users` (closed loop).

    A user sends, waits for the answer, thinks for `think_ms` on average (exponentially) and sends again.
    """

    kind: Literal["rate", "users"] = Field(
        description="`rate`: operations a second, whatever becomes of earlier ones; `users`: each waits for its answer."
    )
    stages: list[Stage] = Field(min_length=1, description="What the load is, one stage after another.")
    arrivals: Literal["poisson", "uniform"] = Field("poisson", description="Of a `rate`: at random, or evenly apart.")
    think_ms: float = Field(0.0, ge=0, description="Of `users`: the mean pause after an answer, in ms.")

    @property
    def seconds(self) -> float:
        """How long the whole shape takes."""
        return math.fsum(stage.seconds for stage in self.stages)

    @property
    def sustained_steps(self) -> list[int]:
        """The numbers of the stages at a constant load: the only ones that findings are read from."""
        return [number for number, stage in enumerate(self.stages) if stage.sustained]

    @property
    def sustained_seconds(self) -> float:
        """How long all stages at a constant load take."""
        return math.fsum(stage.seconds for stage in self.stages if stage.sustained)

    @property
    def until_look(self) -> "Shape":
        """The shape as it is where it ends with its look; all of it where it has none."""
        looks = [number for number, stage in enumerate(self.stages) if stage.look]
        return self.model_copy(update={"stages": self.stages[: looks[0] + 1]}) if looks else self

    @model_validator(mode="after")
    def _looks_once(self) -> "Shape":
        """Each look may err half as often as one alone: two, the one at the end included, err no more than it."""
        looks = [number for number, stage in enumerate(self.stages) if stage.look]
        if len(looks) > 1:
            raise ValueError(
                f"the shape has {len(looks)} stages with `look` and may have one: more looks err more often"
            )
        if looks and (not looks[0] or self.stages[looks[0]].to != self.stages[looks[0] - 1].to):
            raise ValueError("a stage with `look` must go on at the load of the one before it")
        return self

    @property
    def ends(self) -> list[float]:
        """When each stage ends, in seconds from the begin."""
        return list(itertools.accumulate(stage.seconds for stage in self.stages))

    def step_at(self, seconds: "Times") -> "NDArray[np.int64]":
        """The stage that each time falls into."""
        import numpy as np

        ends = np.cumsum([stage.seconds for stage in self.stages])
        return np.minimum(np.searchsorted(ends, seconds, side="right"), len(ends) - 1)

    def expected(self) -> "Times":
        """The cumulative number of arrivals expected by the end of each stage."""
        import numpy as np

        pairs = zip(self._start_rates(), self.stages, strict=True)
        return np.cumsum([(start + stage.to) / 2 * stage.seconds for start, stage in pairs])

    def times_of(self, points: "Times", expected: "Times") -> "Times":
        """The time at which the cumulative rate reaches each point; `expected` is given, since it is always the same.

        Within a stage from rate a to b over d seconds it is the root of a·t + (b−a)/(2d)·t² = y, in the form
        2y / (a + √(a² + 2(b−a)/d·y)), which stays exact where a and b are close.
        """
        import numpy as np

        stage = np.minimum(np.searchsorted(expected, points), len(expected) - 1)
        seconds = np.array([each.seconds for each in self.stages])
        start, end = np.array(self._start_rates()), np.array([each.to for each in self.stages])
        slope = (end - start) / seconds
        begins, before = np.cumsum(seconds) - seconds, np.concatenate([[0.0], expected[:-1]])
        y = points - before[stage]
        root = np.sqrt(np.maximum(start[stage] ** 2 + 2 * slope[stage] * y, 0.0))
        denominator = np.maximum(start[stage] + root, 1e-300)
        times: Times = np.minimum(begins[stage] + 2 * y / denominator, begins[stage] + seconds[stage])
        return times

    def user_changes(self) -> Iterator[tuple[float, int, int]]:
        """When a user comes (+1) or goes (−1), as (seconds, number of the user, change) in time order."""
        begin, level = 0.0, 0
        for stage in self.stages:
            target = round(stage.to)
            numbers = range(level, target) if target > level else range(level - 1, target - 1, -1)
            for place, number in enumerate(numbers):
                at = begin + (stage.seconds * (place + 1) / len(numbers) if stage.ramp else 0.0)
                yield at, number, 1 if target > level else -1
            begin, level = begin + stage.seconds, target

    def _start_rates(self) -> list[float]:
        """The rate at the start of each stage: the former one's where it ramps, else its own."""
        before = [0.0, *(stage.to for stage in self.stages[:-1])]
        return [level if stage.ramp else stage.to for level, stage in zip(before, self.stages, strict=True)]
