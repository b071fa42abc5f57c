"""Values with intervals: percentiles, estimates, and what repetitions say."""
