"""Texts of a model's training data, made into numbers as its config says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .text.cleaning import Cleaner
    from .text.static import StaticWords
    from .text.store import TokenStore


def open_tokens(texts: Sequence[str], config: Any) -> TokenStore:
    """Contextual token embeddings: options `text_encoder`, `text_folder`, `max_tokens`, `stop_words`, `language`."""
    from .text.store import open_store

    return open_store(texts, folder=config["text_folder"], **_common(config))


def open_words(texts: Sequence[str], config: Any) -> StaticWords:
    """Static word-piece vectors of `word_width` numbers; other options as for `open_tokens`."""
    from .text.static import open_static

    return open_static(texts, width=int(config["word_width"]), seed=int(config["seed"]), **_common(config))


def cleaner_of(config: Any) -> Cleaner:
    """The cleaner of the options `stop_words` and `language`."""
    from .text.cleaning import Cleaner

    return Cleaner(stop_words=config["stop_words"] or "none", language=config["language"])


def _common(config: Any) -> dict[str, Any]:
    return {
        "cleaner": cleaner_of(config),
        "encoder": config["text_encoder"],
        "max_tokens": int(config["max_tokens"]),
    }
