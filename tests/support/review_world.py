"""Small data sets with reviews, written as a user has them, and models on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

NAME = "tiny-reviews"
WORDS = (
    "strings",
    "tone",
    "cable",
    "sturdy",
    "cheap",
    "warm",
    "pedal",
    "noise",
    "tuner",
    "battery",
    "broke",
    "love",
)
HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"

Row = tuple[str, str, float, int, str]


def rows_of(n_users: int = 12, n_items: int = 9, each: int = 6, *, seed: int = 0) -> list[Row]:
    """User, item, rating, time and review; one review in six is missing."""
    draw = random.Random(seed)
    found: list[Row] = []
    for user in range(n_users):
        for item in draw.sample(range(n_items), each):
            rating = float(min(5, max(1, 3 + (user % 3) - (item % 2) + draw.choice([-1, 0, 1]))))
            text = "" if draw.random() < 1 / 6 else " ".join(draw.choices(WORDS, k=draw.randint(2, 7)))
            found.append((f"u{user}", f"i{item}", rating, draw.randint(1, 10_000), text))
    draw.shuffle(found)
    return found


def write_reviews(folder: Path, rows: Sequence[Row] | None = None, name: str = NAME) -> Path:
    """The data set in `folder / name`; the folder, which is RecBole's data_path."""
    rows = rows_of() if rows is None else rows
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    lines = [f"{user}\t{item}\t{rating:g}\t{time}\n" for user, item, rating, time, _ in rows]
    (home / f"{name}.inter").write_text(HEADER + "".join(lines), encoding="utf-8")
    texts = [f"{user}\t{item}\t{time}\t{text}\n" for user, item, _, time, text in rows if text]
    (home / f"{name}.reviews.tsv").write_text(
        "user_id\titem_id\ttimestamp\treview\n" + "".join(texts), encoding="utf-8"
    )
    return folder


def build(model: str | type, folder: Path, name: str = NAME, **options: Any) -> Any:
    """`World` (see `burnish.enhancers.conformance.world`) of a review model on a data set of `write_reviews`."""
    import burnish  # noqa: F401  (RecBole has to know of it)
    from burnish.enhancers.conformance.world import world_of

    settings: Mapping[str, Any] = {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "saved"),
        "embedding_size": 8,
        "train_batch_size": 16,
        "epochs": 2,
        "show_progress": False,
        **options,
    }
    return world_of(model, name, settings)


class StandInStore:
    """Token embeddings drawn at random by the word: what `TokenStore` gives, without an encoder."""

    def __init__(
        self, texts: Sequence[str], width: int = 5, cut: Callable[[str], list[str]] = str.split
    ) -> None:
        words = [cut(text) for text in texts]
        self.vocabulary = sorted({word for text in words for word in text})
        numbers = {word: number for number, word in enumerate(self.vocabulary)}
        self.width = width
        self.words = torch.tensor([numbers[word] for text in words for word in text], dtype=torch.int32)
        self.offsets = torch.tensor([0, *map(len, words)]).cumsum(0)
        generator = torch.Generator().manual_seed(7)
        table = torch.randn(len(self.vocabulary), width, generator=generator)
        self._tokens = table[self.words.long()]
        self._surface = words

    def surface(self, text: int) -> list[str]:
        return self._surface[text]

    def counts(self, texts: torch.Tensor) -> torch.Tensor:
        return self.offsets[texts + 1] - self.offsets[texts]

    def take(self, texts: torch.Tensor) -> torch.Tensor:
        parts = [self._tokens[self.offsets[k] : self.offsets[k + 1]] for k in texts.tolist()]
        return torch.cat(parts) if parts else torch.zeros(0, self.width)
