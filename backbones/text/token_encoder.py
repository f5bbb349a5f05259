"""Contextual token vectors of words from any Hugging Face encoder, with a packaged MiniLM as the default."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burnish.checks import whole_number
from burnish.errors import ConfigurationError, NonFiniteError
from burnish.text_encoder import CURE, INSTALL, PACKAGED_NAME, undisturbed

from .encoder_files import find_encoder, fingerprint_of

VectorArray = NDArray[np.float16]
PlaceArray = NDArray[np.int32]

#: A word has at least one piece, but for a few of odd characters; so no more words than this are looked at.
_WORDS_A_TOKEN = 4
_SAFE = {"local_files_only": True, "trust_remote_code": False}
_HALF = float(torch.finfo(torch.float16).max)


class Encoded(NamedTuple):
    """The tokens of a text.

    vectors: `[L, D]` float16.  places: the place in the list of words that each token is a piece of, `[L]` int32,
    ascending.  cut: whether the text had more tokens than were read.
    """

    vectors: VectorArray
    places: PlaceArray
    cut: bool


class TokenEncoder:
    """Lists of words to token vectors: the last hidden states of an encoder, those of special tokens left out.

    model: None for the packaged MiniLM (6 layers, D = 384); else a folder with config.json, a tokenizer and weights in
        safetensors, or a name on the Hugging Face hub, which is looked for in the local cache first.
    device: by default cuda where there is one, else cpu.
    batch_size: texts at a time; they are sorted by length, so that little is padded.
    max_tokens: word pieces read of a text, special tokens not counted; longer texts are cut there.

    name, folder: what the encoder is called in messages, and where its files are.
    fingerprint: the same for encoders that give the same vectors; of config, tokenizer, weights and max_tokens.

    The encoder is loaded when it is first used.  No code of a model is executed, and weights are read from safetensors
    only.  RecBole's random streams stay as they are.
    Raises `ConfigurationError` for an encoder that is not there, cannot be loaded, or holds fewer tokens.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str | torch.device | None = None,
        batch_size: int = 32,
        max_tokens: int = 256,
    ) -> None:
        self.name = PACKAGED_NAME if model is None else str(model)
        self.batch_size = whole_number("batch_size", batch_size)
        self.max_tokens = whole_number("max_tokens", max_tokens)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.folder = find_encoder(model)
        self._loaded_tokenizer: Any = None
        self._loaded_model: Any = None
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str:
        """Of the encoder's files and of max_tokens; reads the weights once, but does not load them."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self.folder, self.max_tokens)
        return self._fingerprint

    @property
    def width(self) -> int:
        """D, how many numbers a token's vector has."""
        return int(self._model.config.hidden_size)

    @property
    def nothing(self) -> Encoded:
        """What `encode` gives for a text without words."""
        return Encoded(np.zeros((0, self.width), dtype=np.float16), np.zeros(0, dtype=np.int32), False)

    # ------------------------------------------------------------------ contextual vectors

    def encode(self, texts: Sequence[Sequence[str]]) -> list[Encoded]:
        """The tokens of each list of words, in the order given; none for an empty list."""
        tokens = [self.nothing] * len(texts)
        for some, encoded in self.encode_batches(texts):
            for number, one in zip(some, encoded, strict=True):
                tokens[number] = one
        return tokens

    def encode_batches(self, texts: Sequence[Sequence[str]]) -> Iterator[tuple[list[int], list[Encoded]]]:
        """The same batch by batch, the shortest texts first, as numbers of texts and their tokens; empty ones never."""
        full = [number for number, words in enumerate(texts) if len(words)]
        if not full:
            return
        pieces = self._tokenize([texts[number] for number in full])
        order = sorted(range(len(full)), key=lambda at: len(pieces[at].ids))
        for first in range(0, len(order), self.batch_size):
            some = order[first : first + self.batch_size]
            vectors = self._hidden([pieces[at].ids for at in some])
            yield (
                [full[at] for at in some],
                [
                    Encoded(rows[: len(pieces[at].ids)][pieces[at].kept], pieces[at].places, pieces[at].cut)
                    for at, rows in zip(some, vectors, strict=True)
                ],
            )

    def _tokenize(self, texts: list[Sequence[str]]) -> list[_Pieces]:
        special = self._tokenizer.num_special_tokens_to_add(pair=False)
        read = self._tokenizer(
            [list(words[: _WORDS_A_TOKEN * self.max_tokens]) for words in texts],
            is_split_into_words=True,
            truncation=True,
            max_length=self.max_tokens + special,
        )
        return [
            _Pieces.of(encoding, shortened=len(words) > _WORDS_A_TOKEN * self.max_tokens)
            for encoding, words in zip(read.encodings, texts, strict=True)
        ]

    @torch.inference_mode()
    def _hidden(self, rows: list[list[int]]) -> VectorArray:
        """Last hidden states of rows of ids, padded at the end: `[n, longest, D]` float16."""
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self._tokenizer.pad_token_id or 0, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = torch.tensor(row)
            mask[at, : len(row)] = 1
        states = self._model(
            input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
        ).last_hidden_state
        half = states.clamp(-_HALF, _HALF).half().cpu()
        if not bool(torch.isfinite(half[mask.bool()]).all()):
            raise NonFiniteError(f"encoder {self.name!r} gave vectors with NaN; its weights may be damaged")
        return half.numpy()

    # ------------------------------------------------------------------ static vectors

    def static_vectors(self) -> Tensor:
        """The encoder's table of input vectors, one a word piece of its vocabulary: `[V, D]` float32."""
        return self._model.get_input_embeddings().weight.detach().float().cpu()

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """The rows of `static_vectors` that each word is made of."""
        if not len(words):
            return []
        read = self._tokenizer([[word] for word in words], is_split_into_words=True, add_special_tokens=False)
        return [list(ids) for ids in read["input_ids"]]

    # ------------------------------------------------------------------ loading

    @property
    def _tokenizer(self) -> Any:
        if self._loaded_tokenizer is None:
            self._loaded_tokenizer = load_tokenizer(self.folder, self.name)
        return self._loaded_tokenizer

    @property
    def _model(self) -> Any:
        if self._loaded_model is None:
            model = load_model(self.folder, self.name)
            _check_length(self._tokenizer, model, self.max_tokens)
            self._loaded_model = model.to(self.device)
        return self._loaded_model


