"""What parts cost a month: the sum of what is known, what is missing in it, and no sum over two currencies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from capacity.analysis.planning.catalog import Size

UNCOUNTED = "nothing is counted"


@dataclass(frozen=True, slots=True)
class Cost:
    """What parts cost a month, by currency, of those of which it is known.

    `missing` is by the title of a part of which it is not known why that is, and `least` by the title of one that costs
    so much at least what its size was not judged by.
    """

    sums: Mapping[str, float]
    missing: Mapping[str, str]
    least: Mapping[str, str]

    @property
    def value(self) -> float | None:
        """The sum; None where nothing is known, or it would be one of two currencies."""
        return next(iter(self.sums.values())) if len(self.sums) == 1 else None

    @property
    def whole(self) -> bool:
        """Whether it is all that is paid; else it is at least so much."""
        return self.value is not None and not self.missing and not self.least

    @property
    def text(self) -> str:
        """What is known of it, that of each currency by itself."""
        known = self._known(" + ")
        return f"{'' if self.whole or len(self.sums) > 1 else 'at least '}{known}" if known else "not known"

    @property
    def without(self) -> str:
        """The parts without which it is; empty where there are none, or nothing is known at all."""
        return f"without {_and([*self.missing])}" if self.missing and self.sums else ""

    @property
    def note(self) -> str:
        """What is missing in it, and why there is none; empty where it is whole."""
        two = f"prices of two currencies are not added: {self._known(' and ')}" if len(self.sums) > 1 else ""
        return ", ".join(
            filter(
                None,
                (
                    two,
                    _listed("without", self.missing),
                    _listed("at least", self.least),
                    UNCOUNTED if not self.sums and not self.missing else "",
                ),
            )
        )

    def _known(self, between: str) -> str:
        return between.join(f"{each:,.0f} {currency}" for currency, each in self.sums.items())


def cost_of(sizes: Mapping[str, Size | str], least: Mapping[str, str]) -> Cost:
    """The cost of parts by their titles: the size of each, or why it has none; see `Cost` for `least`."""
    sums: dict[str, list[float]] = {}
    missing = {}
    for title, size in sizes.items():
        if isinstance(size, str):
            missing[title] = size
        elif size.monthly is None:
            missing[title] = f"the price of {size.title} is not known"
        else:
            sums.setdefault(size.currency, []).append(size.monthly)
    there = {title: why for title, why in least.items() if title in sizes and title not in missing}
    return Cost({currency: math.fsum(each) for currency, each in sums.items()}, missing, there)


def _listed(word: str, reasons: Mapping[str, str]) -> str:
    """Titles with the reason that they share, as `without A and B (size not known)`."""
    shared: dict[str, list[str]] = {}
    for title, why in reasons.items():
        shared.setdefault(why, []).append(title)
    return ", ".join(f"{word} {_and(titles)} ({why})" for why, titles in shared.items())


def _and(titles: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
