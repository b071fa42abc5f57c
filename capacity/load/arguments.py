"""Typed, seeded arguments of operations, drawn in small blocks so that the loop is never held up."""

import itertools
import string
import uuid
from collections.abc import Iterator

import numpy as np

from capacity.workload import Operation, Parameter, Sequence, Text, Uniform, Uuid, Zipf

BLOCK = 512  # values drawn at a time: some tens of microseconds
LETTERS = np.frombuffer((string.ascii_letters + string.digits).encode(), dtype=np.uint8)


def argument_values(operation: Operation, seed: int, shard: int = 0, shards: int = 1) -> Iterator[tuple[bytes, ...]]:
    """The endless arguments of `operation`, one tuple a call, in the order of its `parameters`.

    A parameter's stream depends on the seed, its name and the shard alone: two operations that share a parameter's
    name and definition draw the same values, which is what makes interleaved pairs comparable.
    """
    sources = [
        _values(parameter, np.random.default_rng([seed, shard, *name.encode()]), shard, shards)
        for name, parameter in operation.parameters.items()
    ]
    return zip(*sources, strict=True) if sources else itertools.repeat(())


def _values(parameter: Parameter, draw: np.random.Generator, shard: int, shards: int) -> Iterator[bytes]:
    if isinstance(parameter, Sequence):
        return (b"%d" % number for number in itertools.count(parameter.start + shard, shards))
    if isinstance(parameter, Text):
        return _texts(parameter, draw)
    if isinstance(parameter, Uuid):
        return _uuids(draw)
    return (b"%d" % number for block in _numbers(parameter, draw) for number in block)


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
