"""Finished shards of a valuation, kept beside the file that it will be until all are there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from burnish.errors import ConfigurationError
from burnish.files.whole import save_tensors, written_whole


def shards_folder(output: Path) -> Path:
    """Where the finished shards of this output are kept."""
    return output.with_name(f".{output.name}.parts")


class FinishedShards:
    """One file a shard, each written whole.  fingerprint: of all that the values depend on."""

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        if folder is not None and folder.is_symlink():
            raise ConfigurationError(
                f"{folder} is a link, and finished parts of a valuation are not written through links; remove it"
            )
        self.folder = folder
        self.fingerprint = fingerprint

    def _file(self, number: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{number:06d}.safetensors"

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
            raise ConfigurationError(
                f"{file.parent} cannot be written ({error.__cause__ or error}); it holds the finished part of a "
                f"valuation. Give an output in a folder that you may write to"
            ) from error

    def remove(self) -> None:
        """Forget them all, once the valuation is in its file."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def check_writable(output: Path) -> None:
    """Raise `ConfigurationError`, before anything is computed, for a file that cannot be written."""
    if output.is_dir():
        raise ConfigurationError(f"{output} is a folder; give the name of a file")
    folder = output.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigurationError(
            f"{output} cannot be written: {folder} is not a folder that you may write to; give another output"
        )
