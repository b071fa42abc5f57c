"""Whether quotes are a document's own words, and which of its lines with a number or a tick none of them holds."""

import re
from collections.abc import Iterable, Sequence

from capacity.errors import CapacityError

TELLING = re.compile(r"[\d✓✅]")


def left_over(text: str, quoted: Sequence[tuple[str, Iterable[str]]]) -> list[str]:
    """The lines of `text` with a number or a tick outside all quotes, less what is quoted of them.

    `quoted` is for each section the line that begins it and its quotes, both in the text's order; a quote lies within a
    section and is not used twice. Raises CapacityError for a heading or quote that is not there, letter for letter.
    """
    begins = _begins(text, [heading for heading, _ in quoted])
    edges = [*begins, len(text)]
    remaining = [text[: edges[0]]]
    for (heading, quotes), begin, end in zip(quoted, begins, edges[1:], strict=True):
        remaining.append(_unquoted(text[begin + len(heading) : end], quotes, heading))
    lines = "".join(remaining).splitlines()
    return [line.strip() for line in lines if TELLING.search(line)]


def _begins(text: str, headings: Iterable[str]) -> list[int]:
    places: list[int] = []
    for heading in headings:
        found = re.compile(rf"^{re.escape(heading)}$", re.MULTILINE).search(text, places[-1] + 1 if places else 0)
        if found is None:
            raise CapacityError(f"the text has no line {heading!r} after the sections before it; correct the heading")
        places.append(found.start())
    return places


def _unquoted(text: str, quotes: Iterable[str], heading: str) -> str:
    kept, place = [], 0
    for quote in quotes:
        found = text.find(quote, place)
        if found < 0:
            raise CapacityError(
                f"the quote {quote!r} is not in the text of {heading!r} after the quotes before it; "
                "quote letter for letter and in order"
            )
        kept.append(text[place:found])
        place = found + len(quote)
    return "".join([*kept, text[place:]])
