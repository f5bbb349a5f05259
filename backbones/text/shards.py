"""The disk side of the token store: shards that are complete or not there at all.

A cache is a folder of shards, a shard a folder `ID.shard` with

- `vectors.npy`: the token vectors of its texts, `[n_tokens, width]` float16, read through a memory map;
- `index.parquet`: a row a text: its hash, where its tokens start in vectors.npy and how many there are, whether it was
  cut, its words (surface and lemma) and the word of each token.  Its metadata name the cache that the shard belongs to
  and the size and a checksum of vectors.npy.

A shard is written under another name and renamed when both files are on the disk.  One that is cut short, altered or
from another cache is removed, and its texts count as missing.  The checksum covers the size and 64 KiB at each of 16
evenly spread places: opening a large cache must not mean reading all of it.  Page checksums guard the index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from burnish.errors import ConfigurationError
from burnish.files.jsons import parse_json
from burnish.files.whole import write_text

VectorArray = NDArray[np.float16]

#: Part of every key: caches of another layout are left alone.
FORMAT = 1

VECTORS, INDEX, ABOUT = "vectors.npy", "index.parquet", "about.json"
SCHEMA = pa.schema(
    {
        "text": pa.string(),
        "start": pa.int64(),
        "length": pa.int32(),
        "cut": pa.bool_(),
        "surfaces": pa.list_(pa.string()),
        "lemmas": pa.list_(pa.string()),
        "places": pa.list_(pa.int32()),
    }
)
_PLACES, _BLOCK = 16, 2**16
_LOG = logging.getLogger("burnish.text")


class ShardFolder:
    """The shards of one cache.

    folder: of the cache; made when the first shard is written.
    key: what all its shards must belong to, such as a hash of encoder and cleaning.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        self._read: dict[str, pa.Table] = {}
        self._refused: set[str] = set()

    # ------------------------------------------------------------------ reading

    def indices(self) -> dict[str, pa.Table]:
        """The index of every shard that is complete, by the shard's name; a shard is checked once by each object."""
        names = {path.name for path in self.folder.glob("*.shard")} if self.folder.is_dir() else set()
        for name in sorted(names - self._read.keys() - self._refused):
            table, reason = self._checked(self.folder / name)
            if table is None:
                self._refused.add(name)
                _LOG.warning(
                    "%s: %s; it is not used, and its texts are encoded anew", self.folder / name, reason
                )
            else:
                self._read[name] = table
        self._read = {name: table for name, table in self._read.items() if name in names}
        return dict(self._read)

    def vectors(self, name: str) -> VectorArray:
        """The vectors of a shard, `[n_tokens, width]`, memory-mapped; changes stay in memory."""
        # Copy on write: torch warns of arrays that cannot be written to.
        return np.load(self.folder / name / VECTORS, mmap_mode="c", allow_pickle=False)

    def width(self) -> int | None:
        """The width of the vectors, None where there is no shard."""
        for table in self.indices().values():
            return int(_metadata(table)["width"])
        return None

    def _checked(self, shard: Path) -> tuple[pa.Table | None, str]:
        """The index of a shard, or None and what is wrong with it."""
        try:
            table = pq.read_table(shard / INDEX, page_checksum_verification=True, partitioning=None)
            metadata = _metadata(table)
            if metadata["key"] != self.key:
                return None, "it belongs to another encoder or another cleaning"
            if metadata["sum"] != _checksum(shard / VECTORS):
                return None, f"{VECTORS} is not what was written"
            shape = self.vectors(shard.name).shape
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            return None, f"it cannot be read ({reason})"
        if not table.schema.equals(SCHEMA) or shape != (metadata["tokens"], metadata["width"]):
            return None, "it has another layout"
        return table, ""

    # ------------------------------------------------------------------ writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the cache for writing, alone among processes; first remove what killed ones and bad disks have left.

        Raises `ConfigurationError` where the folder cannot be written to.
        """
        import filelock

        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / "writing.lock")
            try:
                try:
                    lock.acquire(timeout=0.1)
                except filelock.Timeout:
                    _LOG.info("%s: waiting for another process that encodes texts", self.folder)
                    lock.acquire()
            except NotImplementedError:
                # A file system without locks: names are unique, so two writers at worst encode a text twice.
                yield
                return
            try:
                self._tidy()
                yield
            finally:
                lock.release()

    def begin(self, about: dict[str, Any]) -> None:
        """Say in `about.json` what the cache holds.

        about: for people; nothing here reads it.
        """
        text = json.dumps({"key": self.key, "format": FORMAT, **about}, indent=1, ensure_ascii=False) + "\n"
        write_text(self.folder / ABOUT, text)

    def add(self, columns: dict[str, list[Any]], vectors: VectorArray) -> str:
        """Write a shard; its name.

        columns: those of `SCHEMA`.  vectors: `[n_tokens, width]`.
        """
        name = f"{uuid.uuid4().hex}.shard"
        temporary = self.folder / f"{name}.tmp"
        temporary.mkdir()
        try:
            with (temporary / VECTORS).open("wb") as stream:
                np.save(stream, vectors, allow_pickle=False)
                stream.flush()
                os.fsync(stream.fileno())
            metadata = {
                "key": self.key,
                "tokens": vectors.shape[0],
                "width": vectors.shape[1],
                "sum": _checksum(temporary / VECTORS),
            }
            schema = SCHEMA.with_metadata({b"burnish": json.dumps(metadata).encode()})
            with (temporary / INDEX).open("wb") as stream:
                pq.write_table(
                    pa.table(columns, schema=schema), stream, compression="zstd", write_page_checksum=True
                )
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, self.folder / name)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return name

    def _tidy(self) -> None:
        """Remove unfinished and useless shards; only whoever holds the lock may."""
        good = self.indices()
        for path in self.folder.iterdir():
            if path.name.endswith(".shard.tmp") or (path.name.endswith(".shard") and path.name not in good):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(f".{ABOUT}."):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"text_folder: token embeddings cannot be written to {self.folder}: {error}; give another folder, or "
                f"make room"
            ) from error


def _metadata(table: pa.Table) -> dict[str, Any]:
    """What an index says of its shard."""
    metadata: dict[str, Any] = parse_json((table.schema.metadata or {})[b"burnish"])
    return metadata


def _checksum(file: Path) -> str:
    """A hash of a file's size and of blocks spread evenly over it."""
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    starts = {max(0, size - _BLOCK) * place // (_PLACES - 1) for place in range(_PLACES)}
    with file.open("rb") as stream:
        for start in sorted(starts):
            stream.seek(start)
            digest.update(stream.read(_BLOCK))
    return digest.hexdigest()
