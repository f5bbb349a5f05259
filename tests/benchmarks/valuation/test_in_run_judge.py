"""The in-run judge watches the same training that the others judge, and values steps that pull against it low."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from burnish.benchmarks.valuation.detection import detect
from burnish.benchmarks.valuation.experiment import make_experiment, train
from burnish.benchmarks.valuation.judges import find_judges, in_run_values, train_backbone
from burnish.enhancers.attach import enhance
from burnish.enhancers.conformance.data import NAME
from burnish.enhancers.conformance.presets import preset
from burnish.enhancers.conformance.world import prepare_folder
from burnish.enhancers.shapley.shapley import Shapley
from burnish.errors import UnsupportedError


@pytest.fixture
def options(tmp_path):
    torch.set_num_threads(1)
    prepare_folder(tmp_path)
    return {**preset("BPR"), "data_path": str(tmp_path)}


@pytest.fixture
def two_tastes(tmp_path):
    """Users of two kinds, each with items of its own: noise is what crosses over, mostly."""
    folder = tmp_path / "tastes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(60):
        own = rng.permutation(30)[:15] + 30 * (user % 2)
        lines += [f"u{user}\ti{item}\t5\t{place}" for place, item in enumerate(own)]
    (folder / "tastes.inter").write_text("\n".join(lines) + "\n")
    return {**preset("BPR"), "data_path": str(tmp_path)}


def test_measuring_is_no_part_of_training(options):
    experiment = make_experiment("BPR", NAME, options, kind="uniform", share=0.2)
    enhancer = Shapley(values="in-run", in_run_share=1.0, warmup_epochs=3, seed=5)
    watched = train(
        experiment, epochs=3, seed=5, model_class=enhance(experiment.config.model_class, enhancer)
    )
    plain = train(experiment, epochs=3, seed=5)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name
    assert watched.enhancers["shapley"].interaction_weights() is None
    # A row is measured in about half of the epochs: never in more, and some in every one.
    counts = watched.enhancers["shapley"].measured[1]
    assert counts.max() == 3
    assert 0.4 < float(counts.mean()) / 3 < 0.6


def test_values_of_one_step_are_products_of_gradients(options):
    """One SGD step on all rows, written out: rate * < gradient of a row, gradient of the judges' mean >."""
    experiment = make_experiment("BPR", NAME, {**options, "train_batch_size": 10**6, "learner": "sgd"})
    batches = []

    class Recording(experiment.config.model_class):
        def calculate_loss(self, interaction):
            batches.append((interaction, {k: v.clone() for k, v in self.state_dict().items()}))
            return super().calculate_loss(interaction)

    plain = experiment.config.model_class
    experiment.config.model_class = Recording
    try:
        train(experiment, epochs=1, seed=3)
    finally:
        experiment.config.model_class = plain
    found = in_run_values(experiment, epochs=1, seed=3)
    (batch, start) = batches[0]
    users, items = start["user_embedding.weight"].double(), start["item_embedding.weight"].double()
    u, i, j = (batch[name] for name in ("user_id", "item_id", "neg_item_id"))
    n = len(u)
    slope = -torch.sigmoid(-(users[u] * (items[i] - items[j])).sum(1)) / n
    grad_u, grad_i = slope[:, None] * (items[i] - items[j]), slope[:, None] * users[u]
    key = {
        (int(a), int(b)): row
        for row, (a, b) in enumerate(zip(experiment.users, experiment.items, strict=True))
    }
    number = torch.tensor([key[int(a), int(b)] for a, b in zip(u, i, strict=True)])
    measured = found[number] != 0
    assert 0.4 < float(measured.double().mean()) < 0.6
    towards_u, towards_i = torch.zeros_like(users), torch.zeros_like(items)
    towards_u.index_add_(0, u[~measured], grad_u[~measured])
    towards_i.index_add_(0, i[~measured], grad_i[~measured])
    towards_i.index_add_(0, j[~measured], -grad_i[~measured])
    scale = experiment.config["learning_rate"] * n / int((~measured).sum())
    expected = scale * ((grad_u * towards_u[u]).sum(1) + (grad_i * (towards_i[i] - towards_i[j])).sum(1))
    torch.testing.assert_close(found[number][measured].double(), expected[measured], rtol=1e-3, atol=1e-12)


def test_steps_against_the_grain_are_worth_less(two_tastes):
    experiment = make_experiment("BPR", "tastes", two_tastes, kind="uniform", share=0.1, noise_seed=1)
    trained = train_backbone(experiment, epochs=30, seed=1)
    (judge,) = find_judges(["in_run"])
    assert judge.trains
    # Chance is 0.50 with a standard error of 0.03; here 0.64: better than chance, and far from good.
    assert detect(judge.compute(trained), experiment.is_noise).auc > 0.58


def test_whole_users_have_no_rows_to_measure(tmp_path):
    prepare_folder(tmp_path)
    experiment = make_experiment("MultiVAE", NAME, {**preset("MultiVAE"), "data_path": str(tmp_path)})
    with pytest.raises(UnsupportedError, match="whole users"):
        in_run_values(experiment, epochs=1, seed=0)
