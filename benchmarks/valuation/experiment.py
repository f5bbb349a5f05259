"""A backbone, RecBole's data with noise among its training interactions, and training on any part of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from burnish.compat.habits import command_line, tensorboard_in
from burnish.enhancers.shapley.objectives import Scorer
from burnish.errors import DataError
from burnish.noise.draw import inject
from burnish.splits.noisy_training import rows_with_noise

Rows = NDArray[np.int64]


@dataclass
class Experiment:
    """The data that a study trains on, noise among them, and what evaluates.

    users, items, is_noise: `[n]`, the training interactions in the order of `training.inter_feat`.
    valid, test: RecBole's loaders; what they recommend leaves out all `n` training items, so that the candidates are
    the same whichever part was trained on.
    """

    config: Any
    training: Any
    valid: Any
    test: Any
    users: Rows
    items: Rows
    is_noise: NDArray[np.bool_]
    n_users: int
    n_items: int
    rest: list[Any]


def make_experiment(
    model: str | type,
    dataset: str,
    options: dict[str, Any],
    *,
    enhancers: Any = None,
    kind: str | None = None,
    share: float = 0.1,
    noise_seed: int = 0,
) -> Experiment:
    """Read and split the data as RecBole does, and put noise of a kind (None: none) into the training split only.

    enhancers: names ("softmax") or a block ({"softmax": {"temperature": 0.2}}) of what is attached to the backbone.
    A noisy row is a copy of a random row of the same user (its time and rating) with another item.
    """
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.data.utils import create_samplers, get_dataloader
    from recbole.utils import init_seed

    import burnish  # noqa: F401  (mends RecBole)

    with command_line(False):
        own = {"show_progress": False, **options}
        if enhancers:
            own["enhancers"] = enhancers
        config = Config(model=model, dataset=dataset, config_dict=own)
    init_seed(config["seed"], config["reproducibility"])
    whole = create_dataset(config)
    training, valid, test = whole.build()
    user, item = whole.uid_field, whole.iid_field
    users, items = (training.inter_feat[field].numpy().astype(np.int64) for field in (user, item))
    is_noise = np.zeros(len(users), bool)
    if kind is not None:
        held = [
            np.concatenate([part.inter_feat[field].numpy() for part in (valid, test)])
            for field in (user, item)
        ]
        noisy = inject(
            users,
            items,
            n_items=whole.item_num,
            share=share,
            kind=kind,
            seed=noise_seed,
            first_item=1,
            known=(held[0], held[1]),
        )
        training = training.copy(rows_with_noise(training.inter_feat, user, item, noisy, noise_seed))
        users, items, is_noise = noisy.users, noisy.items, noisy.is_noise
    samplers = create_samplers(config, whole, [training, valid, test])
    loaders = [
        get_dataloader(config, phase)(config, part, sampler, shuffle=False)
        for phase, part, sampler in zip(("valid", "test"), (valid, test), samplers[1:], strict=True)
    ]
    return Experiment(
        config,
        training,
        loaders[0],
        loaders[1],
        users,
        items,
        is_noise,
        whole.user_num,
        whole.item_num,
        [whole, valid, test],
    )


def train(
    experiment: Experiment,
    rows: Rows | None = None,
    *,
    epochs: int,
    seed: int,
    after_epoch: Callable[[Any, int], None] | None = None,
    model_class: type | None = None,
) -> Any:
    """The backbone after `epochs` epochs on these rows of the training interactions (all by default).

    seed: of the weights and of everything drawn during training.  after_epoch: called with (model, epoch).
    model_class: the backbone with enhancers attached; by default the experiment's own.
    """
    from recbole.data.utils import create_samplers, get_dataloader
    from recbole.utils import get_trainer, init_seed

    config = experiment.config
    part = experiment.training
    if rows is not None:
        if not len(rows):
            raise DataError("train: there are no interactions left to train on")
        part = part.copy(part.inter_feat[torch.as_tensor(rows)])
    init_seed(seed, config["reproducibility"])
    whole, valid, test = experiment.rest
    sampler = create_samplers(config, whole, [part, valid, test])[0]
    loader = get_dataloader(config, "train")(config, part, sampler, shuffle=config["shuffle"])
    model = (model_class or config.model_class)(config, part).to(config["device"])
    with tempfile.TemporaryDirectory() as folder, tensorboard_in(None):
        config["checkpoint_dir"] = folder
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        for epoch in range(epochs):
            trainer._train_epoch(loader, epoch)
            if after_epoch is not None:
                model.eval()
                after_epoch(model, epoch)
    return model.eval()


def evaluate(experiment: Experiment, model: Any, loader: Any) -> dict[str, float]:
    """RecBole's metrics of a model on `experiment.valid` or `experiment.test`, by lower-case name."""
    from recbole.utils import get_trainer

    with tempfile.TemporaryDirectory() as folder, tensorboard_in(None):
        experiment.config["checkpoint_dir"] = folder
        trainer = get_trainer(experiment.config["MODEL_TYPE"], experiment.config["model"])(
            experiment.config, model
        )
        result = trainer.evaluate(loader, load_best_model=False)
    return {str(name): float(value) for name, value in result.items()}


def score_temperature(model: Any) -> float:
    """What an objective in the place of the backbone's loss (`softmax`) divides scores by; 1 without one."""
    host = getattr(model, "enhancers", None)
    found = (
        [one.score_temperature for one in host.enhancers() if one.replaces_loss()] if host is not None else []
    )
    return float(found[0]) if found else 1.0


def scorer_of(experiment: Experiment, model: Any, batch: int = 65536) -> Scorer:
    """Scores of pairs by the model's `predict`, over `score_temperature`; losses of bare cosines hardly differ."""
    from recbole.data.interaction import Interaction

    temperature = score_temperature(model)
    user, item = experiment.rest[0].uid_field, experiment.rest[0].iid_field

    @torch.no_grad()
    def score(users: Tensor, items: Tensor) -> Tensor:
        parts = [
            model.predict(Interaction({user: u, item: i}).to(experiment.config["device"])).reshape(-1)
            for u, i in zip(users.split(batch), items.split(batch), strict=True)
        ]
        return torch.cat(parts).to(users.device) / temperature

    return score


def vectors_of(experiment: Experiment, model: Any) -> tuple[Tensor | None, Tensor]:
    """The rows `[n_users, d]` (None where there are none) and `[n_items, d]` that meet in the score, refined."""
    from burnish.enhancers.anatomy.describe import describe, is_output, propagation

    host = getattr(model, "enhancers", None)
    anatomy = describe(model, experiment.config, experiment.training) if host is None else host.anatomy

    def rows(table: Any) -> Tensor:
        with torch.no_grad():
            found: Tensor = table.raw()
            if host is not None:
                found = host.state.refined(table, torch.arange(table.count, device=found.device))
        return found.detach().cpu()

    call = propagation(model) if anatomy.output is not None else None
    if call is not None:
        with torch.no_grad():
            tables = call()
        if is_output(tables, anatomy.n_users, anatomy.n_items):
            return tables[0].detach().cpu(), tables[1].detach().cpu()
    pairs = anatomy.pairs
    if pairs:
        user_table, item_table = pairs[0]
        return rows(user_table) if user_table.side == "user" else None, rows(item_table)
    return None, rows(anatomy.need("item", "valuation")[-1])
