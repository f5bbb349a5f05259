"""Text vectors of a given width: what a sentence encoder knows of items, as a control for interpretable scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from burnish.errors import ConfigurationError, DataError

from .scorers.encoder import as_text
from .scorers.protocol import FloatArray, Texts
from .sentence_encoder import remembered_vectors


def text_vectors(
    texts: Texts, width: int, seed: int = 0, model: str | Path | None = None, *, device: str | None = None
) -> tuple[tuple[str, ...], FloatArray]:
    """Ids and their sentence vectors, reduced to `width` numbers by principal components: `[n, width]`.

    Components come in falling order of variance, unscaled, with mean 0 over the ids that have a text; an id without
    has a row of NaN.  The vectors of the same texts are computed once a process.
    seed: decides between the two signs of each component, so that no sign is favoured.
    model, device: as of `SentenceEncoder`; None is the packaged MiniLM.

    Raises `ConfigurationError` for a width that the encoder or the number of texts cannot give, `DataError` where no
    id has a text.
    """
    full = [number for number in range(len(texts)) if texts.one(number)]
    if not full:
        raise DataError(
            f"none of the {len(texts)} ids has a text; give their texts, or choose another control"
        )
    if width < 1:
        raise ConfigurationError(f"width = {width}: give at least one component")
    sentences = tuple(as_text(texts.one(number)) for number in full)
    vectors = remembered_vectors(sentences, None if model is None else str(model), device)
    reduced = principal_components(vectors.astype(np.float64), width, seed)
    components = np.full((len(texts), width), np.nan)
    components[full] = reduced
    return texts.ids, components


def principal_components(vectors: FloatArray, width: int, seed: int = 0) -> FloatArray:
    """The first principal components of rows, `[n, d]` to `[n, width]`, with signs drawn from `seed`.

    Raises `ConfigurationError` where there are fewer than `width` components: at most d, and n - 1.
    """
    most = min(vectors.shape[1], len(vectors) - 1)
    if width > most:
        raise ConfigurationError(
            f"width = {width}: {len(vectors)} texts with vectors of {vectors.shape[1]} numbers have {most} components "
            f"at most; take a smaller width"
        )
    centred = vectors - vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    axes = directions[:width]
    # The sign of a singular vector is up to the library: fix it by the largest entry, then draw.
    axes *= np.sign(axes[np.arange(width), np.abs(axes).argmax(axis=1)])[:, None]
    axes *= np.random.default_rng(seed).choice([-1.0, 1.0], size=(width, 1))
    return centred @ axes.T
