"""`guided` on every backbone of RecBole with item tables: the identity at the start, an epoch in one stage and two."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from guided_world import guided_of, quiet_training, quiet_world, write_world

from burnish.enhancers.conformance.matrix.__main__ import WITHOUT_TABLES, backbones_with_tables
from burnish.enhancers.conformance.subject import assert_equal_scores, scores
from burnish.enhancers.guided.fusion import Fusion
from burnish.enhancers.guided.guided import Guided
from burnish.enhancers.zoo import find_backbone
from burnish.errors import UnsupportedError

#: Its tables are biases.
REFUSED = {"LR"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


def alphas(world: Any) -> torch.Tensor:
    """Of all fusions, `[n, m]`."""
    fusions = [fusion for fusion in guided_of(world).fusions.values() if isinstance(fusion, Fusion)]
    return torch.stack([fusion.alpha.detach().clone() for fusion in fusions])


@pytest.mark.parametrize("model", [name for name in backbones_with_tables() if name not in REFUSED])
def test_every_backbone(model: str, folder: Path) -> None:
    file = str(folder / "scores.tsv")
    options = {"pretrain_epochs": 1}
    plain = quiet_world(model, folder, options=options)
    one = quiet_world(model, folder, Guided(scores=file), options=options)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(one.model.state_dict()[name])), name
    assert_equal_scores(scores(plain), scores(one))
    two = quiet_world(model, folder, Guided(scores=file, base="model"), options=options)
    assert bool((alphas(two) > 0).all())
    for world in (one, two):
        before = alphas(world)
        quiet_training(world)
        losses = [float(loss) for loss in world.trainer.train_loss_dict.values()]
        assert losses
        assert all(math.isfinite(loss) for loss in losses)
        moved = (alphas(world) != before).any(dim=1)
        assert bool(moved.any())
        assert all(bool(torch.isfinite(found).all()) for found in scores(world).values())


def test_backbones_without_item_tables_refuse(folder: Path) -> None:
    enhancer = Guided(scores=str(folder / "scores.tsv"))
    with pytest.raises(UnsupportedError, match="LR has no table whose rows are items"):
        quiet_world("LR", folder, enhancer)
    for model in ("Pop", "ItemKNN", "EASE", "Random"):
        assert find_backbone(model).__name__ in WITHOUT_TABLES
        with pytest.raises(UnsupportedError):
            quiet_world(model, folder, enhancer)
