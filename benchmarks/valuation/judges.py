"""What judges interactions here: the baselines and the values that are compared with them, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from burnish.enhancers.attach import enhance
from burnish.enhancers.shapley import objectives
from burnish.enhancers.shapley.joint import joint_sum, joint_values
from burnish.enhancers.shapley.shapley import Shapley
from burnish.errors import UnsupportedError, unknown_name

from .slices import leave_one_out, one_slice
from .world import World, scorer_of, train, vectors_of


@dataclass
class Material:
    """A trained backbone and what judges need of it.

    users, items: `[n]` training interactions.  course: `[n]`, the ranking loss (negated) averaged over all epochs.
    user_vectors: None for a backbone without a table of users.
    """

    world: World
    model: Any
    users: Tensor
    items: Tensor
    user_vectors: Tensor | None
    item_vectors: Tensor
    course: Tensor
    epochs: int
    seed: int
    kept: dict[str, Tensor] = field(default_factory=dict)

    def joint(self) -> dict[str, Tensor]:
        """The outputs of `joint_values`, computed once."""
        if not self.kept:
            self.kept = joint_values(self.users, self.items, self.item_vectors, seed=self.seed)
        return self.kept


def material(world: World, *, epochs: int, seed: int) -> Material:
    """Train the backbone of a world and gather what judges need."""
    users, items = torch.as_tensor(world.users), torch.as_tensor(world.items)
    total = torch.zeros(len(users))

    def after_epoch(model: Any, epoch: int) -> None:
        scores = scorer_of(world, model)
        total.add_(
            objectives.ranking_loss(scores, users, items, world.n_items, negatives=1, seed=seed + epoch)
        )

    model = train(world, epochs=epochs, seed=seed, after_epoch=after_epoch)
    user_vectors, item_vectors = vectors_of(world, model)
    return Material(world, model, users, items, user_vectors, item_vectors, total / epochs, epochs, seed)


@dataclass(frozen=True)
class Judge:
    """compute gives values `[n]`, higher for more valuable.  baseline: whether it is one to beat.

    trains: whether it trains further models (left out unless asked for).
    """

    name: str
    text: str
    compute: Callable[[Material], Tensor]
    baseline: bool
    trains: bool = False


def _random(m: Material) -> Tensor:
    return torch.rand(len(m.users), generator=torch.Generator().manual_seed(m.seed))


def _loss(m: Material) -> Tensor:
    return objectives.ranking_loss(
        scorer_of(m.world, m.model), m.users, m.items, m.world.n_items, seed=m.seed
    )


def _gradient_norm(m: Material) -> Tensor:
    if m.user_vectors is None or m.user_vectors.shape[1] != m.item_vectors.shape[1]:
        raise UnsupportedError(
            "the judge gradient_norm needs tables of users and items of the same width; leave it out for this backbone"
        )
    return objectives.gradient_norm(m.users, m.items, m.user_vectors, m.item_vectors, seed=m.seed)


def _leave_one_out(m: Material) -> Tensor:
    return leave_one_out(m.users, m.items, m.item_vectors, seed=m.seed)


def _out_of_sample(m: Material) -> Tensor:
    world = m.world

    def fit(rows: Tensor, seed: int) -> objectives.Scorer:
        return scorer_of(world, train(world, rows.numpy(), epochs=m.epochs, seed=seed))

    def judge(scorer: objectives.Scorer, users: Tensor, items: Tensor) -> Tensor:
        return objectives.ranking_loss(scorer, users, items, world.n_items, seed=m.seed)

    return objectives.out_of_sample(fit, judge, m.users, m.items, seed=m.seed)


def _in_run(m: Material) -> Tensor:
    """Trains once more, from the same seed: measuring leaves no trace, so the course of training is the same."""
    return in_run_values(m.world, epochs=m.epochs, seed=m.seed)


def in_run_values(world: World, *, epochs: int, seed: int) -> Tensor:
    """What training steps did for half of their own rows, to first order: `[n]`, means over all steps of a run.

    Every step is measured (see `first_order_values`); the warm-up lasts for the whole run, so nothing is reweighted.
    An interaction that was never measured gets 0.
    """
    enhancer = Shapley(values="in-run", in_run_share=1.0, warmup_epochs=max(epochs, 1), seed=seed)
    model = train(world, epochs=epochs, seed=seed, model_class=enhance(world.config.model_class, enhancer))
    sums, counts = model.enhancers[Shapley.name].measured.cpu()
    return sums / counts.clamp_min(1)


def _output(name: str) -> Callable[[Material], Tensor]:
    return lambda m: m.joint()[name]


def _joint(m: Material) -> Tensor:
    return joint_sum(m.joint(), m.users)


JUDGES = {
    judge.name: judge
    for judge in (
        Judge("random", "a random number", _random, True),
        Judge(
            "popularity",
            "how often the item occurs",
            lambda m: objectives.popularity(m.items, m.world.n_items),
            True,
        ),
        Judge("loss", "training loss, negated", _loss, True),
        Judge("loss_course", "training loss averaged over epochs, negated", lambda m: m.course, True),
        Judge("gradient_norm", "norm of the loss's gradient, negated", _gradient_norm, True),
        Judge("leave_one_out", "what the profile loses without the interaction", _leave_one_out, True),
        Judge(
            "similarity",
            "cosine to the rest of the profile",
            lambda m: objectives.profile_similarity(m.users, m.items, m.item_vectors),
            True,
        ),
        Judge("out_of_sample", "loss under models trained without it", _out_of_sample, True, trains=True),
        Judge("in_run", "what its training steps did for other rows", _in_run, False, trains=True),
        Judge(
            "one_slice",
            "Shapley value against one slice of a tenth",
            lambda m: one_slice(m.users, m.items, m.item_vectors, seed=m.seed),
            False,
        ),
        Judge("profile", "cross-fitted Shapley value", _output("profile"), False),
        Judge(
            "profile_beyond_popularity",
            "the same, popularity controlled",
            _output("profile_beyond_popularity"),
            False,
        ),
        Judge(
            "regression", "Shapley value of predicting the user's other items", _output("regression"), False
        ),
        Judge("joint", "sum of the last three, standardised within user", _joint, False),
    )
}


def find_judges(names: list[str] | None) -> list[Judge]:
    """Judges by name; None gives all that train no further models.  Raises `UnknownNameError`."""
    if names is None:
        return [judge for judge in JUDGES.values() if not judge.trains]
    for name in names:
        if name not in JUDGES:
            raise unknown_name("judge", name, JUDGES)
    return [JUDGES[name] for name in names]
