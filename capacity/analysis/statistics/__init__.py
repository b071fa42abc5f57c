"""Values with intervals: the level of confidence, percentiles, estimates, and what repetitions say."""
