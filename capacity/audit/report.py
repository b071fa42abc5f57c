"""A published report as data: its lines, what each states as values and claims; read from YAML and validated."""

from collections.abc import Iterator
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, ValidationError, model_validator

from capacity.audit.claims import AnyClaim, Name, OverallVerdict
from capacity.audit.expressions import Lookup
from capacity.audit.quantities import Quantity, read_quantity
from capacity.audit.rules import RULES
from capacity.audit.transcript import left_over
from capacity.errors import CapacityError
from capacity.validation.model import Strict
from capacity.yaml_file import first_problem, read_yaml

Stated = Annotated[Quantity, PlainValidator(read_quantity)]


class QuotedLine(Strict):
    """One quoted line, or part of one, with the values it gives and the claims it makes."""

    quote: Annotated[str, Field(min_length=1)]
    values: dict[Name, Stated] = Field(default_factory=dict)
    claims: list[AnyClaim] = Field(default_factory=list)


class Section(Strict):
    """One section: the line that begins it, a name for references, and its statements in order."""

    name: Name
    heading: Annotated[str, Field(min_length=1)]
    statements: list[QuotedLine]

    @property
    def title(self) -> str:
        """Its heading without the signs before it."""
        return self.heading.lstrip("# ")


class Published(Strict):
    """A report: its title, its sections, and the name of the file beside this one that has its text, if any."""

    title: str
    text: str = ""
    sections: Annotated[list[Section], Field(min_length=1)]

    @cached_property
    def values(self) -> dict[str, Quantity]:
        """Every value by `section.name`."""
        return {f"{section}.{name}": value for section, name, value in self._given()}

    def lookup(self, section: str) -> Lookup:
        """The values by the names that hold in `section`; ValueError for one that is not given."""

        def value(name: str) -> Quantity:
            full = name if "." in name else f"{section}.{name}"
            if full not in self.values:
                raise ValueError(f"there is no value {full!r}")
            return self.values[full]

        return value

    def claims(self) -> Iterator[tuple[Section, QuotedLine, AnyClaim]]:
        """Every claim with its section and the statement that makes it, in order."""
        for section in self.sections:
            for statement in section.statements:
                yield from ((section, statement, claim) for claim in statement.claims)

    def _given(self) -> Iterator[tuple[str, str, Quantity]]:
        for section in self.sections:
            for statement in section.statements:
                yield from ((section.name, name, value) for name, value in statement.values.items())

    @model_validator(mode="after")
    def _consistent(self) -> "Published":
        sections = [section.name for section in self.sections]
        names = sections + [f"{section}.{name}" for section, name, _ in self._given()]
        if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"the name {repeated[0]!r} is given more than once")
        for section, statement, claim in self.claims():
            try:
                if not isinstance(claim, OverallVerdict):
                    RULES[type(claim)](claim, self.lookup(section.name))
                elif unknown := set(claim.sections) - set(sections):
                    raise ValueError(f"there is no section {min(unknown)!r}")
            except ValueError as error:
                raise ValueError(f"{statement.quote!r} in {section.title!r}: {error}") from None
        return self


def untranscribed(report: Published, folder: Path) -> list[str]:
    """The lines of the report's text, in `folder`, with a number or tick that no statement quotes; none without text.

    Raises CapacityError for a text that cannot be read and a quote that is not in it.
    """
    if not report.text:
        return []
    try:
        text = (folder / report.text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CapacityError(f"cannot read the report's text {folder / report.text}: {error}") from None
    quoted = [(each.heading, [statement.quote for statement in each.statements]) for each in report.sections]
    return left_over(text, quoted)


def read_published(path: Path) -> Published:
    """The report in the YAML file `path`, with its quotes found in its text; CapacityError is one sentence."""
    report = parse_published(read_yaml(path, "the report"), source=str(path))
    untranscribed(report, path.parent)
    return report


def parse_published(values: Any, source: str) -> Published:
    """The report in parsed YAML or JSON; `source` names where it came from in errors."""
    try:
        return Published.model_validate(values)
    except ValidationError as error:
        place = _quote_at(values, error.errors()[0]["loc"])
        raise CapacityError(f"{source}: {place}{first_problem(error)}") from None


def _quote_at(values: Any, place: tuple[int | str, ...]) -> str:
    """The quote of the statement that `place` lies in, which is easier to find than its number."""
    try:
        return f"at {reduce(getitem, place[:4], values)['quote']!r}: "
    except (KeyError, IndexError, TypeError):
        return ""
