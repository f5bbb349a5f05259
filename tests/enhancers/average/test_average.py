"""`average`: means against a loop, in evaluation and nowhere else, saved, resumed and beside other enhancers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import burnish
from burnish.enhancers.attach import enhance
from burnish.enhancers.average.average import Average
from burnish.errors import ConfigurationError


def tables(model: Any) -> list[torch.Tensor]:
    return [p.detach().clone() for p in (model.user_embedding.weight, model.item_embedding.weight)]


def test_means_in_evaluation_only(world: Any) -> None:
    made, plain = world(enhance("BPR", Average(decay=0.6))), world("BPR")
    model, optimizer = made.model, torch.optim.Adam(plain.model.parameters(), lr=0.01)
    other = torch.optim.Adam(model.parameters(), lr=0.01)
    start = tables(plain.model)
    means, steps = [t.double() for t in start], 0
    batches = [batch for batch, _ in zip(made.train, range(4), strict=False)]
    for epoch in range(3):
        plain.model.train()
        model.train()
        for batch in batches:
            for one, by in ((plain.model, optimizer), (model, other)):
                by.zero_grad()
                one.calculate_loss(batch).backward()
                by.step()
            decay = min(0.6, (1 + steps) / (10 + steps))
            means = [
                decay * m + (1 - decay) * t.double() for m, t in zip(means, tables(plain.model), strict=True)
            ]
            steps += 1
            # training goes on with what the plain backbone has
            assert all(map(torch.equal, tables(model), tables(plain.model))), epoch
        for _ in range(2):  # a second look counts nothing again
            model.eval()
            for found, expected in zip(tables(model), means, strict=True):
                torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-7)
            model.train()
            assert all(map(torch.equal, tables(model), tables(plain.model)))


def test_before_any_step_nothing_changes(world: Any) -> None:
    made = world(enhance("BPR", Average()))
    before = tables(made.model)
    made.model.eval()
    assert all(map(torch.equal, tables(made.model), before))


def test_state_of_either_mode(world: Any) -> None:
    made = world(enhance("BPR", "softmax", Average()))
    made.trainer._train_epoch(made.train, 0)
    raw = tables(made.model)
    made.model.eval()
    means = tables(made.model)
    assert not torch.equal(raw[0], means[0])
    again = world(enhance("BPR", "softmax", Average())).model
    again.load_state_dict(made.model.state_dict())
    assert all(map(torch.equal, tables(again), means))
    again.eval()
    assert all(map(torch.equal, tables(again), means))
    again.train()
    assert all(map(torch.equal, tables(again), raw))


def test_a_step_after_a_forgotten_change_of_mode(world: Any) -> None:
    """What looks at a model in between may put modes back one by one; the next step trains the right numbers."""
    made = world(enhance("BPR", Average()))
    made.trainer._train_epoch(made.train, 0)
    raw = tables(made.model)
    made.model.eval()
    for module in made.model.modules():
        module.training = True
    made.model.calculate_loss(next(iter(made.train)))
    assert all(map(torch.equal, tables(made.model), raw))


def test_saved_and_resumed(tmp_path: Path, small: dict[str, Any]) -> None:
    options = small | {"epochs": 4, "stopping_step": 50}
    enhancers = {"softmax": {}, "average": {"decay": 0.9}}
    whole = burnish.run("BPR", "tiny", enhancers=enhancers, config=options, seed=1, folder=tmp_path / "whole")
    part = tmp_path / "part"
    burnish.run("BPR", "tiny", enhancers=enhancers, config=options | {"epochs": 2}, seed=1, folder=part)
    resumed = burnish.run(resume=part, config={"epochs": 4})
    assert resumed.losses == whole.losses
    assert resumed.test_result == whole.test_result
    again = burnish.recommend(tmp_path / "whole", k=5)
    assert again.equals(burnish.recommend(whole, k=5))


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, float("nan")])
def test_decay(decay: float) -> None:
    with pytest.raises(ConfigurationError, match="decay"):
        Average(decay=decay)
