"""The contrast of shared and private features, and the reader that is to be undecided, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from burnish.backbones.pesi.views import RatingReader, Views, contrast


def drawn(n: int, size: int, seed: int) -> torch.Tensor:
    return torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_contrast_agrees_with_loops() -> None:
    shared, private = (drawn(4, 3, 0), drawn(4, 3, 1)), (drawn(4, 3, 2), drawn(4, 3, 3))

    def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
        x, y = a.numpy(), b.numpy()
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    total = 0.0
    for one, other in ((0, 1), (1, 0)):
        for k in range(4):
            right = math.exp(cosine(shared[one][k], shared[other][k]) / 0.3)
            others = [math.exp(cosine(shared[one][k], shared[other][m]) / 0.3) for m in range(4)]
            own = [math.exp(cosine(shared[one][k], part[k]) / 0.3) for part in private]
            total += -math.log(right / (sum(others) + sum(own))) / 4
    assert float(contrast(shared, private, 0.3)) == pytest.approx(total / 2)


def test_the_contrast_is_low_where_views_agree_and_private_features_differ() -> None:
    one = torch.eye(4, 6)
    apart = torch.zeros(4, 6)
    apart[:, 5] = 1.0
    good = contrast((one, one), (apart, apart), 0.1)
    assert float(good) < 0.01
    assert float(contrast((one, one), (one, apart), 0.1)) > 0.5, "private features that are the shared ones"
    assert float(contrast((one, one.flip(0)), (apart, apart), 0.1)) > 5, "views of others"


def test_the_reader_learns_from_its_error_and_features_from_its_certainty() -> None:
    reader = RatingReader(2, 5).double()
    features = drawn(6, 4, 0).requires_grad_()
    reader.error(features, torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    assert features.grad is None
    assert reader.layer.weight.grad is not None
    reader.zero_grad()
    reader.certainty(features).backward()
    assert features.grad is not None
    assert bool(features.grad.any())
    assert reader.layer.weight.grad is None or not bool(reader.layer.weight.grad.any())
    with torch.no_grad():
        probabilities = torch.softmax(reader.layer(features), dim=1).numpy()
    entropies = -(probabilities * np.log(probabilities)).sum(axis=1)
    assert float(reader.certainty(features)) == pytest.approx(math.log(5) - entropies.mean())


def test_views_are_told_apart() -> None:
    views = Views(3).double()
    vectors = drawn(2, 3, 5)
    found = [*views.rating(vectors), *views.review(vectors)]
    for part, name in zip(found, views.of, strict=True):
        layer = views.of[name]
        expected = np.tanh(vectors.numpy() @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
        np.testing.assert_allclose(part.detach().numpy(), expected)
