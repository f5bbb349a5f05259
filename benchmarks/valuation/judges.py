"""What judges interactions here: the baselines and the values that are compared with them, by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from burnish.enhancers.attach import enhance
from burnish.enhancers.clean.planted import suspicion
from burnish.enhancers.shapley import objectives
from burnish.enhancers.shapley.joint import OUTPUTS, joint_part, joint_sum
from burnish.enhancers.shapley.ranking import ranking_values
from burnish.enhancers.shapley.shapley import Shapley
from burnish.errors import ConfigurationError, UnsupportedError, unknown_name

from .course import Course, loss_trajectory, mean_loss, resampled
from .experiment import Experiment, score_temperature, scorer_of, train, vectors_of
from .slices import leave_one_out, one_slice
from .svv import svv_values
from .triplets import triplet_shapley

#: What makes the published valuers about as dear as the judge `joint` on ml-100k; `budget_times` multiplies both.
SVV_PASSES, TRIPLET_ROUNDS = 1, 1


@dataclass
class TrainedBackbone:
    """A trained backbone and what judges need of it.

    users, items: `[n]` training interactions.  course: their scores in every epoch.
    user_vectors: None for a backbone without a table of users.
    budget_times: by how much judges that can take any time take more of it (`Judge.budgeted`).
    spared: seconds of the processor that were not spent again for values that had been computed before; of a judge's
        cost they are a part.
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
    budget_times: float = 1.0
    spared: float = 0.0
    kept: dict[str, tuple[Tensor, float]] = field(default_factory=dict)

    def part(self, name: str) -> Tensor:
        """One of the outputs of `joint_values`, computed once."""
        if name in self.kept:
            self.spared += self.kept[name][1]
        else:
            started = time.process_time()
            values = joint_part(name, self.users, self.items, self.item_vectors, seed=self.seed)
            self.kept[name] = values, time.process_time() - started
        return self.kept[name][0]


def train_backbone(
    experiment: Experiment, *, epochs: int, seed: int, budget_times: float = 1.0
) -> TrainedBackbone:
    """Train the backbone of an experiment and gather what judges need.

    Raises `ConfigurationError` for a budget that is no number above 0.
    """
    if not 0 < budget_times < math.inf:
        raise ConfigurationError(f"budget_times = {budget_times:g}; give a number above 0")
    users, items = torch.as_tensor(experiment.users), torch.as_tensor(experiment.items)
    course = Course()

    def after_epoch(model: Any, epoch: int) -> None:
        course.add(scorer_of(experiment, model), users, items, experiment.n_items, seed + epoch)

    model = train(experiment, epochs=epochs, seed=seed, after_epoch=after_epoch)
    user_vectors, item_vectors = vectors_of(experiment, model)
    return TrainedBackbone(
        experiment, model, users, items, user_vectors, item_vectors, course, epochs, seed, budget_times
    )


@dataclass(frozen=True)
class Judge:
    """compute gives values `[n]`, higher for more valuable.  baseline: whether it is one to beat.

    trains: whether it trains backbones or classifiers of its own (left out unless asked for).
    budgeted: whether `budget_times` makes it take longer.
    """

    name: str
    text: str
    compute: Callable[[TrainedBackbone], Tensor]
    baseline: bool
    trains: bool = False
    budgeted: bool = False


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
    return lambda trained: trained.part(name)


def _joint(trained: TrainedBackbone) -> Tensor:
    return joint_sum({name: trained.part(name) for name in OUTPUTS}, trained.users)


def _ranking(trained: TrainedBackbone) -> Tensor:
    return ranking_values(trained.users, trained.items, trained.item_vectors, seed=trained.seed, repeats=2)


def _svv(trained: TrainedBackbone, *, others: bool = False) -> Tensor:
    return svv_values(
        trained.users,
        trained.items,
        trained.experiment.n_items,
        others=others,
        passes=max(1, round(SVV_PASSES * trained.budget_times)),
        seed=trained.seed,
    )


def _triplet_shapley(trained: TrainedBackbone) -> Tensor:
    rounds = max(1, round(TRIPLET_ROUNDS * trained.budget_times))
    return triplet_shapley(
        trained.users, trained.items, trained.item_vectors, rounds=rounds, seed=trained.seed
    )


def _clean(trained: TrainedBackbone) -> Tensor:
    """Every kind by itself and without the trial on held-out rows: what is judged is the order."""
    experiment = trained.experiment
    found = suspicion(
        trained.users,
        trained.items,
        experiment.n_users,
        experiment.n_items,
        repeats=2,
        must_help=False,
        seed=trained.seed,
    )
    return 1.0 - found.probability.to(trained.users.device)


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
        Judge(
            "svv",
            "what it adds to an autoencoder's likelihood, by SVV's explainer",
            _svv,
            True,
            budgeted=True,
        ),
        Judge(
            "svv_others",
            "the same, an interaction being judged by the user's others only",
            lambda trained: _svv(trained, others=True),
            True,
            budgeted=True,
        ),
        Judge(
            "triplet_shapley",
            "Shapley value of its triplets for ranking held-out ones",
            _triplet_shapley,
            True,
            budgeted=True,
        ),
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
        Judge(
            "ranking",
            "Shapley value for ranking the user's other items above items as popular",
            _ranking,
            False,
        ),
        Judge(
            "clean",
            "chance of being real by the enhancer `clean`, which learns from planted noise",
            _clean,
            False,
            trains=True,
        ),
        Judge(
            "joint",
            "sum of profile, profile_beyond_popularity and regression, standardised within user",
            _joint,
            False,
        ),
    )
}


def find_judges(names: list[str] | None) -> list[Judge]:
    """Judges by name; None gives all that train no further backbones.  Raises `UnknownNameError`."""
    if names is None:
        return [judge for judge in JUDGES.values() if not judge.trains]
    for name in names:
        if name not in JUDGES:
            raise unknown_name("judge", name, JUDGES)
    return [JUDGES[name] for name in names]
