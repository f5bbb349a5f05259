"""What models on review slots compute, by loops over single words, reviews and ratings in double precision."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class StandInWords:
    """Word vectors drawn at random by the word, the same in every data set: what `open_words` gives."""

    def __init__(self, texts: Sequence[str], width: int = 4) -> None:
        words = [text.split() for text in texts]
        vocabulary = sorted({word for text in words for word in text})
        numbers = {word: number for number, word in enumerate(vocabulary, 1)}
        self.vectors = torch.zeros(len(vocabulary) + 1, width)
        for word, number in numbers.items():
            generator = torch.Generator().manual_seed(zlib.crc32(word.encode()))
            self.vectors[number] = torch.randn(width, generator=generator)
        self._numbers = [[numbers[word] for word in text if word != "the"] for text in words]

    def padded(self, texts: torch.Tensor, length: int) -> torch.Tensor:
        found = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in enumerate(texts.tolist()):
            for place, number in enumerate(self._numbers[text][:length]):
                found[row, place] = number
        return found


def number(tensor: torch.Tensor) -> Vector:
    return tensor.detach().double().numpy()


def text_features(cnn: Any, tokens: Sequence[int]) -> Vector:
    """max over t of relu(sum over j of v_(t+j) . K_j + b), windows centred on each word."""
    vectors, kernel, bias = number(cnn.vectors), number(cnn.kernel), number(cnn.bias)
    words = [token for token in tokens if token > 0]
    before = (len(kernel) - 1) // 2
    best = np.zeros(kernel.shape[2])
    for t in range(len(words)):
        total = bias.copy()
        for j in range(len(kernel)):
            if 0 <= t + j - before < len(words):
                total += vectors[words[t + j - before]] @ kernel[j]
        best = np.maximum(best, total)
    return best


def reviews_of(model: Any, side: str, owner: int, hidden: int | None = None) -> list[tuple[int, int]]:
    """(event, other id) of the newest readable reviews, newest first; without those of the hidden other."""
    owners, others = model.event_users.tolist(), model.event_items.tolist()
    if side == "item":
        owners, others = others, owners
    texts, shown = model.event_texts.tolist(), model.shown.tolist()
    found = [
        (event, others[event])
        for event in reversed(range(len(owners)))
        if owners[event] == owner
        and texts[event] >= 0
        and shown[event]
        and int(model.tokens[texts[event], 0]) > 0
    ]
    return [(event, other) for event, other in found[: model.max_reviews] if other != hidden]


def features_of(model: Any, side: str, event: int) -> Vector:
    """Features of one event's review."""
    return text_features(model.text_cnn[side], model.tokens[int(model.event_texts[event])].tolist())


def linear(layer: Any, values: Vector) -> Vector:
    found = number(layer.weight) @ values
    return found if layer.bias is None else found + number(layer.bias)


def weighted(features: Sequence[Vector], logits: Sequence[float], filters: int) -> tuple[Vector, Vector]:
    """The features' mean by the softmax of the logits, and the weights; zeros without features."""
    if not features:
        return np.zeros(filters), np.zeros(0)
    powers = np.exp(np.array(logits) - max(logits))
    weights = powers / powers.sum()
    return sum(
        (weight * one for weight, one in zip(weights, features, strict=True)), np.zeros(filters)
    ), weights


def narre_side(model: Any, side: str, owner: int, hidden: int | None = None) -> tuple[Vector, Vector]:
    """q + X or p + Y of one user or item, and the weights of the reviews."""
    useful = model.usefulness[side]
    reviews = reviews_of(model, side, owner, hidden)
    features = [features_of(model, side, event) for event, _ in reviews]
    logits = [
        float(
            linear(
                useful.output,
                np.maximum(
                    linear(useful.of_text, one)
                    + linear(useful.of_other, number(useful.other_embedding.weight)[other]),
                    0,
                ),
            )[0]
        )
        for one, (_, other) in zip(features, reviews, strict=True)
    ]
    pooled, weights = weighted(features, logits, model.filters)
    return number(table(model, side).weight)[owner] + linear(model.dense[side], pooled), weights


def rated(model: Any, side: str, owner: int, hidden: int | None = None) -> Vector:
    """HRDR's m: two layers over the dense rating vector."""
    encoder = model.rated[side]
    owners, others = model.event_users.tolist(), model.event_items.tolist()
    n = model.n_items
    if side == "item":
        owners, others, n = others, owners, model.n_users
    vector, count = np.zeros(n), 0
    low, high = model.scale
    for event, rating in enumerate(model.event_ratings.tolist()):
        if owners[event] == owner and others[event] != hidden:
            vector[others[event]] += (rating - model.mean) / (high - low)
            count += 1
    first = vector @ number(encoder.first) / np.sqrt(max(count, 1))
    return linear(encoder.second, np.maximum(first + number(encoder.bias), 0))


def hrdr_side(model: Any, side: str, owner: int, hidden: int | None = None) -> tuple[Vector, Vector]:
    """[m; n; e] of one user or item, and the weights of the reviews."""
    of_ratings = rated(model, side, owner, hidden)
    informative = model.informative[side]
    reviews = reviews_of(model, side, owner, hidden)
    features = [features_of(model, side, event) for event, _ in reviews]
    logits = [
        float(linear(informative.output, np.maximum(linear(informative.hidden, one * of_ratings), 0))[0])
        for one in features
    ]
    pooled, weights = weighted(features, logits, model.filters)
    said = linear(model.dense[side], pooled)
    return np.concatenate([of_ratings, said, number(table(model, side).weight)[owner]]), weights


def table(model: Any, side: str) -> Any:
    return model.user_embedding if side == "user" else model.item_embedding


SIDES = {"NARRE": narre_side, "HRDR": hrdr_side}


def rating(model: Any, user: int, item: int, *, training: bool) -> float:
    """The predicted rating of one pair."""
    one_side = SIDES[type(model).__name__]
    left, _ = one_side(model, "user", user, item if training else None)
    right, _ = one_side(model, "item", item, user if training else None)
    biases = number(model.user_bias.weight)[user, 0] + number(model.item_bias.weight)[item, 0]
    return float(number(model.output.weight)[0] @ (left * right) + biases + model.mean)
