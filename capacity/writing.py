"""Files that are written whole or not at all, and files that grow by frames of which each is there whole or not."""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from capacity.errors import CapacityError

HEAD = struct.Struct("<IIc")  # of a frame: the bytes of its content, its checksum, and its kind
Place = tuple[int, int]  # in a file of frames: where the next one begins, and the checksum of the one before
BEGIN: Place = (0, 0)


@contextmanager
def writes_to(path: Path) -> Iterator[None]:
    """What the system refuses to write in this block, as on a full disk, is a CapacityError that names `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CapacityError(f"cannot write {path}: {reason}; make room, or give a folder that may be written") from None


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The file to write in this block; at its end it is on the disk and takes the place of `path`.

    The folder is made where there is none. Raises CapacityError where it cannot be written; what was there before is
    then still there.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with writes_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file in UTF-8, as `written_whole` does."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Any) -> None:
    """Write JSON as `write_whole` does, indented by one space."""
    write_whole(path, json.dumps(values, indent=1) + "\n")


class FrameWriter:
    """A file that grows by frames, so that nothing is lost of those that were written when a process is killed.

    The checksum of each, a CRC-32, goes on from the one before: a frame that was changed, left out or put elsewhere is
    not read as one. CapacityError where the file takes no more, which then ends with the last whole frame.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, BEGIN
        with writes_to(path):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def append(self, kind: bytes, content: bytes | memoryview) -> None:
        """Hand a frame of a kind, which is one byte, to the operating system."""
        size, checksum = len(content), crc32(content, crc32(kind, self._place[1]))
        end = self._place[0] + HEAD.size + size
        with writes_to(self._path):
            try:
                written = os.writev(self._file, [HEAD.pack(size, checksum, kind), content])
                if written < HEAD.size + size:  # the next write says why
                    rest = (HEAD.pack(size, checksum, kind) + bytes(content))[written:]
                    while rest:
                        rest = rest[os.write(self._file, rest) :]
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, self._place[0])
                raise
        self._place = end, checksum

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_frames(path: Path, place: Place = BEGIN) -> Iterator[tuple[bytes, bytes, Place]]:
    """The kind and content of the frames of a file from a place on, each with the place after it.

    It ends at the first that is not whole: where the file ends, or what wrote it was killed, or it was damaged.
    """
    with path.open("rb") as file:
        file.seek(place[0])
        while len(head := file.read(HEAD.size)) == HEAD.size:
            size, checksum, kind = HEAD.unpack(head)
            content = file.read(size)
            if len(content) < size or crc32(content, crc32(kind, place[1])) != checksum:
                return
            place = place[0] + HEAD.size + size, checksum
            yield kind, content, place
