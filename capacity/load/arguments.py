"""Typed, seeded arguments of operations, drawn in small blocks so that the loop is never held up."""

import itertools
import string
import uuid
from collections.abc import Iterator
from collections.abc import Sequence as TypingSequence

import numpy as np

from capacity.workload import Operation, Parameter, Sequence, Text, Uniform, Uuid, Zipf

BLOCK = 512  # values drawn at a time: some tens of microseconds
DECIMAL = b"%d".__mod__
LETTERS = np.frombuffer((string.ascii_letters + string.digits).encode(), dtype=np.uint8)


def argument_streams(
    operation: Operation, uses: TypingSequence[str], seed: int, shard: int = 0, shards: int = 1
) -> Iterator[Iterator[bytes]]:
    """The endless values for each of `uses`, which are names of the operation's parameters, in their order.

    A parameter's values depend on the seed, its name and the shard alone: a name that is used twice has the same value
    in both places, and two operations that share a parameter's name and definition draw the same values, which is what
    makes interleaved pairs comparable. The streams are made of the standard library's iterators, which run without a
    frame of Python for each value; those of one operation must be read in step.
    """
    copies = {}
    for name, parameter in operation.parameters.items():
        draw = np.random.default_rng([seed, shard, *name.encode()])
        values = _values(parameter, draw, shard, shards)
        times = uses.count(name)
        copies[name] = iter([values] if times == 1 else itertools.tee(values, times))
    return (next(copies[name]) for name in uses)


def _values(parameter: Parameter, draw: np.random.Generator, shard: int, shards: int) -> Iterator[bytes]:
    if isinstance(parameter, Sequence):
        return map(DECIMAL, itertools.count(parameter.start + shard, shards))
    if isinstance(parameter, Text):
        return _texts(parameter, draw)
    if isinstance(parameter, Uuid):
        return _uuids(draw)
    return map(DECIMAL, itertools.chain.from_iterable(_numbers(parameter, draw)))


def _numbers(parameter: Uniform | Zipf, draw: np.random.Generator) -> Iterator[list[int]]:
    if isinstance(parameter, Uniform):
        while True:
            yield draw.integers(parameter.low, parameter.high, BLOCK, endpoint=True).tolist()
    shares = np.cumsum(np.arange(1, parameter.count + 1, dtype=np.float64) ** -parameter.exponent)
    shares /= shares[-1]
    while True:
        yield (np.searchsorted(shares, draw.random(BLOCK), side="right") + parameter.low).tolist()


def _uuids(draw: np.random.Generator) -> Iterator[bytes]:
    while True:
        block = draw.bytes(16 * BLOCK)
        for start in range(0, len(block), 16):
            yield str(uuid.UUID(bytes=block[start : start + 16], version=4)).encode()


def _texts(parameter: Text, draw: np.random.Generator) -> Iterator[bytes]:
    """Windows at random places of one random text eight times as long: as hard to compress, far cheaper to draw."""
    source = LETTERS[draw.integers(0, len(LETTERS), 8 * parameter.length + BLOCK)].tobytes()
    places = len(source) - parameter.length
    while True:
        for place in draw.integers(0, places, BLOCK, endpoint=True).tolist():
            yield source[place : place + parameter.length]
