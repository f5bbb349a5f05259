"""Scores by a sentence encoder: how much nearer a text is to one end of an attribute than to the other.

No language model, no key, no network.  The comparison of a text with the two ends of an axis is ours; the axis is
the difference of two sentence vectors, as in word-analogy arithmetic.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from burnish.errors import DataError
from burnish.text_encoder import PACKAGED_NAME

from ..attributes import AttributeSchema
from ..kept_vectors import kept_vectors
from ..sentence_encoder import BATCH, SentenceEncoder
from .protocol import FloatArray, Scores, Texts

#: So many standard deviations above or below the mean of the texts are the ends of the scale.
REACH = 3.0


class EncoderScorer:
    """Scores texts by their similarity to contrasting descriptions of each attribute.

    Three judgements an attribute, each the cosine of the text with one end of an axis minus that with its other end:

    1. the domain with the attribute's name and description, against the domain alone;
    2. the high end against the low end, where the schema has a contrast for the attribute; else
       "a lot of ..." against the same phrase of all attributes on average;
    3. the high end (else the description) against that of all attributes on average.

    Each judgement is standardised over the texts given (mean 0, standard deviation 1).  The score is the mean of the
    three, standardised again and put on the scale: the mean text in the middle, `REACH` standard deviations at the
    ends, clipped there.  So scores are relative to the texts that are scored together.  The uncertainty is the
    standard deviation (of a sample) between the three judgements, in units of the scale.

    Parameters
    ----------
    model, device, batch_size
        See `SentenceEncoder`; None is the packaged MiniLM.

    References
    ----------
    Ours; an axis is the difference of two sentence vectors, as in word-analogy arithmetic.
    """

    name = "encoder"

    def __init__(
        self, model: str | Path | None = None, *, device: str | None = None, batch_size: int = BATCH
    ) -> None:
        self.model = model
        self.device = device
        self.batch_size = batch_size
        self._encoder: SentenceEncoder | None = None

    @property
    def encoder(self) -> SentenceEncoder:
        """The encoder, loaded when first needed."""
        if self._encoder is None:
            self._encoder = SentenceEncoder(self.model, device=self.device, batch_size=self.batch_size)
        return self._encoder

    def score(self, texts: Texts, schema: AttributeSchema) -> Scores:
        """Score texts beside each other.

        Parameters
        ----------
        texts
            The ids to be scored, with their text fields.
        schema
            The attributes with their contrasts, and the scale.

        Returns
        -------
        Scores
            Of all `texts.ids` on `schema.names`; NaN and a note for an id without text.

        Raises
        ------
        DataError
            Where fewer than two ids have a text.
        ConfigurationError
            Where there is no encoder.
        """
        full = [number for number in range(len(texts)) if texts.one(number)]
        if len(full) < 2:
            raise DataError(
                f"{len(full)} of {len(texts)} ids have a text; the encoder scores texts beside each other and needs "
                f"at least two"
            )
        vectors = self._encode([as_text(texts.one(number)) for number in full])
        judged = np.stack([_standardised(vectors @ axes.T) for axes in self._axes(schema)])  # [3, n, m]
        half = (schema.scale[1] - schema.scale[0]) / 2
        values = np.full((len(texts), len(schema.names)), np.nan)
        spread = values.copy()
        scores = schema.middle + _standardised(judged.mean(axis=0)) * half / REACH
        values[full] = scores.clip(*schema.scale)
        spread[full] = judged.std(axis=0, ddof=1) * half / REACH
        notes = dict.fromkeys(sorted(set(texts.ids) - {texts.ids[number] for number in full}), "no text")
        source = f"sentence encoder {PACKAGED_NAME if self.model is None else self.model}"
        scale = (float(schema.scale[0]), float(schema.scale[1]))
        return Scores(texts.ids, schema.names, values, spread, scale, source, notes)

    def _axes(self, schema: AttributeSchema) -> list[FloatArray]:
        """The three axes of each attribute: three arrays `[m, d]`."""
        names = schema.names
        domain = schema.domain.replace("_", " ")
        meanings = [without_examples(schema.attributes[name]) for name in names]
        called = [name.replace("_", " ") for name in names]
        described = self._encode(
            [f"{domain}: {name}, {text}" for name, text in zip(called, meanings, strict=True)]
        )
        neutral = self._encode([domain])
        ends = [schema.contrasts.get(name) for name in names]
        lots = [f"a lot of {name}: {text}" for name, text in zip(called, meanings, strict=True)]
        much = self._encode(lots)
        high = self._encode([end[1] if end else text for end, text in zip(ends, meanings, strict=True)])
        low = self._encode([end[0] if end else domain for end in ends])
        others = much - (much.mean(axis=0) if len(names) > 1 else neutral)
        has_ends = np.array([end is not None for end in ends])[:, None]
        above = high - (high.mean(axis=0) if len(names) > 1 else neutral)
        return [described - neutral, np.where(has_ends, high - low, others), above]

    def _encode(self, texts: list[str]) -> FloatArray:
        """Unit vectors `[n, d]`, from the disk where they are there."""
        vectors = kept_vectors(
            texts,
            lambda: self.encoder.vectors(texts),
            model=self.model,
            device=self.device,
            batch_size=self.batch_size,
        )
        return vectors.astype(np.float64)


def as_text(fields: dict[str, str]) -> str:
    """The fields of one id as one text."""
    return ". ".join(value.strip().rstrip(".") for value in fields.values())


def without_examples(description: str) -> str:
    """A description without what stands in brackets: names of examples mislead an encoder."""
    return re.sub(r"\s*\([^)]*\)", "", description).strip()


def _standardised(values: FloatArray) -> FloatArray:
    """Columns with mean 0 and standard deviation 1; a constant column is 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 1e-12, spread, np.inf)
