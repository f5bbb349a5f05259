"""Finished shards of a long computation, kept beside the file that it will be until all are there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from burnish.errors import ConfigurationError
from burnish.files.whole import save_tensors, written_whole


def shards_folder(output: Path) -> Path:
    """Where the finished shards of this output are kept."""
    return output.with_name(f".{output.name}.parts")


def digest_of(settings: Any, tensors: Mapping[str, Any]) -> str:
    """A digest of settings, which JSON has a form for, and of what is in dense tensors, by name."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(settings).encode())
    for name, tensor in sorted(tensors.items()):
        if isinstance(tensor, Tensor) and tensor.layout == torch.strided:
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
            digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class _Finished:
    """One file a shard, each written whole.  fingerprint: of all that is in them depends on."""

    suffix = ""

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        if folder is not None and folder.is_symlink():
            raise ConfigurationError(
                f"{folder} is a link, and finished parts are not written through links; remove it"
            )
        self.folder = folder
        self.fingerprint = fingerprint

    def _file(self, number: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{number:06d}{self.suffix}"

    def remove(self) -> None:
        """Forget them all, once all is in its file."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _unwritable(self, file: Path, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"{file.parent} cannot be written ({error.__cause__ or error}); it holds what is finished. Give an output "
            f"in a folder that you may write to"
        )


class FinishedShards(_Finished):
    """Shards of a valuation: values and standard errors."""

    suffix = ".safetensors"

    def read(self, number: int) -> tuple[Tensor, Tensor] | None:
        """Values and standard errors of a finished shard; None where there is none of this very valuation."""
        file = self._file(number)
        if file is None or not file.is_file():
            return None
        try:
            with safe_open(file, "pt") as content:
                if (content.metadata() or {}).get("fingerprint") != self.fingerprint:
                    return None
                return content.get_tensor("values"), content.get_tensor("standard_error")
        except (SafetensorError, OSError):
            return None  # damaged: computed again

    def write(self, number: int, values: Tensor, errors: Tensor) -> None:
        """Keep a finished shard.  Raises `ConfigurationError` where nothing can be written."""
        file = self._file(number)
        if file is None:
            return
        tensors = {"values": values.contiguous(), "standard_error": errors.contiguous()}
        try:
            with written_whole(file) as beside:
                save_tensors(beside, tensors, {"fingerprint": self.fingerprint})
        except (ConfigurationError, SafetensorError) as error:
            raise self._unwritable(file, error) from error


class FinishedFrames(_Finished):
    """Shards that are tables."""

    suffix = ".parquet"
    _KEY = b"burnish.fingerprint"

    def read(self, number: int) -> pd.DataFrame | None:
        """A finished shard's table; None where there is none of this very computation."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._file(number)
        if file is None or not file.is_file():
            return None
        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError):
            return None  # damaged: computed again
        kept = (table.schema.metadata or {}).get(self._KEY, b"").decode()
        return table.to_pandas() if kept == self.fingerprint else None

    def write(self, number: int, frame: pd.DataFrame) -> None:
        """Keep a finished shard.  Raises `ConfigurationError` where nothing can be written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._file(number)
        if file is None:
            return
        table = pa.Table.from_pandas(frame, preserve_index=False)
        kept = {**(table.schema.metadata or {}), self._KEY: self.fingerprint.encode()}
        try:
            with written_whole(file) as beside:
                pq.write_table(table.replace_schema_metadata(kept), beside)
        except ConfigurationError as error:
            raise self._unwritable(file, error) from error


def check_writable(output: Path) -> None:
    """Raise `ConfigurationError`, before anything is computed, for a file that cannot be written."""
    if output.is_dir():
        raise ConfigurationError(f"{output} is a folder; give the name of a file")
    folder = output.absolute().parent
    while not folder.exists():
        folder = folder.parent
    why = "" if folder.is_dir() and os.access(folder, os.W_OK) else "not permitted"
    if not why:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except (
            OSError
        ) as error:  # read-only for everybody, full, or a place of the system's own, such as /proc
            why = error.strerror or "not permitted"
    if why:
        raise ConfigurationError(
            f"{output} cannot be written: {folder} is not a folder that you may write to ({why}); give another output"
        )
