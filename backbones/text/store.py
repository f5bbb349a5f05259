"""Token embeddings of texts: computed once, kept on disk, read through memory maps."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from burnish.errors import ConfigurationError
from burnish.telling import stage
from burnish.text_encoder import cache_folder

from .cleaning import Cleaner, Word
from .shards import FORMAT, SCHEMA, ShardFolder
from .token_encoder import TokenEncoder

#: A shard takes texts until they have about so many words: half a minute's work on two cores, 30 MB for MiniLM.
WORDS_A_SHARD = 32768
#: ... or until it has so many texts.
TEXTS_A_SHARD = 4096

_LOG = logging.getLogger("burnish.text")


class TokenStore:
    """The token embeddings of a list of texts, made by `open_store`.

    The tokens of all texts, one text after the other, are the rows of a matrix that is on disk only.

    width: columns of the matrix, the encoder's hidden size.
    offsets: rows `offsets[k]:offsets[k + 1]` belong to text k, `[n_texts + 1]` int64; a text without words has none.
    vocabulary: the lemmas that occur, each once, in the order in which they first do.
    words: the number in `vocabulary` of the word that a token is a piece of, `[n_tokens]` int32.
    n_cut: how many of the texts were longer than the encoder was told to read.

    Copies and pickles hold paths, not vectors: the files must still be there.
    """

    def __init__(self, shards: ShardFolder, width: int, rows: pa.Table, names: list[str]) -> None:
        """shards, width: the cache.  rows: its index for each text, and `shard`, a number in `names`."""
        self.width = width
        self._shards, self._names = shards, names
        lengths = torch.from_numpy(_numbers(rows["length"], np.int64))
        self.offsets: Tensor = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
        self._starts = torch.from_numpy(_numbers(rows["start"], np.int64))
        self._shard = torch.from_numpy(_numbers(rows["shard"], np.int64))
        self.n_cut = int(pc.sum(rows["cut"]).as_py() or 0)
        self._places = torch.from_numpy(_numbers(pc.list_flatten(rows["places"]), np.int32))
        self._surfaces = rows["surfaces"].combine_chunks()
        self.words, self.vocabulary = _number_words(rows["lemmas"], self._places, lengths)
        self._maps: dict[int, Tensor] = {}
        self._held: Tensor | None = None
        self._held_starts, self._held_lengths = self._starts, lengths
        self._tried: torch.device | None = None

    def __len__(self) -> int:
        return len(self._starts)

    def counts(self, texts: Tensor) -> Tensor:
        """How many tokens texts have, `[n]` int64, on the device of `texts`."""
        if self._held_near(texts):
            return self._held_lengths[texts]
        places = texts.cpu()
        return (self.offsets[places + 1] - self.offsets[places]).to(texts.device)

    def take(self, texts: Tensor) -> Tensor:
        """The tokens of texts, one text after the other, in the order asked: `[T, width]` float32.

        texts: numbers of texts, `[n]`, any of them more than once.  The result is on their device.
        Raises `IndexError` for a number that is none (where they are held on a GPU, as torch does there).
        """
        if self._held_near(texts):
            return self._gathered(texts)
        places = texts.cpu()
        if len(places) and not 0 <= int(places.min()) <= int(places.max()) < len(self):
            raise IndexError(f"texts have numbers from 0 to {len(self) - 1}")
        lengths = self.offsets[places + 1] - self.offsets[places]
        if self._held is not None and self._held.device.type != "cpu":
            return self._gathered(places.to(self._held.device)).to(texts.device)
        # The smaller numbers travel to another device, and become float32 there.
        dtype = torch.float32 if texts.device.type == "cpu" else torch.float16
        tokens = _empty(int(lengths.sum()), self.width, dtype)
        starts = self._starts if self._held is None else self._held_starts
        parts = zip(
            tokens.split(lengths.tolist()), self._shard[places].tolist(), starts[places].tolist(), strict=True
        )
        # A copy a text: quicker than to gather rows by number, shard by shard.
        for part, shard, start in parts:
            part.copy_(self._map(shard).narrow(0, start, len(part)))
        return tokens.to(texts.device).float()

    def hold(self, device: str | torch.device = "cpu") -> TokenStore:
        """Keep the vectors of these texts in the memory of a device, in float16; `take` is quicker there.

        Equal texts are held once.  A copy, or what is unpickled, reads from the disk again.
        """
        lengths = self.offsets.diff()
        # Length too: a text without tokens starts where the next one does.
        where = torch.stack([self._shard, self._starts, lengths], 1)
        different, number = where.unique(dim=0, return_inverse=True)
        a_text = torch.zeros(len(different), dtype=torch.long).scatter_(0, number, torch.arange(len(self)))
        sizes = different[:, 2]
        starts = sizes.cumsum(0) - sizes
        held = torch.empty(int(sizes.sum()), self.width, dtype=torch.float16, device=device)
        for some in torch.arange(len(different)).split(1024):
            part = slice(int(starts[some[0]]), int(starts[some[-1]] + sizes[some[-1]]))
            held[part] = self.take(a_text[some]).half().to(device)
        self._held = held
        self._held_starts, self._held_lengths = starts[number].to(device), lengths.to(device)
        return self

    def hold_where_it_fits(self, device: torch.device) -> TokenStore:
        """`hold` on a device with at least twice the room free; tried once a device, else the files are read."""
        if self._tried != device:
            self._tried = device
            if 2 * 2 * self.width * int(self.offsets[-1]) <= free_memory(device):
                self.hold(device)
        return self

    def _held_near(self, texts: Tensor) -> bool:
        """Whether the vectors are on the GPU that asks, so that nothing need be copied to or from it."""
        return self._held is not None and texts.device.type != "cpu" and texts.device == self._held.device

    def _gathered(self, texts: Tensor) -> Tensor:
        """Held tokens of texts, `[T, width]` float32.  texts: on the device that holds them."""
        assert self._held is not None
        rows = _ranges(self._held_starts[texts], self._held_lengths[texts])
        return self._held.index_select(0, rows).float()

    def surface(self, k: int) -> list[str]:
        """The words of text k as they stand there, one a token: a word of three pieces comes three times."""
        words = self._surfaces[k].as_py()
        return [
            words[place] for place in self._places[int(self.offsets[k]) : int(self.offsets[k + 1])].tolist()
        ]

    def _map(self, shard: int) -> Tensor:
        if self._held is not None:
            return self._held
        if shard not in self._maps:
            self._maps[shard] = torch.from_numpy(self._shards.vectors(self._names[shard]))
        return self._maps[shard]

    def __getstate__(self) -> dict[str, Any]:
        lost = {
            "_held": None,
            "_held_starts": self._starts,
            "_held_lengths": self.offsets.diff(),
            "_tried": None,
        }
        return {**vars(self), "_maps": {}, **lost}


def open_store(
    texts: Sequence[str],
    *,
    cleaner: Cleaner | None = None,
    encoder: str | Path | None = None,
    folder: str | Path | None = None,
    max_tokens: int = 256,
    device: str | torch.device | None = None,
    show_progress: bool = True,
) -> TokenStore:
    """The token embeddings of texts; those that the cache lacks are computed and kept there.

    texts: any; equal ones are encoded once.  cleaner: by default `Cleaner()`; the encoder reads lemmas, as in the
    paper on DReX.  encoder, max_tokens, device: see `TokenEncoder`.
    folder: of all caches, `default_folder()` without.  A cache is a folder in it by encoder, max_tokens and cleaning,
    and serves any data set.  It can be deleted at any time when nothing reads it.
    show_progress: tell whoever watches the run how far it is; where nobody does, a bar on standard error.

    A process that is killed loses the shard that it was at, half a minute's work; another process that wants to
    write to the same cache waits for its turn.  Shards that are cut short, altered or from another cache are noticed,
    removed and computed anew.
    Raises `ConfigurationError` for an encoder that is not there and a folder that cannot be written to.
    """
    cleaner = cleaner or Cleaner()
    coder = TokenEncoder(encoder, device=device, max_tokens=max_tokens)
    whole = json.dumps([FORMAT, coder.fingerprint, cleaner.fingerprint])
    key = hashlib.sha256(whole.encode()).hexdigest()[:32]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", Path(coder.name).name).strip("-.") or "encoder"
    shards = ShardFolder(Path(folder or default_folder()).expanduser() / f"{name}-{key[:12]}", key)
    hashes = [_hash(text) for text in texts]
    if _missing(shards, texts, hashes):
        with shards.writing():
            # Another process may have written them while this one waited.
            wanted = _missing(shards, texts, hashes)
            shards.begin({"encoder": coder.name, "max_tokens": max_tokens, "cleaner": repr(cleaner)})
            with _progress(coder.name, len(wanted), show_progress) as advance:
                _encode(shards, coder, cleaner, wanted, advance)
    names, rows = _rows(shards, hashes)
    store = TokenStore(shards, shards.width() or coder.width, rows, names)
    if store.n_cut:
        _LOG.info(
            "%d of %d texts are longer than max_tokens = %d word pieces and are cut there",
            store.n_cut,
            len(store),
            max_tokens,
        )
    return store


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; none where that cannot be known."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0


def default_folder() -> Path:
    """Where token embeddings are kept: `text` in burnish's folder for caches.

    With `BURNISH_CACHE=off` too, as they are read from there: `text_folder` moves them.
    """
    return cache_folder() / "text"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _missing(shards: ShardFolder, texts: Sequence[str], hashes: list[str]) -> dict[str, str]:
    """The texts that no shard has, each once, by their hash."""
    have = {key for table in shards.indices().values() for key in table["text"].to_pylist()}
    return {key: text for key, text in zip(hashes, texts, strict=True) if key not in have}


def _encode(
    shards: ShardFolder,
    coder: TokenEncoder,
    cleaner: Cleaner,
    texts: dict[str, str],
    advance: Callable[[int], None],
) -> None:
    """Encode texts and write them shard by shard.

    advance: called with the number of texts done.
    """
    waiting: list[tuple[str, list[Word]]] = []
    size = 0
    for number, (key, text) in enumerate(texts.items(), start=1):
        words = cleaner.words(text)
        waiting.append((key, words))
        size += min(len(words), coder.max_tokens)
        if size >= WORDS_A_SHARD or len(waiting) >= TEXTS_A_SHARD or number == len(texts):
            _write(shards, coder, waiting, advance)
            waiting, size = [], 0


def _write(
    shards: ShardFolder,
    coder: TokenEncoder,
    texts: list[tuple[str, list[Word]]],
    advance: Callable[[int], None],
) -> None:
    """Encode texts and write them as a shard.

    texts: hash and words of each.
    """
    encoded = [coder.nothing] * len(texts)
    advance(sum(not words for _, words in texts))
    for numbers, batch in coder.encode_batches([[word.lemma for word in words] for _, words in texts]):
        for number, one in zip(numbers, batch, strict=True):
            encoded[number] = one
        advance(len(numbers))
    lengths = [len(one.places) for one in encoded]
    # Words beyond the last token are of no use.
    kept = [
        words[: one.places[-1] + 1 if len(one.places) else 0]
        for (_, words), one in zip(texts, encoded, strict=True)
    ]
    shards.add(
        {
            "text": [key for key, _ in texts],
            "start": (np.cumsum(lengths) - lengths).tolist(),
            "length": lengths,
            "cut": [one.cut for one in encoded],
            "surfaces": [[word.surface for word in words] for words in kept],
            "lemmas": [[word.lemma for word in words] for words in kept],
            "places": [one.places for one in encoded],
        },
        np.concatenate([one.vectors for one in encoded]),
    )


def _rows(shards: ShardFolder, hashes: list[str]) -> tuple[list[str], pa.Table]:
    """Names of shards, and the row of the index for each text with the number of its shard as column `shard`."""
    indices = shards.indices()
    tables = [
        table.append_column("shard", pa.array(np.full(len(table), number, dtype=np.int32)))
        for number, table in enumerate(indices.values())
    ]
    empty = SCHEMA.empty_table().append_column("shard", pa.array([], pa.int32()))
    whole = pa.concat_tables([empty, *(table.replace_schema_metadata(None) for table in tables)])
    at = pc.index_in(pa.array(hashes, pa.string()), value_set=whole["text"].combine_chunks())
    if at.null_count:
        raise ConfigurationError(
            f"text_folder: {shards.folder} was changed while it was read; let nothing else write there and start again"
        )
    return list(indices), whole.take(at)


def _number_words(lemmas: pa.ChunkedArray, places: Tensor, lengths: Tensor) -> tuple[Tensor, list[str]]:
    """The number of the word that each token is a piece of, `[n_tokens]` int32, and the words.

    lemmas: the words of each text.  places: of each token in the words of its text.  lengths: tokens of each text.
    """
    coded = pc.list_flatten(lemmas).combine_chunks().dictionary_encode()
    numbers = torch.from_numpy(_numbers(coded.indices, np.int32))
    sizes = torch.from_numpy(_numbers(pc.list_value_length(lemmas), np.int64))
    before = (sizes.cumsum(0) - sizes).repeat_interleave(lengths)
    return numbers[before + places], coded.dictionary.to_pylist()


def _numbers(column: Any, dtype: Any) -> Any:
    return np.array(column.to_numpy(zero_copy_only=False), dtype=dtype)


def _empty(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """As torch.empty; NumPy asks the system for large pages, which makes tens of megabytes three times as quick."""
    kind = np.float32 if dtype == torch.float32 else np.float16
    return torch.from_numpy(np.empty((rows, columns), dtype=kind))


def _ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """`starts[0], starts[0] + 1, ...` of length `lengths[0]`, then the same for the next, in one vector."""
    before = lengths.cumsum(0) - lengths
    return torch.arange(int(lengths.sum()), device=starts.device) + (starts - before).repeat_interleave(
        lengths
    )


@contextmanager
def _progress(name: str, total: int, show: bool) -> Iterator[Callable[[int], None]]:
    """A function that moves on by a number of texts: the stage of a run, whose display is the only one, or a bar."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    steps = stage(f"texts encoded by {Path(name).name}:", total) if show else None
    if steps is not None:
        yield steps.step
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not show) as bar:
        task = bar.add_task(f"texts encoded by {name}", total=total)

        def advance(done: int) -> None:
            bar.update(task, advance=done)

        yield advance