class _Pieces(NamedTuple):
    """The word pieces of a text: ids with special tokens, which of them are kept, their words, whether it was cut."""

    ids: list[int]
    kept: NDArray[np.bool_]
    places: PlaceArray
    cut: bool

    @classmethod
    def of(cls, encoding: Any, *, shortened: bool) -> _Pieces:
        words = encoding.word_ids
        kept = np.array([word is not None for word in words], dtype=bool)
        places = np.array([word for word in words if word is not None], dtype=np.int32)
        return cls(encoding.ids, kept, places, shortened or bool(encoding.overflowing))


def load_tokenizer(folder: Path, name: str) -> Any:
    """The fast tokenizer of a folder, which takes words one by one; raises `ConfigurationError`."""
    with _explained(folder, name):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **_SAFE)
        if getattr(tokenizer, "add_prefix_space", None) is False:
            # Byte-level tokenizers take words one by one only in this way.
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, add_prefix_space=True, **_SAFE)
    if not tokenizer.is_fast:
        raise ConfigurationError(
            f"text_encoder = {name!r} has no tokenizer.json (a fast tokenizer), which says what word a token is "
            f"of. {CURE}"
        )
    return tokenizer


def load_model(folder: Path, name: str) -> Any:
    """The model of a folder, float32, on the processor, for inference; raises `ConfigurationError`."""
    with _explained(folder, name):
        from transformers import AutoModel

        with undisturbed(), _quiet():
            model, report = AutoModel.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **_SAFE
            )
    if model.config.is_encoder_decoder:
        raise ConfigurationError(
            f"text_encoder = {name!r} is an encoder with a decoder ({model.config.model_type}); choose one such "
            f"as bert-base-uncased. {CURE}"
        )
    # The pooler makes one vector of a text; it is not used here, and many encoders come without.
    missing = [key for key in report["missing_keys"] if "pooler" not in key]
    if missing:
        raise ConfigurationError(
            f"text_encoder = {name!r}: its weights lack {missing[0]} and {len(missing) - 1} more; random numbers would "
            f"stand for them. {CURE}"
        )
    return model.float().eval().requires_grad_(False)


@contextlib.contextmanager
def _explained(folder: Path, name: str) -> Iterator[None]:
    try:
        import transformers  # noqa: F401  (so that its absence is told from an encoder's faults)
        from safetensors import SafetensorError
    except ImportError as error:
        raise ConfigurationError(f"token vectors need transformers: {INSTALL}") from error
    try:
        yield
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigurationError(
            f"text_encoder = {name!r} cannot be loaded from {folder}: {reason}  It must have config.json, a tokenizer "
            f"and model.safetensors. {CURE}"
        ) from error


def _check_length(tokenizer: Any, model: Any, max_tokens: int) -> None:
    special = tokenizer.num_special_tokens_to_add(pair=False)
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    most = min(limit for limit in limits if limit) - special
    if max_tokens > most:
        raise ConfigurationError(
            f"max_tokens = {max_tokens}: this encoder reads at most {most} word pieces of a text; "
            f"set max_tokens: {most}"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks of transformers on weights that are not used here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
