"""In-run values against gradients row by row, finite differences, and the loss that a step changes."""

from __future__ import annotations

import contextlib
import io

import pytest
import torch
from torch import nn

from burnish import Shapley, enhance
from burnish.enhancers.conformance.data import write_data
from burnish.enhancers.conformance.subject import train
from burnish.enhancers.conformance.world import build_world
from burnish.enhancers.shapley.in_run import first_order_values, step_sizes
from burnish.enhancers.weights.loss import RULES
from burnish.errors import NonFiniteError, UnsupportedError
from burnish.randomness import forked_randomness


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("worlds")
    write_data(folder)
    return folder


def world_of(model, folder, **options):
    enhancer = Shapley(warmup_epochs=1, values="in-run", in_run_share=1.0)
    with contextlib.redirect_stdout(io.StringIO()):
        return build_world(enhance(model, enhancer), folder, options={"epochs": 2, **options})


class Toy(nn.Module):
    """Factorisation with a squared loss: everything can be written out."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.users = nn.Parameter(torch.randn(4, 3, generator=generator, dtype=torch.double))
        self.items = nn.Parameter(torch.randn(5, 3, generator=generator, dtype=torch.double))
        self.u = torch.randint(4, (12,), generator=generator)
        self.i = torch.randint(5, (12,), generator=generator)
        self.judges = torch.arange(12) % 3 == 0

    def rows(self):
        """Parts of a mean: they sum to the loss."""
        return ((self.users[self.u] * self.items[self.i]).sum(1) - 1).square() / 12


def test_values_are_inner_products_of_gradients():
    toy = Toy()
    sizes = [torch.rand(4, 3, dtype=torch.double), 0.3]
    values = first_order_values(toy.rows(), toy.judges, [toy.users, toy.items], sizes)
    judge = torch.autograd.grad(12 * toy.rows()[toy.judges].mean(), [toy.users, toy.items])
    for row in range(12):
        own = torch.autograd.grad(toy.rows()[row], [toy.users, toy.items])
        expected = sum(float((a * b * s).sum()) for a, b, s in zip(own, judge, sizes, strict=True))
        assert float(values[row]) == pytest.approx(0.0 if toy.judges[row] else expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_values_sum_to_the_decrease_of_the_judges_loss(kind):
    toy = Toy(1)
    parameters = [toy.users, toy.items]
    rate = 1e-5
    steps = [rate, rate]
    if kind == "adam":
        optimizer = torch.optim.Adam(parameters, lr=rate)
        for _ in range(3):  # fills the second moments
            optimizer.zero_grad()
            toy.rows().sum().backward()
            optimizer.step()
        steps = step_sizes(optimizer, parameters)
    values = first_order_values(toy.rows(), toy.judges, parameters, steps)
    before = 12 * toy.rows()[toy.judges].mean().detach()
    gradients = torch.autograd.grad(toy.rows()[~toy.judges].sum(), parameters)
    with torch.no_grad():
        for parameter, gradient, size in zip(parameters, gradients, steps, strict=True):
            parameter -= size * gradient
    after = 12 * toy.rows()[toy.judges].mean().detach()
    assert float(values.sum()) == pytest.approx(float(before - after), rel=2e-3)


@pytest.mark.parametrize(
    "kind", [torch.optim.Adam, torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.SGD]
)
def test_step_sizes_are_what_the_optimizer_does(kind):
    """One more step on a known gradient, momentum taken out, moves a parameter by its step size times that gradient."""
    options = {"betas": (0.0, 0.9)} if kind is torch.optim.Adam else {}
    parameter = nn.Parameter(torch.tensor([0.5, -2.0, 3.0], dtype=torch.double))
    optimizer = kind([parameter], lr=0.01, **options)
    for number in range(4):
        parameter.grad = torch.tensor([0.3, -1.0, 0.01 * number], dtype=torch.double)
        before = parameter.detach().clone()
        optimizer.step()
    size = step_sizes(optimizer, [parameter])[0]
    assert torch.allclose(before - parameter.detach(), size * parameter.grad, rtol=1e-6)


def test_step_sizes_without_a_step_or_an_optimizer():
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([one], lr=0.02)
    assert step_sizes(optimizer, [one, other]) == [0.02, 0.0]
    assert step_sizes(None, [one, other]) == [1.0, 1.0]


def test_no_judges_or_only_judges_value_nothing():
    toy = Toy()
    for judges in (torch.zeros(12, dtype=torch.bool), torch.ones(12, dtype=torch.bool)):
        assert bool((first_order_values(toy.rows(), judges, [toy.users]) == 0).all())


def test_values_that_are_not_finite_are_refused():
    toy = Toy()
    with pytest.raises(NonFiniteError, match="learning_rate"):
        first_order_values(toy.rows(), toy.judges, [toy.users], [float("inf")])


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "SASRec", "NeuMF", "DeepFM", "GRU4Rec", "SimpleX"])
def test_rows_of_a_backbone_against_finite_differences(model, folder):
    """Values of rows of a backbone: the change of each row's own loss along the judges' direction."""
    world = world_of(model, folder)
    enhanced = world.model.double().eval()  # no dropout
    for module in enhanced.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                setattr(module, name, value.double())
    batch = world.batch()
    for name, column in batch.interaction.items():
        if column.is_floating_point():
            batch.interaction[name] = column.double()
    host = enhanced.enhancers
    tables = {id(t.stored): t.stored for t in host.anatomy.tables}
    parameters = list(tables.values())

    def rows():
        with forked_randomness(0, torch.device("cpu")):
            return host.weigher.row_losses(
                batch, lambda: type(enhanced).__mro__[2].calculate_loss(enhanced, batch)
            )

    torch.set_default_dtype(torch.float64)
    try:
        losses, numbers = rows()
        assert torch.equal(numbers, batch["burnish_interaction_row"])
        judges = torch.arange(len(losses)) % 2 == 0
        measured = first_order_values(losses, judges, parameters)
        judged = rows()[0][judges].mean() * len(losses)
        direction = torch.autograd.grad(judged, parameters, allow_unused=True)
        step, moved = 1e-6, []
        for sign in (1, -1):
            with torch.no_grad():
                for parameter, change in zip(parameters, direction, strict=True):
                    if change is not None:
                        parameter += sign * step * change
            moved.append(rows()[0].detach())
            with torch.no_grad():
                for parameter, change in zip(parameters, direction, strict=True):
                    if change is not None:
                        parameter -= sign * step * change
    finally:
        torch.set_default_dtype(torch.float32)
    expected = (moved[0] - moved[1]) / (2 * step)
    scale = float(expected.abs().max())
    assert scale > 0
    assert float((measured - expected)[~judges].abs().max()) < 1e-4 * scale
    assert bool((measured[judges] == 0).all())


def test_row_losses_sum_to_the_loss(folder):
    world = world_of("BPR", folder)
    batch, host = world.batch(), world.model.enhancers
    plain = type(world.model).__mro__[2]
    rows, _ = host.weigher.row_losses(batch, lambda: plain.calculate_loss(world.model, batch))
    assert float(rows.sum()) == pytest.approx(float(plain.calculate_loss(world.model, batch)), rel=1e-5)


def test_measuring_leaves_training_as_it_was(folder):
    """Of a backbone with dropout and BatchNorm, whose streams and statistics a second forward pass would move."""
    with contextlib.redirect_stdout(io.StringIO()):
        plain = train(build_world("NeuMF", folder, options={"epochs": 2, "dropout_prob": 0.3}))
        watched = train(
            build_world(
                enhance("NeuMF", Shapley(warmup_epochs=2, values="in-run", in_run_share=1.0)),
                folder,
                options={"epochs": 2, "dropout_prob": 0.3},
            )
        )
    assert plain.trainer.train_loss_dict == watched.trainer.train_loss_dict
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[name])
    sums, counts = watched.model.enhancers["shapley"].measured
    assert counts.sum() > 0
    assert bool((sums[counts == 0] == 0).all())
    assert sums.abs().max() > 0


def test_judges_are_drawn_anew_at_every_step_by_seed(folder, monkeypatch):
    def judges_of(shapley, step):
        """Which of a thousand rows judge the others in this step."""
        seen = []
        monkeypatch.setattr(
            "burnish.enhancers.shapley.shapley.first_order_values",
            lambda rows, judges, parameters, steps: seen.append(judges) or torch.zeros(len(rows)),
        )
        shapley.state.step = step
        shapley.watch(torch.zeros(1000), torch.arange(1000) % 20)
        return seen[0]

    def made(seed):
        with contextlib.redirect_stdout(io.StringIO()):
            enhancer = Shapley(warmup_epochs=1, values="in-run", in_run_share=0.3, seed=seed)
            return build_world(enhance("BPR", enhancer), folder).model.enhancers["shapley"]

    shapley, other = made(3), made(4)
    first, second = judges_of(shapley, 7), judges_of(shapley, 8)
    counts = shapley.measured[1]
    assert counts.sum() == (~first).sum() + (~second).sum()  # judges are not measured
    for one, two in ((first, second), (first, judges_of(other, 7))):
        assert 400 < one.sum() < 600
        assert 400 < (one != two).sum() < 600
    assert torch.equal(first, judges_of(made(3), 7))
    watched = []
    for one in (shapley, other):
        steps = []
        for step in range(1000):
            one.state.step = step
            steps.append(one.watches())
        watched.append(torch.tensor(steps))
        assert steps[0]
        assert 230 < sum(steps) < 370
    assert (watched[0] != watched[1]).sum() > 200


def test_a_backbone_of_whole_users_is_refused(folder):
    world = world_of("MultiVAE", folder)
    with pytest.raises(UnsupportedError, match=r"MultiVAE trains on whole users.*profile"):
        train(world)


def test_helpful_and_harmful_rows_are_told_apart():
    """Rows that repeat the judges are worth more than rows that say the opposite."""
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(3, dtype=torch.double))
    features = torch.randn(40, 3, dtype=torch.double)
    truth = torch.sign(features @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.double))
    labels = truth.clone()
    labels[30:] *= -1
    rows = nn.functional.softplus(-labels * (features @ weight)) / 40
    values = first_order_values(rows, torch.arange(40) < 10, [weight])
    assert values[10:30].mean() > 0 > values[30:].mean()


@pytest.mark.parametrize("model", sorted(RULES))
def test_every_backbone_of_interactions_is_measured(model, folder):
    if model == "LR":  # without a table of items
        return
    world = world_of(model, folder, pretrain_epochs=2)
    shapley = world.model.enhancers["shapley"]
    of_users = "burnish_interaction_row" not in world.batch().interaction
    with contextlib.redirect_stdout(io.StringIO()):
        if of_users:
            with pytest.raises(UnsupportedError, match="trains on whole users"):
                train(world)
            return
        train(world)
    assert shapley._valuations == 1
    assert (shapley.weights - 1).abs().max() > 0.1
    assert bool(torch.isfinite(shapley.values).all())
