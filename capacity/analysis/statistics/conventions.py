"""What holds for all statistics: the level of confidence of their intervals, and the percentiles that are reported."""

CONFIDENCE = 0.95
CONFIDENCE_TEXT = f"{CONFIDENCE * 100:g} %"
CHANCE = round(1 - CONFIDENCE, 9)  # the share of intervals that miss the truth, free of the rounding of the difference
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}  # by name, as it stands in a column: 0.999 is p99_9


def percentile_text(name: str) -> str:
    """The name of a percentile for a reader: p99.9 of p99_9."""
    return name.replace("_", ".")
