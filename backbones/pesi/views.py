"""Two views of users or items, by their ratings and by their reviews: what both share, and what each keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Views(nn.Module):
    """Shared and private features of the two views of one side: `tanh(W e + b)` of a vector for each view.

    size: of the vectors and of the features.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        names = ("rating_shared", "rating_private", "review_shared", "review_private")
        self.of = nn.ModuleDict({name: nn.Linear(size, size) for name in names})

    def rating(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Shared and private features of the view of ratings, `[n, size]` each."""
        return self._pair("rating", vectors)

    def review(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Shared and private features of the view of reviews, `[n, size]` each."""
        return self._pair("review", vectors)

    def _pair(self, view: str, vectors: Tensor) -> tuple[Tensor, Tensor]:
        shared, private = (torch.tanh(self.of[f"{view}_{kind}"](vectors)) for kind in ("shared", "private"))
        return shared, private


def contrast(shared: tuple[Tensor, Tensor], private: tuple[Tensor, Tensor], temperature: float) -> Tensor:
    """How hard the shared features of one's two views are to tell from all others; a mean over both views.

    shared, private: of the view of ratings and of that of reviews, each `[n, size]`, of n different users (items).

    For row k of one view the likely partner is row k of the other's shared features; to be told from it are the other
    rows there and k's own private features of both views: -log softmax of cosines / temperature (InfoNCE).  So the
    shared features of the views come together, and the private ones go away from them.
    """
    a, b = (nn.functional.normalize(part, dim=1) for part in shared)
    kept = torch.stack([nn.functional.normalize(part, dim=1) for part in private], dim=1)
    right = torch.arange(len(a), device=a.device)
    total = a.new_zeros(())
    for one, other in ((a, b), (b, a)):
        own = (kept @ one.unsqueeze(2)).squeeze(2)
        logits = torch.cat([one @ other.T, own], dim=1) / temperature
        total = total + nn.functional.cross_entropy(logits, right)
    return total / 2


class RatingReader(nn.Module):
    """Reads the class of a rating from features of user and item: a linear layer over both.

    size: of the features of each.  classes: how many ratings there are.
    """

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * size, classes)

    def error(self, features: Tensor, classes: Tensor) -> Tensor:
        """Cross-entropy; the reader alone learns from it.  features: `[n, 2 size]`; classes: `[n]`."""
        return nn.functional.cross_entropy(self.layer(features.detach()), classes)

    def certainty(self, features: Tensor) -> Tensor:
        """How far the reader is from undecided: ln(classes) less the mean entropy; the features alone learn from it."""
        layer = self.layer
        log = torch.log_softmax(
            nn.functional.linear(features, layer.weight.detach(), layer.bias.detach()), dim=1
        )
        entropy = -(log.exp() * log).sum(1).mean()
        return torch.log(entropy.new_tensor(float(log.shape[1]))) - entropy
