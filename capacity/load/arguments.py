"""Typed, seeded arguments of operations, drawn in small blocks so that the loop is never held up; and their places."""

import itertools
import string
import uuid
from collections.abc import Callable, Iterator
from collections.abc import Sequence as TypingSequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from capacity.operation import PLACEHOLDER, Operation, Parameter, Sequence, Text, Uniform, Uuid, Zipf

BLOCK = 512  # values drawn at a time: some tens of microseconds
KEPT = 100_000  # values of one parameter that are made once, some 10 MB
TEXTS = 1024  # different texts of one parameter, fewer where they are long
TEXT_BYTES = 16_000_000
DECIMAL = b"%d".__mod__
LETTERS = np.frombuffer((string.ascii_letters + string.digits).encode(), dtype=np.uint8)


Render = Callable[[bytes], bytes]


class Draw(NamedTuple):
    """What arguments are drawn by: the workload's seed, and which of how many generator processes it is."""

    seed: int
    shard: int = 0
    shards: int = 1


def template(text: str) -> tuple[bytes, list[str]]:
    """A text as bytes with %b in the places of its parameters, and the names of these in that order."""
    parts = PLACEHOLDER.split(text)
    return b"%b".join(part.replace("%", "%%").encode() for part in parts[::2]), parts[1::2]


def argument_streams(
    operation: Operation, uses: TypingSequence[tuple[str, Render | None]], draw: Draw
) -> Iterator[Iterator[bytes]]:
    """The endless values for each of `uses`: the name of a parameter of the operation, and how its value is written.

    A parameter's values depend on the seed, its name and the shard alone: a name that is used twice has the same value
    in both places, and two operations that share a parameter's name and definition draw the same values, which is what
    makes interleaved pairs comparable. The streams are made of the standard library's iterators, which run without a
    frame of Python for each value; those of one operation must be read in step.
    """
    streams = {}
    for name, parameter in operation.parameters.items():
        generator = np.random.default_rng([draw.seed, draw.shard, *name.encode()])
        renders = [render for used, render in uses if used == name]
        streams[name] = iter(_written(parameter, generator, renders, draw))
    return (next(streams[name]) for name, _ in uses)


def _written(
    parameter: Parameter, generator: np.random.Generator, renders: TypingSequence[Render | None], draw: Draw
) -> list[Iterator[bytes]]:
    """The same values once for each of `renders`; where a parameter has few, each is written once and kept."""
    if isinstance(parameter, Sequence | Uuid) or _count(parameter) > KEPT:
        copies = itertools.tee(_made(parameter, generator, draw), len(renders))
        return [map(render, each) if render else each for each, render in zip(copies, renders, strict=True)]
    values = _all_texts(parameter, generator) if isinstance(parameter, Text) else _all_numbers(parameter)
    places = itertools.tee(_places(parameter, generator), len(renders))
    return [
        _looked_up(each, list(map(render, values)) if render else values)
        for each, render in zip(places, renders, strict=True)
    ]


def _looked_up(places: Iterator[list[int]], written: list[bytes]) -> Iterator[bytes]:
    return itertools.chain.from_iterable(itemgetter(*block)(written) for block in places)


def _made(parameter: Parameter, generator: np.random.Generator, draw: Draw) -> Iterator[bytes]:
    """The values of a parameter that has too many to keep."""
    if isinstance(parameter, Uuid):
        return _uuids(generator)
    if isinstance(parameter, Uniform | Zipf):
        return map(DECIMAL, map(parameter.low.__add__, itertools.chain.from_iterable(_places(parameter, generator))))
    start = parameter.start if isinstance(parameter, Sequence) else 1
    return map(DECIMAL, itertools.count(start + draw.shard, draw.shards))


def _all_numbers(parameter: Uniform | Zipf) -> list[bytes]:
    return [DECIMAL(parameter.low + place) for place in range(_count(parameter))]


def _all_texts(parameter: Text, generator: np.random.Generator) -> list[bytes]:
    """Windows at random places of one random text eight times as long: as hard to compress, far cheaper to draw."""
    source = LETTERS[generator.integers(0, len(LETTERS), 8 * parameter.length + BLOCK)].tobytes()
    starts = generator.integers(0, len(source) - parameter.length, _count(parameter), endpoint=True).tolist()
    return [source[start : start + parameter.length] for start in starts]


def _count(parameter: Uniform | Zipf | Text) -> int:
    """How many values a parameter can have."""
    if isinstance(parameter, Uniform):
        return parameter.high - parameter.low + 1
    return parameter.count if isinstance(parameter, Zipf) else min(TEXTS, TEXT_BYTES // parameter.length)


def _places(parameter: Uniform | Zipf | Text, generator: np.random.Generator) -> Iterator[list[int]]:
    """Blocks of places among the parameter's values."""
    if not isinstance(parameter, Zipf):
        count = _count(parameter)
        while True:
            yield generator.integers(0, count, BLOCK).tolist()
    shares = np.cumsum(np.arange(1, parameter.count + 1, dtype=np.float64) ** -parameter.exponent)
    shares /= shares[-1]
    while True:
        yield np.searchsorted(shares, generator.random(BLOCK), side="right").tolist()


def _uuids(generator: np.random.Generator) -> Iterator[bytes]:
    while True:
        block = generator.bytes(16 * BLOCK)
        for start in range(0, len(block), 16):
            yield str(uuid.UUID(bytes=block[start : start + 16], version=4)).encode()
