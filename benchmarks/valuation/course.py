"""What training says of interactions from epoch to epoch: the detectors of noise that look at losses."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from burnish.enhancers.shapley.objectives import Scorer

#: Of PLD, as its code has them: interactions in a pool, what losses are divided by, epochs before any is resampled.
POOL, TEMPERATURE, BEGIN = 5, 0.1, 5


@dataclass
class Course:
    """Scores of interactions `[n]` and of an item drawn for each, an entry an epoch."""

    own: list[Tensor] = field(default_factory=list)
    drawn: list[Tensor] = field(default_factory=list)

    def add(self, scorer: Scorer, users: Tensor, items: Tensor, n_items: int, seed: int) -> None:
        """Note an epoch.  What users know is drawn, too, which shifts all of their interactions alike."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(n_items, (len(users),), generator=generator).to(users.device)
        self.own.append(scorer(users, items))
        self.drawn.append(scorer(users, drawn))

    def losses(self) -> Tensor:
        """The BPR loss `[epochs, n]` of each interaction against the item drawn for it."""
        return F.softplus(torch.stack(self.drawn) - torch.stack(self.own))


def mean_loss(course: Course) -> Tensor:
    """The loss averaged over epochs, negated: `[n]`."""
    return -course.losses().mean(0)


def loss_trajectory(course: Course) -> Tensor:
    """How far an interaction's losses go with the cluster that training learns first, `[n]`.

    Features of the losses over epochs are their mean, the slope of the least-squares line and the standard deviation
    around it, each standardised over all interactions.  Two clusters (k-means) begin at the tenths with the lowest and
    the highest mean; the value is the squared distance from the centre of the high one less that from the low one's, a
    log-odds of two round clusters of one size.

    CTRL (Yue and Jha, "CTRL: Clustering TRaining Losses for label error detection", IEEE Transactions on Artificial
    Intelligence 2024) clusters whole curves of losses, and calls the cluster of high ones noise; features in the place
    of curves and a value in the place of a decision are ours.
    """
    losses = course.losses().double()
    epochs = torch.arange(len(losses), dtype=losses.dtype)
    epochs = (epochs - epochs.mean()).unsqueeze(1)
    mean = losses.mean(0)
    slope = (epochs * losses).sum(0) / epochs.square().sum().clamp_min(1.0)
    spread = (losses - mean - slope * epochs).square().mean(0).sqrt()
    features = torch.stack([mean, slope, spread], 1)
    deviation = features.std(0, correction=0)
    features = (features - features.mean(0)) / torch.where(deviation > 0, deviation, 1.0)
    order = mean.argsort(stable=True)
    tenth = max(1, len(order) // 10)
    low, high = features[order[:tenth]].mean(0), features[order[-tenth:]].mean(0)
    for _ in range(100):
        lower = (features - low).square().sum(1) <= (features - high).square().sum(1)
        if lower.all() or not lower.any():
            break
        before, (low, high) = (low, high), (features[lower].mean(0), features[~lower].mean(0))
        if torch.equal(before[0], low) and torch.equal(before[1], high):
            break
    return ((features - high).square().sum(1) - (features - low).square().sum(1)).float()


def resampled(course: Course, users: Tensor, *, seed: int) -> Tensor:
    """How often PLD's resampling would train an interaction, of how often it is in a pool, `[n]`; chance is 1.

    PLD (Zhang et al., "Personalized denoising implicit feedback for robust recommender system", WWW 2025, arXiv
    2502.00348; github.com/Kaike-Zhang/PLD): for a user, a pool of `POOL` of their interactions is drawn, and of these
    the one that is trained, with probabilities softmax(-loss / `TEMPERATURE`), all losses against the same negative; so
    an interaction stands against its own user's only.  The first `BEGIN` epochs resample nothing.

    Ours: the probabilities as values, times `POOL`, and their mean over epochs, in which each interaction has a pool of
    its own (its user's next ones in a random order, anew each epoch) and the negative that was drawn for it.  A run of
    `BEGIN` epochs or fewer is looked at in its last one.  Training itself is not changed.
    """
    begin = min(BEGIN, len(course.own) - 1)
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(len(users), dtype=torch.float64)
    for own, drawn in zip(course.own[begin:], course.drawn[begin:], strict=True):
        pools = own[neighbours(users, POOL, generator)]
        losses = F.softplus(drawn.unsqueeze(1) - pools).double()
        total += POOL * (-losses / TEMPERATURE).softmax(1)[:, 0]
    return (total / (len(course.own) - begin)).float()


def neighbours(users: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Of each interaction, itself and the next ones of its user in a random order that goes round: `[n, size]`.

    So all sets of others are equally likely; of a user with fewer interactions some come twice.
    """
    shuffled = torch.randperm(len(users), generator=generator)
    order = shuffled[users[shuffled].argsort(stable=True)]
    _, index, counts = torch.unique(users[order], return_inverse=True, return_counts=True)
    starts = (counts.cumsum(0) - counts)[index]
    place = torch.arange(len(order)) - starts
    steps = (place.unsqueeze(1) + torch.arange(size)) % counts[index].unsqueeze(1)
    found = torch.empty(len(order), size, dtype=torch.long)
    found[order] = order[starts.unsqueeze(1) + steps]
    return found
