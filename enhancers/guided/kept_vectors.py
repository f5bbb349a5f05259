"""Sentence vectors on disk, for all runs of all processes: texts that were encoded once are not encoded again.

A file for each list of texts: vectors depend in their last bits on which texts were encoded beside each other, so a
list is kept as a whole, and a run has the same vectors whoever encoded them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from burnish.errors import ConfigurationError, DataError, warn
from burnish.files.lock import lock_of, locked
from burnish.files.refusals import make_folder
from burnish.files.whole import save_tensors, written_whole
from burnish.text_encoder import PACKAGED_NAME, keeping_folder, packaged_encoder

VectorArray = NDArray[np.float32]

#: Raised when files are laid out, or texts are encoded, otherwise.
FORMAT = 1
#: Files of an encoder that decide nothing.
_IDLE = {".md", ".png", ".gitattributes"}
#: Packages whose releases may change last bits.
_PACKAGES = ("sentence-transformers", "transformers", "torch")
_LOG = logging.getLogger("burnish.text")


def kept_vectors(
    texts: Sequence[str],
    encode: Callable[[], VectorArray],
    *,
    model: str | Path | None,
    device: str | None,
    batch_size: int,
) -> VectorArray:
    """What `encode` gives for these texts; from the disk where this encoder encoded them before, by whomever.

    Another process that encodes the same texts is waited for.  A damaged file is told of and written anew; where
    nothing can be written the texts are encoded all the same.

    Parameters
    ----------
    texts
        All of them, in their order.
    encode
        Gives `[n, d]` for them, and loads the encoder.
    model, device, batch_size
        As of `SentenceEncoder`.  An encoder whose files are not found without a network is asked each time.
    """
    folder = keeping_folder("sentences")
    about = None if folder is None else _about(model, device, batch_size)
    if folder is None or about is None:
        return encode()
    key = _key(about, texts)
    name = re.sub(r"[^A-Za-z0-9.]+", "-", Path(str(model or PACKAGED_NAME)).name).strip("-.") or "encoder"
    file = folder / f"{name}-{key[:32]}.safetensors"
    found = _read(file, key, len(texts))
    if found is not None:
        return found
    with contextlib.ExitStack() as stack:
        try:
            make_folder(folder)
            stack.enter_context(locked(lock_of(file), waiting=functools.partial(_told, file)))
        except (ConfigurationError, DataError) as error:
            _LOG.warning("encoded texts are not kept: %s", error)
            return encode()
        found = _read(file, key, len(texts))  # of whoever was waited for
        if found is None:
            found = encode()
            _write(file, key, found)
        return found


def _told(file: Path, holder: str) -> None:
    _LOG.warning("waiting for %s, which encodes the same texts (%s)", holder, file)


def _key(about: list[str], texts: Sequence[str]) -> str:
    whole = hashlib.sha256(json.dumps([FORMAT, *about]).encode())
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        whole.update(len(content).to_bytes(8, "little") + content)
    return whole.hexdigest()


def _about(model: str | Path | None, device: str | None, batch_size: int) -> list[str] | None:
    """All that vectors depend on but the texts; None for an encoder that is not on this machine."""
    folder = _folder_of(model)
    if folder is None:
        return None
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() not in _IDLE)
    marks = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")).type
    return [_digest(str(folder), marks), where, str(batch_size), *map(_release, _PACKAGES)]


def _release(package: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""


def _folder_of(model: str | Path | None) -> Path | None:
    if model is None:
        try:
            return Path(packaged_encoder())
        except ConfigurationError:  # who encodes says it
            return None
    if Path(model).is_dir():
        return Path(model)
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(str(model), "config.json")
    except (ImportError, ValueError):
        return None
    return Path(found).parent if isinstance(found, str) else None


@functools.lru_cache(maxsize=8)
def _digest(folder: str, files: tuple[tuple[str, int, int], ...]) -> str:
    """Of all files of an encoder, names and content.  files: with size and time: changed ones are read again."""
    whole = hashlib.sha256()
    for file, size, _ in files:
        whole.update(f"{Path(file).relative_to(folder).as_posix()}\n{size}\n".encode())
        with open(file, "rb") as stream:
            while block := stream.read(2**22):
                whole.update(block)
    return whole.hexdigest()


def _read(file: Path, key: str, n: int) -> VectorArray | None:
    """The vectors in a file; None where there is none, or a damaged one, with a warning."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "np") as content:
            about = content.metadata() or {}
            vectors: VectorArray = content.get_tensor("vectors")
        if about.get("key") == key and about.get("digest") == _sum(vectors) and len(vectors) == n:
            return vectors
        reason = "it does not hold what was written"
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error) or type(error).__name__
    warn(f"{file} is damaged ({reason}); its texts are encoded again")
    return None


def _write(file: Path, key: str, vectors: VectorArray) -> None:
    about = {"key": key, "digest": _sum(vectors)}
    try:
        with written_whole(file) as beside:
            save_tensors(beside, {"vectors": torch.from_numpy(np.ascontiguousarray(vectors))}, about)
    except (ConfigurationError, SafetensorError) as error:
        _LOG.warning("encoded texts are not kept: %s", error)


def _sum(vectors: VectorArray) -> str:
    plain = np.ascontiguousarray(vectors)
    return hashlib.blake2b(
        f"{plain.shape}{plain.dtype}".encode() + plain.tobytes(), digest_size=16
    ).hexdigest()
