"""Word pieces of texts with static vectors, for models that learn from words rather than from contextual tokens."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from burnish.checks import whole_number
from burnish.errors import ConfigurationError

from .cleaning import Cleaner
from .token_encoder import TokenEncoder

#: Rows of the encoder's table that the principal components are computed from, at most.
MOST_ROWS = 65536


@dataclass(frozen=True)
class StaticWords:
    """The word pieces of a list of texts, and a vector for each piece; made by `open_static`.

    vectors: `[V + 1, width]` float32, one row a word piece that occurs; row 0 is padding, all zeros.
    offsets: pieces `offsets[k]:offsets[k + 1]` belong to text k, `[n_texts + 1]` int64.
    ids: rows of `vectors`, `[n_tokens]` int32.
    """

    vectors: Tensor
    offsets: Tensor
    ids: Tensor

    def counts(self, texts: Tensor) -> Tensor:
        """How many pieces texts have, `[n]` int64."""
        offsets = self.offsets.to(texts.device)
        return offsets[texts + 1] - offsets[texts]

    def padded(self, texts: Tensor, length: int) -> Tensor:
        """The first pieces of texts as rows of `vectors`, 0 after the last: `[n, length]` int64.

        texts: numbers of texts, `[n]`; the result is on their device.
        Raises `IndexError` for a number that is none.
        """
        if len(texts) and not 0 <= int(texts.min()) <= int(texts.max()) < len(self.offsets) - 1:
            raise IndexError(f"texts have numbers from 0 to {len(self.offsets) - 2}")
        offsets, ids = self.offsets.to(texts.device), self.ids.to(texts.device)
        place = torch.arange(length, device=texts.device)
        inside = place < (offsets[texts + 1] - offsets[texts])[:, None]
        rows = torch.zeros(len(texts), length, dtype=torch.long, device=texts.device)
        rows[inside] = ids[(offsets[texts][:, None] + place)[inside]].long()
        return rows


def open_static(
    texts: Sequence[str],
    *,
    cleaner: Cleaner | None = None,
    encoder: str | Path | None = None,
    width: int = 300,
    max_tokens: int = 256,
    seed: int = 0,
) -> StaticWords:
    """The word pieces of cleaned texts, with vectors from an encoder's table of input vectors.

    Stands for the word2vec vectors of Google News of the papers on DeepCoNN and NARRE, which are not a package.
    The first `width` principal components of the table, divided by one number so that the mean square of an entry over
    the table is 1 (ours).

    cleaner, encoder: as in `open_store`.  max_tokens: pieces read of a text, without limit by the encoder.
    seed: of the rows that the components are computed from, where the table has more than `MOST_ROWS`; else the result
    does not depend on it.
    Raises `ConfigurationError` for an impossible encoder, width or max_tokens.
    """
    cleaner = cleaner or Cleaner()
    whole_number("max_tokens", max_tokens)
    coder = TokenEncoder(encoder, device="cpu", max_tokens=1)
    table = _reduced_table(coder.folder, coder.fingerprint, width, seed)
    rows, offsets = _pieces(texts, cleaner, coder, max_tokens)
    used, ids = np.unique(rows, return_inverse=True)
    vectors = torch.zeros(len(used) + 1, width)
    vectors[1:] = table[torch.from_numpy(used)]
    return StaticWords(vectors, torch.from_numpy(offsets), torch.from_numpy(ids.reshape(-1) + 1).int())


@functools.lru_cache(maxsize=2)
def _reduced_table(folder: Path, fingerprint: str, width: int, seed: int) -> Tensor:
    """`reduced` of an encoder's table, kept for the next model of this process; do not change it."""
    return reduced(TokenEncoder(folder, device="cpu", max_tokens=1).static_vectors(), width, seed)


def _pieces(
    texts: Sequence[str], cleaner: Cleaner, coder: TokenEncoder, max_tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the encoder's table, the pieces of one text after the other, and where each text's begin."""
    numbers: dict[str, int] = {}
    sequences = [
        [numbers.setdefault(word.lemma, len(numbers)) for word in cleaner.words(text)] for text in texts
    ]
    pieces = coder.pieces(list(numbers))
    rows: list[int] = []
    ends = [0]
    for words in sequences:
        own: list[int] = []
        for word in words:
            own.extend(pieces[word])
            if len(own) >= max_tokens:
                break
        rows.extend(own[:max_tokens])
        ends.append(len(rows))
    return np.array(rows, dtype=np.int64), np.array(ends, dtype=np.int64)


def reduced(table: Tensor, width: int, seed: int = 0) -> Tensor:
    """The first principal components of the rows of a table, scaled to a mean square of 1: `[V, width]` float32.

    table: `[V, D]`.  Signs are such that the largest entry of each component's direction is positive.
    Raises `ConfigurationError` unless width is from 1 to D.
    """
    most = min(table.shape)
    if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= most:
        raise ConfigurationError(
            f"width of word vectors = {width!r}: this encoder's table has {table.shape[1]} columns; give a whole "
            f"number from 1 to {most}"
        )
    some = table.double()
    mean = some.mean(0)
    if len(table) > MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(table))[:MOST_ROWS])
        some = some[torch.from_numpy(chosen)]
    centred = some - mean
    directions = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :width]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    components = (table.double() - mean) @ (directions * largest.sign())
    return (components / components.square().mean().sqrt()).float()
