"""What an operation was acknowledged for is told by the order of sending."""

import numpy as np
import pandas as pd

from capacity.samples import OUTCOMES
from capacity.scenarios.fault_injection import numbered


def test_a_number_is_that_of_the_sending_and_what_was_dropped_has_none() -> None:
    outcome = ["ok", "dropped", "error", "ok", "timeout"]
    sent = np.array([10, 11, 30, 20, 40])
    frame = pd.DataFrame({"outcome": pd.Categorical(outcome, OUTCOMES), "sent_ns": sent, "seq": range(5)})
    assert (numbered(frame, first=1)["outcome"] == "ok").to_dict() == {1: True, 2: True, 3: False, 4: False}
