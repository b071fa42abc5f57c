"""Units: how small ones make a large one, and units as a document writes them, with products and ratios."""

from collections import Counter
from dataclasses import dataclass

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
MS_PER_S = 1_000
MB = 1_000_000  # bytes

MEASURES = {  # what is measured and rounded; every other word names things, which are counted
    "x": (1.0, ""),
    "%": (0.01, ""),
    "us": (1e-6, "s"),
    "ms": (0.001, "s"),
    "s": (1.0, "s"),
    "min": (60.0, "s"),
    "h": (3600.0, "s"),
    "day": (86400.0, "s"),
    "days": (86400.0, "s"),
    "month": (1.0, "month"),
    "months": (1.0, "month"),
    "MB": (float(MB), "B"),
    "GB": (1e9, "B"),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as written, what it is in base units (s, B, share), and its base units with their powers."""

    text: str
    factor: float
    powers: tuple[tuple[str, int], ...]

    @property
    def counts(self) -> bool:
        """Whether it is of things alone, which are counted, and not of a measure, which is rounded."""
        return not any(part in MEASURES for part in self.text.split("/"))


DATE = Unit("date", 1.0, (("s", 1),))  # seconds since 1970, which are said as a date


def read_unit(word: str) -> Unit:
    """A unit as `ms`, `jobs/s` or none; words that are not measures are things, the same in singular and plural."""
    powers: Counter[str] = Counter()
    factor = 1.0
    for place, part in enumerate(word.split("/")):
        scale, base = MEASURES.get(part, (1.0, part.removesuffix("s")))
        factor = factor / scale if place else factor * scale
        powers[base] += -1 if place else 1
    return Unit(word, factor, _powers(powers))


def _powers(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((base, power) for base, power in counts.items() if power and base))


def combined(one: Unit, other: Unit, sign: int) -> Unit:
    """The unit of a product (sign 1) or a ratio (−1): the one that a share changes, else in base units."""
    if not other.powers:
        return one
    if not one.powers and sign == 1:
        return other
    counts = Counter(dict(one.powers))
    for base, power in other.powers:
        counts[base] += sign * power
    powers = _powers(counts)
    above = "·".join(base for base, power in powers for _ in range(power))
    below = "".join(f"/{base}" for base, power in powers for _ in range(-power))
    return Unit(above + below, 1.0, powers)
