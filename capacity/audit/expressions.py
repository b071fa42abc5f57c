"""Arithmetic written as data: operations on named values and quantities, what they come to, and how they read."""

import re
from collections.abc import Callable
from functools import reduce
from operator import add, mul, sub, truediv
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from capacity.audit.quantities import Quantity, extreme, mean, quantity_text, read_quantity
from capacity.validation.model import Strict

REFERENCE = re.compile(r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$")
OPERATORS = {"sum": ("+", add), "difference": ("−", sub), "product": ("×", mul), "ratio": ("/", truediv)}
EXTREMES = {"largest": max, "smallest": min}

Lookup = Callable[[str], Quantity]
Written = Annotated[str, BeforeValidator(lambda given: str(given) if isinstance(given, int) else given)]
Operand = Annotated[
    Annotated[Written, Tag("value")] | Annotated["Expression", Tag("expression")],
    Discriminator(lambda given: "expression" if isinstance(given, dict | Expression) else "value"),
]
Pair = Annotated[list[Operand], Field(min_length=2, max_length=2)]
Operands = Annotated[list[Operand], Field(min_length=2)]


class Expression(Strict):
    """One operation on values: names of this section, `section.name`, exact quantities as '5 min', or operations."""

    sum: Operands | None = None
    difference: Pair | None = None
    product: Operands | None = None
    ratio: Pair | None = None
    largest: Operands | None = None
    smallest: Operands | None = None
    mean: Operands | None = None
    weights: Operands | None = None

    @model_validator(mode="after")
    def _single(self) -> "Expression":
        if len(self.model_fields_set - {"weights"}) != 1 or (self.weights is None) != (self.mean is None):
            raise ValueError("it is one of sum, difference, product, ratio, largest, smallest, and mean with weights")
        return self

    @property
    def operation(self) -> str:
        """Its name."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def operands(self) -> list[Operand]:
        """What the operation is on."""
        operands: list[Operand] = getattr(self, self.operation)
        return operands


def evaluated(operand: Operand, lookup: Lookup) -> Quantity:
    """What it comes to; ValueError for a name that `lookup` refuses, for no quantity, and for units that do not fit."""
    if isinstance(operand, str):
        return lookup(operand) if REFERENCE.match(operand) else read_quantity(operand, exact=True)
    parts = [evaluated(each, lookup) for each in operand.operands]
    if operand.weights is not None:
        return mean(parts, [evaluated(each, lookup) for each in operand.weights])
    if operand.operation in EXTREMES:
        return extreme(EXTREMES[operand.operation], parts)
    combined: Quantity = reduce(OPERATORS[operand.operation][1], parts)
    return combined


def expression_text(operand: Operand, lookup: Lookup) -> str:
    """The operation with its numbers, as `92 connections / 100 connections`."""
    if isinstance(operand, str):
        return quantity_text(evaluated(operand, lookup))
    if operand.operation in OPERATORS:
        return f" {OPERATORS[operand.operation][0]} ".join(
            _inner_text(each, operand, lookup) for each in operand.operands
        )
    parts = [expression_text(each, lookup) for each in operand.operands]
    weights = [expression_text(each, lookup) for each in operand.weights or []]
    if weights:
        parts = [f"{part} (weight {weight})" for part, weight in zip(parts, weights, strict=True)]
    return f"the {operand.operation} of {', '.join(parts)}"


def _inner_text(operand: Operand, outer: Expression, lookup: Lookup) -> str:
    """In brackets where it is an operation, except for a product or ratio within a sum or difference."""
    text = expression_text(operand, lookup)
    if isinstance(operand, str):
        return text
    stronger = outer.operation in ("sum", "difference") and operand.operation in ("product", "ratio")
    return text if stronger else f"({text})"
