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

from .course import Course, loss_trajectory, mean_loss, resampled
from .experiment import Experiment, score_temperature, scorer_of, train, vectors_of
from .slices import leave_one_out, one_slice


@dataclass
class TrainedBackbone:
    """A trained backbone and what judges need of it.

    users, items: `[n]` training interactions.  course: their scores in every epoch.
    user_vectors: None for a backbone without a table of users.
    """

    experiment: Experiment
    model: Any
    users: Tensor
    items: Tensor
    user_vectors: Tensor | None
    item_vectors: Tensor
    course: Course
    epochs: int
    seed: int
    kept: dict[str, Tensor] = field(default_factory=dict)

    def joint(self) -> dict[str, Tensor]:
        """The outputs of `joint_values`, computed once."""
        if not self.kept:
            self.kept = joint_values(self.users, self.items, self.item_vectors, seed=self.seed)
        return self.kept


def train_backbone(experiment: Experiment, *, epochs: int, seed: int) -> TrainedBackbone:
    """Train the backbone of an experiment and gather what judges need."""
    users, items = torch.as_tensor(experiment.users), torch.as_tensor(experiment.items)
    course = Course()

    def after_epoch(model: Any, epoch: int) -> None:
        course.add(scorer_of(experiment, model), users, items, experiment.n_items, seed + epoch)

    model = train(experiment, epochs=epochs, seed=seed, after_epoch=after_epoch)
    user_vectors, item_vectors = vectors_of(experiment, model)
    return TrainedBackbone(experiment, model, users, items, user_vectors, item_vectors, course, epochs, seed)


@dataclass(frozen=True)
class Judge:
    """compute gives values `[n]`, higher for more valuable.  baseline: whether it is one to beat.

    trains: whether it trains further models (left out unless asked for).
    """

    name: str
    text: str
    compute: Callable[[TrainedBackbone], Tensor]
    baseline: bool
    trains: bool = False


def _random(trained: TrainedBackbone) -> Tensor:
    return torch.rand(len(trained.users), generator=torch.Generator().manual_seed(trained.seed))


def _loss(trained: TrainedBackbone) -> Tensor:
    return objectives.ranking_loss(
        scorer_of(trained.experiment, trained.model),
        trained.users,
        trained.items,
        trained.experiment.n_items,
        seed=trained.seed,
    )


def _gradient_norm(trained: TrainedBackbone) -> Tensor:
    if trained.user_vectors is None or trained.user_vectors.shape[1] != trained.item_vectors.shape[1]:
        raise UnsupportedError(
            "the judge gradient_norm needs tables of users and items of the same width; leave it out for this backbone"
        )
    scale = score_temperature(trained.model) ** -0.5  # of both: products are what the loss is made of
    return objectives.gradient_norm(
        trained.users,
        trained.items,
        scale * trained.user_vectors,
        scale * trained.item_vectors,
        seed=trained.seed,
    )


def _leave_one_out(trained: TrainedBackbone) -> Tensor:
    return leave_one_out(trained.users, trained.items, trained.item_vectors, seed=trained.seed)


def _out_of_sample(trained: TrainedBackbone) -> Tensor:
    experiment = trained.experiment

    def fit(rows: Tensor, seed: int) -> objectives.Scorer:
        return scorer_of(experiment, train(experiment, rows.numpy(), epochs=trained.epochs, seed=seed))

    def judge(scorer: objectives.Scorer, users: Tensor, items: Tensor) -> Tensor:
        return objectives.ranking_loss(scorer, users, items, experiment.n_items, seed=trained.seed)

    return objectives.out_of_sample(fit, judge, trained.users, trained.items, seed=trained.seed)


def _in_run(trained: TrainedBackbone) -> Tensor:
    """Trains once more, from the same seed: measuring leaves no trace, so the course of training is the same."""
    return in_run_values(trained.experiment, epochs=trained.epochs, seed=trained.seed)


def in_run_values(experiment: Experiment, *, epochs: int, seed: int) -> Tensor:
    """What training steps did for half of their own rows, to first order: `[n]`, means over all steps of a run.

    Every step is measured (see `first_order_values`); the warm-up lasts for the whole run, so nothing is reweighted.
    An interaction that was never measured gets 0.
    """
    enhancer = Shapley(values="in-run", in_run_share=1.0, warmup_epochs=max(epochs, 1), seed=seed)
    model = train(
        experiment, epochs=epochs, seed=seed, model_class=enhance(experiment.config.model_class, enhancer)
    )
    sums, counts = model.enhancers[Shapley.name].measured.cpu()
    return sums / counts.clamp_min(1)


def _output(name: str) -> Callable[[TrainedBackbone], Tensor]:
    return lambda trained: trained.joint()[name]


def _joint(trained: TrainedBackbone) -> Tensor:
    return joint_sum(trained.joint(), trained.users)


JUDGES = {
    judge.name: judge
    for judge in (
        Judge("random", "a random number", _random, True),
        Judge(
            "popularity",
            "how often the item occurs",
            lambda trained: objectives.popularity(trained.items, trained.experiment.n_items),
            True,
        ),
        Judge("loss", "training loss, negated", _loss, True),
        Judge(
            "loss_course",
            "training loss averaged over epochs, negated",
            lambda trained: mean_loss(trained.course),
            True,
        ),
        Judge(
            "loss_trajectory",
            "mean, slope and spread of the loss over epochs, in two clusters",
            lambda trained: loss_trajectory(trained.course),
            True,
        ),
        Judge(
            "pld",
            "how often PLD's resampling would train it: its loss among the user's own",
            lambda trained: resampled(trained.course, trained.users, seed=trained.seed),
            True,
        ),
        Judge("gradient_norm", "norm of the loss's gradient, negated", _gradient_norm, True),
        Judge("leave_one_out", "what the profile loses without the interaction", _leave_one_out, True),
        Judge(
            "similarity",
            "cosine to the rest of the profile",
            lambda trained: objectives.profile_similarity(trained.users, trained.items, trained.item_vectors),
            True,
        ),
        Judge("out_of_sample", "loss under models trained without it", _out_of_sample, True, trains=True),
        Judge("in_run", "what its training steps did for other rows", _in_run, False, trains=True),
        Judge(
            "one_slice",
            "Shapley value against one slice of a tenth",
            lambda trained: one_slice(trained.users, trained.items, trained.item_vectors, seed=trained.seed),
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
