"""Lines of a large file, plain or gzip, one at a time, with the place in the file and clear errors."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from burnish.errors import DataError

#: `progress(bytes read so far, bytes of the file)`; bytes as they lie on the disk, so compressed ones for gzip.
Progress = Callable[[int, int], None]

#: A longer line is taken for a file that is not one object a line; it must not fill the memory.
LONGEST_LINE = 64 * 2**20

_GZIP = b"\x1f\x8b"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"PAR1": "a parquet file",
}
_EVERY = 2000  # lines between two reports of progress


def check_file(
    path: Path,
    wanted: str = "a file of one JSON object a line, plain or gzip",
    packed: str = "the .json or .jsonl file",
) -> int:
    """The size in bytes of a file that can be read twice.

    wanted, packed: what messages ask for, and what of it lies in an archive.

    Raises `DataError` for what is missing, not a regular file, empty, unreadable, or not what its name says.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file (it is read twice, so a pipe will not do)"
        raise DataError(f"{path} is {kind}; give {wanted}")
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if not start:
        raise DataError(f"{path} is empty")
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{path} is {kind}; unpack it, and give {packed}")
    if start[257:262] == b"ustar":
        raise DataError(f"{path} is a tar archive; unpack it, and give {packed} in it")
    if path.suffix.lower() == ".gz" and not start.startswith(_GZIP):
        raise DataError(
            f"{path} is named .gz but is not gzip; download it again, or drop .gz from its name if it is plain text"
        )
    return path.stat().st_size


def lines(
    path: Path, progress: Progress | None = None, cut: Callable[[int, str], None] | None = None
) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line without its end) of every line of a plain or gzip file.

    cut: where a gzip stream is cut off or damaged inside, told the number of the last whole line and what is wrong,
    instead of an error; the lines before are all that there are.

    Raises `DataError` for a file that `check_file` refuses, that is cut off or damaged inside, or whose lines are
    longer than `LONGEST_LINE`.
    """
    size, number = check_file(path), 0
    try:
        with path.open("rb") as file, _opened(file) as stream:
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                    raise DataError(
                        f"{path}, line {number} is longer than {LONGEST_LINE // 2**20} MiB; expected one JSON object a "
                        f"line, not one array or one pretty-printed document"
                    )
                if progress is not None and number % _EVERY == 0:
                    progress(min(file.tell(), size), size)
                yield number, line.rstrip(b"\r\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        wrong = f"damaged somewhere after line {number} ({error})"
        if isinstance(error, EOFError):
            wrong = f"cut off somewhere after line {number}: the gzip stream has no end"
        if cut is None:
            raise DataError(
                f"{path} is {wrong}. Download it again, or take the whole lines before that place: --skip-broken does "
                f"(and `zcat {path.name}` writes them out)"
            ) from error
        cut(number, wrong)
    except OSError as error:
        raise DataError(f"{path} cannot be read after line {number}: {error.strerror or error}") from error
    if progress is not None:
        progress(size, size)


def _opened(file: BinaryIO) -> BinaryIO:
    start = file.read(len(_GZIP))
    file.seek(0, os.SEEK_SET)
    if start != _GZIP:
        return file
    return io.BufferedReader(_Unpacked(file), buffer_size=2**20)


class _Unpacked(io.RawIOBase):
    """A gzip stream in the pieces in which it is unpacked, so that all before a damaged place is given.

    `GzipFile.read` fills what it was asked for, and forgets what it has when something is wrong on the way.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._stream = gzip.GzipFile(fileobj=file, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
