"""Where an encoder's files are, and which encoder they make: without loading it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from burnish.errors import ConfigurationError
from burnish.files.jsons import parse_json
from burnish.text_encoder import CURE, INSTALL, packaged_encoder

#: The files that decide what an encoder computes.
_PARTS = (
    "config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.safetensors",
    "*.safetensors.index.json",
)
_AT_ONCE = 2**22  # bytes read at a time


def find_encoder(model: str | Path | None) -> Path:
    """The folder of an encoder: the packaged one for None, a folder, or a name on the Hugging Face hub.

    A name is looked for in the local cache, then on the hub, whose files are kept in the cache.
    Raises `ConfigurationError`, which says how to get an encoder, where there is none.
    """
    if model is None:
        return Path(packaged_encoder())
    folder = Path(model).expanduser()
    if folder.is_dir():
        lacking = _lacking(folder)
        if lacking:
            raise ConfigurationError(f"text_encoder = {str(model)!r}: the folder lacks {lacking}. {CURE}")
        return folder
    if folder.is_absolute() or isinstance(model, Path) or str(model).startswith((".", "~")):
        raise ConfigurationError(f"text_encoder = {str(model)!r}: there is no such folder. {CURE}")
    return _from_hub(model)


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ConfigurationError(f"text_encoder = {name!r} needs huggingface_hub: {INSTALL}") from error
    reason = ""
    for offline in (True, False):
        try:
            folder = Path(
                snapshot_download(
                    name, local_files_only=offline, allow_patterns=list(_PARTS), ignore_patterns=["*/*"]
                )
            )
        except Exception as error:  # the hub's own errors, and those of whatever carries them
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            continue
        reason = _lacking(folder)
        if not reason:
            return folder
        reason = f"it lacks {reason}"
    raise ConfigurationError(
        f"text_encoder = {name!r} is not a folder, is not in the cache of the Hugging Face hub, and cannot be fetched: "
        f"{reason}  On a machine with a network run `hf download {name}`, then copy its cache (~/.cache/huggingface) "
        f"or the folder here and give its path. {CURE}"
    )


def _lacking(folder: Path) -> str:
    """What a folder lacks of an encoder; empty for nothing."""
    if not (folder / "config.json").is_file():
        return "config.json"
    for index in folder.glob("*.safetensors.index.json"):
        try:
            parts = set(parse_json(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return f"a readable {index.name}"
        lost = sorted(part for part in parts if not (folder / part).is_file())
        return lost[0] if lost else ""
    return "" if any(folder.glob("*.safetensors")) else "weights in safetensors (model.safetensors)"


def fingerprint_of(folder: Path, max_tokens: int) -> str:
    """A hash of the files that decide what an encoder computes, and of how much of a text is read."""
    whole = hashlib.sha256(f"{max_tokens}\n".encode())
    for file in sorted({file for part in _PARTS for file in folder.glob(part) if file.is_file()}):
        whole.update(f"{file.name}\n{file.stat().st_size}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(_AT_ONCE):
                whole.update(block)
    return whole.hexdigest()[:16]
